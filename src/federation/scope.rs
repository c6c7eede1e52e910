//! Through which endpoint a caller looks.

use std::fmt;

/// Which endpoint is looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// `/mcp`: every server, with joined names.
    All,
    /// `/mcp/{server}`: one server, nothing renamed.
    One(&'a str),
    /// `/mcp/{toolset}`: what was chosen of several servers, under the set's names.
    Set(&'a str),
}

impl Scope<'_> {
    /// Whether several servers are joined, so that each URI says whose it is.
    pub(super) fn is_joined(self) -> bool {
        !matches!(self, Self::One(_))
    }
}

/// As cursors and lists that are kept know it.
impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::One(server) => write!(f, "server:{server}"),
            Self::Set(toolset) => write!(f, "toolset:{toolset}"),
        }
    }
}
