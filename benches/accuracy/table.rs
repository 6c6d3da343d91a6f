//! The rounds of all cases as a table (Markdown), and whether the demands are
//! met.

use super::cases::Case;
use super::compare::{Comparison, FIGURES, Judged, P50, P99, Pair};
use super::truth::{median, share_over_when_frozen};

/// Demanded of medians over the rounds, in microseconds.
const P50_ERROR_US_MAX: f64 = 50.0;
const P99_ERROR_US_MAX: f64 = 250.0;

/// A percentile of the report is that of a bucket a thousandth wide: from 250
/// ms on, that is more than the demand, and takes its place.
const RESOLUTION: f64 = 0.001;

/// A share above a limit may be wrong by this part of itself.
const SHARE_ERROR_MAX: f64 = 0.01;

/// Up to this share of its CPU, a generator must be exact. The aim is 80 %, and
/// not met to the percent.
const CPU_SHARE_MAX: f64 = 0.825;

/// All rounds of one case.
pub(crate) struct Group {
    case: Case,
    rounds: Vec<Judged>,
}

/// What the columns mean.
pub(crate) const LEGEND: &str = "\
Each cell: reported, true, and the difference; all in us, shares in percent.
from: the first byte sent (service time) or the intended start (response time).
CPU: of the generator's whole process, of one CPU. over: the share above that limit.
disturbed: time stolen by the hypervisor, time that others had of the generator's CPU,
times a second that it had to leave it, and how late the server was by its own clock
(p99; that is part of the truth). Rows with much of it are marked * and say little:
repeat them. sse-open: the stream ends some time after the answer; when both are read at
once, the kernel tells the arrival of the end only, so these are not judged.";

/// The first two lines.
pub(crate) fn heading() -> String {
    let figures = FIGURES.join(" | ");
    let rules = "---|".repeat(FIGURES.len() + 6);
    format!("| case | from | CPU | calls/s | {figures} | over | disturbed |\n|{rules}")
}

impl Group {
    pub(crate) fn new(case: Case, rounds: Vec<Judged>) -> Self {
        Self { case, rounds }
    }

    /// A line for service times, and one for response times where there are
    /// any.
    pub(crate) fn lines(&self) -> String {
        let has_response = self.rounds.iter().any(|round| round.response.is_some());
        let over = self.over();
        let mut lines = vec![self.line(
            "sent",
            |round| Some(round.service),
            over.filter(|_| !has_response),
        )];
        if has_response {
            lines.push(self.line("intended", |round| round.response, over));
        }
        if let Some(text) = self.formula() {
            lines.push(text);
        }
        let n_dropped: u64 = self.rounds.iter().map(|round| round.n_dropped).sum();
        if n_dropped > 0 {
            let what = "arrivals dropped, so that there are no true response times";
            lines.push(format!("| {} | {n_dropped} {what} |", self.case.name()));
        }
        lines.join("\n")
    }

    fn line(
        &self,
        from: &str,
        of: impl Fn(&Judged) -> Option<Comparison>,
        over: Option<Pair>,
    ) -> String {
        let cells: Vec<String> = (0..FIGURES.len())
            .map(|figure| shown(self.pair(|round| Some(of(round)?.0[figure])), 1.0))
            .collect();
        let over = match over {
            Some(over) => format!(
                "{} over {:?}",
                shown(Some(over), 100.0),
                std::time::Duration::from_secs_f64(self.case.behaviour.limit_ms() / 1e3)
            ),
            None => "-".to_string(),
        };
        format!(
            "| {}{} | {from} | {} | {:.0} | {} | {over} | {} |",
            self.case.name(),
            if self.is_disturbed() { " *" } else { "" },
            percent(self.cpu_share()),
            self.median(|round| Some(round.calls_per_sec))
                .unwrap_or(0.0),
            cells.join(" | "),
            self.noise(),
        )
    }

    fn noise(&self) -> String {
        let switches = self.median(|round| round.noise.switches_per_sec);
        format!(
            "{} stolen, {} others, {}/s, server {:.0} us",
            percent(self.median(|round| round.noise.stolen)),
            percent(self.median(|round| round.noise.others)),
            switches.map_or("-".to_string(), |switches| format!("{switches:.0}")),
            self.median(|round| Some(round.server_late_p99_us))
                .unwrap_or(0.0),
        )
    }

    /// What the share of slow responses must be by arithmetic alone.
    fn formula(&self) -> Option<String> {
        self.case.behaviour.freeze()?;
        self.rounds.iter().find(|round| round.response.is_some())?;
        let limit_secs = self.case.behaviour.limit_ms() / 1e3;
        let share = self.median(|round| {
            Some(share_over_when_frozen(
                round.frozen_secs,
                limit_secs,
                round.seconds,
            ))
        })?;
        Some(format!(
            "| {} | by formula {:.3}% over {limit_secs} s, were the backlog answered at once |",
            self.case.name(),
            share * 100.0,
        ))
    }

    /// Most of its rounds were, so that the medians are, too.
    fn is_disturbed(&self) -> bool {
        let n_disturbed = self.rounds.iter().filter(|r| r.is_disturbed()).count();
        n_disturbed * 2 > self.rounds.len()
    }

    fn cpu_share(&self) -> Option<f64> {
        self.median(|round| round.cpu_share)
    }

    fn over(&self) -> Option<Pair> {
        self.pair(|round| round.over)
    }

    /// Of a percentile of service and of response times: the median of what
    /// each round was wrong by.
    fn errors(&self, figure: usize, demanded_us: f64) -> Vec<Found> {
        let found = |from: &str, of: &dyn Fn(&Judged) -> Option<Comparison>| {
            let truth = self.median(|round| Some(of(round)?.0[figure].truth))?;
            Some(Found {
                name: format!("{} from {from}", self.case.name()),
                error: self.median(|round| Some(of(round)?.0[figure].error()))?,
                allowed: demanded_us.max(truth * RESOLUTION),
            })
        };
        [
            found("sent", &|round| Some(round.service)),
            found("intended", &|round| round.response),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Of the share above the limit, in percentage points; `None` unless the
    /// server was frozen.
    fn share_error(&self) -> Option<Found> {
        self.case.behaviour.freeze()?;
        let over = self.over()?;
        Some(Found {
            name: self.case.name(),
            error: over.error() * 100.0,
            allowed: over.truth * SHARE_ERROR_MAX * 100.0,
        })
    }

    /// Medians over the rounds, of both.
    fn pair(&self, of: impl Fn(&Judged) -> Option<Pair>) -> Option<Pair> {
        Some(Pair {
            reported: self.median(|round| Some(of(round)?.reported))?,
            truth: self.median(|round| Some(of(round)?.truth))?,
        })
    }

    fn median(&self, figure: impl Fn(&Judged) -> Option<f64>) -> Option<f64> {
        median(self.rounds.iter().filter_map(figure))
    }
}

/// An error beside what is allowed.
struct Found {
    name: String,
    error: f64,
    allowed: f64,
}

impl Found {
    /// Up to 1, it is allowed.
    fn of_allowed(&self) -> f64 {
        match self.error.abs() {
            0.0 => 0.0,
            error => error / self.allowed,
        }
    }
}

/// The last lines: what is demanded, the worst of what was found, and whether
/// that is enough.
pub(crate) fn verdict(groups: &[Group]) -> String {
    let is_judged = |group: &&Group| {
        let is_within = group.cpu_share().is_none_or(|cpu| cpu <= CPU_SHARE_MAX);
        is_within && !group.case.behaviour.has_tail()
    };
    let judged: Vec<&Group> = groups.iter().filter(is_judged).collect();
    let errors = |figure, demanded_us| -> Vec<Found> {
        let errors = judged.iter().map(|group| group.errors(figure, demanded_us));
        errors.flatten().collect()
    };
    let shares = judged.iter().filter_map(|group| group.share_error());
    let n_disturbed = groups.iter().filter(|group| group.is_disturbed()).count();
    // A demand is not met up to a load that was never reached.
    let busiest = judged.iter().filter_map(|group| group.cpu_share());
    [
        format!(
            "judged: {} of {} cases, the busiest at {} CPU; disturbed: {n_disturbed}",
            judged.len(),
            groups.len(),
            percent(busiest.max_by(f64::total_cmp)),
        ),
        line("p50 within 50 us", "us", errors(P50, P50_ERROR_US_MAX)),
        line(
            "p99 within 250 us, or its 0.1 % where that is more",
            "us",
            errors(P99, P99_ERROR_US_MAX),
        ),
        line(
            "share above 1 s of a frozen server within 1 %",
            "points",
            shares.collect(),
        ),
    ]
    .join("\n")
}

fn line(demand: &str, unit: &str, found: Vec<Found>) -> String {
    let worst = found
        .iter()
        .max_by(|a, b| a.of_allowed().total_cmp(&b.of_allowed()));
    let Some(worst) = worst else {
        return format!("{demand}, up to 80 % CPU: not measured");
    };
    let n_met = found.iter().filter(|one| one.of_allowed() <= 1.0).count();
    let verdict = match n_met == found.len() {
        true => "met",
        false => "not met",
    };
    format!(
        "{demand}, up to 80 % CPU: {verdict}, by {n_met} of {} (worst: {:+.3} {unit}, {})",
        found.len(),
        worst.error,
        worst.name,
    )
}

/// Reported, true, difference.
fn shown(pair: Option<Pair>, factor: f64) -> String {
    let Some(pair) = pair else {
        return "-".to_string();
    };
    let (reported, truth) = (pair.reported * factor, pair.truth * factor);
    // Shares want more decimals than microseconds.
    let n_decimals = if factor > 1.0 { 3 } else { 1 };
    format!(
        "{reported:.n_decimals$} {truth:.n_decimals$} {:+.n_decimals$}",
        reported - truth
    )
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_string(), |share| format!("{:.1}%", share * 100.0))
}
