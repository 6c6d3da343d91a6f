//! What the JSON Schema of a tool says: sample arguments, arguments that differ each
//! time, and whether arguments satisfy it.
//!
//! Schemas come from strangers: all work on them is bounded, and nothing is fetched.
//! Knows JSON Schema and templates, no server and no config. Start with
//! [`sample_arguments`], [`templates_of_arguments`] and [`SchemaCheck`].

mod check;
mod pattern;
mod result;
mod sample;
mod vary;
mod wide;
mod words;

pub use check::SchemaCheck;
pub use result::{OutputSchemaCheck, Unfit};
pub use sample::{SampleArguments, describe_argument, sample_arguments};
pub use vary::{template_places, templates_of_arguments};
pub use wide::WideNumbers;
pub use words::{text_of_name, word_of_writing, words_of};

#[cfg(test)]
pub(crate) use sample::tests as sample_tests;
