//! One entry of the journal.

use std::sync::Arc;

use crate::domain::{Principal, Usage, clip, now_ms};
use crate::store::JournalRow;

/// How something ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It has only begun, as far as is known.
    #[default]
    Begun,
    /// Well.
    Ok,
    /// A tool said that it failed.
    ToolError,
    /// It was refused before it began: a grant, a schema, a limit, a block.
    Refused,
    /// It failed.
    Failed,
    /// Whoever asked left before it was done, or it was blocked meanwhile.
    Cancelled,
}

impl Outcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One entry: who asked for what, and what came of it.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// When it began, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What kind of thing: `chat`, `messages`, `responses`, `embeddings`, `count_tokens`, `tool`, `sampling`, or `control`.
    pub kind: &'static str,
    /// Who asked.
    pub principal: String,
    /// The request's id.
    pub request: Option<Arc<str>>,
    /// What was asked for: a model by the caller's name for it, a tool by its public name, a control tool with what it was about.
    pub subject: String,
    /// Who did it: `provider/model`, or `server/tool@version#digest`.
    pub target: Option<Arc<str>>,
    /// What the arguments of a call look like, without what they say; now and then.
    pub shape: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// A word for why it did not end well.
    pub detail: Option<String>,
    /// The tokens it took, as far as the provider told.
    pub usage: Option<Usage>,
    /// What it cost, in billionths of a US dollar; none where no price is known.
    pub cost_nano: Option<i64>,
    /// How long it took, in milliseconds.
    pub ms: i64,
}

/// Longest name of a model, a tool or a principal that is written, in bytes.
const MAX_NAME: usize = 300;

/// Longest shape of arguments that is written, in bytes.
const MAX_SHAPE: usize = 4 << 10;

impl Entry {
    /// Something that begins now.
    pub fn new(kind: &'static str, principal: &Principal, subject: &str) -> Self {
        Self::by(kind, principal.id(), subject)
    }

    /// The same for a caller who is known by name alone.
    pub fn by(kind: &'static str, principal: &str, subject: &str) -> Self {
        let (principal, subject) = (clip(principal, MAX_NAME), clip(subject, MAX_NAME));
        Self { at_ms: now_ms(), kind, principal, subject, ..Self::default() }
    }

    pub(super) fn into_row(self) -> JournalRow {
        let tokens = |count: fn(&Usage) -> u64| self.usage.as_ref().map(|usage| i64::try_from(count(usage)).unwrap_or(i64::MAX));
        let (input, output, cached) = (tokens(|usage| usage.input), tokens(|usage| usage.output), tokens(|usage| usage.cached));
        JournalRow {
            id: 0,
            at_ms: self.at_ms,
            kind: self.kind.to_owned(),
            principal: self.principal,
            request: self.request.as_deref().map(str::to_owned),
            subject: self.subject,
            target: self.target.as_deref().map(str::to_owned),
            shape: self.shape.filter(|shape| shape.len() <= MAX_SHAPE),
            outcome: self.outcome.as_str().to_owned(),
            detail: self.detail.map(|detail| clip(&detail, MAX_NAME)),
            input,
            output,
            cached,
            cost_nano: self.cost_nano,
            ms: self.ms,
        }
    }
}
