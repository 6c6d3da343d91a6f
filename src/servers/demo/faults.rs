//! Which calls go wrong, and how: the shares as text and as draws.
//!
//! Pure: drawing takes its random generator. What a fault does to an answer is
//! in `server.rs`. Start at [`Faults`].

use std::fmt;
use std::str::FromStr;

use fastrand::Rng;

use crate::error::{UserError, nearest};

/// A way in which a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// HTTP 500 with plain text.
    Http500,
    /// HTTP 200 with a JSON-RPC error, −32603.
    RpcError,
    /// A result with `isError: true`; of `tools/call` only.
    ToolError,
    /// No answer, for as long as the client stays.
    Hang,
    /// The connection closed without a byte of answer.
    CloseBefore,
    /// The connection closed in the middle of the answer.
    CloseMid,
    /// An event stream that ends well, but without the answer.
    EmptyStream,
    /// 202 without a body, to a request.
    Accepted,
    /// A good answer to another id.
    WrongId,
    /// 200 `application/json` (or an event) with a page of HTML in it.
    NotJson,
    /// The session ends and the call is answered 404; of legacy calls with a
    /// session only.
    ExpireSession,
}

impl Fault {
    /// All of them, in the order of their variants.
    pub const ALL: [Self; 11] = [
        Self::Http500,
        Self::RpcError,
        Self::ToolError,
        Self::Hang,
        Self::CloseBefore,
        Self::CloseMid,
        Self::EmptyStream,
        Self::Accepted,
        Self::WrongId,
        Self::NotJson,
        Self::ExpireSession,
    ];

    /// Its key in the text form of [`Faults`].
    pub fn key(self) -> &'static str {
        match self {
            Self::Http500 => "http-500",
            Self::RpcError => "rpc-error",
            Self::ToolError => "tool-error",
            Self::Hang => "hang",
            Self::CloseBefore => "close-before",
            Self::CloseMid => "close-mid",
            Self::EmptyStream => "empty-stream",
            Self::Accepted => "accepted",
            Self::WrongId => "wrong-id",
            Self::NotJson => "not-json",
            Self::ExpireSession => "expire-session",
        }
    }
}

/// The shares of calls that go wrong, each 0 to 1. At most one fault befalls a
/// call; where the shares add up to more than 1, the later ones are cut.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// See [`Fault::Http500`].
    pub http_500: f64,
    /// See [`Fault::RpcError`].
    pub rpc_error: f64,
    /// See [`Fault::ToolError`].
    pub tool_error: f64,
    /// See [`Fault::Hang`].
    pub hang: f64,
    /// See [`Fault::CloseBefore`].
    pub close_before: f64,
    /// See [`Fault::CloseMid`].
    pub close_mid: f64,
    /// See [`Fault::EmptyStream`].
    pub empty_stream: f64,
    /// See [`Fault::Accepted`].
    pub accepted: f64,
    /// See [`Fault::WrongId`].
    pub wrong_id: f64,
    /// See [`Fault::NotJson`].
    pub not_json: f64,
    /// See [`Fault::ExpireSession`].
    pub expire_session: f64,
}

impl Faults {
    /// No fault, but the given share of one.
    pub fn only(fault: Fault, share: f64) -> Self {
        let mut faults = Self::default();
        *faults.share_mut(fault) = share;
        faults
    }

    /// The share of a fault.
    pub fn share(&self, fault: Fault) -> f64 {
        let mut copy = *self;
        *copy.share_mut(fault)
    }

    /// What befalls one call: always one draw.
    pub(super) fn sample(&self, rng: &mut Rng) -> Option<Fault> {
        let mut left = rng.f64();
        Fault::ALL.into_iter().find(|fault| {
            let share = self.share(*fault);
            let hit = left < share;
            left -= share;
            hit
        })
    }

    fn share_mut(&mut self, fault: Fault) -> &mut f64 {
        match fault {
            Fault::Http500 => &mut self.http_500,
            Fault::RpcError => &mut self.rpc_error,
            Fault::ToolError => &mut self.tool_error,
            Fault::Hang => &mut self.hang,
            Fault::CloseBefore => &mut self.close_before,
            Fault::CloseMid => &mut self.close_mid,
            Fault::EmptyStream => &mut self.empty_stream,
            Fault::Accepted => &mut self.accepted,
            Fault::WrongId => &mut self.wrong_id,
            Fault::NotJson => &mut self.not_json,
            Fault::ExpireSession => &mut self.expire_session,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for fault in Fault::ALL {
            let share = self.share(fault);
            if share != 0.0 {
                write!(f, "{separator}{}={share}", fault.key())?;
                separator = ",";
            }
        }
        if separator.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = UserError;

    /// Reads `none`, or `http-500=0.01,tool-error=0.02`.
    fn from_str(text: &str) -> Result<Self, UserError> {
        let mut faults = Self::default();
        let text = text.trim();
        if text.is_empty() || text == "none" {
            return Ok(faults);
        }
        let mut sum = 0.0;
        for part in text.split(',').map(str::trim) {
            let (key, share_text) = part.split_once('=').unwrap_or((part, ""));
            let (key, share_text) = (key.trim(), share_text.trim());
            let keys = Fault::ALL.map(Fault::key);
            let Some(fault) = Fault::ALL.into_iter().find(|fault| fault.key() == key) else {
                let error = UserError::usage(format!("`{key}` is not a fault"));
                let error = match nearest(key, keys) {
                    Some(known) => error.hint(format!("Did you mean `{known}`?")),
                    None => error,
                };
                return Err(error.hint(format!("The faults are: {}.", keys.join(", "))));
            };
            let share = share_text
                .parse::<f64>()
                .ok()
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or_else(|| {
                    UserError::usage(format!("`{part}` gives no share from 0 to 1"))
                        .hint(format!("Write it like `{key}=0.01`."))
                })?;
            sum += share;
            *faults.share_mut(fault) = share;
        }
        // A little more than 1, so that 0.1 + 0.2 + 0.7 passes.
        if sum > 1.0 + 1e-9 {
            return Err(UserError::usage(format!(
                "the shares of `{text}` add up to {sum:.3}, which is more than 1"
            )));
        }
        Ok(faults)
    }
}

/// How often each fault was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultCounts([u64; Fault::ALL.len()]);

impl FaultCounts {
    /// How often this fault was done.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// How many faults were done in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn faults_are_read_and_printed() {
        let faults: Faults = "http-500=0.01, tool-error=0.02".parse().expect("faults");
        assert_eq!(faults.http_500, 0.01);
        assert_eq!(faults.tool_error, 0.02);
        assert_eq!(faults.hang, 0.0);
        assert_eq!(faults.to_string(), "http-500=0.01,tool-error=0.02");
        assert_eq!("none".parse(), Ok(Faults::default()));
        assert_eq!(Faults::default().to_string(), "none");
        assert!(
            "hang=0.1,accepted=0.2,wrong-id=0.7"
                .parse::<Faults>()
                .is_ok()
        );
        let check = |text: &str, part: &str| {
            let error = text.parse::<Faults>().expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        };
        check("tool-eror=0.1", "Did you mean `tool-error`?");
        check("colour=0.1", "close-before, close-mid");
        check("hang", "`hang=0.01`");
        check("hang=2", "from 0 to 1");
        check("hang=NaN", "from 0 to 1");
        check("hang=0.6,accepted=0.6", "more than 1");
    }

    #[test]
    fn shares_converge_and_repeat() {
        let faults: Faults = "http-500=0.1,hang=0.2,expire-session=0.3"
            .parse()
            .expect("faults");
        let draw = |seed| -> Vec<Option<Fault>> {
            let mut rng = Rng::with_seed(seed);
            (0..50_000).map(|_| faults.sample(&mut rng)).collect()
        };
        let drawn = draw(3);
        assert_eq!(drawn, draw(3));
        assert_ne!(drawn, draw(4));
        for fault in Fault::ALL {
            let n_drawn = drawn.iter().filter(|d| **d == Some(fault)).count();
            let share = n_drawn as f64 / drawn.len() as f64;
            assert!(
                (share - faults.share(fault)).abs() < 0.01,
                "{fault:?} {share}"
            );
        }
    }

    #[test]
    fn each_fault_has_its_own_share_and_count() {
        for (i, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, i);
            let faults = Faults::only(fault, 1.0);
            assert_eq!(faults.to_string(), format!("{}=1", fault.key()));
            assert_eq!(faults.sample(&mut Rng::with_seed(1)), Some(fault));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in r"(hang=|wrong-id=|none)?[0-9a-z.,=-]{0,20}") {
            if let Ok(faults) = text.parse::<Faults>() {
                prop_assert_eq!(faults.to_string().parse(), Ok(faults));
            }
        }
    }
}
