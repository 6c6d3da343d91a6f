//! What is measured: a model, a server, and how busy the generator is to be.
//!
//! Data and arithmetic; it runs nothing.

use std::time::Duration;

use super::answer::Framing;
use super::delay::Delay;
use super::generator::Load;
use super::server::Freeze;

/// Who decides when calls begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Model {
    /// Users who wait for their answers.
    Closed,
    /// Evenly spaced arrivals.
    Open,
}

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers at once.
    AtOnce,
    /// Takes 1 ms for each call.
    Fixed,
    /// 99 % take 1 ms, 1 % take 50 ms.
    TwoPoint,
    /// Exponential, 2 ms in the mean.
    Exponential,
    /// Takes 1 ms, and for 2 s does nothing. Every arrival of these finds a
    /// user, and so all are sent.
    Freeze,
    /// The same with users for a tenth of them: the others wait for a user,
    /// and service times do not show it.
    FreezeFewUsers,
    /// 1 ms, and the answer in this form.
    Framed(Framing),
    /// 1 ms, while each of a thousand sessions holds a stream, on which something is pushed
    /// every second.
    Pushing,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) model: Model,
    pub(crate) behaviour: Behaviour,
    /// CPU that the generator is to use, of one, in percent.
    pub(crate) percent: u32,
}

/// Sessions with a stream, at least.
const SESSIONS_PUSHED_TO: u32 = 1_000;

/// How long a server is frozen.
const FROZEN: Duration = Duration::from_secs(2);

/// All that are measured unless some are chosen, at these loads.
pub(crate) fn all(percents: &[u32]) -> Vec<Case> {
    use Behaviour::{
        AtOnce, Exponential, Fixed, Framed, Freeze, FreezeFewUsers, Pushing, TwoPoint,
    };
    let cases = |model, behaviours: &[Behaviour], percents: &[u32]| -> Vec<Case> {
        let one = |behaviour: &Behaviour| {
            percents.iter().map({
                let behaviour = *behaviour;
                move |percent| Case {
                    model,
                    behaviour,
                    percent: *percent,
                }
            })
        };
        behaviours.iter().flat_map(one).collect()
    };
    let up_to = |most: u32| -> Vec<u32> {
        let percents = percents.iter().copied();
        percents.filter(|percent| *percent <= most).collect()
    };
    // Above it, a backlog of 2 s is not worked off within the run.
    let up_to_half = up_to(50);
    // Above it, a user for each arrival of 2 s is more than there may be files.
    let up_to_tenth = up_to(10);
    // One user who never waits is a busy generator already.
    let spread = [Fixed, TwoPoint, Exponential];
    let forms = [
        Framing::Split,
        Framing::Chunked,
        Framing::Sse,
        Framing::SseOpen,
    ]
    .map(Framed);
    [
        cases(Model::Open, &[AtOnce], percents),
        cases(Model::Open, &spread, percents),
        cases(Model::Closed, &spread, percents),
        cases(Model::Open, &forms, percents),
        cases(Model::Open, &[Pushing], &up_to_half),
        cases(Model::Open, &[Freeze], &up_to_tenth),
        cases(Model::Open, &[FreezeFewUsers], &up_to_half),
        cases(Model::Closed, &[Freeze], &up_to_half),
    ]
    .concat()
}

impl Case {
    /// Such as `open/two-point/80`.
    pub(crate) fn name(&self) -> String {
        let model = match self.model {
            Model::Closed => "closed",
            Model::Open => "open",
        };
        format!("{model}/{}/{}", self.behaviour.name(), self.percent)
    }

    /// The load: of as many calls a second as make the generator so busy.
    pub(crate) fn load(&self, calls_per_sec: f64) -> Load {
        let service_secs = self.behaviour.service().as_secs_f64();
        // Calls under way at once (Little's law).
        let n_under_way = calls_per_sec * service_secs;
        match self.model {
            Model::Closed => Load::Users((n_under_way.round() as u32).max(1)),
            Model::Open => {
                let n_while_frozen = calls_per_sec * FROZEN.as_secs_f64();
                let max_vus = match self.behaviour {
                    Behaviour::Freeze => n_while_frozen * 1.2,
                    // Ten times as many may wait for a user.
                    Behaviour::FreezeFewUsers => n_while_frozen * 0.11,
                    // Enough for clumps and for a server that is held up.
                    _ => n_under_way * 4.0,
                };
                Load::Arrivals {
                    per_sec: calls_per_sec.round().max(1.0) as u32,
                    max_vus: (max_vus.ceil() as u32).max(match self.behaviour {
                        Behaviour::Pushing => SESSIONS_PUSHED_TO,
                        _ => 64,
                    }),
                }
            }
        }
    }

    /// How long it runs: a frozen server needs its time.
    pub(crate) fn seconds(&self, seconds: f64) -> f64 {
        match self.behaviour {
            Behaviour::Freeze | Behaviour::FreezeFewUsers => seconds.max(8.0),
            _ => seconds,
        }
    }
}

impl Behaviour {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "at-once",
            Self::Fixed => "fixed",
            Self::TwoPoint => "two-point",
            Self::Exponential => "exponential",
            Self::Freeze => "freeze",
            Self::FreezeFewUsers => "freeze-few-users",
            Self::Pushing => "pushing",
            Self::Framed(Framing::Json) => "json",
            Self::Framed(Framing::Split) => "split",
            Self::Framed(Framing::Chunked) => "chunked",
            Self::Framed(Framing::Sse) => "sse",
            Self::Framed(Framing::SseOpen) => "sse-open",
        }
    }

    /// The server's delays.
    pub(crate) fn delay(self) -> Delay {
        match self {
            Self::AtOnce => Delay::Fixed(Duration::ZERO),
            Self::TwoPoint => Delay::TWO_POINT,
            Self::Exponential => Delay::Exponential(Duration::from_millis(2)),
            Self::Fixed | Self::Freeze | Self::FreezeFewUsers | Self::Framed(_) | Self::Pushing => {
                Delay::Fixed(Duration::from_millis(1))
            }
        }
    }

    /// What an answer takes in the mean, the way and the server's work
    /// included, roughly.
    fn service(self) -> Duration {
        const WAY: Duration = Duration::from_micros(50);
        self.delay().mean() + WAY
    }

    pub(crate) fn framing(self) -> Framing {
        match self {
            Self::Framed(framing) => framing,
            _ => Framing::Json,
        }
    }

    pub(crate) fn freeze(self) -> Option<Freeze> {
        matches!(self, Self::Freeze | Self::FreezeFewUsers).then_some(Freeze {
            after: Duration::from_secs(2),
            length: FROZEN,
        })
    }

    pub(crate) fn push_every(self) -> Option<Duration> {
        (self == Self::Pushing).then_some(Duration::from_secs(1))
    }

    /// What follows the answer may be read together with it, and the kernel
    /// stamps what is read together with the arrival of the last of it.
    pub(crate) fn has_tail(self) -> bool {
        self == Self::Framed(Framing::SseOpen)
    }

    /// The limit above which the share is compared, in milliseconds; one of
    /// those that the report has.
    pub(crate) fn limit_ms(self) -> f64 {
        match self {
            Self::AtOnce => 1.0,
            Self::Fixed | Self::Framed(_) | Self::Pushing => 2.0,
            Self::TwoPoint => 20.0,
            Self::Exponential => 5.0,
            Self::Freeze | Self::FreezeFewUsers => 1000.0,
        }
    }
}
