//! Why a curated server cannot be used as it was asked for.

use crate::domain::clip;

/// Why a curated server, or a `server.json`, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// None has that name.
    #[error("there is no curated server `{}`, see `portolan registry curated`{meant}", clip(name, 80))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The one that is meant, perhaps.
        meant: String,
    },
    /// It has that name, but not in that version.
    #[error("there is no curated manifest of version `{}` of {name}; there is {there}", clip(version, 80))]
    NoVersion {
        /// The server.
        name: String,
        /// What was asked for.
        version: String,
        /// The version that there is.
        there: String,
    },
    /// It is not told what it needs.
    #[error("{server} needs {}", missing.join(", and "))]
    Missing {
        /// The server.
        server: String,
        /// What it needs, each in words, with how it is given.
        missing: Vec<String>,
    },
    /// A text is no `server.json`, or one of a server that cannot be curated.
    #[error("{0}")]
    Unfit(String),
}
