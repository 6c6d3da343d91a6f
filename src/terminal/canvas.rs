//! What is drawn again and again in its place, and who may take it away.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// To the start of the row, and nothing from there on: an empty screen below the cursor,
/// which is at the first character of what is drawn.
pub const CLEAR: &[u8] = b"\r\x1b[J";

/// The place on a terminal where something is drawn. Its clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Canvas {
    drawn: Arc<Mutex<Drawn>>,
}

/// What is at the place.
#[derive(Debug, Default)]
pub struct Drawn {
    /// Something does, and the cursor is at its first character.
    pub is_there: bool,
}

impl Canvas {
    /// What is there; nobody else draws until it is given back.
    pub fn lock(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is drawn on stderr away, does something before which the screen has to be
    /// the shell's again, such as to stop, and lets draw anew, wherever the cursor is then.
    pub fn leave(&self, act: impl FnOnce()) {
        let mut drawn = self.lock();
        if std::mem::take(&mut drawn.is_there) {
            let mut out = std::io::stderr().lock();
            // Nobody is left to be told.
            let _ = out.write_all(CLEAR).and_then(|()| out.flush());
        }
        act();
    }
}
