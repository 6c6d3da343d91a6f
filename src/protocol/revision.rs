//! The protocol revisions that we speak, and the user's choice among them.
//!
//! Does not know what a revision changes on the wire: that is the dialect.

use std::fmt;
use std::str::FromStr;

use crate::error::choice;
use crate::text::named;

named! {
    /// The two families of revisions.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Era {
        /// Sessions, opened by `initialize` (2024-11-05 to 2025-11-25).
        Legacy = "legacy",
        /// Stateless, each request tells everything (2026-07-28).
        Modern = "modern",
    }
    /// `legacy` or `modern`.
    fn as_str
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

named! {
    /// A protocol revision that we speak; a later one is greater.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Revision {
        /// 2024-11-05: older than Streamable HTTP, over which some servers speak it
        /// all the same. The messages are those of 2025-03-26. It is never offered
        /// first.
        V2024_11_05 = "2024-11-05",
        /// 2025-03-26: the first over Streamable HTTP.
        V2025_03_26 = "2025-03-26",
        /// 2025-06-18: with the version header, without batches.
        V2025_06_18 = "2025-06-18",
        /// 2025-11-25: the last with sessions.
        V2025_11_25 = "2025-11-25",
        /// 2026-07-28: stateless.
        V2026_07_28 = "2026-07-28",
    }
    /// The revision as it is on the wire.
    fn as_str
}

impl Revision {
    /// What we offer in `initialize`.
    pub const LATEST_LEGACY: Revision = Revision::V2025_11_25;
    /// What we probe with.
    pub const LATEST_MODERN: Revision = Revision::V2026_07_28;

    /// The revision of that date, or `None` for one that we do not speak.
    pub fn parse(text: &str) -> Option<Revision> {
        Revision::ALL
            .into_iter()
            .find(|revision| revision.as_str() == text)
    }

    /// The revisions of an era as a list for people, oldest first.
    pub fn list_of(era: Era) -> String {
        let of_era = Revision::ALL.into_iter().filter(|known| known.era() == era);
        let names: Vec<&str> = of_era.map(Revision::as_str).collect();
        names.join(", ")
    }

    /// The family it belongs to.
    pub fn era(self) -> Era {
        match self {
            Revision::V2024_11_05
            | Revision::V2025_03_26
            | Revision::V2025_06_18
            | Revision::V2025_11_25 => Era::Legacy,
            Revision::V2026_07_28 => Era::Modern,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the user wants spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProtocolChoice {
    /// Find out with a probe.
    #[default]
    Auto,
    /// The latest revision of an era, without a probe.
    Era(Era),
    /// Exactly this revision; in the legacy era it is the one we offer.
    Revision(Revision),
}

impl FromStr for ProtocolChoice {
    type Err = String;

    /// Reads `auto`, `legacy`, `modern` or a revision.
    ///
    /// # Errors
    /// A message for the user that lists what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut choices = vec![
            ("auto", ProtocolChoice::Auto),
            ("legacy", ProtocolChoice::Era(Era::Legacy)),
            ("modern", ProtocolChoice::Era(Era::Modern)),
        ];
        let revisions = Revision::ALL.into_iter();
        choices.extend(revisions.map(|it| (it.as_str(), ProtocolChoice::Revision(it))));
        choice(text, "a protocol", &choices)
    }
}

impl fmt::Display for ProtocolChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolChoice::Auto => f.write_str("auto"),
            ProtocolChoice::Era(era) => era.fmt(f),
            ProtocolChoice::Revision(revision) => revision.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_ordered_and_read_back() {
        assert!(Revision::ALL.is_sorted());
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
        }
        assert_eq!(Revision::parse("1999-01-01"), None);
        assert_eq!(Revision::LATEST_LEGACY.era(), Era::Legacy);
        assert_eq!(Revision::LATEST_MODERN.era(), Era::Modern);
        assert_eq!(
            Revision::list_of(Era::Legacy),
            "2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25"
        );
    }

    #[test]
    fn choices_read_back_what_they_print() {
        for text in [
            "auto",
            "legacy",
            "modern",
            "2024-11-05",
            "2025-06-18",
            "2026-07-28",
        ] {
            let choice: ProtocolChoice = text.parse().expect("an accepted choice");
            assert_eq!(choice.to_string(), text);
        }
        let error = "2.0".parse::<ProtocolChoice>().expect_err("no such choice");
        assert_eq!(
            error,
            "`2.0` is not a protocol; accepted are `auto`, `legacy`, `modern`, \
             `2024-11-05`, `2025-03-26`, `2025-06-18`, `2025-11-25`, `2026-07-28`"
        );
    }
}
