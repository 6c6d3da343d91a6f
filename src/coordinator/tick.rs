//! When a tick, by its number, ended: ticks are counted from the start of the load,
//! and number 0 is from before it.

use std::time::Duration;

use crate::worker::TICK;

/// Ticks of one second.
pub(super) const TICKS_PER_SECOND: u64 = 4;

/// The end of the tick of that number, or the length of as many ticks.
pub(super) fn tick_end(number: u64) -> Duration {
    TICK.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Whether a tick belongs to a warm-up of that length.
pub(super) fn is_warm_up(number: u64, warm_up: Duration) -> bool {
    tick_middle(number) < warm_up
}

/// The middle of the tick.
pub(super) fn tick_middle(number: u64) -> Duration {
    tick_end(number).saturating_sub(TICK / 2)
}
