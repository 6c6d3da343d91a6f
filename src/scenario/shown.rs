//! A value beside what is shown in its place.

use std::fmt;

use serde::{Serialize, Serializer};

/// A value, and what is shown in its place: the same thing as the user wrote it,
/// without secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shown<T> {
    /// To use. It may hold secrets.
    pub value: T,
    /// To show.
    pub shown: T,
}

impl<T> Shown<T> {
    /// Makes the same of both.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Shown<U> {
        Shown {
            value: make(self.value),
            shown: make(self.shown),
        }
    }

    /// Pairs both with those of another.
    pub fn zip<U>(self, other: Shown<U>) -> Shown<(T, U)> {
        Shown {
            value: (self.value, other.value),
            shown: (self.shown, other.shown),
        }
    }
}

/// What holds no secret is shown as it is.
impl<T: Clone> From<T> for Shown<T> {
    fn from(value: T) -> Self {
        Self {
            shown: value.clone(),
            value,
        }
    }
}

/// Never shows the value.
impl<T: fmt::Debug> fmt::Debug for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

/// Never shows the value.
impl<T: Serialize> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown.serialize(serializer)
    }
}
