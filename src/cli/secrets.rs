//! What of the command line and the environment is secret.

use std::ffi::OsString;

use crate::address;
use crate::error::UserError;
use crate::redact::{MASK, Redactor, is_scheme, secrets_of_command, secrets_of_header};
use crate::scenario::{Header, check_collector_header, check_header};
use crate::text::percent_decoded;

const API_KEY: &str = "MCP_API_KEY";

/// A token as a header; `by` is the flag or the variable that gave it.
///
/// # Errors
/// Where it cannot go into a header.
pub(super) fn bearer(by: &str, key: &str) -> Result<Header, UserError> {
    check_header("Authorization", &credentials(key))
        .map_err(|why| UserError::usage(format!("`{by}` {why}")))
}

/// A token as the value of its header.
fn credentials(key: &str) -> String {
    format!("Bearer {}", key.trim())
}

/// The token of the environment as a header, if there is one.
///
/// # Errors
/// Where it is no text, or cannot go into a header.
pub(super) fn header_of_environment() -> Result<Option<Header>, UserError> {
    let key = variable(API_KEY)?;
    key.map(|key| bearer(API_KEY, &key)).transpose()
}

/// What of the environment is secret by its name.
pub(super) fn secrets_of_environment() -> Vec<String> {
    let names = [API_KEY, "MCP_OAUTH_CLIENT_SECRET"];
    // What is no text is used nowhere.
    let own = names.into_iter().filter_map(|name| variable(name).ok()?);
    let (_, of_collectors) = collector_headers_written().unwrap_or_default();
    own.chain(
        of_collectors
            .into_iter()
            .flat_map(|(name, value)| secrets_of_header(&name, &value)),
    )
    .collect()
}

/// The headers for collectors, as exporters of OpenTelemetry take them from the
/// environment: `name=value,name=value`, percent-encoded. Those for metrics alone come
/// first.
///
/// # Errors
/// Where one is no header, not the user's to set, or no text, as a message without the value.
pub(super) fn collector_headers() -> Result<Vec<Header>, UserError> {
    let (by, entries) = collector_headers_written()?;
    let n_entries = entries.len();
    if n_entries > COLLECTOR_HEADERS_MAX {
        let what =
            format!("`{by}` has {n_entries} headers, at most {COLLECTOR_HEADERS_MAX} are sent");
        return Err(UserError::usage(what));
    }
    let checked = (1..).zip(entries).map(|(nth, (name, value))| {
        check_collector_header(&name, &value).map_err(|why| {
            UserError::usage(format!("entry {nth} of `{by}` {why}"))
                .hint("it is a list such as `Authorization=Bearer%20abc,X-Team=load`")
        })
    });
    checked.collect()
}

const COLLECTOR_HEADERS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];
const COLLECTOR_HEADERS_MAX: usize = 32;

/// Name and value of a header, not checked.
type WrittenHeader = (String, String);

/// The variable that they are from, and names and values as they are written.
fn collector_headers_written() -> Result<(&'static str, Vec<WrittenHeader>), UserError> {
    let mut said = COLLECTOR_HEADERS.into_iter().filter_map(|name| {
        let text = variable(name).transpose()?;
        Some(text.map(|text| (name, text)))
    });
    let (by, text) = said.next().transpose()?.unwrap_or_default();
    let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
    let decoded = |part: &str| {
        let bytes = percent_decoded(part.trim());
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let entries = entries.map(|entry| {
        // Without a name it is no header; it may be a secret all the same.
        let (name, value) = entry.split_once('=').unwrap_or(("", entry));
        (decoded(name), decoded(value))
    });
    Ok((by, entries.collect()))
}

/// A variable of the environment that says something.
///
/// # Errors
/// Where that is no UTF-8.
pub(super) fn variable(name: &str) -> Result<Option<String>, UserError> {
    let value = std::env::var_os(name).map(OsString::into_string);
    // Not shown, since it may be a secret.
    let value = value
        .transpose()
        .map_err(|_| UserError::usage(format!("the environment variable `{name}` is not UTF-8")))?;
    Ok(value.filter(|value| !value.trim().is_empty()))
}

/// A scheme and what follows it.
const UNQUOTED_WORDS_MAX: usize = 2;

/// The flags whose value is a secret.
const SECRET_FLAGS: [&str; 5] = [
    "--api-key",
    "--oauth-client-secret",
    "--token-command",
    "--header",
    "-H",
];

/// Whether the value of such a flag is `Name: value`.
fn is_of_header(flag: &str) -> bool {
    matches!(flag, "--header" | "-H")
}

/// Everything secret that the user gave outside of a config, known before a word
/// of it is understood: keys, headers, credentials in addresses.
pub(super) fn given_secrets(words: &[String], of_environment: Vec<String>) -> Vec<String> {
    let keys = of_environment.iter().map(|key| credentials(key));
    let mut secrets: Vec<String> = keys.collect();
    let mut unquoted: Vec<&String> = Vec::new();
    let mut of_flag = |flag: &str, value: &str| {
        if flag == "--token-command" {
            secrets.extend(secrets_of_command(value));
        } else if !is_of_header(flag) {
            secrets.push(value.trim().to_string());
        } else {
            match value.split_once(':') {
                Some((name, value)) => secrets.extend(secrets_of_header(name, value)),
                // A header without its name is a secret all the same.
                None => secrets.push(value.to_string()),
            }
        }
    };
    for (i, word) in words.iter().enumerate() {
        // As curl takes it.
        if let Some(header) = word.strip_prefix("-H").filter(|header| !header.is_empty()) {
            of_flag("-H", header.trim_start_matches('='));
        }
        let before = i.checked_sub(1).and_then(|before| words.get(before));
        if let Some(flag) = before.filter(|flag| SECRET_FLAGS.contains(&flag.as_str())) {
            of_flag(flag, word);
            // Without quotes around the header, its value is the next words.
            if is_of_header(flag) && word.ends_with(':') {
                let behind = words[i + 1..].iter().take(UNQUOTED_WORDS_MAX);
                let mut behind = behind.take_while(|word| !word.starts_with('-')).peekable();
                behind.next_if(|word| is_scheme(word));
                unquoted.extend(behind.next());
            }
        } else if let Some((flag, value)) = word.split_once('=')
            && SECRET_FLAGS.contains(&flag)
        {
            of_flag(flag, value);
        }
    }
    secrets.extend(unquoted.into_iter().cloned());
    for word in words {
        if word.contains("://") || word.contains('@') || word.contains('?') {
            secrets.extend(address::secrets(word));
        }
    }
    let of_key: Vec<String> = secrets
        .iter()
        .filter_map(|secret| secret.strip_prefix("Bearer "))
        .map(str::to_string)
        .collect();
    secrets.extend(of_key);
    secrets
}

/// The command line for the report: what follows a flag that carries a secret
/// is left out, and so is every known secret elsewhere.
pub(super) fn redacted_command_line(words: &[String], redactor: &Redactor) -> Vec<String> {
    let mut shown: Vec<String> = Vec::with_capacity(words.len());
    let mut hide_next = false;
    for word in words {
        if std::mem::take(&mut hide_next) {
            shown.push(match word.split_once(':') {
                Some((name, _)) if shown.last().is_some_and(|flag| is_of_header(flag)) => {
                    format!("{name}: {MASK}")
                }
                _ => MASK.to_string(),
            });
            continue;
        }
        if let Some(header) = word.strip_prefix("-H")
            && let Some((name, _)) = header.split_once(':')
        {
            shown.push(format!("-H{name}: {MASK}"));
            continue;
        }
        match word.split_once('=') {
            Some((flag, _)) if SECRET_FLAGS.contains(&flag) => {
                shown.push(format!("{flag}={MASK}"));
                continue;
            }
            _ => hide_next = SECRET_FLAGS.contains(&word.as_str()),
        }
        let word = match word.contains("://") {
            true => address::shown(word),
            false => word.clone(),
        };
        shown.push(redactor.clean(word));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_the_command_line() {
        let words: Vec<String> = [
            "cargo-pmcp",
            "loadtest",
            "run",
            "http://x/mcp?key=tok-123",
            "--api-key",
            "tok-123",
            "--oauth-client-secret",
            "a:b",
            "-H",
            "X-Key: abc",
            "--header=A: b",
            "-HB: c",
            "--vus",
            "5",
        ]
        .map(String::from)
        .to_vec();
        let shown = redacted_command_line(&words, &Redactor::new(["tok-123"])).join(" ");
        assert_eq!(
            shown,
            "cargo-pmcp loadtest run http://x/mcp?key=*** --api-key *** \
             --oauth-client-secret *** -H X-Key: *** \
             --header=*** -HB: *** --vus 5"
        );
    }

    #[test]
    fn what_is_secret_is_known_before_it_is_understood() {
        let words = [
            "x",
            "--api-key",
            "tok-123",
            "-H",
            "X-Key: abc",
            "-H=Y-Key: def",
            "-HZ-Key: ghi",
            "-H",
            "Authorization:",
            "Bearer",
            "jkl",
            "http://u:pw@h/?token=t4",
            "--header",
            "no-colon",
            "--token-command=fetch --client-secret s3 -d 'password=s4&x=1'",
        ];
        let words = words.map(String::from);
        let secrets = given_secrets(&words, vec!["env-key".to_string()]);
        for secret in [
            "tok-123", "abc", "def", "ghi", "jkl", "u:pw", "pw", "t4", "no-colon", "env-key", "s3",
            "s4",
        ] {
            assert!(
                secrets.iter().any(|known| known == secret),
                "{secret}: {secrets:?}"
            );
        }
    }
}
