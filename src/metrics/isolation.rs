//! Markers that went out with calls, and those that came back.

/// What came of looking for markers in all answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IsolationCounts {
    /// Calls with a marker that succeeded or failed.
    pub marked: u64,
    /// Of these, the ones whose answer had a marker of the same user.
    pub returned: u64,
    /// Requests of any kind whose answer had a marker of another user, and messages of
    /// streams that had one.
    pub foreign: u64,
    /// Requests of any kind whose answer had a marker of another run.
    pub other_runs: u64,
}

impl IsolationCounts {
    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.marked += other.marked;
        self.returned += other.returned;
        self.foreign += other.foreign;
        self.other_runs += other.other_runs;
    }
}
