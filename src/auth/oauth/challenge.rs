//! The challenge of a 401 or 403, as RFC 6750 and RFC 9728 fill it. Pure, and lenient:
//! what cannot be read is left out.

use crate::protocol::bearer_challenge;

/// What a server says of the token that it wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BearerChallenge {
    /// Where the server's metadata lies (RFC 9728 §5.1).
    pub(super) resource_metadata: Option<String>,
    /// The scopes that a token needs here; none where it does not say.
    pub(super) scopes: Vec<String>,
    /// Such as `insufficient_scope`.
    pub(super) error: Option<String>,
}

/// Reads the parameters of the challenge for a bearer, among others or alone.
pub(super) fn read(header: &str) -> BearerChallenge {
    let Some((_, bearer)) = bearer_challenge([header.as_bytes()].into_iter()) else {
        return BearerChallenge::default();
    };
    let param = |name| bearer.param(name).map(str::to_string);
    let scopes = bearer.param("scope").unwrap_or_default();
    BearerChallenge {
        resource_metadata: param("resource_metadata"),
        scopes: scopes.split_whitespace().map(str::to_string).collect(),
        error: param("error"),
    }
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
