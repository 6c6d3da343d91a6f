//! `init`: asks the server what it offers, and writes a starter config.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Init;
use super::common::{current_folder, live_line, load_plan, under_signals, write_to_stdout};
use super::exit;
use super::oauth::authorize;
use super::outputs::{key_of_environment, refuse_input};
use crate::clock;
use crate::coordinator::first_token;
use crate::error::UserError;
use crate::files::reason;
use crate::init::{self, DiscoverOptions, Offer};
use crate::outcome::Observer;
use crate::report::LiveChoice;
use crate::report::place::{Place, place_error};
use crate::scenario::{CONFIG_PATH, Overrides, Plan, TokenOrigin, config_schema, defaults};
use crate::terminal::{Line, Role, Terminal};
use crate::units::plural;

/// What is read is shown once it takes longer than this.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

pub(super) fn init(mut args: Init, terminal: &Terminal) -> Result<u8, UserError> {
    let may_overwrite = args.force || args.yes;
    let with_all = args.all;
    let output = args.output.take();
    let key = args.oauth_private_key.clone().map(PathBuf::from);
    let wish = args.oauth_wish()?;
    let overrides = Overrides {
        timeout: args.timeout.or(Some(defaults::INIT_TIMEOUT)),
        ..args.overrides()?
    };
    // The same judgement as of a run, and before anything is asked or written.
    let plan = match overrides.url {
        Some(_) => Some(load_plan(None, &overrides)?),
        None => None,
    };
    let target = Output::of(output.as_deref())?;
    target.check(may_overwrite)?;
    if let Some(plan) = &plan {
        let mut read = plan.files_read();
        read.extend(key.into_iter().chain(key_of_environment()));
        for path in [target.file(), target.schema().as_deref()] {
            refuse_input(path, &read)?;
        }
    }
    let mut offer = match plan {
        Some(mut plan) => {
            // Those so far are of a load, and none is made here.
            plan.notices.clear();
            authorize(&mut plan, &wish, terminal)?;
            for notice in std::mem::take(&mut plan.notices) {
                terminal.print_notice(&notice);
            }
            Some(ask(plan, terminal)?)
        }
        None => None,
    };
    if let Some(offer) = &mut offer {
        offer.with_all = with_all;
    }
    let (text, left_out) = match &offer {
        Some(offer) => init::scaffold(offer),
        None => (init::template(), None),
    };
    let text = terminal.renamed(&text);
    target.write(&text, may_overwrite, terminal)?;
    let schema = target.write_schema(may_overwrite)?;
    if let Some(left_out) = left_out {
        let mut live = live_line(LiveChoice::Line, terminal);
        live.notice(&left_out);
    }
    if let Output::File(path) = &target {
        let mut lines =
            vec![Line::of(Role::Success, "wrote ").add(Role::Accent, path.display().to_string())];
        lines.extend(
            offer
                .as_ref()
                .map(|offer| Line::of(Role::Plain, found(offer))),
        );
        lines.extend(schema.map(|path| {
            Line::of(Role::Plain, "schema for editors: ")
                .add(Role::Accent, path.display().to_string())
        }));
        lines.push(Line::of(Role::Hint, "next: ").add(
            Role::Plain,
            "look it over, then `cargo pmcp loadtest check` and `cargo pmcp loadtest run`",
        ));
        // The file is written; who does not read on has what was asked for.
        let _ = terminal.print(&lines);
    }
    match offer {
        Some(offer) if offer.n_unread_lists > 0 => {
            Err(unread(&offer).hint("the config holds what could be read"))
        }
        _ => Ok(exit::PASSED),
    }
}

/// Why it fails is in the notices.
fn unread(offer: &Offer) -> UserError {
    UserError::could_not_run(format!(
        "{} of the server could not be read",
        plural(offer.n_unread_lists as u64, "list", "lists")
    ))
}

fn ask(plan: Plan, terminal: &Terminal) -> Result<Offer, UserError> {
    terminal.hide_all(&plan.redactor());
    let (token, _) = under_signals(LiveChoice::Line, terminal, |live, interrupts| {
        first_token(&plan, live, interrupts)
    })?;
    let origin = plan.token.as_ref().map(|token| &token.origin);
    let has_oauth_token = token.is_some() && matches!(origin, Some(TokenOrigin::OAuth(_)));
    let headers = plan.target.headers.into_iter();
    let headers = headers.map(|header| (header.name, header.value));
    let options = DiscoverOptions {
        url: plan.target.url.value,
        headers: headers.chain(token).collect(),
        has_oauth_token,
        protocol: plan.target.protocol,
        timeout: plan.timeout,
        cookies: plan.target.cookies,
        respect_retry_after: plan.target.respect_retry_after,
        network: plan.network,
    };
    let (offer, _) = under_signals(LiveChoice::Line, terminal, |live, interrupts| {
        let live = RefCell::new(live);
        let began = clock::now();
        let offer = init::discover(&options, &|reading| {
            let elapsed = clock::now().saturating_duration_since(began);
            if elapsed >= SHOWN_AFTER {
                let mut live = live.borrow_mut();
                match reading {
                    Some(what) => live.preparing(Some((elapsed, what))),
                    None => live.asking(elapsed, &options.url, options.timeout),
                }
            }
            !interrupts.is_pending()
        });
        live.borrow_mut().preparing(None);
        let offer = offer?;
        for problem in &offer.problems {
            live.borrow_mut().notice(problem);
        }
        Ok(offer)
    })?;
    if offer.n_unread_lists > 0 && offer.is_empty() {
        return Err(unread(&offer).hint("nothing is written"));
    }
    Ok(offer)
}

/// `found 9 tools, 2 resources, 1 prompt`.
fn found(offer: &Offer) -> String {
    let [tools, resources, templates, prompts] = offer.counts();
    format!("found {tools}, {resources}, {templates} and {prompts}")
}

/// Where the config goes.
enum Output {
    Stdout,
    File(PathBuf),
}

impl Output {
    fn of(output: Option<&str>) -> Result<Self, UserError> {
        Ok(match output {
            Some("-") => Self::Stdout,
            Some(path) => Self::File(PathBuf::from(path)),
            None => {
                let here = current_folder()?;
                let path = here.join(CONFIG_PATH);
                Self::File(
                    path.strip_prefix(&here)
                        .map_or(path.clone(), Path::to_path_buf),
                )
            }
        })
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path),
        }
    }

    /// The schema that the first line of a config file names, beside it.
    fn schema(&self) -> Option<PathBuf> {
        let config = self.file()?;
        Some(config.with_file_name(init::SCHEMA_FILE))
    }

    /// Before the server is asked: it may take a while.
    fn check(&self, may_overwrite: bool) -> Result<(), UserError> {
        match self {
            Self::File(path) if path.exists() && !may_overwrite => Err(exists(path)),
            _ => Ok(()),
        }
    }

    fn write(&self, text: &str, may_overwrite: bool, terminal: &Terminal) -> Result<(), UserError> {
        let Self::File(path) = self else {
            return write_to_stdout(text, terminal);
        };
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => exists(path),
            _ => cannot_write(path, &error),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        if may_overwrite {
            // A config that was there stays whole until the new one is.
            let place = Place::open(path);
            let place = place.map_err(|fault| place_error("the config", path, fault))?;
            return place
                .write(|out| out.write_all(text.as_bytes()))
                .map(|_| ())
                .map_err(failed);
        }
        let mut file = OpenOptions::new()
            .write(true)
            // Checked again here: between asking and writing someone else may
            // have written it.
            .create_new(true)
            .open(path)
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)
    }
}

impl Output {
    /// Writes the schema. One that is there is kept unless files may be overwritten. Gives
    /// what was written.
    fn write_schema(&self, may_overwrite: bool) -> Result<Option<PathBuf>, UserError> {
        let Some(path) = self.schema() else {
            return Ok(None);
        };
        if path.exists() && !may_overwrite {
            return Ok(None);
        }
        let place = Place::open(&path);
        let place = place.map_err(|fault| place_error("the schema", &path, fault))?;
        let text = format!("{:#}\n", config_schema());
        place
            .write(|out| out.write_all(text.as_bytes()))
            .map_err(|error| cannot_write(&path, &error))?;
        Ok(Some(path))
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> UserError {
    let what = format!("cannot write `{}`: {}", path.display(), reason(error));
    UserError::could_not_run(what)
}

fn exists(path: &Path) -> UserError {
    UserError::usage(format!("`{}` exists already", path.display()))
        .hint("overwrite it with `--force`, or write elsewhere with `--output FILE`")
}
