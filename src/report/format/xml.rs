//! Texts as XML allows them.

use crate::text::blanked;

/// A text that may stand in XML 1.0, on one line: that forbids controls and two
/// more characters, even as references.
pub(super) fn xml_text(text: &str) -> String {
    blanked(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
