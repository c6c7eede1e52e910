//! Why a completion was refused or failed.

use crate::domain::nearest;
use crate::policy::Blocked;
use crate::{context, llm};

/// Why a completion was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request is wrong.
    #[error("{why}")]
    Invalid {
        /// What is wrong and how to mend it.
        why: String,
        /// The field, where it is one.
        param: Option<String>,
    },
    /// No such model.
    #[error("there is no model `{}` here{}{}", .0.model, .0.hint.iter().map(|hint| format!("; {hint}")).collect::<String>(), meant(&.0.suggestions))]
    Model(llm::Unknown),
    /// A server whose tools were asked for is not there; the names of those that are, and the field that names it.
    #[error("there is no MCP server `{0}` here{known}", known = near(.0, .1))]
    Server(String, Vec<String>, &'static str),
    /// A tool that was asked for is not there; the names of those that are.
    #[error("there is no tool `{0}` here{known}", known = near(.0, .1))]
    Tool(String, Vec<String>),
    /// The caller may not use MCP.
    #[error("this key may not use MCP tools; it lacks the grant `mcp`")]
    NoMcp,
    /// Context.
    #[error(transparent)]
    Context(#[from] context::Error),
    /// The provider.
    #[error(transparent)]
    Provider(llm::Error),
    /// No target of a model answered.
    #[error("{0}")]
    Unanswered(Box<Unanswered>),
    /// No response of that id is kept.
    #[error("there is no response `{0}` to go on from; it was not stored, or is too old")]
    Previous(String),
    /// No response of that id is kept for this caller.
    #[error("there is no response `{0}` here; it was not stored, is too old, or was deleted")]
    Response(String),
    /// Responses are kept there, and it cannot be read.
    #[error("what was said before cannot be read: {0}")]
    Store(#[from] crate::store::Error),
    /// The operator has blocked it.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// The agent loop did not come to an end.
    #[error("the model went on calling tools after {0} turns; raise `limits.tool_turns` if that is expected")]
    Turns(u32),
    /// The time of the whole completion is up.
    #[error("the completion took longer than {0:?}")]
    Deadline(std::time::Duration),
}

/// A model of which no target answered, as callers are told: by names of models and targets, and never an address.
#[derive(Debug, thiserror::Error)]
#[error("{} did not answer: {error}{}{}", self.who(), self.before(), self.blocked.iter().map(|why| format!("; {why}")).collect::<String>())]
pub struct Unanswered {
    /// What was asked for.
    pub model: String,
    /// The target that was asked last.
    pub target: String,
    /// How many were asked before it.
    pub others: usize,
    /// What came of the last one.
    pub error: llm::Error,
    /// Why another one was not asked.
    pub blocked: Option<Blocked>,
}

impl Unanswered {
    fn who(&self) -> String {
        if self.model == self.target { format!("`{}`", self.target) } else { format!("`{}`: its target `{}`", self.model, self.target) }
    }

    fn before(&self) -> String {
        match self.others {
            0 => String::new(),
            1 => "; one other failed before it".to_owned(),
            many => format!("; {many} others failed before it"),
        }
    }
}

impl Error {
    /// A field that is wrong.
    pub fn invalid(why: impl Into<String>, param: &str) -> Self {
        Self::Invalid { why: why.into(), param: Some(param.to_owned()) }
    }
}

impl From<llm::Wrong> for Error {
    fn from(wrong: llm::Wrong) -> Self {
        Self::Invalid { why: wrong.why, param: wrong.param }
    }
}

fn near(wanted: &str, names: &[String]) -> String {
    meant(&nearest(wanted, names.iter().map(String::as_str)))
}

fn meant(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { String::new() } else { format!("; did you mean {}?", quoted.join(", ")) }
}
