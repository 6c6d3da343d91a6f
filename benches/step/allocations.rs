//! Reads what valgrind's DHAT wrote (format: `dhat/dh_main.c` of its sources),
//! subtracts one run from another, and tells whose each allocation is.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::origin::Origin;

/// Allocations of one run by the stack that they were made on.
#[derive(Debug)]
pub(crate) struct HeapProfile(BTreeMap<Vec<Frame>, Count>);

/// A function on the stack, innermost first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    function: String,
    /// Path and line.
    place: String,
}

impl Frame {
    /// `0x12AB34: function (path/file.rs:12)`; without debug information
    /// `0x12AB34: function (in /path/of/object)`.
    fn read(text: &str) -> Self {
        let text = text.split_once(": ").map_or(text, |(_, after)| after);
        let (function, place) = text
            .strip_suffix(')')
            .and_then(|text| text.rsplit_once(" ("))
            .unwrap_or((text, ""));
        Self {
            function: function.to_string(),
            place: place.to_string(),
        }
    }

    fn origin(&self) -> Origin {
        let path = self.place.split(':').next().unwrap_or_default();
        Origin::of(path)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    n_blocks: f64,
    n_bytes: f64,
}

impl HeapProfile {
    /// Reads DHAT's JSON.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let read = || {
            let frames: Vec<Frame> = json["ftbl"]
                .as_array()?
                .iter()
                .map(|frame| frame.as_str().map(Frame::read))
                .collect::<Option<_>>()?;
            let mut by_stack: BTreeMap<Vec<Frame>, Count> = BTreeMap::new();
            for point in json["pps"].as_array()? {
                let stack = point["fs"]
                    .as_array()?
                    .iter()
                    .map(|index| frames.get(usize::try_from(index.as_u64()?).ok()?).cloned())
                    .collect::<Option<Vec<Frame>>>()?;
                let count = by_stack.entry(stack).or_default();
                count.n_blocks += point["tbk"].as_u64()? as f64;
                count.n_bytes += point["tb"].as_u64()? as f64;
            }
            Some(Self(by_stack))
        };
        read().ok_or_else(|| "not as DHAT writes it".to_string())
    }
}

/// The allocations of a call.
#[derive(Debug)]
pub(crate) struct Allocations(Vec<Allocation>);

#[derive(Debug)]
struct Allocation {
    is_own: bool,
    /// The innermost function that is ours or ureq's.
    by: Frame,
    /// The innermost function of ours.
    from: Option<Frame>,
    per_call: Count,
}

impl Allocations {
    /// Of the run with more calls, and how many.
    pub(crate) fn between(fewer: &HeapProfile, more: &HeapProfile, n_calls: u64) -> Self {
        /// Less than so many for each call are not for calls: ticks, the report.
        const BLOCKS_MIN: f64 = 0.05;
        let mut found: Vec<Allocation> = Vec::new();
        for (stack, count) in &more.0 {
            let before = fewer.0.get(stack).copied().unwrap_or_default();
            let per_call = Count {
                n_blocks: (count.n_blocks - before.n_blocks) / n_calls as f64,
                n_bytes: (count.n_bytes - before.n_bytes) / n_calls as f64,
            };
            if per_call.n_blocks < BLOCKS_MIN {
                continue;
            }
            let (is_own, by) = whose(stack);
            let from = stack.iter().find(|frame| is_own_code(frame)).cloned();
            let known = found
                .iter_mut()
                .find(|known| known.by == by && known.from == from);
            match known {
                Some(known) => {
                    known.per_call.n_blocks += per_call.n_blocks;
                    known.per_call.n_bytes += per_call.n_bytes;
                }
                None => found.push(Allocation {
                    is_own,
                    by,
                    from,
                    per_call,
                }),
            }
        }
        found.sort_by(|a, b| {
            let key = |allocation: &Allocation| (!allocation.is_own, allocation.by.clone());
            key(a).cmp(&key(b))
        });
        Self(found)
    }

    /// How many our own code makes for each call.
    pub(crate) fn n_own_per_call(&self) -> f64 {
        self.sum(true).n_blocks
    }

    fn sum(&self, is_own: bool) -> Count {
        let mut sum = Count::default();
        for allocation in self.0.iter().filter(|known| known.is_own == is_own) {
            sum.n_blocks += allocation.per_call.n_blocks;
            sum.n_bytes += allocation.per_call.n_bytes;
        }
        sum
    }
}

/// The innermost frame of our code or of ureq's: what `http` or the standard
/// library allocates, it does for one of the two.
fn whose(stack: &[Frame]) -> (bool, Frame) {
    for frame in stack {
        match frame.origin() {
            Origin::Own(_) => return (true, frame.clone()),
            Origin::Crate(name) if name.starts_with("ureq") => return (false, frame.clone()),
            _ => {}
        }
    }
    // Neither on the stack: held against us, so that it is looked at.
    let unknown = Frame {
        function: "an unreadable stack".to_string(),
        place: String::new(),
    };
    (true, stack.first().cloned().unwrap_or(unknown))
}

fn is_own_code(frame: &Frame) -> bool {
    matches!(frame.origin(), Origin::Own(_))
}

impl fmt::Display for Allocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (is_own, name) in [(true, "our own"), (false, "ureq's")] {
            let sum = self.sum(is_own);
            writeln!(
                f,
                "  {name}: {:.2} allocations, {:.0} bytes a call",
                sum.n_blocks, sum.n_bytes
            )?;
            for allocation in self.0.iter().filter(|known| known.is_own == is_own) {
                let Count { n_blocks, n_bytes } = allocation.per_call;
                let by = &allocation.by;
                write!(
                    f,
                    "    {n_blocks:>5.2} {n_bytes:>7.0} B  {}  {}",
                    short(&by.place),
                    by.function
                )?;
                match &allocation.from {
                    Some(from) if from != by => writeln!(f, "  from {}", short(&from.place))?,
                    _ => writeln!(f)?,
                }
            }
        }
        Ok(())
    }
}

/// A path without what leads to the crate.
fn short(place: &str) -> &str {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    if let Some(inner) = place.strip_prefix(own) {
        return inner;
    }
    place
        .split_once("/registry/src/")
        .and_then(|(_, after)| after.split_once('/'))
        .map_or(place, |(_, inner)| inner)
}
