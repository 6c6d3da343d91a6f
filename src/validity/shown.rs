//! Figures as they are shown in reasons.

use crate::units::format_percent;

/// One decimal: shares near a threshold differ there.
pub(super) fn percent(share: f64) -> String {
    let rounded = (share * 1_000.0).round() / 1_000.0;
    format_percent(if rounded > 0.0 { rounded } else { share })
}
