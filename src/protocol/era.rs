//! Protocol revisions, and the two eras they fall into.

use std::fmt;
use std::str::FromStr;

use crate::domain::Pin;

/// A revision that opens with `initialize`. They sort by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// The first one.
    V2024_11_05,
    /// With batches.
    V2025_03_26,
    /// With structured results and elicitation.
    V2025_06_18,
    /// The last one with sessions.
    V2025_11_25,
}

/// How a peer talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// In sessions, by one of the older revisions.
    Legacy(Revision),
    /// Statelessly, by 2026-07-28.
    Modern,
}

impl Revision {
    /// The newest revision with sessions.
    pub const LATEST: Self = Self::V2025_11_25;

    /// All of them, the oldest first.
    pub const ALL: [Self; 4] = [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
        }
    }
}

impl FromStr for Revision {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text).ok_or(())
    }
}

impl Era {
    /// The modern revision's name on the wire.
    pub const MODERN: &'static str = "2026-07-28";

    /// The revision's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy(revision) => revision.as_str(),
            Self::Modern => Self::MODERN,
        }
    }

    /// What an operator pinned; nothing for `auto`.
    pub fn pinned(pin: Pin) -> Option<Self> {
        Some(match pin {
            Pin::Auto => return None,
            Pin::V2024_11_05 => Self::Legacy(Revision::V2024_11_05),
            Pin::V2025_03_26 => Self::Legacy(Revision::V2025_03_26),
            Pin::V2025_06_18 => Self::Legacy(Revision::V2025_06_18),
            Pin::V2025_11_25 => Self::Legacy(Revision::V2025_11_25),
            Pin::V2026_07_28 => Self::Modern,
        })
    }
}

impl FromStr for Era {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == Self::MODERN { Ok(Self::Modern) } else { text.parse().map(Self::Legacy) }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
