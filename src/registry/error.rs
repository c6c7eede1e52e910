//! Why the registry refused.

use std::sync::Arc;

use crate::domain::{ReleasePin, ServerName, clip};
use crate::{store, upstream};

/// Why the registry refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server of that name.
    #[error("there is no server `{name}`{meant}")]
    NoServer {
        /// What was asked for.
        name: String,
        /// The one that is meant, perhaps.
        meant: String,
    },
    /// The name is taken.
    #[error("there is a server `{0}` already; remove it first, or choose another name")]
    Exists(ServerName),
    /// A toolset has the name.
    #[error("there is a toolset `{0}` in the configuration, and both would stand at `/mcp/{0}`; choose another name")]
    Toolset(ServerName),
    /// The operator's file declares it.
    #[error("`{0}` is declared in the configuration file; change it there")]
    Declared(ServerName),
    /// It is switched off.
    #[error("`{0}` is disabled; enable it first")]
    Disabled(ServerName),
    /// There is no change to decide on.
    #[error("nothing is held for `{0}`; what was rejected can be approved by its digest, which `portolan registry releases {0}` shows")]
    NothingHeld(ServerName),
    /// What is held is not what was decided on.
    #[error("what `{0}` offers changed once more; look at `portolan registry diff {0}` again")]
    ChangedAgain(ServerName),
    /// There is no release to go back to.
    #[error("`{name}` has no approved release{} before the one that is served; `portolan registry releases {name}` shows them, and what was rejected is served again by `approve --digest`", to.as_deref().map(|to| format!(" `{}`", clip(to, 80))).unwrap_or_default())]
    NoEarlier {
        /// The server.
        name: ServerName,
        /// What was named.
        to: Option<String>,
    },
    /// No release that a pin means.
    #[error("`{name}` has no release `{pin}`{}", if there.is_empty() { "; nothing of it is approved yet".to_owned() } else { format!("; there are {there}") })]
    NoRelease {
        /// The server.
        name: ServerName,
        /// What was asked for.
        pin: ReleasePin,
        /// The releases that there are.
        there: String,
    },
    /// The release that a pin means has ended.
    #[error("the release `{pin}` of `{name}` has ended; there are {there}")]
    Ended {
        /// The server.
        name: ServerName,
        /// What was asked for.
        pin: ReleasePin,
        /// The releases that there are.
        there: String,
    },
    /// Nothing on record of that version or digest, or several whose digests begin so.
    #[error(
        "`{name}` has no release `{}`, or several whose digests begin so; `portolan registry releases {name}` shows them",
        clip(release, 80)
    )]
    NotOnRecord {
        /// The server.
        name: ServerName,
        /// What was named.
        release: String,
    },
    /// No approved release of that version or digest.
    #[error("`{name}` has no approved release `{}`; `portolan registry releases {name}` shows those that it has", clip(release, 80))]
    NotApproved {
        /// The server.
        name: ServerName,
        /// What was named.
        release: String,
    },
    /// What is served to everybody cannot end.
    #[error("`{name}@{version}` is the release that is served; only one that is not served any more can be deprecated")]
    Served {
        /// The server.
        name: ServerName,
        /// Its version.
        version: semver::Version,
    },
    /// What is approved stands in a file.
    #[error(
        "what is approved of `{0}` stands in the lock file, so this is decided on there: `portolan registry lock --held` writes the file with what is held; \
         to refuse that, leave the file as it is, and to go back, restore an earlier one"
    )]
    Locked(ServerName),
    /// The server could not be looked at.
    #[error("{0}")]
    Upstream(Arc<upstream::Error>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}
