//! The outcome of looking at a server.

/// What a look at a server found.
#[derive(Clone, Debug)]
pub enum Look {
    /// It is what was approved.
    Same,
    /// Its definitions were accepted as this version.
    Accepted(semver::Version),
    /// A change waits for approval.
    Held,
    /// A change that was rejected before is still there.
    Rejected,
    /// It wants a login first.
    LoginNeeded,
}
