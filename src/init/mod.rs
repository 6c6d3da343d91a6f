//! A starter config: asks a server what it offers, and writes that down.
//!
//! Discovery opens one session and reads the lists; it never calls a tool. The
//! config that is written loads without a fault. This module does not know
//! files or the command line. Start with [`discover()`], then [`scaffold()`].

mod discover;
mod links;
mod offer;
mod scaffold;
mod toml_text;

pub use discover::{DiscoverOptions, discover};
pub use offer::Offer;
pub use scaffold::{SCHEMA_FILE, scaffold, template};
