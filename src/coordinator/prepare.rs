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
use crate::host::{self, Cpus, Need, Room, shortages};
use crate::http::resolve;
use crate::marker::MarkerKey;
use crate::outcome::{GeneratorFacts, Observer, ServerFacts, StreamOffer};
use crate::redact::{LiveSecrets, Redactor, secrets_of_header};
use crate::scenario::{Action, Plan, SECRET_SHARDS};
use crate::scheduler::block_on;
use crate::template::Generators;
use crate::user::{HeaderTemplates, Marks, Script};

/// What is ready for the load.
pub(super) struct Preparation {
    pub(super) script: Arc<Script>,
    /// What the probe does, where the plan has one.
    pub(super) probe: Option<Arc<Script>>,
    pub(super) server: ServerFacts,
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

/// Finds the server and renders the steps.
pub(super) fn prepare(
    plan: &Arc<Plan>,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<Preparation, UserError> {
    let keep_going = || !interrupts.is_pending();
    let endpoint = resolve(&plan.target.url.value, &plan.network, &keep_going)?;
    let (headers, of_sessions) = HeaderTemplates::of(plan);
    // Who looks for the server beforehand says what the first user would say.
    let mut generators = Generators::new(plan.seed, 0);
    let first = of_sessions.fill_first(u64::from(plan.whole_vus_max()), &mut generators)?;
    let of_first: Vec<String> = match of_sessions.hold_secrets() {
        true => first
            .iter()
            .flat_map(|(name, value)| secrets_of_header(name, value))
            .collect(),
        false => Vec::new(),
    };
    let redactor = plan.redactor().and(of_first.iter().map(String::as_str));
    // Tokens are known to the same.
    let redactor = match holds_secrets(plan) && plan.token.is_none() {
        true => redactor.watching(&LiveSecrets::new(SECRET_SHARDS)),
        false => redactor,
    };
    let of_users = ServerSettings {
        timeout: plan.timeout,
        message_bytes_max: plan.message_bytes_max,
        headers,
        cookies: plan.target.cookies,
        respect_retry_after: plan.target.respect_retry_after,
        network: Arc::clone(&plan.network),
        redactor: redactor.clone(),
    };
    let mut settings = of_users.clone();
    settings.headers.extend(first);
    let keeper = tokens::open(plan, &redactor, observer, interrupts)?;
    let token = keeper.as_ref();
    let token = token.and_then(|keeper| tokens::of_first_user(keeper, plan));
    settings.headers.extend(token);
    let settings = Arc::new(settings);
    let choice = plan.target.protocol;
    let progress = ListProgress::default();
    let wanted = preflight::wanted_lists(plan);
    let shown = progress.clone();
    let found = {
        let waiting = Waiting::new(progress, observer);
        let keep_going = || {
            waiting.show();
            !interrupts.is_pending()
        };
        block_on(&keep_going, move || {
            find(endpoint, choice, settings, wanted, shown)
        })
    }
    .map_err(|error| UserError::could_not_run(format!("no poll or stack: {error}")))?;
    if interrupts.is_pending() {
        return Err(UserError::new(
            ErrorKind::Interrupted,
            "interrupted before the load began",
        ));
    }
    let clean = |text: String| redactor.clean(text);
    let found = found.map_err(|error| error.map_texts(clean))?;
    for notice in &found.notices {
        observer.notice(&clean(notice.clone()));
    }
    let mut preflight = Preflight::default();
    if plan.preflight {
        preflight.hold(plan, &found.lists);
    }
    let prepared = preflight.generate(plan, &found.lists);
    let prepared = preflight.mark(&prepared, &found.lists);
    for notice in preflight.notices() {
        observer.notice(&clean(notice));
    }
    preflight
        .refusal()
        .map_err(|error| error.map_texts(clean))?;
    let plan = &prepared;
    let server = facts(plan, &found, &redactor);
    let catalog = found.catalog();
    let server_of_users = match of_sessions.is_empty() && keeper.is_none() {
        true => found.server.clone(),
        false => found.server.with_settings(Arc::new(of_users))?,
    };
    let key = plan.is_isolated().then(|| match plan.segment.is_whole() {
        true => MarkerKey::drawn(),
        // The hosts of one load share its seed, and know each other's markers by it.
        false => MarkerKey::of_seed(plan.seed),
    });
    let render = |plan, is_of_probe| {
        let mut script = Script::new(plan, server_of_users.clone(), &catalog)?;
        if let Some(key) = key.clone() {
            script.mark(Marks { key, is_of_probe });
        }
        script.tokens = keeper.as_ref().map(|keeper| Arc::clone(keeper.tokens()));
        Ok::<_, UserError>(script)
    };
    let mut script = render(Arc::clone(plan), false)?;
    if server.offers_stream() {
        script.hold_streams();
    }
    let script = Arc::new(script);
    let probe = probe_plan(plan)
        .map(|plan| render(Arc::new(plan), true).map(Arc::new))
        .transpose()?;
    let endpoint = found.server.endpoint();
    let name = endpoint.looked_up(&plan.network);
    let lookups =
        plan.network.dns_ttl.zip(name).map(|(every, name)| {
            Lookups::new(name, endpoint.addresses(), every, crate::clock::now())
        });
    Ok(Preparation {
        script,
        probe,
        server,
        lookups,
        keeper,
    })
}

/// Shows what is waited for, once it takes long.
struct Waiting<'a> {
    progress: ListProgress,
    observer: RefCell<&'a mut dyn Observer>,
    began: Instant,
}

impl<'a> Waiting<'a> {
    fn new(progress: ListProgress, observer: &'a mut dyn Observer) -> Self {
        Self {
            progress,
            observer: RefCell::new(observer),
            began: crate::clock::now(),
        }
    }

    fn show(&self) {
        /// Lists that are read within this are not worth a line.
        const SHOWN_AFTER: Duration = Duration::from_secs(1);
        let elapsed = crate::clock::now().saturating_duration_since(self.began);
        if elapsed < SHOWN_AFTER {
            return;
        }
        if let Some(what) = self.progress.text() {
            self.observer.borrow_mut().preparing(Some((elapsed, &what)));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.observer.get_mut().preparing(None);
    }
}

fn facts(plan: &Plan, found: &Found, redactor: &Redactor) -> ServerFacts {
    let some = |text: &String| (!text.is_empty()).then(|| redactor.clean(text.clone()));
    let dialect = found.server.dialect();
    ServerFacts {
        // As the user wrote it, unless a redirect led elsewhere: what came from
        // the environment is not shown.
        url: if found.was_redirected {
            redactor.clean(address::shown(&found.server.endpoint().url()))
        } else {
            plan.target.url.shown.clone()
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
        proxy: plan.proxy_use(),
        addresses: found.server.endpoint().addresses().len(),
        stream: found.stream.clone().map(|offer| StreamOffer {
            why: offer.why.map(|why| redactor.clean(why)),
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
pub(super) fn check_room(plan: &Plan, server: &ServerFacts, observer: &mut dyn Observer) {
    let (_, workers) = choose_cpus(plan);
    let need = Need {
        connections: plan.connections_max(server.offers_stream()),
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
