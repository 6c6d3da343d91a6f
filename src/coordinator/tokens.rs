//! The tokens of a run: who has which, and the first of each before any request.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::interrupts::Interrupts;
use crate::auth::oauth::{self, Standing};
use crate::auth::{
    CommandSource, FETCH_WAIT, FileSource, HOLDERS_MAX, Keeper, ScriptPart, Source, Stop,
};
use crate::error::{ErrorKind, UserError};
use crate::outcome::Observer;
use crate::redact::Redactor;
use crate::scenario::{Plan, TokenOrigin, TokenPlan};
use crate::template::{self, Generators, Piece};
use crate::units::{format_duration, part_of};
use crate::user::HeaderTemplates;

/// Gets the first tokens of a plan, where it has any.
///
/// # Errors
/// Why one cannot be had; or an interrupt.
pub(super) fn open(
    plan: &Plan,
    redactor: &Redactor,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<Option<Keeper>, UserError> {
    let Some(token) = &plan.token else {
        return Ok(None);
    };
    let stop = Stop::default();
    let (sources, by_user) = sources(plan, token, redactor, &stop)?;
    let keeper = Keeper::start(sources, by_user, &token.live, stop)?;
    let began = crate::clock::now();
    let observer = std::cell::RefCell::new(observer);
    let first = keeper.await_first(&|n_there, n_all, failure| {
        /// What is there within this is not worth a line.
        const SHOWN_AFTER: Duration = Duration::from_secs(1);
        let elapsed = crate::clock::since(began);
        if elapsed >= SHOWN_AFTER {
            let there = part_of(n_there as u64, n_all as u64, "token", "tokens");
            let shown = token.shown();
            let what = match failure {
                Some(failure) => redactor.clean(format!(
                    "{there} {shown}; another attempt is to come: {failure}"
                )),
                None => {
                    let most = format_duration(FETCH_WAIT);
                    format!("{there} {shown}, each within {most}")
                }
            };
            observer.borrow_mut().preparing(Some((elapsed, &what)));
        }
        !interrupts.is_pending()
    });
    let observer = observer.into_inner();
    observer.preparing(None);
    first?;
    match interrupts.is_pending() {
        true => {
            // The second one does not even wait for a login that is being written down.
            keeper.end(&|| interrupts.count() < 2);
            Err(UserError::new(
                ErrorKind::Interrupted,
                "interrupted before the load began",
            ))
        }
        false => {
            if let TokenOrigin::OAuth(_) = token.origin {
                // It may be used without a word from the user.
                let about = keeper.tokens().figures().about;
                observer.notice(&redactor.clean(format!("the token is {about}")));
            }
            if let Some(notice) = keeper.tokens().take_notice() {
                observer.notice(&redactor.clean(notice));
            }
            Ok(Some(keeper))
        }
    }
}

/// A source for each holder, and whose token each user has.
type Sources = (Vec<Box<dyn Source>>, HashMap<u32, u32>);

fn sources(
    plan: &Plan,
    token: &TokenPlan,
    redactor: &Redactor,
    stop: &Stop,
) -> Result<Sources, UserError> {
    let (line, is_command) = match &token.origin {
        TokenOrigin::Command(line) => (line, true),
        TokenOrigin::File(path) => (&path.value, false),
        TokenOrigin::OAuth(wish) => {
            let standing = oauth::standing(wish, &plan.target.url.value, &plan.network);
            return match standing.map_err(|fault| UserError::usage(fault.to_string()))? {
                Standing::Source(source) => Ok((vec![source as Box<dyn Source>], HashMap::new())),
                Standing::NeedsLogin { why, way_out } => {
                    Err(UserError::could_not_run(why).hint(way_out))
                }
                Standing::Nothing(_) => Err(UserError::could_not_run("no token is kept any more")),
            };
        }
    };
    let source = |parts: Vec<ScriptPart>| -> Box<dyn Source> {
        match is_command {
            true => Box::new(CommandSource::new(&parts, redactor.clone(), stop.clone())),
            false => Box::new(FileSource::new(path_of(&parts))),
        }
    };
    let (all_parts, by_user) = holders(plan, line)?;
    Ok((all_parts.into_iter().map(source).collect(), by_user))
}

/// A text with what is filled in for one holder.
type Parts = Vec<ScriptPart>;

/// The parts of a text for each holder: users for whom the same is filled in have the
/// same token. A text without templates has one holder and no users by name.
fn holders(plan: &Plan, text: &str) -> Result<(Vec<Parts>, HashMap<u32, u32>), UserError> {
    let understood = template::parse(text)
        .map_err(|fault| UserError::usage(format!("a template is at fault: {}", fault.what)))?;
    // Each template by itself, so that what it fills in is known from what was written.
    let slots = understood.pieces().iter().filter_map(|piece| match piece {
        Piece::Literal(_) => None,
        Piece::Expression(expression) => Some(format!("{{{{{expression}}}}}")),
    });
    let slots: Vec<String> = slots.collect();
    let texts = slots.iter().map(|slot| ("", slot.as_str()));
    let (_, templates) = HeaderTemplates::of_texts(texts, &plan.data);
    let parts_of = |filled: &[String]| {
        let mut filled = filled.iter();
        let parts = understood.pieces().iter().map(|piece| match piece {
            Piece::Literal(text) => ScriptPart::Written(text.clone()),
            Piece::Expression(_) => ScriptPart::Filled(filled.next().cloned().unwrap_or_default()),
        });
        parts.collect::<Vec<_>>()
    };
    if templates.is_empty() {
        return Ok((vec![parts_of(&[])], HashMap::new()));
    }
    let mut known: HashMap<Vec<String>, u32> = HashMap::new();
    let mut holders = Vec::new();
    let mut by_user = HashMap::new();
    for own in 0..plan.vus_max() {
        let run_index = plan.segment.number(own);
        if !plan.has_tokens(plan.population_of(run_index)) {
            continue;
        }
        let mut generators = Generators::new(plan.seed, run_index);
        let filled = templates.fill(u64::from(run_index) + 1, &mut generators);
        let filled: Vec<String> = filled.into_iter().map(|(_, value)| value).collect();
        let holder = *known.entry(filled).or_insert_with_key(|filled| {
            holders.push(parts_of(filled));
            holders.len() as u32 - 1
        });
        by_user.insert(run_index, holder);
        if holders.len() > HOLDERS_MAX {
            return Err(UserError::usage(format!(
                "the templates of the token make more than {HOLDERS_MAX} tokens"
            ))
            .hint("let users share tokens: take them from a data set with fewer rows"));
        }
    }
    Ok((holders, by_user))
}

fn path_of(parts: &[ScriptPart]) -> PathBuf {
    let texts = parts.iter().map(|part| match part {
        ScriptPart::Written(text) | ScriptPart::Filled(text) => text.as_str(),
    });
    PathBuf::from(texts.collect::<String>())
}

/// The token of the first user of a population, for who asks a server before there are
/// users.
pub(super) fn of_first_user(
    keeper: &Keeper,
    plan: &Plan,
    population: usize,
) -> Option<(String, String)> {
    let users = (0..plan.vus_max()).map(|own| plan.segment.number(own));
    let user = users
        .into_iter()
        .find(|it| plan.population_of(*it) == population);
    let token = keeper.tokens().of_user(user?)?;
    Some((
        "Authorization".to_string(),
        format!("Bearer {}", token.expose()),
    ))
}

/// The header of a plan's first token, for commands that make no load.
///
/// # Errors
/// Why there is none; or an interrupt.
pub fn first_token(
    plan: &Plan,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<Option<(String, String)>, UserError> {
    let keeper = open(plan, &plan.redactor(), observer, interrupts)?;
    Ok(keeper.and_then(|keeper| of_first_user(&keeper, plan, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, Source as ConfigSource, load};
    use std::sync::Arc;

    fn plan(command: &str, vus: u32) -> Arc<Plan> {
        let source = ConfigSource {
            path: "a.toml".into(),
            text: "[data.users]\nat_end = \"repeat\"\nrows = [{ name = \"al\" }, { name = \"b'o\" }]\n\
                   [[flow]]\nname = \"f\"\n[[flow.step]]\ntype = \"ping\"\n"
                .to_string(),
        };
        let overrides = Overrides {
            url: Some("http://127.0.0.1:1/mcp".to_string()),
            token_command: Some(command.to_string()),
            vus: Some(vus),
            ..Overrides::default()
        };
        Arc::new(load(Some(&source), &overrides, &|_| None, 1).expect("a plan"))
    }

    fn told(command: &str, vus: u32) -> (Vec<String>, Vec<u32>) {
        let plan = plan(command, vus);
        let Some(TokenOrigin::Command(line)) = plan.token.as_ref().map(|it| &it.origin) else {
            panic!("a command");
        };
        let (holders, by_user) = holders(&plan, line).expect("holders");
        let texts = holders
            .iter()
            .map(|parts| path_of(parts).display().to_string());
        let of_users = (0..vus).filter_map(|user| by_user.get(&user).copied());
        (texts.collect(), of_users.collect())
    }

    #[test]
    fn users_with_the_same_values_share_a_token() {
        let (texts, of_users) = told("get {{data.users.name}} '{{{{x}'", 5);
        assert_eq!(texts, ["get al '{{x}'", "get b'o '{{x}'"]);
        assert_eq!(of_users, [0, 1, 0, 1, 0]);
        let (texts, of_users) = told("get {{vu}}-{{data.users.name}}", 3);
        assert_eq!(texts, ["get 1-al", "get 2-b'o", "get 3-al"]);
        assert_eq!(of_users, [0, 1, 2]);
        assert_eq!(told("get", 3), (vec!["get".to_string()], Vec::new()));
    }

    #[test]
    fn there_are_so_many_tokens_and_no_more() {
        let plan = plan("get {{vu}}", 10_001);
        let error = holders(&plan, "get {{vu}}").expect_err("too many");
        assert!(error.what().contains("more than 10000 tokens"), "{error}");
    }
}
