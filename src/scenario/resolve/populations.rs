//! Populations: who does which flows, against what, and how the load is divided.

use std::collections::HashMap;

use super::data::DataSets;
use super::flows::count_rows;
use super::{AUTHORIZATION, Resolver, chosen_era};
use crate::address;
use crate::error::nearest;
use crate::load::{Deal, LoadUnit};
use crate::protocol::{Era, Revision};
use crate::scenario::defaults::{POPULATIONS_MAX, ROWS_MAX, VUS_MAX};
use crate::scenario::document::{Field, Origin};
use crate::scenario::fault::quoted;
use crate::scenario::plan::{
    Arrivals, Flow, Load, Plan, Population, PopulationTarget, Populations, Target,
};
use crate::scenario::raw::{FlowEntry, PopulationEntry, PopulationKeys, Settings, is_there};
use crate::scenario::shown::Shown;
use crate::units::{few_of, plural};

/// Shares are told apart down to this: so long a round of users has at most.
const SHARE_PARTS: f64 = 10_000.0;

/// Shares as people write them may sum up to as much more or less than 1.
const SHARE_SLACK: f64 = 0.011;

/// Names told in a message.
const NAMES_TOLD: usize = 12;

/// What populations may name: flows, and entries of the scenario with a name.
pub(super) struct FlowNames(Vec<String>);

/// What a flow is called by: its name, or that of its only step.
fn name_of(flow: &Flow) -> Option<&str> {
    let of_step = || flow.steps.first()?.name.as_deref();
    flow.name.as_deref().or_else(of_step)
}

/// The same of an entry of the config.
pub(super) fn name_of_entry(entry: &FlowEntry) -> Option<&String> {
    let own = entry.name.value.as_ref();
    let name = own.or_else(|| entry.steps.first()?.name.value.as_ref());
    name.map(|name| &name.shown)
}

impl Resolver<'_> {
    /// What populations may name by the config, before flags take anything away.
    pub(super) fn flow_names(&self, flows: [&Field<Vec<FlowEntry>>; 2]) -> FlowNames {
        let entries = flows.into_iter().flat_map(|flows| flows.value.iter());
        let names = entries.flatten().filter_map(name_of_entry);
        FlowNames(names.cloned().collect())
    }

    /// Where populations have numbers of users and nothing else says how many there are,
    /// their sum does.
    pub(super) fn count_users(
        &self,
        entries: &Field<Vec<PopulationEntry>>,
        settings: &mut Settings,
        has_other_load: bool,
    ) {
        let flags = self.overrides;
        let is_said = settings.virtual_users.is_given() || flags.vus.is_some();
        if is_said || has_other_load || flags.rate.is_some() || flags.stages.is_some() {
            return;
        }
        let each = entries.value.iter().flatten();
        let vus: Option<Vec<u32>> = each.map(|entry| entry.keys.vus.value).collect();
        if let Some(vus) = vus.filter(|vus| !vus.is_empty()) {
            settings.virtual_users = Field {
                value: Some(vus.into_iter().fold(0, u32::saturating_add)),
                origin: entries.origin.clone(),
            };
        }
    }

    /// The address of the first population, where every one has its own: it stands for
    /// the plan's.
    pub(super) fn first_url(&self, entries: &Field<Vec<PopulationEntry>>) -> Field<Shown<String>> {
        let mut all = entries.value.iter().flatten();
        let has_own = all.clone().all(|entry| entry.keys.url.is_given());
        let first = all.next().filter(|_| has_own);
        let mut url = first.map_or_else(Field::default, |entry| entry.keys.url.clone());
        // What is wrong with it is said of the population.
        url.value = url.value.filter(|url| address::check(&url.value).is_ok());
        url
    }

    /// The populations of the plan, which has its flows, its load and its data by now.
    /// Without any, all users are alike.
    pub(super) fn populations(
        &mut self,
        entries: Field<Vec<PopulationEntry>>,
        names: &FlowNames,
        withheld: &[String],
        data: &mut DataSets,
        plan: &Plan,
    ) -> Populations {
        let everyone = || Populations::everyone(&plan.flows);
        let Some(place) = entries.origin.clone() else {
            if self.overrides.population.is_some()
                && !self.document.is_mistyped("", &["population"])
            {
                let message = "names a population, and the config has none";
                self.refuse_flag("--population", message, "a config with `[[population]]`");
            }
            return everyone();
        };
        let mut entries = entries.value.unwrap_or_default();
        if self.overrides.rate.is_some() {
            // As of the settings' key: the flag's arrivals say when iterations start.
            for entry in &mut entries {
                entry.keys.think = Field::default();
            }
        }
        if !(1..=POPULATIONS_MAX).contains(&entries.len()) {
            let message = match entries.len() {
                0 => "is empty".to_string(),
                n => format!("has {n} entries"),
            };
            let accepted = format!("from 1 to {POPULATIONS_MAX} populations");
            self.document.report(&place, message, &*accepted);
            return everyone();
        }
        self.check_population_names(&entries);
        let weights = self.weights(&place, &entries, plan);
        if plan.load.unit() == LoadUnit::Rate || plan.load.pacing().is_some() {
            let message = "does not go with arrivals or `pacing`, which say when iterations start";
            for entry in entries.iter().filter(|it| self.is_asked(it)) {
                self.refuse(&entry.keys.think, message, "no `think` here");
            }
        }
        let n_elsewhere = entries.iter().filter(|it| it.keys.url.is_given()).count();
        if n_elsewhere > 0 && plan.network.dns_ttl.is_some() {
            let message = "does not go with `settings.dns_ttl`, which looks up one name";
            for entry in entries.iter().filter(|it| self.is_asked(it)) {
                self.refuse(&entry.keys.url, message, "no `dns_ttl`");
            }
        }
        if let (true, Some(url)) = (n_elsewhere == entries.len(), &self.overrides.url) {
            self.notices.push(format!(
                "nobody calls {}: each population has a `url` of its own",
                address::shown(url)
            ));
        }
        if n_elsewhere == entries.len() && !plan.target.headers.is_empty() {
            let headers = plan.target.headers.iter().map(|it| quoted(&it.name));
            self.notices.push(format!(
                "the headers {} are not sent: each population has a `url` of its own, and so \
                 headers of its own",
                few_of(headers, NAMES_TOLD)
            ));
        }
        let mut all = Vec::new();
        for (entry, weight) in entries.into_iter().zip(weights) {
            let flows = self.flows_of(&entry, names, &plan.flows);
            let is_asked = self.is_asked(&entry);
            let keys = entry.keys;
            let flow_names = keys.flows.value.iter().flatten();
            let flow_names = flow_names.map(|(_, name)| name.clone()).collect();
            let uses = keys.headers.value.iter().flat_map(|headers| &headers.uses);
            self.check_of_session(&uses.cloned().collect::<Vec<_>>(), data);
            all.push(Population {
                name: keys.name.value.as_ref().map(|name| name.shown.clone()),
                weight,
                flows,
                flow_names,
                think: keys.think.value,
                // One user that tries each step once needs none; the flag is for all.
                subscribe: match self.overrides.is_trial || self.overrides.subscribe.is_some() {
                    true => None,
                    false => keys.subscribe.value.clone(),
                },
                target: self.target_of(keys, withheld, plan),
            });
            let target = all.last().and_then(|it| it.target.as_ref());
            if let Some(own) = target.filter(|own| own.has_url && is_asked) {
                self.check_client(&entry.place, &own.target, plan);
            }
        }
        let flows_of = |it: &Population| {
            let flows: Vec<Flow> = it.flows.iter().map(|at| plan.flows[*at].clone()).collect();
            count_rows(&flows)
        };
        let n_rows: usize = all.iter().map(flows_of).sum();
        if n_rows > ROWS_MAX {
            let message = format!("the populations make {n_rows} rows of figures");
            let accepted = format!("at most {ROWS_MAX}: each population has rows of its own");
            self.document.report(&place, message, &*accepted);
        }
        self.tell_idle_flows(&all, plan);
        let populations = Populations::new(all);
        if !self.overrides.is_trial && self.overrides.population.is_none() {
            self.check_users(&place, &populations, plan);
        }
        populations
    }

    /// Whether each population has a user.
    fn check_users(&mut self, place: &Origin, populations: &Populations, plan: &Plan) {
        let (users, needs) = (plan.whole_vus_max(), populations.deal().needs());
        if users >= needs {
            return;
        }
        let message = format!(
            "{} leave a population without any: it takes {needs} until each has one",
            plural(users.into(), "user", "users")
        );
        match plan.load.unit() {
            // Nobody would serve its arrivals.
            LoadUnit::Rate => {
                let accepted = format!("`max_vus` of at least {needs}");
                self.document.report(place, message, &*accepted);
            }
            LoadUnit::Vus => self.notices.push(message),
        }
    }

    fn check_population_names(&self, entries: &[PopulationEntry]) {
        let mut known: HashMap<&str, &Origin> = HashMap::new();
        for entry in entries {
            let name = &entry.keys.name;
            let (Some(place), Some(name)) = (&name.origin, &name.value) else {
                continue;
            };
            if let Some(first) = known.get(name.shown.as_str()) {
                let message = format!("{} is `{}` already", quoted(&name.shown), first.key);
                self.document.report(place, message, "a name of its own");
            } else {
                known.insert(&name.shown, place);
            }
        }
    }

    /// Whether the population does anything: `--population` asks for one alone.
    fn is_asked(&self, entry: &PopulationEntry) -> bool {
        let name = entry.keys.name.value.as_ref().map(|name| &name.shown);
        let wanted = self.overrides.population.as_ref();
        wanted.is_none_or(|wanted| name == Some(wanted))
    }

    /// Refuses subscriptions of users whose protocol has none. Where a server's revision is
    /// found out, that is told once it is known.
    pub(super) fn check_subscribe(
        &self,
        settings: &Settings,
        entries: &Field<Vec<PopulationEntry>>,
    ) {
        // One user that tries each step once subscribes to nothing.
        if self.overrides.is_trial {
            return;
        }
        let of_all = (&settings.subscribe, &settings.protocol);
        let by_flag = self.overrides.subscribe.is_some();
        let entries = entries.value.iter().flatten();
        let mut all: Vec<_> = entries
            .filter(|entry| self.is_asked(entry))
            .map(|entry| {
                let (subscribe, protocol) = (&entry.keys.subscribe, &entry.keys.protocol);
                let has_own = subscribe.is_given() && !by_flag;
                let subscribe = if has_own { subscribe } else { of_all.0 };
                let has_own = protocol.is_given();
                (subscribe, if has_own { protocol } else { of_all.1 })
            })
            .collect();
        if all.is_empty() {
            all.push(of_all);
        }
        let mut told: Vec<&Origin> = Vec::new();
        for (subscribe, protocol) in all {
            let (Some(place), Some(other), Some(value)) =
                (&subscribe.origin, &protocol.origin, protocol.value)
            else {
                continue;
            };
            if chosen_era(value) != Some(Era::Legacy) || told.contains(&place) {
                continue;
            }
            told.push(place);
            let latest = Revision::LATEST_MODERN;
            let message = format!("needs revision {latest}, and `{}` is `{value}`", other.key);
            let accepted = "the protocol `modern` or `auto`, or no `subscribe`";
            self.document.report(place, message, accepted);
        }
    }

    /// How the load is divided.
    fn weights(&self, place: &Origin, entries: &[PopulationEntry], plan: &Plan) -> Vec<u32> {
        let by_users = entries.iter().any(|entry| entry.keys.vus.is_given());
        let mut is_whole = true;
        for entry in entries {
            let keys = &entry.keys;
            let accepted = "a `share` for each population, or `vus` for each";
            let message = match (keys.share.is_given(), keys.vus.is_given()) {
                (true, true) => "the population has both `share` and `vus`",
                (false, false) => "the population has neither `share` nor `vus`",
                (true, false) if by_users => "the population has a `share` and others have `vus`",
                _ => {
                    is_whole &= keys.share.value.is_some() || keys.vus.value.is_some();
                    continue;
                }
            };
            is_whole = false;
            let keys = ["share", "vus"];
            self.document
                .report_lack(&entry.place, &keys, message, accepted);
        }
        if !is_whole {
            return vec![1; entries.len()];
        }
        if by_users {
            let vus = entries.iter().filter_map(|entry| entry.keys.vus.value);
            let vus: Vec<u32> = vus.collect();
            let sum = vus.iter().fold(0, |sum: u32, it| sum.saturating_add(*it));
            let users = plan.whole_vus_max();
            let is_part = self.overrides.is_trial || self.overrides.population.is_some();
            if sum > VUS_MAX || sum != users && !is_part {
                let message = format!(
                    "the `vus` of all populations sum up to {sum}, and the run has {users}"
                );
                let accepted = "as many as the run has users, or `share`s, which hold for any load";
                self.document.report(place, message, accepted);
                return vec![1; entries.len()];
            }
            return vus;
        }
        let shares = entries.iter().filter_map(|entry| entry.keys.share.value);
        let shares: Vec<f64> = shares.collect();
        let sum: f64 = shares.iter().sum();
        if (sum - 1.0).abs() > SHARE_SLACK {
            let message = format!("the shares of all populations sum up to {sum:.2}");
            let accepted = "shares that sum up to 1, such as `0.8` and `0.2`";
            self.document.report(place, message, accepted);
        }
        // A cast from a float saturates.
        let part = |share: &f64| ((share * SHARE_PARTS).round() as u32).max(1);
        shares.iter().map(part).collect()
    }

    /// The places of a population's flows.
    fn flows_of(&self, entry: &PopulationEntry, names: &FlowNames, flows: &[Flow]) -> Vec<usize> {
        let all = || (0..flows.len()).collect::<Vec<_>>();
        // A tool on the command line is what everybody calls.
        let (Some(place), true) = (&entry.keys.flows.origin, self.overrides.tool.is_none()) else {
            return all();
        };
        let Some(wanted) = &entry.keys.flows.value else {
            return all();
        };
        let mut found: Vec<usize> = Vec::new();
        let mut is_whole = true;
        for (place, name) in wanted {
            let at = flows
                .iter()
                .position(|flow| name_of(flow) == Some(name.as_str()));
            match at {
                Some(at) if found.contains(&at) => {
                    let message = format!("{} is named twice", quoted(name));
                    self.document.report(place, message, "each flow once");
                }
                Some(at) => found.push(at),
                None => is_whole = false,
            }
            if !names.0.contains(name) {
                let message = format!("there is no flow {}", quoted(name));
                let near = nearest(name, names.0.iter().map(String::as_str));
                let accepted = match names.0.as_slice() {
                    [] => "the `name` of a `[[flow]]` or a `[[scenario]]`".to_string(),
                    all => {
                        let all = all.iter().map(|name| quoted(name));
                        format!("one of {}", few_of(all, NAMES_TOLD))
                    }
                };
                self.document.report_typo(place, message, &*accepted, near);
            }
        }
        if wanted.is_empty() {
            let accepted = "names of flows, or no `flows`: then it does them all";
            self.document.report(place, "is empty", accepted);
        } else if is_whole && found.iter().all(|at| flows[*at].weight == 0) {
            let message = "every weight of these flows is zero";
            let accepted = "a flow with a `weight` above 0";
            self.document.report(place, message, accepted);
        }
        found
    }

    /// What a population speaks to, where that is another thing than the plan's target.
    fn target_of(
        &self,
        keys: PopulationKeys,
        withheld: &[String],
        plan: &Plan,
    ) -> Option<PopulationTarget> {
        let is_elsewhere = keys.url.is_given();
        if !is_elsewhere && !keys.protocol.is_given() && !keys.headers.is_given() {
            return None;
        }
        let own = keys.headers.value.unwrap_or_default().right.into_iter();
        let mut target = plan.target.clone();
        if is_elsewhere {
            target = Target {
                cookies: target.cookies,
                listen: target.listen,
                subscribe: target.subscribe,
                respect_retry_after: target.respect_retry_after,
                protocol: target.protocol,
                ..Target::checked(self.url_of(&keys.url))
            };
            target.headers = own.collect();
        } else {
            let is_sent = |name: &String| !withheld.iter().any(|it| it.eq_ignore_ascii_case(name));
            let own: Vec<_> = own.filter(|header| is_sent(&header.name)).collect();
            target.headers.retain(|header| !is_there(&own, header));
            target.headers.extend(own);
        }
        target.protocol = keys.protocol.value.unwrap_or(target.protocol);
        let is_token = |name: &str| name.eq_ignore_ascii_case(AUTHORIZATION);
        let has_own_token = target.headers.iter().any(|it| is_token(&it.name));
        Some(PopulationTarget {
            takes_tokens: !is_elsewhere && !has_own_token,
            has_url: is_elsewhere,
            target,
        })
    }

    fn url_of(&self, url: &Field<Shown<String>>) -> Shown<String> {
        let (Some(place), Some(text)) = (&url.origin, &url.value) else {
            return Shown::from(String::new());
        };
        let written = Some(text.shown.as_str()).filter(|written| *written != text.value);
        let url = self.checked_url(place, &text.value, written);
        self.document.keep_secret(address::secrets(&url.value));
        url
    }

    /// A client's certificate, and a name that the server has to have, are for one server.
    fn check_client(&self, place: &Origin, target: &Target, plan: &Plan) {
        let tls = &plan.network.tls;
        let (own, of_plan) = (&target.url.value, &plan.target.url.value);
        let are_read = !own.is_empty() && !of_plan.is_empty();
        let is_other = are_read && address::origin(own) != address::origin(of_plan);
        if is_other && (tls.client.is_some() || tls.server_name.is_some()) {
            let message = "has another server than `settings.client_cert` and \
                           `settings.server_name` are for";
            let accepted = "neither of these with several servers";
            self.document.report(place, message, accepted);
        }
    }

    /// Flows that a load would do and that no population does.
    fn tell_idle_flows(&mut self, all: &[Population], plan: &Plan) {
        let is_done = |at: usize| all.iter().any(|it| it.flows.contains(&at));
        let idle = plan.flows.iter().enumerate();
        let idle = idle.filter(|(at, flow)| flow.weight > 0 && !is_done(*at));
        let idle: Vec<String> = idle
            .map(|(at, flow)| match name_of(flow) {
                Some(name) => quoted(name),
                None => format!("number {}", at + 1),
            })
            .collect();
        if !idle.is_empty() {
            let flows = plural(idle.len() as u64, "flow", "flows");
            self.notices.push(format!(
                "no population does {flows}: {}",
                few_of(&idle, NAMES_TOLD)
            ));
        }
    }

    /// Refuses what several servers, or several users at a time, make senseless.
    pub(super) fn check_targets(&self, settings: &Settings, plan: &Plan) {
        let populations = &plan.populations;
        let has_own = populations.all().iter().any(|it| it.target.is_some());
        if plan.probe.is_some() && has_own {
            let message = "does not go with populations that have a `url`, a `protocol` or \
                           `headers` of their own: it is one user";
            let accepted = "no probe, or `--population NAME` beside it";
            match settings.probe.is_given() {
                true => self.refuse(&settings.probe, message, accepted),
                false => self.refuse_flag("--probe", message, accepted),
            }
        }
        if !plan.has_several_targets() {
            return;
        }
        let message =
            "looks for the breaking point of one server, and the populations have several";
        let accepted = "no such key, or `--population NAME`";
        self.refuse(&settings.on_break, message, accepted);
        self.refuse(&settings.break_p99, message, accepted);
        self.refuse(&settings.break_error_share, message, accepted);
    }

    /// The plan of one population alone: that of the flag, and of a trial the first.
    pub(super) fn one_population(&mut self, plan: Plan) -> Plan {
        let all = plan.populations.all();
        let names = || all.iter().filter_map(|it| it.name.as_deref());
        let at = match &self.overrides.population {
            Some(wanted) => match names().position(|name| name == wanted) {
                Some(at) => at,
                None if plan.populations.is_unnamed() => return plan,
                None => {
                    let message = format!("there is no population {}", quoted(wanted));
                    let accepted = format!("one of {}", few_of(names().map(quoted), NAMES_TOLD));
                    let near = nearest(wanted, names());
                    let place = Origin::flag("--population");
                    self.document.report_typo(&place, message, &*accepted, near);
                    return plan;
                }
            },
            None if self.overrides.is_trial && all.len() > 1 => {
                let (first, others) = (names().next().unwrap_or_default(), names().skip(1));
                self.notices.push(format!(
                    "this tries the population {}; `--population NAME` tries another: {}",
                    quoted(first),
                    few_of(others.map(quoted), NAMES_TOLD)
                ));
                0
            }
            None => return plan,
        };
        self.only(plan, at)
    }

    /// Its flows, its target, and its part of the load, but for what flags say: that is
    /// all its own.
    fn only(&self, mut plan: Plan, at: usize) -> Plan {
        let flags = self.overrides;
        let deal = plan.populations.deal().clone();
        let share = plan.populations.share(at);
        let mut own = plan.populations.all()[at].clone();
        let users = |all: u32| users_of(&deal, at, all);
        let rate = |all: f64| all * share;
        match &mut plan.load {
            Load::Closed { vus, .. } if flags.vus.is_none() => *vus = users(*vus).max(1),
            Load::Staged { stages, .. } if flags.stages.is_none() => {
                for stage in stages {
                    let has_any = u32::from(stage.target_vus > 0);
                    stage.target_vus = users(stage.target_vus).max(has_any);
                }
            }
            Load::Open {
                arrivals,
                max_vus,
                queue_max,
            } => {
                match arrivals {
                    Arrivals::Rate { per_second, .. } if flags.rate.is_none() => {
                        *per_second = rate(*per_second);
                    }
                    Arrivals::Rate { .. } => {}
                    Arrivals::Staged { stages, .. } => {
                        for stage in stages {
                            stage.target_rate = rate(stage.target_rate);
                        }
                    }
                    Arrivals::Bursts(burst) => burst.size = users(burst.size).max(1),
                }
                if flags.max_vus.is_none() && flags.rate.is_none() {
                    *max_vus = users(*max_vus).max(1);
                    *queue_max = (f64::from(*queue_max) * share).ceil() as u32;
                }
            }
            _ => {}
        }
        if let (Some(iterations), None) = (&mut plan.stop.iterations, flags.iterations) {
            // A cast from a float saturates.
            *iterations = ((*iterations as f64 * share).round() as u64).max(1);
        }
        let flows = own.flows.iter().map(|at| plan.flows[*at].clone());
        plan.flows = flows.collect();
        plan.think = own.think.take().unwrap_or(plan.think);
        if let Some(own) = own.target.take() {
            if !own.takes_tokens {
                plan.token = None;
            }
            plan.target = own.target;
        }
        if let Some(topics) = own.subscribe.take() {
            plan.target.subscribe = topics;
        }
        plan.populations = Populations::new(vec![Population {
            weight: 1,
            flows: (0..plan.flows.len()).collect(),
            ..own
        }]);
        plan
    }
}

/// The users of a population among this many in all.
fn users_of(deal: &Deal, population: usize, all: u32) -> u32 {
    deal.shares_of(all)[population]
}
