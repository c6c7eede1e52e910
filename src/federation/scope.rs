//! Through which endpoint a caller looks.

use std::fmt;

use crate::domain::ReleasePin;

/// Which endpoint is looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// `/mcp`: every server, with joined names.
    All,
    /// `/mcp/{server}`: one server, nothing renamed.
    One(&'a str),
    /// `/mcp/{server}@{release}`: one server as it was at a release.
    At(At<'a>),
    /// `/mcp/{toolset}`: what was chosen of several servers, under the set's names.
    Set(&'a str),
}

/// One server as it was at a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<'a> {
    /// The server.
    pub server: &'a str,
    /// The release.
    pub release: &'a ReleasePin,
    /// Whether it is one of several, by public names.
    pub joined: bool,
}

impl<'a> Scope<'a> {
    /// Whether several servers are joined, so that each URI says whose it is.
    pub(super) fn is_joined(self) -> bool {
        match self {
            Self::One(_) => false,
            Self::At(at) => at.joined,
            Self::All | Self::Set(_) => true,
        }
    }

    /// The server that it is all about.
    pub(super) fn server(self) -> Option<&'a str> {
        match self {
            Self::One(server) => Some(server),
            Self::At(at) => Some(at.server),
            Self::All | Self::Set(_) => None,
        }
    }
}

/// As cursors and lists that are kept know it.
impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::One(server) => write!(f, "server:{server}"),
            Self::At(At { server, release, joined }) => write!(f, "server:{server}@{release}{}", if *joined { " joined" } else { "" }),
            Self::Set(toolset) => write!(f, "toolset:{toolset}"),
        }
    }
}
