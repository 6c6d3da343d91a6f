//! The cookies of one user (RFC 6265), where they are kept at all.
//!
//! A client speaks to one server, so a jar holds the cookies of one host and
//! one path, and much of the RFC falls away. It is written here rather than
//! taken from a crate: ureq's own store sits behind its agent, which is not used, and
//! the crate below it brings twenty others for domains that cannot occur. No input
//! or output: what comes is given, with the time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Endpoint, HeaderValue};
use crate::redact::secrets_of_header;

/// Cookies of one user, and bytes of name and value of one (RFC 6265 section
/// 6.1 asks for at least these). A further one takes the oldest one's place; a
/// larger one is not kept.
const COOKIES_MAX: usize = 50;
const COOKIE_BYTES_MAX: usize = 4096;

/// Bytes of all cookies together, so that a request still fits one write.
const JAR_BYTES_MAX: usize = 16 * 1024;

/// One user's cookies.
#[derive(Debug)]
pub(super) struct CookieJar {
    host: String,
    path: String,
    is_https: bool,
    /// In the order in which they first came.
    cookies: Vec<Cookie>,
    /// What is sent; made anew when a cookie comes or goes.
    header: Option<HeaderValue>,
    /// When the first of them expires.
    next_expiry: Option<Instant>,
    /// The names that had secrets, each by its hash at its place.
    names: Vec<u64>,
    /// The place that the next name takes once none is free.
    oldest_name: usize,
}

#[derive(Debug)]
struct Cookie {
    name: Vec<u8>,
    value: Vec<u8>,
    path: String,
    /// `None`: with the session.
    expires: Option<Instant>,
}

impl CookieJar {
    /// An empty jar for what is sent to this endpoint.
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Self::of(endpoint.host(), endpoint.path(), endpoint.is_https())
    }

    fn of(host: &str, path: &str, is_https: bool) -> Self {
        Self {
            host: host.to_ascii_lowercase(),
            path: path.to_string(),
            is_https,
            cookies: Vec::new(),
            header: None,
            next_expiry: None,
            names: Vec::new(),
            oldest_name: 0,
        }
    }

    /// Requests go to another path of the host from now on.
    pub(super) fn go_to(&mut self, path: &str) {
        self.path = path.to_string();
        self.render();
    }

    /// Takes the value of a `Set-Cookie` header that came at `now`, which is
    /// `unix_secs` by the wall clock. Gives what of it is secret, whether it is kept or not,
    /// as a list, with the place among a user's cookies that its name has. `None` where
    /// nothing is: `lang=en` is shown.
    pub(super) fn take(
        &mut self,
        set_cookie: &[u8],
        now: Instant,
        unix_secs: u64,
    ) -> Option<(usize, Value)> {
        let read = read(set_cookie)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let secrets = secrets_of_header(&text(&read.name), &text(&read.value));
        let secrets = (!secrets.is_empty()).then(|| (self.place_of(&read.name), secrets.into()));
        self.put(read, now, unix_secs);
        secrets
    }

    /// Where the secrets of this name are kept: none takes the place of another's while
    /// there are at most [`COOKIES_MAX`].
    fn place_of(&mut self, name: &[u8]) -> usize {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let name = hasher.finish();
        if let Some(at) = self.names.iter().position(|known| *known == name) {
            return at;
        }
        if self.names.len() < COOKIES_MAX {
            self.names.push(name);
            return self.names.len() - 1;
        }
        let at = self.oldest_name;
        self.names[at] = name;
        self.oldest_name = (at + 1) % COOKIES_MAX;
        at
    }

    fn put(&mut self, read: Read, now: Instant, unix_secs: u64) {
        let is_ours = read
            .domain
            .as_deref()
            .is_none_or(|domain| self.is_of(domain));
        if !is_ours || read.is_secure && !self.is_https {
            return;
        }
        let left = match read.lives {
            Lives::Session => None,
            Lives::For(left) => Some(left),
            Lives::Until(end) => Some(Duration::from_secs(end.saturating_sub(unix_secs))),
        };
        let path = read.path.unwrap_or_else(|| default_path(&self.path));
        let known = self
            .cookies
            .iter()
            .position(|known| known.name == read.name && known.path == path);
        if left == Some(Duration::ZERO) {
            if let Some(at) = known {
                self.cookies.remove(at);
                self.render();
            }
            return;
        }
        let cookie = Cookie {
            name: read.name,
            value: read.value,
            path,
            // A time beyond what the clock can tell means no expiry.
            expires: left.and_then(|left| now.checked_add(left)),
        };
        match known {
            Some(at) => self.cookies[at] = cookie,
            None => self.cookies.push(cookie),
        }
        let n_bytes = |cookies: &[Cookie]| -> usize {
            cookies
                .iter()
                .map(|c| c.name.len() + c.value.len() + 3)
                .sum()
        };
        while self.cookies.len() > COOKIES_MAX || n_bytes(&self.cookies) > JAR_BYTES_MAX {
            self.cookies.remove(0);
        }
        self.render();
    }

    /// Drops the cookies that have expired: whether there were any. Asks for the
    /// time only where a cookie expires at all.
    pub(super) fn expire(&mut self, now: impl FnOnce() -> Instant) -> bool {
        let Some(expiry) = self.next_expiry else {
            return false;
        };
        let now = now();
        if now < expiry {
            return false;
        }
        self.cookies
            .retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
        self.render();
        true
    }

    /// The value of `Cookie`; `None` where no cookie belongs to the path.
    pub(super) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    fn render(&mut self) {
        self.next_expiry = self
            .cookies
            .iter()
            .filter_map(|cookie| cookie.expires)
            .min();
        let mut fitting: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|cookie| is_below(&self.path, &cookie.path))
            .collect();
        // Longer paths first; the sort keeps the older first among equals.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut text = Vec::new();
        for cookie in fitting {
            if !text.is_empty() {
                text.extend_from_slice(b"; ");
            }
            text.extend_from_slice(&cookie.name);
            text.push(b'=');
            text.extend_from_slice(&cookie.value);
        }
        self.header = (!text.is_empty())
            .then(|| HeaderValue::from_bytes(&text).ok())
            .flatten()
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
    }

    /// RFC 6265 section 5.1.3.
    fn is_of(&self, domain: &str) -> bool {
        let is_address = self.host.parse::<std::net::IpAddr>().is_ok();
        self.host == domain
            || !is_address
                && self
                    .host
                    .strip_suffix(domain)
                    .is_some_and(|front| front.ends_with('.'))
    }
}

/// A `Set-Cookie` header as it was sent.
struct Read {
    name: Vec<u8>,
    value: Vec<u8>,
    /// In lower case, without a leading dot.
    domain: Option<String>,
    path: Option<String>,
    lives: Lives,
    is_secure: bool,
}

#[derive(Debug, PartialEq)]
enum Lives {
    Session,
    For(Duration),
    /// Seconds since 1970.
    Until(u64),
}

/// RFC 6265 section 5.2. `None` where it is to be ignored.
fn read(set_cookie: &[u8]) -> Option<Read> {
    let mut parts = set_cookie.split(|byte| *byte == b';');
    let (name, value) = pair(parts.next()?);
    let value = value?;
    let is_control = |byte: &u8| *byte < b' ' && *byte != b'\t' || *byte == 0x7f;
    if name.is_empty()
        || name.len() + value.len() > COOKIE_BYTES_MAX
        || name.iter().chain(value).any(is_control)
    {
        return None;
    }
    let mut read = Read {
        name: name.to_vec(),
        value: value.to_vec(),
        domain: None,
        path: None,
        lives: Lives::Session,
        is_secure: false,
    };
    let mut max_age = None;
    for part in parts {
        let (name, value) = pair(part);
        let value = String::from_utf8_lossy(value.unwrap_or_default());
        match name.to_ascii_lowercase().as_slice() {
            b"expires" => read.lives = date(&value).map_or(read.lives, Lives::Until),
            b"max-age" => max_age = seconds(&value).or(max_age),
            b"domain" => {
                let domain = value.strip_prefix('.').unwrap_or(&value);
                read.domain = (!domain.is_empty()).then(|| domain.to_ascii_lowercase());
            }
            b"path" => {
                read.path = (value.starts_with('/') && value.len() <= COOKIE_BYTES_MAX)
                    .then(|| value.into_owned());
            }
            b"secure" => read.is_secure = true,
            _ => {}
        }
    }
    if let Some(max_age) = max_age {
        read.lives = Lives::For(max_age);
    }
    Some(read)
}

/// Name and value, without blanks around them.
fn pair(part: &[u8]) -> (&[u8], Option<&[u8]>) {
    match part.iter().position(|byte| *byte == b'=') {
        Some(at) => (part[..at].trim_ascii(), Some(part[at + 1..].trim_ascii())),
        None => (part.trim_ascii(), None),
    }
}

/// `Max-Age`: nothing and less is at once.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() < text.len() {
        return Some(Duration::ZERO);
    }
    Some(Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
}

/// RFC 6265 section 5.1.1: day, month, year and time in any order, whatever
/// else is between. In seconds since 1970; before that, 0.
pub(super) fn date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let is_delimiter = |c: char| !c.is_ascii_alphanumeric() && c != ':';
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        let lower = token.to_ascii_lowercase();
        let n_digits = token.bytes().take_while(u8::is_ascii_digit).count();
        let number = || token[..n_digits].parse::<u64>().ok();
        if time.is_none() && token.contains(':') {
            let mut parts = token.split(':').map(|part| part.parse::<u64>().ok());
            let mut next = || parts.next().flatten();
            time = Some((next()?, next()?, next()?));
        } else if day.is_none() && matches!(n_digits, 1 | 2) {
            day = number();
        } else if month.is_none() && MONTHS.iter().any(|name| lower.starts_with(name)) {
            month = MONTHS.iter().position(|name| lower.starts_with(name));
        } else if year.is_none() && matches!(n_digits, 2 | 4) {
            year = number();
        }
    }
    let (hour, minute, second) = time?;
    let (day, month) = (day?, month? as u64 + 1);
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    if !(1..=31).contains(&day) || year < 1601 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days from a civil date by Howard Hinnant, for years after 0.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let era_days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    let days = era_days.saturating_sub(719_468);
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// RFC 6265 section 5.1.4.
fn default_path(path: &str) -> String {
    match path.rfind('/') {
        Some(1..) if path.starts_with('/') => path[..path.rfind('/').unwrap_or(0)].to_string(),
        _ => "/".to_string(),
    }
}

fn is_below(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(jar: &mut CookieJar, now: Instant) -> String {
        jar.expire(|| now);
        jar.header().map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        })
    }

    /// What is sent to `https://app.example.com/api/mcp` after these, 10 s on.
    #[track_caller]
    fn check(set: &[&str], expected: &str) {
        let mut jar = CookieJar::of("app.example.com", "/api/mcp", true);
        let now = crate::clock::now();
        for value in set {
            jar.take(value.as_bytes(), now, 1_000_000);
        }
        let later = now + Duration::from_secs(10);
        assert_eq!(sent(&mut jar, later), expected, "{set:?}");
    }

    #[test]
    fn cookies_are_sent_back() {
        check(&[], "");
        check(&["a=1"], "a=1");
        check(&["a=1; Path=/; HttpOnly; SameSite=Lax"], "a=1");
        check(&["a=1", "b=2"], "a=1; b=2");
        check(&["a=1", "b=2", "a=3"], "a=3; b=2");
        check(&["a=\"x y\" ; Path=/"], "a=\"x y\"");
        check(&["a="], "a=");
        check(&["a=b=c"], "a=b=c");
        check(&["=1", "a", "", ";", "; a=1"], "");
    }

    #[test]
    fn they_go_where_they_belong() {
        check(
            &["a=1; Domain=example.com", "b=2; domain=.EXAMPLE.com"],
            "a=1; b=2",
        );
        check(
            &[
                "a=1; Domain=other.com",
                "b=2; Domain=ample.com",
                "c=3; Domain=x.app.example.com",
            ],
            "",
        );
        check(
            &["a=1; Path=/api", "b=2; Path=/api/mcp", "c=3; Path=/"],
            "b=2; a=1; c=3",
        );
        check(
            &["a=1; Path=/ap", "b=2; Path=/api/mcp/x", "c=3; Path=/other"],
            "",
        );
        check(&["a=1; Path=relative"], "a=1");
        check(&["a=1; Secure"], "a=1");
        let mut plain = CookieJar::of("10.0.0.1", "/mcp", false);
        let now = crate::clock::now();
        plain.take(b"a=1; Secure", now, 0);
        plain.take(b"b=2; Domain=0.0.1", now, 0);
        plain.take(b"c=3; Domain=10.0.0.1", now, 0);
        assert_eq!(sent(&mut plain, now), "c=3");
        plain.go_to("/x/y");
        assert_eq!(sent(&mut plain, now), "c=3");
    }

    #[test]
    fn they_expire() {
        check(
            &[
                "a=1; Max-Age=9",
                "b=2; Max-Age=11",
                "c=3; Max-Age=99999999999999999999",
            ],
            "b=2; c=3",
        );
        check(&["a=1", "a=; Max-Age=0"], "");
        check(&["a=1", "a=; Max-Age=-5"], "");
        check(&["a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "");
        // Max-Age wins; what cannot be read does not count.
        check(
            &["a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
            "a=1",
        );
        check(&["a=1; Expires=soon; Max-Age=x"], "a=1");
        // 1,000,000 s after 1970 is 1970-01-12 13:46:40.
        check(&["a=1; Expires=Mon, 12 Jan 1970 13:46:45 GMT"], "");
        check(&["a=1; Expires=Mon, 12 Jan 1970 13:46:55 GMT"], "a=1");
        check(&["a=1; Expires=Monday, 12-Jan-70 13:46:55 GMT"], "a=1");
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date("Sun Nov  6 08:49:37 1994"), Some(784_111_777));
        assert_eq!(date("29 Feb 2000 12:34:56"), Some(951_827_696));
        for text in [
            "",
            "1 Jan 2000",
            "40 Jan 2000 00:00:00",
            "1 Jan 2000 25:00:00",
            "1 Jan 1500 00:00:00",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn a_jar_is_bounded() {
        let mut jar = CookieJar::of("h", "/", false);
        let now = crate::clock::now();
        for n in 0..1_000 {
            jar.take(
                format!("n{n}={}", "x".repeat(7 * n % 5000)).as_bytes(),
                now,
                0,
            );
            assert!(jar.cookies.len() <= COOKIES_MAX);
            assert!(sent(&mut jar, now).len() <= JAR_BYTES_MAX);
        }
    }

    #[test]
    fn no_name_takes_the_place_of_anothers_secrets_while_there_is_room() {
        let mut jar = CookieJar::of("h", "/", false);
        let now = crate::clock::now();
        let mut place = |n: usize| {
            let secret = format!("sid{n}=a-secret-that-is-long-{n}");
            jar.take(secret.as_bytes(), now, 0).expect("a secret").0
        };
        let places: Vec<usize> = (0..COOKIES_MAX).map(&mut place).collect();
        assert_eq!(places, (0..COOKIES_MAX).collect::<Vec<_>>());
        assert_eq!(place(7), 7);
        // The oldest make room.
        assert_eq!([place(1_000), place(1_001)], [0, 1]);
        assert_eq!(jar.names.len(), COOKIES_MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(values: Vec<Vec<u8>>, path: String) {
            let mut jar = CookieJar::of("h", &path, false);
            let now = crate::clock::now();
            for value in &values {
                jar.take(value, now, 0);
            }
            jar.expire(|| now + Duration::from_secs(1));
        }

        #[test]
        fn no_date_panics(text in "[ -~]{0,30}", year: u64) {
            date(&text);
            date(&format!("1 Jan {year} 00:00:00"));
        }
    }
}
