//! What the probe's latency says of the load's: where the load's calls queue.
//!
//! Pure: histograms in, one finding out. The probe runs on a thread of its own
//! and has one call in flight at most, so what the load's calls wait for in
//! this client it does not wait for, and what they wait for in the server it
//! does. Compared are *service times*, from the first byte sent to the last byte
//! received, of the same mix of calls. How long an arrival waited for a free
//! user is in neither.
//!
//! With kernel timestamps a service time ends when the answer reached this
//! machine, and a busy client shows in how long it then lay unread, and in how
//! late calls were sent. These are compared as well. Without kernel timestamps
//! the reading is part of the service time.
//!
//! A difference is claimed only where the 95 % intervals of both quantiles
//! ([`Histogram::quantile_interval_ns`]) lie apart by more than a quarter, at
//! the median or at the highest percentile that the probe's samples suffice for.

use super::model::AdviceNote;
use crate::metrics::Histogram;
use crate::units::format_latency;

/// One of the two that are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared<'a> {
    /// Of successful calls.
    pub(super) service: &'a Histogram,
    /// Empty without kernel timestamps.
    pub(super) read_delay: &'a Histogram,
    /// Empty where no start is intended.
    pub(super) lateness: &'a Histogram,
}

/// The load and the probe beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside<'a> {
    pub(super) load: Compared<'a>,
    pub(super) probe: Compared<'a>,
    /// No service time holds the time that answers lay unread.
    pub(super) kernel_timestamps: bool,
    /// The probe has a CPU that no worker uses.
    pub(super) has_own_cpu: bool,
    /// The plan makes calls at once: bursts, or steps that call several times.
    pub(super) calls_at_once: bool,
}

/// A quantile of both.
#[derive(Debug, Clone, Copy, PartialEq)]
struct At {
    q: f64,
    load_ns: u64,
    probe_ns: u64,
}

/// What the comparison of two quantiles says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    LoadLonger,
    ProbeLonger,
    Alike,
    /// The samples do not suffice to tell.
    Unclear,
}

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    TooFew,
    /// The load's calls take longer, and a delay of ours may be why.
    LoadWaits(At, Option<OwnDelay>),
    /// They do not, but there is a delay of ours.
    Delayed(OwnDelay),
    /// The probe's calls take longer.
    ProbeWaits(At),
    Alike(At),
    Unclear(At),
}

/// A delay of this client's own making that the load has and the probe has not.
#[derive(Debug, Clone, Copy, PartialEq)]
enum OwnDelay {
    /// Answers lay unread.
    Unread(At),
    /// Calls were sent late.
    Late(At),
}

/// Answered calls that an interval of the median takes.
const CALLS_MIN: u64 = 8;

/// Intervals that lie apart by more than this factor tell two latencies apart.
const APART: f64 = 1.25;

/// Latencies are alike where the intervals allow no larger factor than this.
const ALIKE: f64 = 1.5;

/// Smaller differences are this program's own noise: waking up, and its clock.
const NOISE_NS: u64 = 100_000;

/// Below this nobody would act on a delay of ours; as with the advice on it.
const OWN_DELAY_MIN_NS: u64 = 1_000_000;

/// Percentiles above the median that may be compared, the highest first.
const TAILS: [f64; 3] = [0.99, 0.95, 0.9];

const MEDIAN: f64 = 0.5;

/// The finding, as the report has it: its stable name, and a sentence.
pub(super) fn finding(beside: &Beside<'_>) -> AdviceNote {
    let (id, text) = worded(beside, find(beside));
    AdviceNote::new(id, text)
}

fn find(beside: &Beside<'_>) -> Answer {
    let compared = compared(beside.load.service, beside.probe.service);
    let Some((_, median)) = compared.last() else {
        return Answer::TooFew;
    };
    let highest = |wanted: Relation| {
        let mut found = compared.iter().filter(|(relation, _)| *relation == wanted);
        found.next().map(|(_, at)| *at)
    };
    let own_delay = own_delay(beside, median.load_ns);
    if let Some(at) = highest(Relation::LoadLonger) {
        return Answer::LoadWaits(at, own_delay);
    }
    if let Some(delay) = own_delay {
        return Answer::Delayed(delay);
    }
    if let Some(at) = highest(Relation::ProbeLonger) {
        return Answer::ProbeWaits(at);
    }
    match highest(Relation::Alike) {
        // A tail that cannot be told does not make the medians less alike.
        Some(at) => Answer::Alike(at),
        None => Answer::Unclear(*median),
    }
}

/// The highest percentile that the samples suffice for, then the median.
fn compared(load: &Histogram, probe: &Histogram) -> Vec<(Relation, At)> {
    let tail = TAILS.iter().find_map(|q| compare(load, probe, *q));
    tail.into_iter()
        .chain(compare(load, probe, MEDIAN))
        .collect()
}

/// `None`: one of the two has too few samples for that quantile.
fn compare(load: &Histogram, probe: &Histogram, q: f64) -> Option<(Relation, At)> {
    let of_load = load.quantile_interval_ns(q);
    let of_probe = probe.quantile_interval_ns(q);
    let (load_low, load_high) = (of_load.low_ns?, of_load.high_ns?);
    let (probe_low, probe_high) = (of_probe.low_ns?, of_probe.high_ns?);
    let exceeds = |longer: u64, shorter: u64, factor: f64| {
        longer as f64 > shorter as f64 * factor && longer - shorter > NOISE_NS
    };
    let relation = if exceeds(load_low, probe_high, APART) {
        Relation::LoadLonger
    } else if exceeds(probe_low, load_high, APART) {
        Relation::ProbeLonger
    } else if exceeds(load_high, probe_low, ALIKE) || exceeds(probe_high, load_low, ALIKE) {
        Relation::Unclear
    } else {
        Relation::Alike
    };
    let at = At {
        q,
        load_ns: load.quantile_ns(q)?,
        probe_ns: probe.quantile_ns(q)?,
    };
    Some((relation, at))
}

/// A delay of ours that matters beside a median latency of the load.
fn own_delay(beside: &Beside<'_>, median_ns: u64) -> Option<OwnDelay> {
    let (load, probe) = (&beside.load, &beside.probe);
    let longer = |load: &Histogram, probe: &Histogram| {
        compared(load, probe)
            .into_iter()
            .filter(|(relation, _)| *relation == Relation::LoadLonger)
            .map(|(_, at)| at)
            .find(|at| at.load_ns >= OWN_DELAY_MIN_NS && at.load_ns > median_ns / 10)
    };
    let unread = longer(load.read_delay, probe.read_delay).map(OwnDelay::Unread);
    unread.or_else(|| longer(load.lateness, probe.lateness).map(OwnDelay::Late))
}

fn worded(beside: &Beside<'_>, finding: Answer) -> (&'static str, String) {
    let n_probe = beside.probe.service.len();
    match finding {
        Answer::TooFew => (
            "too_few",
            format!(
                "too few answers to compare: {n_probe} of the probe's calls and {} of the load's \
                 succeeded, and it takes {CALLS_MIN} of each",
                beside.load.service.len()
            ),
        ),
        Answer::LoadWaits(at, own_delay) => load_waits(beside, at, own_delay),
        Answer::Delayed(OwnDelay::Unread(at)) => (
            "client_queue",
            format!(
                "the load's answers lay unread ({}): the load queues in this client; latencies leave \
                 that out, but the load may be less than the server could take: {LESS_BUSY}",
                both(at)
            ),
        ),
        Answer::Delayed(OwnDelay::Late(at)) => (
            "client_queue",
            format!(
                "the load's calls were sent late ({}): they queue in this client before they are \
                 sent, which response times show; {LESS_BUSY}",
                both(at)
            ),
        ),
        Answer::ProbeWaits(at) => (
            "probe_waits",
            format!(
                "the probe's calls took longer than the load's ({}): a session that seldom calls \
                 finds idle threads, cold caches or delayed acknowledgements in the server{}",
                both(at),
                if beside.has_own_cpu {
                    ""
                } else {
                    "; or it had to wait, for the probe has no CPU of its own"
                }
            ),
        ),
        Answer::Alike(at) if beside.kernel_timestamps || beside.has_own_cpu => (
            "server",
            format!(
                "the load's calls took about as long as the probe's ({}): what they wait for is \
                 in the server or on the way to it, not in this client",
                both(at)
            ),
        ),
        Answer::Alike(at) => (
            "unclear",
            format!(
                "the load's calls took about as long as the probe's ({}), but the probe may have \
                 waited in this client as they did: it has no CPU of its own, and fewer workers \
                 (`--workers`) leave it one",
                both(at)
            ),
        ),
        Answer::Unclear(at) => (
            "unclear",
            format!(
                "{n_probe} calls of the probe cannot tell whether the load's took longer ({}): a \
                 longer run, or a higher rate of the probe, can",
                both(at)
            ),
        ),
    }
}

/// What to do about a busy client.
const LESS_BUSY: &str = "use more workers, or a machine apart from the server";

fn load_waits(beside: &Beside<'_>, at: At, own_delay: Option<OwnDelay>) -> (&'static str, String) {
    let seen = format!(
        "the load's calls took longer than the probe's ({})",
        both(at)
    );
    if beside.calls_at_once {
        let text = format!(
            "{seen}: they come several at once and wait behind each other, in this client or in \
             the server; a lone call does not"
        );
        return ("load_waits", text);
    }
    if let Some(delay) = own_delay {
        let delay = match delay {
            OwnDelay::Unread(at) => format!("their answers then lay unread ({})", both(at)),
            OwnDelay::Late(at) => format!("they were sent late ({})", both(at)),
        };
        let text = format!(
            "{seen}, and {delay}: this client is too busy, and what it sends in clumps waits \
             behind each other; {LESS_BUSY}"
        );
        return ("client_queue", text);
    }
    if beside.kernel_timestamps {
        let text = format!(
            "{seen}, and not for lying unread, which is in neither: the server is sooner done with \
             a quiet session, so the load's calls wait behind each other; either this client sends \
             them in clumps, or the server is slower on their connections"
        );
        return ("load_waits", text);
    }
    let text = format!(
        "{seen}: the load queues in this client, and its latencies are more than the server's; \
         {LESS_BUSY}"
    );
    ("client_queue", text)
}

/// `p95 12.0 ms, the probe's 1.10 ms`
fn both(at: At) -> String {
    format!(
        "p{} {}, the probe's {}",
        (at.q * 100.0).round(),
        format_latency(at.load_ns),
        format_latency(at.probe_ns)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds::{most_of, n_seeds};

    const MS: f64 = 1e6;

    /// Exponential latencies above a least one, in nanoseconds.
    fn latencies(n: usize, least: f64, mean_above: f64, seed: u64) -> Histogram {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut histogram = Histogram::new();
        for _ in 0..n {
            let above = -(1.0 - random.f64()).ln() * mean_above;
            histogram.record((least + above) as u64);
        }
        histogram
    }

    struct Case {
        load: Histogram,
        probe: Histogram,
        load_delay: Histogram,
        probe_delay: Histogram,
        kernel_timestamps: bool,
        has_own_cpu: bool,
        calls_at_once: bool,
    }

    impl Case {
        /// Both as fast, and nothing lies unread.
        fn new(load: Histogram, probe: Histogram) -> Self {
            Self {
                load_delay: latencies(load.len() as usize, 0.0, 0.05 * MS, 5),
                probe_delay: latencies(probe.len() as usize, 0.0, 0.05 * MS, 6),
                load,
                probe,
                kernel_timestamps: true,
                has_own_cpu: true,
                calls_at_once: false,
            }
        }

        fn beside<R>(&self, look: impl FnOnce(&Beside<'_>) -> R) -> R {
            let empty = Histogram::new();
            let side = |service, read_delay| Compared {
                service,
                read_delay,
                lateness: &empty,
            };
            look(&Beside {
                load: side(&self.load, &self.load_delay),
                probe: side(&self.probe, &self.probe_delay),
                kernel_timestamps: self.kernel_timestamps,
                has_own_cpu: self.has_own_cpu,
                calls_at_once: self.calls_at_once,
            })
        }

        fn find(&self) -> Answer {
            self.beside(find)
        }

        #[track_caller]
        fn check(&self, id: &str, part: &str) {
            let note = self.beside(finding);
            assert_eq!(note.id, id, "{}", note.text);
            assert!(note.text.contains(part), "{}", note.text);
        }
    }

    #[test]
    fn the_least_number_of_calls_is_that_of_the_median() {
        let of = |n: u64| Case::new(latencies(5000, MS, MS, 1), latencies(n as usize, MS, MS, 2));
        assert_eq!(of(CALLS_MIN - 1).find(), Answer::TooFew);
        assert_ne!(of(CALLS_MIN).find(), Answer::TooFew);
        let none = Case::new(Histogram::new(), Histogram::new());
        none.check("too_few", "0 of the probe's calls and 0 of the load's");
    }

    #[test]
    fn a_load_that_waits_as_the_probe_does_waits_in_the_server() {
        let mut case = Case::new(
            latencies(10_000, 80.0 * MS, 5.0 * MS, 1),
            latencies(100, 80.0 * MS, 5.0 * MS, 2),
        );
        case.check("server", "in the server or on the way to it");
        // Without a CPU of its own, only the kernel's timestamps make it sure.
        case.has_own_cpu = false;
        case.check("server", "not in this client");
        case.kernel_timestamps = false;
        case.check("unclear", "no CPU of its own");
    }

    #[test]
    fn a_load_that_waits_longer_queues_here_unless_the_kernel_says_otherwise() {
        let mut case = Case::new(
            latencies(10_000, 20.0 * MS, 5.0 * MS, 1),
            latencies(100, 5.0 * MS, 1.0 * MS, 2),
        );
        case.check("load_waits", "in clumps");
        case.kernel_timestamps = false;
        case.load_delay = Histogram::new();
        case.probe_delay = Histogram::new();
        case.check("client_queue", "queues in this client");
        case.calls_at_once = true;
        case.check("load_waits", "several at once");
    }

    #[test]
    fn a_tail_that_only_the_load_has_is_named_by_its_percentile() {
        let mut load = latencies(10_000, 5.0 * MS, 0.2 * MS, 1);
        load.merge(&latencies(1_000, 50.0 * MS, MS, 2));
        let case = Case::new(load, latencies(600, 5.0 * MS, 0.2 * MS, 3));
        let Answer::LoadWaits(at, None) = case.find() else {
            panic!("{:?}", case.find());
        };
        assert_eq!(at.q, 0.99);
    }

    #[test]
    fn answers_that_lie_unread_only_for_the_load_are_a_queue_in_this_client() {
        let mut case = Case::new(
            latencies(10_000, 5.0 * MS, MS, 1),
            latencies(200, 5.0 * MS, MS, 2),
        );
        case.load_delay = latencies(10_000, 4.0 * MS, MS, 3);
        case.check("client_queue", "lay unread");
        // As a hog on the worker's CPU does it.
        case.probe = latencies(200, 2.0 * MS, 0.2 * MS, 2);
        case.check("client_queue", "lay unread");
        case.check("client_queue", "too busy");
        // What is little beside the latency is not worth a word.
        case.load = latencies(10_000, 500.0 * MS, MS, 1);
        case.probe = latencies(200, 500.0 * MS, MS, 2);
        case.check("server", "");
    }

    #[test]
    fn calls_that_only_the_load_sends_late_are_a_queue_in_this_client() {
        let (load, probe) = (
            latencies(10_000, 5.0 * MS, MS, 1),
            latencies(200, 5.0 * MS, MS, 2),
        );
        let (late, punctual) = (
            latencies(10_000, 3.0 * MS, MS, 3),
            latencies(200, 0.0, 0.05 * MS, 4),
        );
        let empty = Histogram::new();
        let side = |service, lateness| Compared {
            service,
            read_delay: &empty,
            lateness,
        };
        let note = finding(&Beside {
            load: side(&load, &late),
            probe: side(&probe, &punctual),
            kernel_timestamps: true,
            has_own_cpu: true,
            calls_at_once: false,
        });
        assert_eq!(note.id, "client_queue");
        assert!(note.text.contains("sent late"), "{}", note.text);
    }

    #[test]
    fn a_probe_that_waits_longer_blames_nobody_else() {
        let mut case = Case::new(
            latencies(10_000, MS, 0.2 * MS, 1),
            latencies(200, 40.0 * MS, 0.2 * MS, 2),
        );
        case.check("probe_waits", "seldom calls");
        case.has_own_cpu = false;
        case.check("probe_waits", "no CPU of its own");
    }

    #[test]
    fn differences_below_our_own_noise_are_none() {
        let load = latencies(10_000, 0.15 * MS, 0.01 * MS, 1);
        let probe = latencies(200, 0.07 * MS, 0.01 * MS, 2);
        let case = Case::new(load, probe);
        assert!(matches!(case.find(), Answer::Alike(_)), "{:?}", case.find());
    }

    /// How many of 400 pairs of the same latencies are told apart.
    /// At most one pair in a hundred.
    fn assert_hardly_ever_told_apart(mut pair: impl FnMut(u64) -> (Histogram, Histogram)) {
        let n_pairs = n_seeds(20, 400);
        let n = (0..n_pairs)
            .filter(|seed| {
                let (load, probe) = pair(*seed);
                let mut case = Case::new(load, probe);
                case.load_delay = Histogram::new();
                case.probe_delay = Histogram::new();
                let found = case.find();
                matches!(found, Answer::LoadWaits(..) | Answer::ProbeWaits(_))
            })
            .count() as u64;
        assert!(n <= most_of(0.01, n_pairs), "{n} of {n_pairs}");
    }

    #[test]
    fn the_same_latencies_are_hardly_ever_told_apart() {
        for n_probe in [20, 100, 600] {
            assert_hardly_ever_told_apart(|seed| {
                let load = latencies(5_000, 0.0, 5.0 * MS, seed);
                (load, latencies(n_probe, 0.0, 5.0 * MS, seed + 10_000))
            });
        }
    }

    /// A single server with a queue, exponential service of 1 ms, a load of 0.8
    /// of what it can do and a probe at 10/s: whoever comes waits in the same
    /// queue, and successive calls of either do not wait independently.
    #[test]
    fn a_queue_that_both_wait_in_is_hardly_ever_told_apart() {
        assert_hardly_ever_told_apart(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let unit = |random: &mut fastrand::Rng| -(1.0 - random.f64()).ln();
            let (mut load, mut probe) = (Histogram::new(), Histogram::new());
            let (mut free_at, mut next_load, mut n_probe) = (0.0_f64, 0.0, 0.0);
            let mut next_probe = 100.0 * random.f64();
            while next_load < 10_000.0 {
                let (at, into) = if next_load < next_probe {
                    let at = next_load;
                    next_load += unit(&mut random) / 0.8;
                    (at, &mut load)
                } else {
                    let at = next_probe;
                    n_probe += 1.0;
                    next_probe = 100.0 * (n_probe + random.f64());
                    (at, &mut probe)
                };
                free_at = free_at.max(at) + unit(&mut random);
                into.record(((free_at - at) * MS) as u64);
            }
            (load, probe)
        });
    }
}
