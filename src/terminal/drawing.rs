//! What bars and marks are drawn with.

use std::borrow::Cow;

/// The characters that a reader has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Drawing {
    /// Blocks and `…`.
    #[default]
    Unicode,
    /// `#` and `...`.
    Ascii,
}

impl Drawing {
    /// Stands where something is left out.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Unicode => "…",
            Self::Ascii => "...",
        }
    }

    /// Bytes of as much of the mark as `width` columns hold.
    pub(super) fn bytes_of_mark(self, width: usize) -> usize {
        match self {
            Self::Unicode if width == 0 => 0,
            Self::Unicode => self.mark().len(),
            Self::Ascii => self.mark().len().min(width),
        }
    }

    /// A bar of a share of `width` columns, in eighths of one where there are
    /// such. Whatever is more than nothing shows.
    pub fn bar(self, share: f64, width: usize) -> String {
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let steps = match self {
            Self::Unicode => 8,
            Self::Ascii => 1,
        };
        // A cast from a float saturates, and no number gives 0.
        let n_steps = (share.clamp(0.0, 1.0) * (width * steps) as f64).round() as usize;
        let n_steps = n_steps.max(usize::from(share > 0.0 && width > 0));
        match self {
            Self::Unicode => format!("{}{}", "█".repeat(n_steps / 8), EIGHTHS[n_steps % 8]),
            Self::Ascii => "#".repeat(n_steps),
        }
    }

    /// A text with the marks that we write ourselves in these characters. What
    /// others have named stays as it is.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        const ASCII: [(char, &str); 5] = [
            ('…', "..."),
            ('→', "->"),
            ('±', "+/-"),
            ('·', "*"),
            ('−', "-"),
        ];
        let ascii = |c| ASCII.iter().find(|(known, _)| *known == c);
        if self == Self::Unicode || !text.chars().any(|c| ascii(c).is_some()) {
            return Cow::Borrowed(text);
        }
        let mut drawn = String::with_capacity(text.len());
        for c in text.chars() {
            match ascii(c) {
                Some((_, instead)) => drawn.push_str(instead),
                None => drawn.push(c),
            }
        }
        Cow::Owned(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        let check = |share, width, unicode: &str, ascii: &str| {
            assert_eq!(Drawing::Unicode.bar(share, width), unicode, "{share}");
            assert_eq!(Drawing::Ascii.bar(share, width), ascii, "{share}");
        };
        check(0.0, 4, "", "");
        check(1e-6, 4, "▏", "#");
        check(1.0 / 32.0, 4, "▏", "#");
        check(0.5, 4, "██", "##");
        check(3.0 / 64.0, 32, "█▌", "##");
        check(1.0, 4, "████", "####");
        check(9.0, 4, "████", "####");
        check(0.5, 0, "", "");
        check(f64::NAN, 4, "", "");
    }

    #[test]
    fn our_marks_have_ascii_forms() {
        assert_eq!(
            Drawing::Ascii.text("10 → 20, ±10 % …"),
            "10 -> 20, +/-10 % ..."
        );
        assert_eq!(Drawing::Ascii.text("道具"), "道具");
        assert_eq!(Drawing::Unicode.text("→"), "→");
    }
}
