//! Resolves a reference against a base, as RFC 3986, section 5.2 says.
//!
//! Text in, text out: it knows no address and does not judge where a reference
//! leads. The base is a URI with an authority, whose parts are given.

/// The parts of a URI; `None` where one is absent, which differs from empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) scheme: Option<&'a str>,
    pub(super) authority: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Splits a reference (RFC 3986, appendix B); what a fragment says is the
    /// reader's own affair, and is left out.
    pub(super) fn of(reference: &'a str) -> Self {
        let rest = reference.split('#').next().unwrap_or_default();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (scheme, rest) = match rest.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            _ => (None, rest),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        Self {
            scheme,
            authority,
            path,
            query,
        }
    }
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// A reference that was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResolvedReference<'a> {
    pub(super) scheme: &'a str,
    /// `None` where the reference names a scheme but no authority.
    pub(super) authority: Option<&'a str>,
    /// Without dot segments.
    pub(super) path: String,
    pub(super) query: Option<&'a str>,
}

/// Where `reference` leads from `base`. The base has a scheme, an authority and
/// a path.
pub(super) fn resolve<'a>(base: Parts<'a>, reference: Parts<'a>) -> ResolvedReference<'a> {
    let base_scheme = base.scheme.unwrap_or_default();
    if reference.scheme.is_some() || reference.authority.is_some() {
        return ResolvedReference {
            scheme: reference.scheme.unwrap_or(base_scheme),
            authority: reference.authority,
            path: without_dots(reference.path),
            query: reference.query,
        };
    }
    let (path, query) = if reference.path.is_empty() {
        (base.path.to_string(), reference.query.or(base.query))
    } else if reference.path.starts_with('/') {
        (without_dots(reference.path), reference.query)
    } else {
        // All of the base's path but its last segment.
        let folder = base.path.rfind('/').map_or("/", |at| &base.path[..=at]);
        (
            without_dots(&format!("{folder}{}", reference.path)),
            reference.query,
        )
    };
    ResolvedReference {
        scheme: base_scheme,
        authority: base.authority,
        path,
        query,
    }
}

/// Removes dot segments (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // What a dot segment at the end leaves is a folder.
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    let joined = kept.join("/");
    if is_absolute {
        format!("/{joined}")
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolved(base: &str, reference: &str) -> String {
        let target = resolve(Parts::of(base), Parts::of(reference));
        let mut text = format!("{}:", target.scheme);
        if let Some(authority) = target.authority {
            text += "//";
            text += authority;
        }
        text += &target.path;
        if let Some(query) = target.query {
            text += "?";
            text += query;
        }
        text
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // Sections 5.4.1 and 5.4.2, without fragments.
        for (reference, expected) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g#s/./x", "http://a/b/c/g"),
            ("http:g", "http:g"),
        ] {
            assert_eq!(
                resolved("http://a/b/c/d;p?q", reference),
                expected,
                "{reference}"
            );
        }
    }

    #[test]
    fn a_base_without_a_path_is_a_root() {
        assert_eq!(resolved("http://a", "g"), "http://a/g");
        assert_eq!(resolved("http://a", "../g"), "http://a/g");
        assert_eq!(resolved("http://a/mcp", "mcp/"), "http://a/mcp/");
        assert_eq!(resolved("http://a/mcp", "a:b"), "a:b");
        assert_eq!(resolved("http://a/mcp", "./a:b"), "http://a/a:b");
        assert_eq!(resolved("http://a/mcp", "1:b"), "http://a/1:b");
    }

    proptest! {
        #[test]
        fn paths_below_a_host_stay_there(reference in "[a-c./?#:]{0,20}") {
            let target = resolve(Parts::of("http://a/b/c/d"), Parts::of(&reference));
            if Parts::of(&reference).scheme.is_none() && !reference.starts_with("//") {
                prop_assert_eq!(target.authority, Some("a"));
                prop_assert!(target.path.starts_with('/'));
                let dots = target.path.split('/').any(|it| matches!(it, "." | ".."));
                prop_assert!(!dots, "{}", target.path);
            }
        }

        #[test]
        fn no_text_panics(base: String, reference: String) {
            let _any_answer_will_do = resolve(Parts::of(&base), Parts::of(&reference));
        }
    }
}
