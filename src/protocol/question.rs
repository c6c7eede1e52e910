//! What a server asks a client while it works for it: a request of its own in a session, an entry of `inputRequests` without one.

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::era::{Era, Revision};
use super::params::Params;
use crate::domain::{RawObject, raw};

/// The method by which a person is asked.
const ELICITATION: &str = "elicitation/create";

/// What kind of question it is, as far as a client must be able to answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A form for a person to fill in.
    Form,
    /// An address for a person to go to.
    Url,
    /// Something for a model to answer.
    Sampling,
    /// The folders that the client works in.
    Roots,
}

/// A server's question.
#[derive(Clone, Debug)]
pub struct Question {
    kind: Kind,
    params: Params,
}

/// An entry of `inputRequests`.
#[derive(serde::Deserialize)]
pub(super) struct Entry {
    method: String,
    #[serde(default)]
    params: Option<Box<RawValue>>,
}

/// A message that says from which of many servers it comes.
fn from(server: &str, message: &str) -> String {
    format!("{server}: {message}")
}

/// An `inputRequests` of which each form says from which of many servers it comes. All else stays as it was written; none where that
/// is everything.
pub fn asked_by(requests: &RawValue, server: &str) -> Option<Box<RawValue>> {
    let named = |entry: &RawValue| {
        let mut entry = RawObject::parse(entry.get()).ok().filter(|entry| entry.string("method").as_deref() == Some(ELICITATION))?;
        let params = entry.get("params")?.to_owned();
        let mut params = RawObject::parse(params.get()).ok()?;
        params.set("message", raw(&from(server, &params.string("message")?)));
        entry.set("params", params.to_raw());
        Some(entry.to_raw())
    };
    let mut requests = RawObject::parse(requests.get()).ok()?;
    let forms: Vec<_> = requests.iter().filter_map(|(key, entry)| Some((key.to_owned(), named(entry)?))).collect();
    if forms.is_empty() {
        return None;
    }
    for (key, form) in forms {
        requests.put(&key, form);
    }
    Some(requests.to_raw())
}

impl Question {
    /// Reads a request of a server's; none when it is no question that a client could answer.
    pub fn read(method: &str, params: Params) -> Option<Self> {
        let kind = match method {
            ELICITATION if params.string("mode").as_deref() == Some("url") => Kind::Url,
            ELICITATION => Kind::Form,
            "sampling/createMessage" => Kind::Sampling,
            "roots/list" => Kind::Roots,
            _ => return None,
        };
        Some(Self { kind, params: params.without_progress() })
    }

    pub(super) fn of_entry(entry: &Entry) -> Option<Self> {
        let params = entry.params.as_deref().map(Params::read).transpose().ok()?.unwrap_or_default();
        Self::read(&entry.method, params)
    }

    /// What kind of question it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a server may keep the answer for all that it does in a session, and not only for the request at hand.
    pub fn is_of_session(&self) -> bool {
        self.kind == Kind::Roots
    }

    /// The method it is asked with.
    pub fn method(&self) -> &'static str {
        match self.kind {
            Kind::Form | Kind::Url => ELICITATION,
            Kind::Sampling => "sampling/createMessage",
            Kind::Roots => "roots/list",
        }
    }

    /// The params of what is asked of a model; none of any other question.
    pub fn of_sampling(&self) -> Option<&Params> {
        (self.kind == Kind::Sampling).then_some(&self.params)
    }

    /// Whether the model that is to answer is given tools, or content in parts, which came with 2025-11-25.
    pub(super) fn wants_tools(&self) -> bool {
        let parts = |text: &str| {
            let messages: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
            messages.iter().any(|message| message.get("content").is_some_and(serde_json::Value::is_array))
        };
        self.params.get("tools").is_some()
            || self.params.get("toolChoice").is_some()
            || self.params.get("messages").is_some_and(|messages| parts(messages.get()))
    }

    /// The same question, which says from which of many servers it comes.
    #[must_use]
    pub fn asked_by(mut self, server: &str) -> Self {
        if let (Kind::Form | Kind::Url, Some(message)) = (self.kind, self.params.string("message")) {
            self.params.set("message", raw(&from(server, &message)));
        }
        self
    }

    /// In the words of a client's era: the params of a request, or of an entry of `inputRequests`.
    pub fn told(&self, era: Era) -> Params {
        let mut params = self.params.clone();
        // Belongs to the tasks of 2025-11-25, of which no client of ours was told.
        params.remove("task");
        match era {
            Era::Modern => drop(params.remove("elicitationId")),
            Era::Legacy(revision) => {
                if self.kind == Kind::Url && params.get("elicitationId").is_none() {
                    params.set("elicitationId", raw(&uuid::Uuid::new_v4().to_string()));
                }
                if self.kind == Kind::Form && revision < Revision::V2025_11_25 {
                    params.remove("mode");
                }
            }
        }
        params
    }

    /// As an entry of `inputRequests`.
    pub fn entry(&self) -> impl Serialize {
        let params = self.told(Era::Modern);
        if params.is_empty() { json!({ "method": self.method() }) } else { json!({ "method": self.method(), "params": params }) }
    }

    /// The answer of somebody who is not there to be asked, where that is one: a person who turns away, a client without folders.
    pub fn nobody(&self) -> Option<Box<RawValue>> {
        match self.kind {
            Kind::Form | Kind::Url => Some(raw(&json!({ "action": "cancel" }))),
            Kind::Roots => Some(raw(&json!({ "roots": [] }))),
            Kind::Sampling => None,
        }
    }
}
