//! Texts with `{{…}}` in them: the language, their compiled form, and what fills
//! them with values of their own making.
//!
//! ```text
//!  text as written ─ parse ─▶ Text ─ canonical ─▶ text of the plan
//!                                                      │
//!          Scope::json, text, raw  ◀───────────────────┘   once, before the load
//!               │            │
//!               ▼            ▼
//!           Template      slots ◀─ Generators::fill, data, extracted values
//!               │            │                             before each call
//!               └─ fill ◀────┘                             once per call
//! ```
//!
//! A value is the text of a JSON value, from where it comes to where it goes: its
//! type and its digits are kept, and nothing in it is looked at for `{{` again.
//! Whether a name is known, and where rows and answers come from, is not known here.
//! Start at [`parse`] and [`Scope`].

mod compiled;
mod escape;
mod generate;
mod language;
mod scope;

pub use compiled::Template;
pub use escape::push_json_string;
pub use generate::{FillMoment, Generators, purpose_of};
pub use language::{
    ACCEPTED, BUILT_IN, Expression, Piece, escape, is_name, literal, named, parse, parse_leniently,
};
pub use scope::Scope;

#[cfg(test)]
mod tests;
