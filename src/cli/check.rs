//! `check`: the resolved plan, or every fault.

use std::path::Path;

use super::args::Check;
use super::common::{current_folder, load_plan, no_stdout, read_source};
use super::exit;
use crate::error::UserError;
use crate::host::Cpus;
use crate::http::check_tls;
use crate::scenario::{self, CONFIG_PATH, Overrides, Plan};
use crate::terminal::{Align, Line, Role, Terminal, display_width, pad};

/// For configs that leave the address to the command line.
const DEFAULT_URL: &str = "http://127.0.0.1/given-on-the-command-line";

pub(super) fn check(args: &Check, terminal: &Terminal) -> Result<u8, UserError> {
    let source = match &args.config {
        Some(path) => read_source(Path::new(path))?,
        None => {
            let path = scenario::find_config(&current_folder()?).ok_or_else(|| {
                UserError::usage(format!("no `{CONFIG_PATH}` here or above"))
                    .hint("name the config: `cargo pmcp loadtest check FILE`")
                    .hint("`cargo pmcp loadtest init` writes one")
            })?;
            read_source(&path)?
        }
    };
    let overrides = Overrides {
        default_url: Some(DEFAULT_URL.to_string()),
        ..args.overrides()
    };
    let plan = load_plan(Some(&source), &overrides)?;
    check_tls(&plan.network.tls)?;
    let columns = terminal.stdout_layout().columns.unwrap_or(usize::MAX);
    let mut described = scenario::describe(&plan);
    resolve(&plan, &mut described, terminal);
    let key_width = described
        .iter()
        .map(|(key, _)| display_width(key))
        .max()
        .unwrap_or(0);
    let mut lines = vec![Line::of(
        Role::Success,
        format!("{}: no faults", source.path.display()),
    )];
    lines.extend(described.iter().flat_map(|(key, value)| {
        Line::of(Role::Dim, pad(key, key_width, Align::Left))
            .add(Role::Plain, "  ")
            .add(Role::Plain, value.as_str())
            .wrap(columns, key_width + 2)
    }));
    lines.extend(plan.notices.iter().flat_map(|notice| {
        Line::of(Role::Warning, "notice: ")
            .add(Role::Plain, notice.as_str())
            .wrap(columns, "notice: ".len())
    }));
    terminal.print(&lines).map_err(|error| no_stdout(&error))?;
    Ok(exit::PASSED)
}

/// Says what variables make of the addresses, and what this host makes of the plan: that
/// is for this user's eyes, and not for a report.
fn resolve(plan: &Plan, described: &mut [(String, String)], terminal: &Terminal) {
    let targets = || std::iter::once(&plan.target).chain(plan.targets());
    // What a variable says of scheme, host and path is what is asked for here.
    let filled: Vec<String> = targets().filter_map(|target| target.filled_url()).collect();
    let redactor = plan.redactor();
    let is_shown = |secret: &&str| filled.iter().any(|filled| filled.contains(secret));
    terminal.hide(redactor.secrets().filter(|secret| !is_shown(secret)));
    for (key, value) in described {
        if value == DEFAULT_URL {
            *value = "none: `run` needs an address as its first argument".to_string();
            continue;
        }
        let target = || targets().find(|target| target.url.shown == *value);
        if key.trim_start() == "target"
            && let Some(filled) = target().and_then(|target| target.filled_url())
        {
            // A piece of a secret address is masked as well, but for this.
            terminal.keep(&filled);
            *value = format!("{filled} (`{value}` in the config)");
        } else if key == "workers" && plan.workers.count.is_none() {
            let n_workers = Cpus::of_this_process().default_workers();
            *value = format!("{n_workers} on this host: {value}");
        }
    }
}
