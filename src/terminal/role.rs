//! What a piece of text is, and the colour that follows.

use termcolor::{Color, ColorSpec};

/// What a piece of text is, from which its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Ordinary text.
    #[default]
    Plain,
    /// A heading, or the one figure that matters.
    Strong,
    /// All is well.
    Success,
    /// To be looked at.
    Warning,
    /// Something failed.
    Error,
    /// What to try next.
    Hint,
    /// A name, a path, a bar.
    Accent,
    /// Of less weight.
    Dim,
}

impl Role {
    /// How the role looks where there is colour. Only the eight colours that
    /// every palette defines, so that it reads on dark and light grounds.
    pub fn color_spec(self) -> ColorSpec {
        let mut spec = ColorSpec::new();
        match self {
            Self::Plain => {}
            Self::Strong => {
                spec.set_bold(true);
            }
            Self::Success => {
                spec.set_fg(Some(Color::Green));
            }
            Self::Warning => {
                spec.set_fg(Some(Color::Yellow));
            }
            Self::Error => {
                spec.set_fg(Some(Color::Red)).set_bold(true);
            }
            Self::Hint => {
                spec.set_fg(Some(Color::Cyan)).set_bold(true);
            }
            Self::Accent => {
                spec.set_fg(Some(Color::Cyan));
            }
            Self::Dim => {
                spec.set_dimmed(true);
            }
        }
        spec
    }
}
