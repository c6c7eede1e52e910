//! What came of looking at one thing that a configuration names.

/// One thing that was looked at.
pub struct Checked {
    /// `storage`, `provider`, `server`, `toolset`, `context`, `model`, `issuer` or `telemetry`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How it fared.
    pub state: State,
    /// What was found, or what is wrong.
    pub detail: String,
}

/// How one thing fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Good,
    /// It was not tried.
    Skipped,
    /// It may be a mistake.
    Warning,
    /// It does not work.
    Failed,
}

impl State {
    /// As people and scripts read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Checked {
    pub(super) fn tried(kind: &'static str, name: impl Into<String>, outcome: Result<String, String>) -> Self {
        let state = if outcome.is_ok() { State::Good } else { State::Failed };
        Self { kind, name: name.into(), state, detail: outcome.unwrap_or_else(|why| why) }
    }

    pub(super) fn skipped(kind: &'static str, name: impl Into<String>, why: &str) -> Self {
        Self { kind, name: name.into(), state: State::Skipped, detail: format!("not tried: {why}") }
    }
}
