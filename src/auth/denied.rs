//! Why a caller is not let in.

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No credential came, and one is needed.
    Missing,
    /// The credential is not one of ours, or no longer.
    Invalid,
    /// An access token that is not accepted, and why.
    Token(&'static str),
    /// An access token that nobody can judge now: its issuer's keys are not to be had.
    Unjudged,
}
