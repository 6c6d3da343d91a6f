//! Where the config or a flag says what a call is, for faults that are found when the plan
//! is used. It does not know what is at fault.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::place;

/// A key of the config, or a flag. Its line is counted when it is told: a plan may have
/// very many, of which few are.
#[derive(Clone)]
pub(crate) struct WrittenAt {
    /// What the config is called, and its text; `None`: there is none.
    config: Option<Arc<(PathBuf, String)>>,
    key: String,
    /// Bytes from the start of the text; `None`: the command line.
    offset: Option<usize>,
}

impl WrittenAt {
    pub(super) fn new(
        config: Option<Arc<(PathBuf, String)>>,
        key: String,
        offset: Option<usize>,
    ) -> Self {
        Self {
            config,
            key,
            offset,
        }
    }

    /// The path of the key, or the flag as it is typed.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// What comes first in the file comes first, and flags come last.
    pub(crate) fn order(&self) -> usize {
        self.offset.unwrap_or(usize::MAX)
    }
}

/// `a.toml:3:6: scenario[2].tool`, or `--tool`.
impl fmt::Display for WrittenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.config, self.offset) {
            (Some(config), Some(offset)) => {
                let path: Option<&Path> = Some(&config.0);
                f.write_str(&place(path, &config.1, offset, &self.key))
            }
            _ => f.write_str(&self.key),
        }
    }
}

/// Where the parts of one call are written.
#[derive(Clone)]
pub(crate) struct WrittenCall {
    /// The call as a whole.
    pub(crate) whole: WrittenAt,
    /// What is called, where the call names it: the tool, prompt or resource.
    pub(crate) subject: Option<WrittenAt>,
    /// Its arguments, where it gives any.
    pub(crate) arguments: Option<WrittenAt>,
    /// Where its marker goes, where it says so.
    pub(crate) isolation: Option<WrittenAt>,
}

/// Where a call is written is no part of what it does.
impl PartialEq for WrittenCall {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for WrittenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole.key)
    }
}

impl WrittenCall {
    /// Where the call says what it calls.
    pub(crate) fn subject(&self) -> &WrittenAt {
        self.subject.as_ref().unwrap_or(&self.whole)
    }

    /// Where it gives arguments, or should.
    pub(crate) fn arguments(&self) -> &WrittenAt {
        self.arguments.as_ref().unwrap_or_else(|| self.subject())
    }

    /// Where it says that it is marked.
    pub(crate) fn isolation(&self) -> &WrittenAt {
        self.isolation.as_ref().unwrap_or(&self.whole)
    }
}
