//! How grave a log message is (RFC 5424 §6.2.1, by the names that MCP gives them).

use std::str::FromStr;

/// The levels, from the least grave.
const NAMES: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// A level; graver ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    /// What most want to hear.
    pub const INFO: Self = Self(1);

    /// Its name.
    pub fn as_str(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("info")
    }

    /// The level of that number.
    pub fn numbered(number: u8) -> Option<Self> {
        (usize::from(number) < NAMES.len()).then_some(Self(number))
    }

    /// As a number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let at = NAMES.iter().position(|name| *name == text).ok_or(())?;
        u8::try_from(at).map(Self).map_err(|_| ())
    }
}
