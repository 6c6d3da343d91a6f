//! From a config and flags to what a run will do.
//!
//! [`load`] reads the TOML, fills in the environment, lets flags take the place
//! of keys, and gives a [`Plan`], or every [`PlanFault`] at once. It knows neither
//! the command line's parser nor a network.
//!
//! Read `plan` first, then `overrides` (what the command line says, and which keys it takes
//! the place of), `resolve` (what values mean together, which are missing, and what
//! templates may name), `raw` (the tables of keys), `form` (what a key accepts, as it is
//! read and as a schema says it), `document` (typed reading with places), `env`, `header`
//! and `secret`. `defaults` holds the defaults and limits of keys.
//!
//! To add a key: a line in `raw`, its meaning in `resolve`, its default in
//! `defaults`, and a line in `describe`.
//!
//! ```
//! use pmcp_loadtest::scenario::{Load, Overrides, Source, load};
//!
//! let source = Source {
//!     path: "loadtest.toml".into(),
//!     text: "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\n".to_string(),
//! };
//! let mut overrides = Overrides::default();
//! overrides.url = Some("http://127.0.0.1:8080/mcp".to_string());
//! overrides.vus = Some(50);
//! let plan = load(Some(&source), &overrides, &|_| None, 1).expect("no faults");
//! assert!(matches!(plan.load, Load::Closed { vus: 50, .. }));
//! ```

pub mod defaults;
mod describe;
mod document;
mod env;
mod fault;
mod form;
mod header;
mod json;
mod marked;
mod oauth;
mod overrides;
mod plan;
mod raw;
mod resolve;
mod secret;
mod shown;
mod written;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) use describe::expectations;
pub use describe::{completed, describe, to_json};
pub use fault::{PlanFault, PlanFaults};
pub use header::{Header, check_collector_header, check_header};
pub use marked::MarkedPlace;
pub(crate) use marked::with_marker;
pub use oauth::{MadeLogin, OAuthWish};
pub use overrides::{NetworkFlags, Overrides, STAGES_FORM, TlsFlags, parse_stages};
pub use plan::{
    Action, Arrivals, BreakRule, Call, Flow, HistogramMode, Load, OnError, Plan, Population,
    PopulationTarget, Populations, SessionRule, Step, StopRule, Target, TokenOrigin, TokenPlan,
    Until, WorkerRule,
};
pub(crate) use plan::{SECRET_SHARDS, shown_program};
pub use shown::Shown;
pub(crate) use written::{WrittenAt, WrittenCall};

pub use crate::load::{Burst, Distribution, RateStage, SEGMENT_FORM, Segment, ThinkTime, VuStage};
pub use crate::protocol::{Arguments, Era, Operation, ProtocolChoice, Revision};

use document::{Document, Table};

/// The JSON Schema (2020-12) of a config, for editors. It knows each key; what keys mean
/// together, only [`load`] does.
pub fn config_schema() -> serde_json::Value {
    raw::schema()
}

/// A config as it was read from a file.
#[derive(Clone)]
pub struct Source {
    /// What faults call it.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// Where a config lies, from the folder that it is looked for in.
pub const CONFIG_PATH: &str = ".pmcp/loadtest.toml";

/// The nearest config at or above the folder `start`, which should be an
/// absolute path: a relative one ends at the current folder.
pub fn find_config(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .map(|folder| folder.join(CONFIG_PATH))
        .find(|path| path.is_file())
}

/// What a run will do, from a config (`None`: there is none), the flags and the
/// environment. `default_seed` holds where neither config nor flag names one.
///
/// # Errors
/// Every fault of the config and the flags. No fault shows a secret.
pub fn load(
    source: Option<&Source>,
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<OsString>,
    default_seed: u64,
) -> Result<Plan, PlanFaults> {
    let text = source.map_or("", |source| source.text.as_str());
    let path = source.map(|source| source.path.as_path());
    let document = Document::new(path, text, env);
    let root = document.parse();
    let Some(root) = &root else {
        let (faults, _) = document.into_parts();
        return Err(faults);
    };
    let config = source.map(|_| raw::read_config(Table::root(&document, root.get_ref())));
    let mut plan = resolve::resolve(&document, config, overrides, default_seed);
    let (faults, secrets) = document.into_parts();
    if faults.is_empty() {
        plan.secrets.extend(secrets);
        plan.notices.extend(plan.short_secrets());
        Ok(plan)
    } else {
        Err(faults)
    }
}
