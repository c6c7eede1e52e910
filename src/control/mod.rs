//! The control server: administration is MCP too.
//!
//! Every admin action is one tool here, with a schema and a class; CLI, console and agents use these
//! and nothing else, so there is one implementation and one check of permission. To add an action,
//! add a tool to its noun's file.

mod access;
mod context;
mod keys;
mod models;
mod parts;
mod releases;
mod servers;
mod status;
mod tool;

use std::sync::Arc;

use serde_json::json;
use serde_json::value::RawValue;

use crate::domain::{Principal, raw};
use crate::protocol::{Params, RpcError};
use crate::schema::Strict;
pub use parts::Parts;

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
        let tools =
            [servers::tools(), releases::tools(), keys::tools(), access::tools(), context::tools(), models::tools(), status::tools()];
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
        let tool = self.0.tools.iter().find(|tool| tool.name == name);
        let tool = tool.ok_or_else(|| RpcError::params(format!("there is no control tool `{}`", crate::domain::clip(&name, 80))))?;
        let arguments = params.get("arguments").map_or("{}", RawValue::get);
        let about = serde_json::from_str::<About>(arguments).unwrap_or_default().name.unwrap_or_default();
        let outcome = match serde_json::from_str::<Strict>(arguments) {
            Err(error) => Err(Error::Arguments(error.to_string())),
            Ok(_) if tool.class == Class::Weaken && !principal.is_owner() => Err(Error::OwnerOnly(tool.name)),
            Ok(Strict(arguments)) => tool.run(self.0.parts.clone(), principal.clone(), arguments).await,
        };
        let (value, failed) = match outcome {
            Ok(value) => (value, false),
            Err(error) => (json!({ "error": { "code": error.code(), "message": error.to_string() } }), true),
        };
        if tool.class != Class::Read {
            let (about, by) = (crate::domain::clip(&about, 64), principal.id());
            if failed {
                tracing::warn!(control.tool = %name, control.about = %about, principal.id = %by, failed, "`{name}` of `{about}` was asked for by {by}, and failed");
            } else {
                tracing::info!(control.tool = %name, control.about = %about, principal.id = %by, failed, "`{name}` of `{about}` was asked for by {by}");
            }
        }
        let text = if failed {
            value.pointer("/error/message").and_then(|text| text.as_str()).unwrap_or_default().to_owned()
        } else {
            value.to_string()
        };
        Ok(raw(&json!({ "content": [{ "type": "text", "text": text }], "structuredContent": value, "isError": failed })))
    }
}

/// What an action is about, for the log.
#[derive(Default, serde::Deserialize)]
struct About {
    #[serde(alias = "server", alias = "id", alias = "target")]
    name: Option<String>,
}
