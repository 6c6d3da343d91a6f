//! Which calls go wrong, and how: the shares as text and as draws.
//!
//! Pure: drawing takes its random generator. What a fault does to an answer is
//! in `server.rs`. Start at [`FaultShares`].

use std::fmt;
use std::str::FromStr;

use fastrand::Rng;

use crate::error::{UserError, nearest};
use crate::text::named;

named! {
    /// A way in which a call goes wrong.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DemoFault {
        /// HTTP 500 with plain text.
        Http500 = "http-500",
        /// HTTP 200 with a JSON-RPC error, −32603.
        RpcError = "rpc-error",
        /// A result with `isError: true`; of `tools/call` only.
        ToolError = "tool-error",
        /// No answer, for as long as the client stays.
        Hang = "hang",
        /// The connection closed without a byte of answer.
        CloseBefore = "close-before",
        /// The connection closed in the middle of the answer.
        CloseMid = "close-mid",
        /// An event stream that ends well, but without the answer.
        EmptyStream = "empty-stream",
        /// 202 without a body, to a request.
        Accepted = "accepted",
        /// A good answer to another id.
        WrongId = "wrong-id",
        /// 200 `application/json` (or an event) with a page of HTML in it.
        NotJson = "not-json",
        /// The session ends and the call is answered 404; of legacy calls with a
        /// session only.
        ExpireSession = "expire-session",
    }
    /// Its key in the text form of [`FaultShares`].
    fn key
}

/// The shares of calls that go wrong, each 0 to 1. At most one fault befalls a
/// call; where the shares add up to more than 1, the later ones are cut.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FaultShares([f64; DemoFault::ALL.len()]);

impl FaultShares {
    /// No fault, but the given share of one.
    pub fn only(fault: DemoFault, share: f64) -> Self {
        let mut faults = Self::default();
        faults.0[fault as usize] = share;
        faults
    }

    /// The share of a fault.
    pub fn share(&self, fault: DemoFault) -> f64 {
        self.0[fault as usize]
    }

    /// What befalls one call: always one draw.
    pub(super) fn sample(&self, rng: &mut Rng) -> Option<DemoFault> {
        let mut left = rng.f64();
        DemoFault::ALL.into_iter().find(|fault| {
            let share = self.share(*fault);
            let hit = left < share;
            left -= share;
            hit
        })
    }
}

impl fmt::Display for FaultShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for fault in DemoFault::ALL {
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

impl FromStr for FaultShares {
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
            let keys = DemoFault::ALL.map(DemoFault::key);
            let Some(fault) = DemoFault::ALL.into_iter().find(|fault| fault.key() == key) else {
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
            faults.0[fault as usize] = share;
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
pub struct FaultCounts([u64; DemoFault::ALL.len()]);

impl FaultCounts {
    /// How often this fault was done.
    pub fn of(&self, fault: DemoFault) -> u64 {
        self.0[fault as usize]
    }

    /// How many faults were done in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, fault: DemoFault) {
        self.0[fault as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn faults_are_read_and_printed() {
        let faults: FaultShares = "http-500=0.01, tool-error=0.02".parse().expect("faults");
        assert_eq!(faults.share(DemoFault::Http500), 0.01);
        assert_eq!(faults.share(DemoFault::ToolError), 0.02);
        assert_eq!(faults.share(DemoFault::Hang), 0.0);
        assert_eq!(faults.to_string(), "http-500=0.01,tool-error=0.02");
        assert_eq!("none".parse(), Ok(FaultShares::default()));
        assert_eq!(FaultShares::default().to_string(), "none");
        assert!(
            "hang=0.1,accepted=0.2,wrong-id=0.7"
                .parse::<FaultShares>()
                .is_ok()
        );
        let check = |text: &str, part: &str| {
            let error = text.parse::<FaultShares>().expect_err(text).to_string();
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
        let faults: FaultShares = "http-500=0.1,hang=0.2,expire-session=0.3"
            .parse()
            .expect("faults");
        let draw = |seed| -> Vec<Option<DemoFault>> {
            let mut rng = Rng::with_seed(seed);
            (0..50_000).map(|_| faults.sample(&mut rng)).collect()
        };
        let drawn = draw(3);
        assert_eq!(drawn, draw(3));
        assert_ne!(drawn, draw(4));
        for fault in DemoFault::ALL {
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
        for (i, fault) in DemoFault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, i);
            let faults = FaultShares::only(fault, 1.0);
            assert_eq!(faults.to_string(), format!("{}=1", fault.key()));
            assert_eq!(faults.sample(&mut Rng::with_seed(1)), Some(fault));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in r"(hang=|wrong-id=|none)?[0-9a-z.,=-]{0,20}") {
            if let Ok(faults) = text.parse::<FaultShares>() {
                prop_assert_eq!(faults.to_string().parse(), Ok(faults));
            }
        }
    }
}
