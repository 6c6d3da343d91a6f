//! Tokens out of a file that somebody else keeps up to date.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::reading::{TEXT_BYTES_MAX, read_token};
use super::{Fault, Source, Token, Why};
use crate::files::read_text;

/// The file is read again this often: whoever rewrites it, such as Kubernetes for the
/// token of a service account, leaves more time than this before the old one ends.
const EVERY: Duration = Duration::from_secs(5);

/// A file with a token.
pub struct FileSource {
    path: PathBuf,
}

impl FileSource {
    /// The file at this path.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Source for FileSource {
    fn fetch(&mut self, _: Why, _: Instant) -> Result<Token, Fault> {
        let path = self.path.display();
        let text = read_text(&self.path, TEXT_BYTES_MAX as u64)
            .map_err(|why| Fault::again(format!("the token file `{path}` {why}")))?;
        read_token(&text, crate::clock::system_now())
            .map_err(|why| Fault::again(format!("what the token file `{path}` holds {why}")))
    }

    fn about(&self) -> String {
        format!("from the file `{}`, read again", self.path.display())
    }

    fn looks_again(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn may_be_left_alone(&self) -> bool {
        true
    }
}
