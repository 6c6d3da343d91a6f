//! The challenge of a 401 or 403: `WWW-Authenticate` as RFC 9110 §11.6.1 writes it and
//! RFC 6750, RFC 9728 fill it. Pure, and lenient: what cannot be read is left out.

/// What a server says of the token that it wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Where the server's metadata lies (RFC 9728 §5.1).
    pub(super) resource_metadata: Option<String>,
    /// The scopes that a token needs here; none where it does not say.
    pub(super) scopes: Vec<String>,
    /// Such as `insufficient_scope`.
    pub(super) error: Option<String>,
}

/// Reads the parameters of the `Bearer` challenge, among others or alone.
pub(super) fn read(header: &str) -> Challenge {
    let mut challenge = Challenge::default();
    let mut is_bearer = false;
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let word_len = rest.find(|c: char| " ,=\t\"".contains(c));
        let (word, behind) = rest.split_at(word_len.unwrap_or(rest.len()));
        let behind = behind.trim_start();
        if let Some(behind) = behind.strip_prefix('=').filter(|_| !word.is_empty()) {
            let (value, behind) = value(behind.trim_start());
            if is_bearer {
                let scopes = value.split_whitespace().map(str::to_string);
                match word.to_ascii_lowercase().as_str() {
                    "resource_metadata" => challenge.resource_metadata = Some(value),
                    "scope" => challenge.scopes = scopes.collect(),
                    "error" => challenge.error = Some(value),
                    _ => {}
                }
            }
            rest = behind;
        } else {
            if !word.is_empty() {
                is_bearer = word.eq_ignore_ascii_case("bearer");
            }
            // A quote that opens nothing is passed by, as are commas.
            let n = usize::from(word.is_empty());
            rest = behind.get(n..).unwrap_or_default();
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    challenge
}

/// A token or a quoted text, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let len = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..len].to_string(), &text[len..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bearer_challenge_is_read_among_others() {
        let check = |header: &str, metadata: Option<&str>, scopes: &[&str], error: Option<&str>| {
            let challenge = read(header);
            assert_eq!(challenge.resource_metadata.as_deref(), metadata, "{header}");
            assert_eq!(challenge.scopes, scopes, "{header}");
            assert_eq!(challenge.error.as_deref(), error, "{header}");
        };
        let url = Some("https://a/.well-known/oauth-protected-resource");
        check("Bearer", None, &[], None);
        check(
            r#"Bearer resource_metadata="https://a/.well-known/oauth-protected-resource", scope="a b""#,
            url,
            &["a", "b"],
            None,
        );
        check(
            r#"Basic realm="x, y", bearer error = insufficient_scope , SCOPE="c""#,
            None,
            &["c"],
            Some("insufficient_scope"),
        );
        check(
            r#"Bearer error="a\"b", Digest scope="not ours""#,
            None,
            &[],
            Some("a\"b"),
        );
        check(r#"scope="of no scheme""#, None, &[], None);
        check("Bearer scope=\"open", None, &["open"], None);
        check("Bearer ,,, error=x", None, &[], Some("x"));
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_reader(header in ".*", tail in "[ ,=\"\\\\a]{0,20}") {
            read(&header);
            read(&format!("Bearer {tail}"));
        }
    }
}
