//! What is drawn again and again in its place, and who may take it away.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::streams::tell_at_once;

/// To the start of the row, and nothing from there on: an empty screen below the cursor,
/// which is at the first character of what is drawn.
pub const CLEAR: &[u8] = b"\r\x1b[J";

/// Whoever draws may wait for the terminal, and what is before a signal must not.
const DRAWING_TIMEOUT: Duration = Duration::from_millis(200);

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
        self.drawn.lock()
    }

    /// Takes what is drawn on stderr away, does something before which the screen has to be
    /// the shell's again, such as to stop, and lets draw anew, wherever the cursor is then.
    /// What is drawn stays where the terminal takes nothing.
    pub fn leave(&self, act: impl FnOnce()) {
        let mut drawn = self.drawn.try_lock_for(DRAWING_TIMEOUT);
        let is_there = drawn
            .as_mut()
            .is_some_and(|it| std::mem::take(&mut it.is_there));
        if is_there {
            tell_at_once(CLEAR);
        }
        act();
    }

    /// Takes what is drawn on stderr away for good, where that can be done at once: the
    /// process ends.
    pub fn abandon(&self) {
        self.leave(|| ());
    }
}
