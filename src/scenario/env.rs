//! `${NAME}` and `${NAME:-default}` in texts, filled from the environment.
//!
//! Pure: the environment is a function. It does not know where the text
//! stands, nor whether what it filled in is a secret.

use std::ffi::OsString;

/// A text with its references filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilledText {
    /// The text to use.
    pub(super) value: String,
    /// What came from the environment, in order.
    pub(super) from_environment: Vec<String>,
    /// The same with the references as they are written, whose values may be secrets.
    pub(super) shown: String,
}

/// Why a reference cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReferenceFault {
    /// The variable is not set and there is no default.
    Missing(String),
    /// The variable is set to something that is no text.
    NotText(String),
    /// `${` without `}`, without a name, or with something else after the name.
    Malformed,
}

/// Fills in every reference of `text`. `$${` stands for `${`. As in a shell,
/// the default also takes the place of a variable that is set but empty.
///
/// # Errors
/// Every reference that cannot be filled in, in order.
pub(super) fn fill(
    text: &str,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<FilledText, Vec<ReferenceFault>> {
    let mut value = String::with_capacity(text.len());
    let mut from_environment = Vec::new();
    let mut faults = Vec::new();
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            for text in [&mut value, &mut shown] {
                text.push_str(before);
                text.push_str("${");
            }
            rest = after;
            continue;
        }
        value.push_str(before);
        let Some((name, default, after)) = read_reference(after) else {
            faults.push(ReferenceFault::Malformed);
            rest = after;
            continue;
        };
        shown.push_str(&rest[..rest.len() - after.len()]);
        rest = after;
        let found = match env(name).map(OsString::into_string).transpose() {
            Ok(found) => found,
            Err(_) => {
                faults.push(ReferenceFault::NotText(name.to_string()));
                continue;
            }
        };
        match (found, default) {
            (Some(found), Some(default)) if found.is_empty() => value.push_str(default),
            (Some(found), _) => {
                value.push_str(&found);
                from_environment.push(found);
            }
            (None, Some(default)) => value.push_str(default),
            (None, None) => faults.push(ReferenceFault::Missing(name.to_string())),
        }
    }
    value.push_str(rest);
    shown.push_str(rest);
    if faults.is_empty() {
        Ok(FilledText {
            value,
            from_environment,
            shown,
        })
    } else {
        Err(faults)
    }
}

/// The text as it is written, without the defaults of its references: what stands for
/// values of the environment, whatever they are.
pub(super) fn without_defaults(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        named.push_str(before);
        named.push_str("${");
        rest = match read_reference(after) {
            Some((name, _, behind)) => {
                named.push_str(name);
                named.push('}');
                behind
            }
            None => after,
        };
    }
    named.push_str(rest);
    named
}

/// From behind `${`: the name, the default, and what follows the `}`.
fn read_reference(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let name_len = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(name_len);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some(after) = rest.strip_prefix('}') {
        return Some((name, None, after));
    }
    let (default, after) = rest.strip_prefix(":-")?.split_once('}')?;
    // References are not nested: the first `}` would end the wrong one.
    (!default.contains("${")).then_some((name, Some(default), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn environment(name: &str) -> Option<OsString> {
        let text = match name {
            "HOST" => Some("example.org".to_string()),
            "EMPTY" => Some(String::new()),
            "ODD" => Some("${HOST}".to_string()),
            _ => None,
        };
        text.map(Into::into)
    }

    fn check(text: &str, expected: &str) {
        let filled = fill(text, &environment).map(|filled| filled.value);
        assert_eq!(filled.as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn references_are_filled_in() {
        check("", "");
        check("plain $HOST {HOST} $", "plain $HOST {HOST} $");
        check("http://${HOST}/mcp", "http://example.org/mcp");
        check("${HOST}${HOST}", "example.orgexample.org");
        check("${PORT:-80}", "80");
        check("${HOST:-localhost}", "example.org");
        check("${EMPTY:-given}", "given");
        check("<${EMPTY}>", "<>");
        check("${PORT:-}", "");
        check("${PORT:-a:b-c d}", "a:b-c d");
        check("$${HOST}", "${HOST}");
        check("$$${HOST}", "$${HOST}");
        check("$${a}${HOST}", "${a}example.org");
    }

    #[test]
    fn references_are_shown_as_written_and_the_rest_as_it_means() {
        let check = |text: &str, expected: &str| {
            let filled = fill(text, &environment).map(|filled| filled.shown);
            assert_eq!(filled.as_deref(), Ok(expected), "{text}");
        };
        check("a$${b}", "a${b}");
        check("a$${b} {{c}} ${HOST}$", "a${b} {{c}} ${HOST}$");
        check("${PORT:-80} at ${HOST}", "${PORT:-80} at ${HOST}");
        check("$$${HOST}", "$${HOST}");
    }

    #[test]
    fn references_are_named_without_their_defaults() {
        for (text, expected) in [
            ("http://a/mcp", "http://a/mcp"),
            ("${A:-http://b}/${C}", "${A}/${C}"),
            ("${", "${"),
            ("${1:-x} ${B:-}", "${1:-x} ${B}"),
        ] {
            assert_eq!(without_defaults(text), expected);
        }
    }

    #[test]
    fn what_was_filled_in_is_not_read_again() {
        check("${ODD}", "${HOST}");
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_text_is_not_taken_for_unset() {
        use std::os::unix::ffi::OsStringExt as _;
        let not_text = |_: &str| Some(OsString::from_vec(vec![0xff]));
        for text in ["<${A}>", "${A:-default}"] {
            let fault = ReferenceFault::NotText("A".to_string());
            assert_eq!(fill(text, &not_text), Err(vec![fault]), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        let check = |text: &str, expected: &[ReferenceFault]| {
            assert_eq!(fill(text, &environment), Err(expected.to_vec()), "{text}");
        };
        let missing = |name: &str| ReferenceFault::Missing(name.to_string());
        check("${A} and ${HOST} and ${B}", &[missing("A"), missing("B")]);
        for text in [
            "${",
            "${}",
            "${1A}",
            "${HOST",
            "${HOST-x}",
            "${HOST:-x",
            "${A:-${HOST}}",
            "${ HOST }",
        ] {
            assert!(
                fill(text, &environment)
                    .is_err_and(|faults| faults.contains(&ReferenceFault::Malformed)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_default_is_no_secret() {
        let filled = fill("${HOST}${PORT:-8080}", &environment).expect("nothing is missing");
        assert_eq!(filled.from_environment, ["example.org"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"[\$\{\}:\-A-Zé ]{0,40}") {
            let _ = fill(&text, &environment);
        }

        #[test]
        fn a_text_without_dollars_is_kept(text in "[^$]{0,40}") {
            let filled = fill(&text, &environment).map(|filled| filled.value);
            prop_assert_eq!(filled, Ok(text));
        }
    }
}
