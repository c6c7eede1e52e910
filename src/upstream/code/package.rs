//! A package in the command of a runner.

/// A package in a command: where its word stands, and what that word says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// The place of the word in the command.
    pub(super) at: usize,
    /// What stands before the requirement in that word, as in `--package=`.
    pub(super) before: String,
    /// Its name in its registry.
    pub(super) name: String,
    /// Extras of `PyPI`, with their brackets.
    pub(super) extras: String,
    /// Which versions are wanted, in the runner's words; any where it is empty.
    pub(super) wanted: String,
}
