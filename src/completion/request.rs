//! What a caller asks of the gateway itself, by headers, by the body's `portolan` field, or by MCP tool objects.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Error;
use crate::domain::{RawObject, clip, raw};
use crate::llm::ChatRequest;

/// What a caller asked to be joined in.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Context sources.
    pub context: Vec<String>,
    /// Servers or tools, as names or globs, to be run by the gateway.
    pub tools: Vec<String>,
    /// MCP tool objects of the request.
    pub mcp: Vec<McpTool>,
    /// Whether the answer shall say what was joined in.
    pub report: bool,
}

/// `{"type":"mcp","server_label":…}`.
#[derive(Clone, Debug)]
pub struct McpTool {
    /// The server.
    pub server: String,
    /// Its tools that may be used, by their own or public names.
    pub allowed: Option<Vec<String>>,
    /// Whether the gateway may run them without asking.
    pub run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Portolan {
    #[serde(default)]
    context: Vec<String>,
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    report: bool,
}

/// The names of a comma-separated header.
pub fn split_names(header: &str) -> Vec<String> {
    header.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

impl Asked {
    /// Takes what is the gateway's out of a request's body; it never reaches a provider.
    pub(super) fn take_from(&mut self, request: &mut ChatRequest) -> Result<(), Error> {
        if let Some(field) = request.remove("portolan") {
            let field: Portolan =
                serde_json::from_str(field.get()).map_err(|error| Error::invalid(format!("`portolan`: {error}"), "portolan"))?;
            self.context.extend(field.context);
            self.tools.extend(field.tools);
            self.report |= field.report;
        }
        let wrong = || Error::invalid("`tools` must be a list of tools", "tools");
        let Some(tools) = request.list("tools").map_err(|()| wrong())? else { return Ok(()) };
        let is_mcp = |tool: &RawValue| RawObject::parse(tool.get()).is_ok_and(|tool| tool.string("type").as_deref() == Some("mcp"));
        if !tools.iter().any(|tool| is_mcp(tool)) {
            return Ok(());
        }
        let mut rest = Vec::new();
        for tool in tools {
            if is_mcp(&tool) {
                self.mcp.push(McpTool::read(&tool)?);
            } else {
                rest.push(tool);
            }
        }
        if rest.is_empty() {
            request.remove("tools");
        } else {
            request.set("tools", raw(&rest));
        }
        Ok(())
    }
}

impl McpTool {
    fn read(tool: &RawValue) -> Result<Self, Error> {
        let invalid = |why: &str| Error::invalid(why, "tools");
        let tool = RawObject::parse(tool.get()).map_err(|error| invalid(&error.to_string()))?;
        let server = tool
            .string("server_label")
            .ok_or_else(|| invalid("an `mcp` tool needs `server_label`, the name of a server of this gateway"))?;
        for field in ["server_url", "connector_id", "tunnel_id", "authorization", "headers"] {
            if tool.has(field) {
                let why =
                    format!("`{field}` is not taken from callers; register the server with the gateway and name it by `server_label`");
                return Err(invalid(&why));
            }
        }
        let allowed = match tool.read::<Value>("allowed_tools") {
            None | Some(Value::Null) => None,
            Some(Value::Array(names)) => Some(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()),
            Some(Value::Object(filter)) => {
                let names = filter.get("tool_names").and_then(Value::as_array);
                names.map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
            }
            Some(_) => return Err(invalid("`allowed_tools` must be a list of names")),
        };
        // Anything but a plain "never" wants a person to be asked, and the caller is who can ask.
        let run = tool.string("require_approval").as_deref() == Some("never");
        Ok(Self { server: clip(&server, 64), allowed, run })
    }
}
