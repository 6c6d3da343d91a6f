//! What happens before the load: the server is found, the steps rendered.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::interrupts::Interrupts;
use super::lookups::Lookups;
use super::preflight::{self, Preflight};
use super::probe::probe_plan;
use super::tokens;
use crate::address;
use crate::auth::Keeper;
use crate::client::{Found, ListProgress, ServerSettings, find};
use crate::error::{ErrorKind, UserError};
use crate::host::refused_by_system;
use crate::host::{self, Cpus, Need, Room, shortages};
use crate::http::{Endpoint, resolve};
use crate::marker::MarkerKey;
use crate::outcome::{GeneratorFacts, Observer, ServerFacts, StreamOffer};
use crate::protocol::{Era, Revision, Topic};
use crate::redact::{LiveSecrets, Redactor, secrets_of_header};
use crate::scenario::{Action, Plan, SECRET_SHARDS, TokenOrigin};
use crate::scheduler::block_on;
use crate::template::Generators;
use crate::user::{HeaderTemplates, Marks, Script, ScriptTarget};

/// What is ready for the load.
pub(super) struct Preparation {
    pub(super) script: Arc<Script>,
    /// What the probe does, where the plan has one.
    pub(super) probe: Option<Arc<Script>>,
    /// By population.
    pub(super) servers: Vec<ServerFacts>,
    /// Where the server's name is looked up again.
    pub(super) lookups: Option<Lookups>,
    /// Keeps the users' tokens fresh, where tokens are fetched.
    pub(super) keeper: Option<Keeper>,
}

/// Whether users hold secrets that are not known before: out of answers, or of many rows.
fn holds_secrets(plan: &Plan) -> bool {
    let of_rows = plan.data.iter().any(|set| set.has_many_secrets());
    of_rows
        || plan.target.cookies
        || plan.calls().any(|call| {
            matches!(call.action.value, Action::CodeMode { .. })
                || call.extracts.iter().any(|extract| extract.is_secret)
        })
}

/// Finds what is spoken to and renders the steps.
pub(super) fn prepare(
    plan: &Arc<Plan>,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<Preparation, UserError> {
    let keep_going = || !interrupts.is_pending();
    let mut sides: Vec<PreparedSide> = Vec::new();
    for population in 0..plan.populations.all().len() {
        if !shares_target(plan, population, &sides) {
            let url = &plan.target_of(population).url.value;
            let endpoint = resolve(url, &plan.network, &keep_going)?;
            sides.push(PreparedSide::new(plan, population, endpoint)?);
        }
    }
    let of_first = sides.iter().flat_map(PreparedSide::secrets);
    let of_first: Vec<String> = of_first.collect();
    let redactor = plan.redactor().and(of_first.iter().map(String::as_str));
    // Tokens are known to the same.
    let redactor = match holds_secrets(plan) && plan.token.is_none() {
        true => redactor.watching(&LiveSecrets::new(SECRET_SHARDS)),
        false => redactor,
    };
    let keeper = tokens::open(plan, &redactor, observer, interrupts)?;
    let way = WayThere {
        plan,
        redactor: &redactor,
        keeper: keeper.as_ref(),
        interrupts,
    };
    let mut met = Vec::new();
    for side in &sides {
        met.push(way.meet(side, observer)?);
    }
    let of_population = |population: usize| {
        let own = sides.iter().position(|side| side.population == population);
        let shared = || sides.iter().position(|side| side.is_shared);
        &met[own.or_else(shared).unwrap_or(0)]
    };
    let all: Vec<&Met> = (0..plan.populations.all().len())
        .map(of_population)
        .collect();
    for (population, met) in all.iter().enumerate() {
        refuse_legacy(plan.topics_of(population), &met.facts)?;
    }
    let targets: Vec<ScriptTarget> = all.iter().map(|it| it.target.clone()).collect();
    let is_isolated = targets.iter().any(|it| it.plan.is_isolated());
    let key = is_isolated.then(|| match plan.segment.is_whole() {
        true => MarkerKey::drawn(),
        // The hosts of one load share its seed, and know each other's markers by it.
        false => MarkerKey::of_seed(plan.seed),
    });
    let render = |plan: Arc<Plan>, targets: &[ScriptTarget], is_of_probe| {
        let mut script = Script::new(plan, targets)?;
        if let Some(key) = key.clone() {
            script.mark(Marks { key, is_of_probe });
        }
        script.tokens = keeper.as_ref().map(|keeper| Arc::clone(keeper.tokens()));
        Ok::<_, UserError>(script)
    };
    let first = &targets[0];
    let mut script = render(Arc::clone(&first.plan), &targets, false)?;
    let offers: Vec<bool> = all.iter().map(|it| it.facts.offers_stream()).collect();
    script.hold_streams(&offers);
    let script = Arc::new(script);
    let probe = probe_plan(&first.plan).map(Arc::new);
    let probe = probe.map(|plan| {
        let target = ScriptTarget {
            plan: Arc::clone(&plan),
            ..first.clone()
        };
        render(plan, &[target], true).map(Arc::new)
    });
    let probe = probe.transpose()?;
    let endpoint = all[0].endpoint.clone();
    let name = endpoint.looked_up(&plan.network);
    let lookups =
        plan.network.dns_ttl.zip(name).map(|(every, name)| {
            Lookups::new(name, endpoint.addresses(), every, crate::clock::now())
        });
    Ok(Preparation {
        script,
        probe,
        servers: all.into_iter().map(|it| it.facts.clone()).collect(),
        lookups,
        keeper,
    })
}

/// Subscriptions are of the modern era.
fn refuse_legacy(topics: &[Topic], server: &ServerFacts) -> Result<(), UserError> {
    if topics.is_empty() || server.era == Era::Modern {
        return Ok(());
    }
    let fault = format!(
        "`subscribe` needs revision {}, and {} speaks {}",
        Revision::LATEST_MODERN,
        server.url,
        server.revision
    );
    Err(UserError::usage(fault).hint(
        "without `subscribe` each session holds a GET stream, where the server offers it (`listen`)",
    ))
}

/// Whether the population speaks to the plan's target and one before it does so too.
fn shares_target(plan: &Plan, population: usize, sides: &[PreparedSide]) -> bool {
    plan.populations.all()[population].target.is_none() && sides.iter().any(|it| it.is_shared)
}

/// What one population, or all that have no target of their own, speak to.
struct PreparedSide {
    /// The first of them.
    population: usize,
    is_shared: bool,
    endpoint: Endpoint,
    /// Those that are the same in all sessions.
    headers: Vec<(String, String)>,
    of_sessions: HeaderTemplates,
    /// What the first user fills these with: who looks for the server beforehand says
    /// the same.
    first: Vec<(String, String)>,
}

impl PreparedSide {
    fn new(plan: &Plan, population: usize, endpoint: Endpoint) -> Result<Self, UserError> {
        let (headers, of_sessions) = HeaderTemplates::of(plan.target_of(population), &plan.data);
        let mut generators = Generators::new(plan.seed, 0);
        let users = (0..plan.whole_vus_max()).filter(|it| plan.population_of(*it) == population);
        let users = users.map(|user| u64::from(user) + 1);
        Ok(Self {
            population,
            is_shared: plan.populations.all()[population].target.is_none(),
            endpoint,
            headers,
            first: of_sessions.fill_first(users, &mut generators)?,
            of_sessions,
        })
    }

    fn secrets(&self) -> impl Iterator<Item = String> {
        let filled = self
            .first
            .iter()
            .filter(|_| self.of_sessions.hold_secrets());
        filled.flat_map(|(name, value)| secrets_of_header(name, value))
    }
}

/// What came of asking a server.
struct Met {
    target: ScriptTarget,
    endpoint: Endpoint,
    facts: ServerFacts,
}

/// What all sides of a plan have in common while they are asked.
struct WayThere<'a> {
    plan: &'a Arc<Plan>,
    redactor: &'a Redactor,
    keeper: Option<&'a Keeper>,
    interrupts: &'a Interrupts,
}

impl WayThere<'_> {
    /// Finds the server and holds the plan against it.
    fn meet(&self, side: &PreparedSide, observer: &mut dyn Observer) -> Result<Met, UserError> {
        let (plan, redactor, interrupts) = (self.plan, self.redactor, self.interrupts);
        let target = plan.target_of(side.population);
        let of_users = ServerSettings {
            timeout: plan.timeout,
            message_bytes_max: plan.message_bytes_max,
            headers: side.headers.clone(),
            has_oauth_token: false,
            cookies: target.cookies,
            respect_retry_after: target.respect_retry_after,
            network: Arc::clone(&plan.network),
            redactor: redactor.clone(),
        };
        let mut settings = of_users.clone();
        settings.headers.extend(side.first.iter().cloned());
        let keeper = self.keeper.filter(|_| plan.has_tokens(side.population));
        let token = keeper.and_then(|it| tokens::of_first_user(it, plan, side.population));
        let origin = plan.token.as_ref().map(|token| &token.origin);
        let is_by_oauth = matches!(origin, Some(TokenOrigin::OAuth(_)));
        settings.has_oauth_token = token.is_some() && is_by_oauth;
        settings.headers.extend(token);
        let settings = Arc::new(settings);
        let view = Arc::new(view(plan, side));
        let (choice, endpoint) = (target.protocol, side.endpoint.clone());
        let progress = ListProgress::default();
        let wanted = preflight::wanted_lists(&view);
        let shown = progress.clone();
        let found = {
            let asked = (target.spoken_to(), plan.timeout);
            let waiting = Waiting::new(progress, asked, observer);
            let keep_going = || {
                waiting.show();
                !interrupts.is_pending()
            };
            block_on(&keep_going, move || {
                find(endpoint, choice, settings, wanted, shown)
            })
        }
        .map_err(|error| refused_by_system("the server cannot be asked", &error))?;
        if interrupts.is_pending() {
            return Err(UserError::new(
                ErrorKind::Interrupted,
                "interrupted before the load began",
            ));
        }
        // With several servers it is said which.
        let name = plan.populations.all()[side.population].name.as_ref();
        let whose = name.filter(|_| plan.has_several_targets());
        let whose = whose.map_or_else(String::new, |name| format!("population `{name}`: "));
        let clean = |text: String| redactor.clean(text);
        let found = found.map_err(|error| error.map_texts(clean))?;
        for notice in &found.notices {
            observer.notice(&clean(format!("{whose}{notice}")));
        }
        let mut preflight = Preflight::default();
        if plan.preflight {
            preflight.hold(&view, &found.lists);
        }
        let prepared = preflight.generate(&view, &found.lists);
        let prepared = preflight.mark(&prepared, &found.lists);
        for notice in preflight.notices() {
            observer.notice(&clean(format!("{whose}{notice}")));
        }
        preflight.refusal().map_err(|error| {
            let error = error.map_texts(clean);
            match whose.is_empty() {
                true => error,
                false => error.hint(clean(format!("{whose}what is wrong is in its server"))),
            }
        })?;
        let server = match side.of_sessions.is_empty() && keeper.is_none() {
            true => found.server.clone(),
            false => found.server.with_settings(Arc::new(of_users))?,
        };
        Ok(Met {
            facts: facts(plan, side.population, &found, redactor),
            endpoint: found.server.endpoint().clone(),
            target: ScriptTarget {
                server,
                catalog: found.catalog(),
                plan: prepared,
            },
        })
    }
}

/// The plan without what nobody does who speaks to this side: its flows keep their
/// places.
fn view(plan: &Arc<Plan>, side: &PreparedSide) -> Plan {
    let mut view = Plan::clone(plan);
    let populations = plan.populations.all().iter().enumerate();
    let own: Vec<_> = populations
        .filter(|(at, it)| *at == side.population || side.is_shared && it.target.is_none())
        .flat_map(|(_, it)| it.flows.iter())
        .collect();
    for (at, flow) in view.flows.iter_mut().enumerate() {
        if !own.contains(&&at) {
            flow.steps.clear();
        }
    }
    view
}

/// Shows what is waited for, once it takes long.
struct Waiting<'a> {
    progress: ListProgress,
    /// The server's address, and for how long a request to it may take.
    asked: (String, Duration),
    observer: RefCell<&'a mut dyn Observer>,
    began: Instant,
}

impl<'a> Waiting<'a> {
    fn new(
        progress: ListProgress,
        asked: (String, Duration),
        observer: &'a mut dyn Observer,
    ) -> Self {
        Self {
            progress,
            asked,
            observer: RefCell::new(observer),
            began: crate::clock::now(),
        }
    }

    fn show(&self) {
        /// What is answered within this is not worth a line.
        const SHOWN_AFTER: Duration = Duration::from_secs(1);
        let elapsed = crate::clock::now().saturating_duration_since(self.began);
        if elapsed < SHOWN_AFTER {
            return;
        }
        let mut observer = self.observer.borrow_mut();
        match self.progress.text() {
            Some(what) => observer.preparing(Some((elapsed, &what))),
            None => observer.asking(elapsed, &self.asked.0, self.asked.1),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.observer.get_mut().preparing(None);
    }
}

fn facts(plan: &Plan, population: usize, found: &Found, redactor: &Redactor) -> ServerFacts {
    let some = |text: &String| (!text.is_empty()).then(|| redactor.clean(text.clone()));
    let dialect = found.server.dialect();
    ServerFacts {
        // What came from the environment is shown only where it names the server.
        url: if found.was_redirected {
            redactor.clean(address::shown(&found.server.endpoint().url()))
        } else {
            plan.target_of(population).spoken_to()
        },
        era: dialect.era(),
        revision: dialect.revision(),
        name: found
            .identity
            .as_ref()
            .and_then(|identity| some(&identity.name)),
        version: found
            .identity
            .as_ref()
            .and_then(|identity| some(&identity.version)),
        has_sessions: found.has_sessions,
        proxy: plan.proxy_use_of(plan.target_of(population)),
        addresses: found.server.endpoint().addresses().len(),
        stream: found.stream.clone().map(|offer| StreamOffer {
            why: offer
                .why
                .map(|why| redactor.cleaned_message(&why).into_owned()),
            ..offer
        }),
    }
}

/// How many workers there will be, and on which CPUs.
pub(super) fn choose_cpus(plan: &Plan) -> (Cpus, Vec<Option<usize>>) {
    let cpus = Cpus::of_this_process();
    let vus = usize::try_from(plan.vus_max()).unwrap_or(usize::MAX).max(1);
    // A worker without users would only cost: there are never more workers.
    let n_workers = plan
        .workers
        .count
        .unwrap_or_else(|| cpus.default_workers())
        .clamp(1, vus);
    let assigned = if plan.workers.pin {
        cpus.assign(n_workers)
    } else {
        vec![None; n_workers]
    };
    (cpus, assigned)
}

/// Says what of this host is too small for the load, and how to change it.
pub(super) fn check_room(plan: &Plan, servers: &[ServerFacts], observer: &mut dyn Observer) {
    let (_, workers) = choose_cpus(plan);
    let need = Need {
        connections: plan
            .connections_max(plan.subscribes() || servers.iter().any(ServerFacts::offers_stream)),
        routes: plan.network.bind.len().max(1) as u64,
        workers: workers.len() as u64,
    };
    for shortage in shortages(&Room::of_this_host(), &need) {
        observer.notice(&shortage.text());
    }
}

pub(super) fn generator_facts(
    plan: &Plan,
    cpus: &Cpus,
    worker_cpus: Vec<Option<usize>>,
) -> GeneratorFacts {
    let used: Vec<usize> = match worker_cpus.iter().flatten().copied().collect() {
        // Not pinned: any of them.
        pinned if Vec::is_empty(&pinned) => cpus.allowed.clone(),
        pinned => pinned,
    };
    let root = Path::new("/");
    let host = host::read(root, &[]);
    GeneratorFacts {
        governor: host::governors(root, &used),
        cpu_model: host.cpu_model,
        is_virtual: host.is_virtual,
        worker_cpus,
        machine_cpus: cpus.machine,
        usable_cpus: cpus.usable(),
        quota_millicpus: cpus.quota_millicpus,
        kernel: host.kernel,
        kernel_timestamps: crate::http::kernel_timestamps_supported(),
        busy_poll: plan.workers.busy_poll,
    }
}

/// The longest that sessions may take to open before an open load begins.
pub(super) fn opening_limit(plan: &Plan) -> Duration {
    plan.timeout.min(Duration::from_secs(10))
}
