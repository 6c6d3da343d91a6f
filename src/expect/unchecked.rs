//! Why an answer could not be judged.

use std::fmt;

/// Why an answer could be held neither right nor wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unchecked {
    /// The server's list did not have the tool.
    ToolNotListed,
    /// The tool has no output schema.
    NoSchema,
    /// The schema is of a dialect that is not known.
    UnknownDialect,
    /// The schema refers to what lies elsewhere: nothing is fetched.
    RemoteReference,
    /// The schema's references lead in a circle.
    EndlessReference,
    /// The schema has a pattern that is not done in linear time.
    Pattern,
    /// The schema is too large, or not a schema.
    BadSchema,
    /// The result is too large to be judged.
    LargeResult,
    /// The result is nested too deep to be judged.
    DeepResult,
}

impl Unchecked {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ToolNotListed,
        Self::NoSchema,
        Self::UnknownDialect,
        Self::RemoteReference,
        Self::EndlessReference,
        Self::Pattern,
        Self::BadSchema,
        Self::LargeResult,
        Self::DeepResult,
    ];

    /// The stable name in reports.
    pub fn id(self) -> &'static str {
        match self {
            Self::ToolNotListed => "tool_not_listed",
            Self::NoSchema => "no_schema",
            Self::UnknownDialect => "unknown_dialect",
            Self::RemoteReference => "remote_reference",
            Self::EndlessReference => "endless_reference",
            Self::Pattern => "pattern",
            Self::BadSchema => "bad_schema",
            Self::LargeResult => "large_result",
            Self::DeepResult => "deep_result",
        }
    }
}

/// The reason as a sentence without its end, such as `the server does not list the tool`.
impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToolNotListed => "the server does not list the tool",
            Self::NoSchema => "the tool has no output schema",
            Self::UnknownDialect => "the output schema names a dialect that is not known",
            Self::RemoteReference => "the output schema refers to another document",
            Self::EndlessReference => "the output schema's references lead in a circle",
            Self::Pattern => "the output schema has a pattern that cannot be done",
            Self::BadSchema => "the output schema is too large or no schema",
            Self::LargeResult => "the result is too large to be judged",
            Self::DeepResult => "the result is nested too deep to be judged: more than 127 levels",
        })
    }
}
