//! What a step awaits of an answer, as a plan holds it.

use serde_json::Value;

use super::{Source, TextPattern};

/// Something awaited of the whole result, or of what a source finds in the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Awaited<T> {
    /// Where it is awaited; `None`: the result, or the error where that is awaited.
    pub source: Option<Source>,
    /// What is awaited there.
    pub value: T,
}

/// The share of results that are held against the tool's output schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SchemaShare(f64);

impl SchemaShare {
    /// Each result.
    pub const ALL: Self = Self(1.0);

    /// `None` unless it is above 0 and at most 1.
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then_some(Self(share))
    }

    /// Above 0, at most 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// What a step awaits of its answer. Without any, each good answer will do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expectations {
    /// Texts that must occur.
    pub contains: Vec<Awaited<String>>,
    /// Regular expressions that must match a part.
    pub matches: Vec<Awaited<TextPattern>>,
    /// Values that must be there. Numbers are equal by value: `1` is `1.0`.
    pub equals: Vec<Awaited<Value>>,
    /// How many results must keep to the tool's output schema; `None`: it is not asked.
    pub schema: Option<SchemaShare>,
    /// The most bytes of the answer's body.
    pub max_bytes: Option<u64>,
    /// Whether the tool must say that it failed.
    pub is_error: bool,
    /// The code of the JSON-RPC error that must come.
    pub code: Option<i64>,
    /// The HTTP status that must come.
    pub status: Option<u16>,
}

impl Expectations {
    /// Whether nothing is awaited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All places in which something is awaited.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let contains = self.contains.iter().map(|it| &it.source);
        let matches = self.matches.iter().map(|it| &it.source);
        let equals = self.equals.iter().map(|it| &it.source);
        contains.chain(matches).chain(equals).flatten()
    }

    /// Whether a failure is awaited: what is one elsewhere is right then.
    pub fn awaits_failure(&self) -> bool {
        self.is_error || self.code.is_some() || self.status.is_some_and(|status| status >= 400)
    }
}
