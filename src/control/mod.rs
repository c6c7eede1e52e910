//! The control server: administration is MCP too.
//!
//! Every admin action is one tool here, with a schema and a class; CLI, console and agents use these
//! and nothing else, so there is one implementation and one check of permission. To add an action,
//! add a tool to its noun's file.

mod access;
mod context;
mod journal;
mod keys;
mod logins;
mod models;
mod parts;
mod recorded;
mod releases;
mod servers;
mod status;
mod tool;

use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::{Principal, ServerName, clip, raw};
use crate::journal::{Entry, Outcome};
use crate::protocol::{Params, RpcError};
use crate::schema::Strict;
use crate::store;
use crate::upstream::Returned;
pub use parts::Parts;
pub use tool::Operation;

use recorded::recorded;
use tool::{Class, Error, Tool};

/// The control server. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    parts: Arc<Parts>,
    tools: Vec<Tool>,
}

impl Control {
    /// The control server over these parts.
    pub fn new(parts: Parts) -> Self {
        let tools = [
            servers::tools(),
            logins::tools(),
            releases::tools(),
            keys::tools(),
            access::tools(),
            journal::tools(),
            context::tools(),
            models::tools(),
            status::tools(),
        ];
        Self(Arc::new(Inner { parts: Arc::new(parts), tools: tools.into_iter().flatten().collect() }))
    }

    /// What the control server can do, in the words of `initialize` and `server/discover`.
    pub fn capabilities() -> serde_json::Value {
        json!({ "tools": {} })
    }

    /// Answers one MCP request. Every method needs the grant `admin`.
    pub async fn request(&self, principal: &Principal, method: &str, params: &Params) -> Result<Box<RawValue>, RpcError> {
        if !principal.grants().admin {
            return Err(RpcError::new(RpcError::FORBIDDEN, "the control server needs the grant `admin`"));
        }
        match method {
            "tools/list" => {
                let tools: Vec<_> = self.0.tools.iter().map(Tool::describe).collect();
                Ok(raw(&json!({ "tools": tools })))
            }
            "tools/call" => self.call(principal, params).await,
            "ping" => Ok(raw(&json!({}))),
            other => Err(RpcError::method(other)),
        }
    }

    async fn call(&self, principal: &Principal, params: &Params) -> Result<Box<RawValue>, RpcError> {
        let name = params.string("name").unwrap_or_default();
        let arguments = params.get("arguments").map_or("{}", RawValue::get);
        let (value, text, failed) = match self.run(principal, &name, arguments).await {
            Ok(value) => (value.clone(), value.to_string(), false),
            Err(Refusal { code: NO_TOOL, message }) => return Err(RpcError::params(message)),
            Err(Refusal { code, message }) => (json!({ "error": { "code": code, "message": message } }), message, true),
        };
        Ok(raw(&json!({ "content": [{ "type": "text", "text": text }], "structuredContent": value, "isError": failed })))
    }

    /// Runs a control tool with arguments as JSON text. Every tool needs the grant `admin`.
    pub async fn run(&self, principal: &Principal, name: &str, arguments: &str) -> Result<Value, Refusal> {
        if !principal.grants().admin {
            return Err(Refusal { code: "missing_grant", message: "the control server needs the grant `admin`".to_owned() });
        }
        let Some(tool) = self.0.tools.iter().find(|tool| tool.name == name) else {
            return Err(Refusal { code: NO_TOOL, message: format!("there is no control tool `{}`", clip(name, 80)) });
        };
        let outcome = match serde_json::from_str::<Strict>(arguments) {
            Err(error) => Err(Error::Arguments(error.to_string())),
            // Where a list is read as the members of an object in their order, nobody could see what they mean.
            Ok(Strict(arguments)) if !arguments.is_object() => Err(Error::Arguments("they must be an object".to_owned())),
            Ok(Strict(arguments)) if tool.class == Class::Weaken && !principal.is_owner() => {
                let refused =
                    Entry { outcome: Outcome::Refused, detail: Some("owner_only".to_owned()), ..entry(principal, tool, &arguments) };
                // That somebody tried is worth knowing; where it cannot be written, it is refused all the same.
                if let Err(why) = self.0.parts.journal.begin(&refused).await {
                    tracing::error!("that `{}` was refused could not be put on record: {why}", tool.name);
                }
                Err(Error::OwnerOnly(tool.name))
            }
            Ok(Strict(arguments)) if tool.class == Class::Read => tool.run(self.0.parts.clone(), principal.clone(), arguments).await,
            Ok(Strict(arguments)) => self.act(principal, tool, arguments).await,
        };
        outcome.map_err(|error| Refusal { code: error.code(), message: error.to_string() })
    }

    /// Does what changes something, and tells the log.
    async fn act(&self, principal: &Principal, tool: &Tool, arguments: Value) -> Result<Value, Error> {
        let (parts, name, by, about) = (&self.0.parts, tool.name, principal.id(), about(&arguments));
        let entry = entry(principal, tool, &arguments);
        let outcome = recorded(&parts.journal, entry, tool.run(parts.clone(), principal.clone(), arguments)).await;
        match &outcome {
            Ok(_) => {
                tracing::info!(control.tool = %name, control.about = %about, principal.id = %by, "`{name}` of `{about}` was asked for by {by}");
            }
            Err(error) => {
                let code = error.code();
                tracing::warn!(control.tool = %name, control.about = %about, principal.id = %by, "`{name}` of `{about}` was asked for by {by}, and failed: {code}");
            }
        }
        outcome
    }

    /// Finishes a login at an upstream server with what its authorization server sent back; the server.
    pub async fn logged_in(&self, returned: Returned) -> Result<ServerName, Refusal> {
        let finished = store::apart(logins::finish(self.0.parts.clone(), returned)).await;
        finished.map_err(|error| Refusal { code: error.code(), message: error.to_string() })
    }

    /// What the world may know of the gateway as an OAuth client, where it could read it.
    pub fn client_document(&self) -> Option<Value> {
        self.0.parts.credentials.document()
    }

    /// The control tools as operations of OpenAPI 3.1: of each its name, what it does, and the schema of its arguments.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.0.tools.iter().map(Tool::operation)
    }
}

/// What is put on record of an act.
fn entry(principal: &Principal, tool: &Tool, arguments: &Value) -> Entry {
    let (name, about) = (tool.name, about(arguments));
    Entry::new("control", principal, &if about.is_empty() { name.to_owned() } else { format!("{name} {about}") })
}

/// What an act is about, for the log and the journal.
fn about(arguments: &Value) -> String {
    clip(&About::deserialize(arguments).unwrap_or_default().name.unwrap_or_default(), 64)
}

/// The code of a tool that is not there.
pub const NO_TOOL: &str = "no_such_tool";

/// Why a control tool refused or failed: a word for machines, and one for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The word.
    pub code: &'static str,
    /// What is wrong, and how to mend it.
    pub message: String,
}

/// What an action is about, for the log.
#[derive(Default, serde::Deserialize)]
struct About {
    #[serde(alias = "server", alias = "id", alias = "target")]
    name: Option<String>,
}
