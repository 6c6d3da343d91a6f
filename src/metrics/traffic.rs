//! What calls have more or less of: bytes, events.

/// Bytes of HTTP heads and bodies, as TLS takes and gives them, or what else calls have
/// more or less of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Of all together.
    pub sum: u64,
    /// Of the largest.
    pub max: u64,
}

impl Traffic {
    pub(super) fn add(&mut self, n_bytes: u64) {
        self.sum += n_bytes;
        self.max = self.max.max(n_bytes);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }
}
