//! What is taken out of an answer, and what is awaited of it.
//!
//! An answer in, a verdict out: a [`Checker`] is compiled once for a call, and says of
//! each [`Answer`] which values it brings, or why the call failed. Nothing here reads
//! a socket, a clock or a file, and nothing that a server sends makes it panic, recurse
//! without a bound, or work longer than its bounds allow. It does not know who asks:
//! the engine keeps checks off the users' small stacks.

mod answer;
mod awaited;
mod checker;
mod path;
mod schema;
mod simple;
mod source;
mod text_pattern;
mod texts;
mod unchecked;

pub use answer::Answer;
pub use awaited::{Awaited, Expectations, SchemaShare};
pub use checker::{Checked, Checker, OutputSchema};
pub use source::{NoMatch, Source, SourceFault};
pub use text_pattern::TextPattern;
pub use texts::is_equal;
pub use unchecked::Unchecked;

/// A value that is taken out of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    /// What templates call it.
    pub name: String,
    /// Where it is.
    pub source: Source,
    /// Whether it is never written anywhere.
    pub is_secret: bool,
}
