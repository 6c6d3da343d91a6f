//! Why an answer could not be judged.

use std::fmt;

use crate::text::named;

named! {
    /// Why an answer could be held neither right nor wrong.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Unchecked {
        /// The server's list did not have the tool.
        ToolNotListed = "tool_not_listed",
        /// The tool has no output schema.
        NoSchema = "no_schema",
        /// The schema is of a dialect that is not known.
        UnknownDialect = "unknown_dialect",
        /// The schema refers to what lies elsewhere: nothing is fetched.
        RemoteReference = "remote_reference",
        /// The schema's references lead in a circle.
        EndlessReference = "endless_reference",
        /// The schema has a pattern that is not done in linear time.
        Pattern = "pattern",
        /// The schema is too large, or not a schema.
        BadSchema = "bad_schema",
        /// The result is too large to be judged.
        LargeResult = "large_result",
        /// The result is nested too deep to be judged.
        DeepResult = "deep_result",
    }
    /// The stable name in reports.
    fn id
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
