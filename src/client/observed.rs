//! What is kept of a call's answers beside what they say: decided before the load, so that a
//! call of which nothing is kept costs nothing more.

use std::net::SocketAddr;

/// What is kept of the answers of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// The names of headers.
    pub headers: Vec<String>,
}

/// What was kept of a call's answer, and of how it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Those of the headers that it had, as they are named in [`Kept`].
    pub headers: Vec<(String, String)>,
    /// Where its connection led; `None` where there was none.
    pub peer: Option<SocketAddr>,
}

impl Observed {
    /// The value of a header that was kept.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}
