//! What a caller asks of the gateway itself, by headers, by the body's `portolan` field, or by MCP tool objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::error::Error;
use super::field::Field;
use crate::domain::{RawObject, clip, raw};
use crate::llm::{Dialect, Request};
use crate::trace::Trace;

/// What a caller asked to be joined in.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Context sources.
    pub context: Vec<String>,
    /// Servers or tools, as names or globs, to be run by the gateway.
    pub tools: Vec<String>,
    /// MCP servers that the request names in its dialect's own words.
    pub mcp: Vec<McpTool>,
    /// What the caller says of the request; it can only narrow.
    pub tags: BTreeMap<String, String>,
    /// Whether the answer shall say what was joined in.
    pub report: bool,
    /// The id of the request, for the journal.
    pub request: Option<Arc<str>>,
    /// Where in a trace it is asked.
    pub trace: Trace,
}

/// A server whose tools a request asks for: `{"type":"mcp","server_label":…}`, or an entry of `mcp_servers`.
#[derive(Clone, Debug, Default)]
pub struct McpTool {
    /// The server.
    pub server: String,
    /// Its tools that may be used, by their own or public names.
    pub allowed: Option<Vec<String>>,
    /// Its tools that may not.
    pub denied: Vec<String>,
    /// Whether the gateway may run them without asking.
    pub run: bool,
    /// Whether the client is told which tools there are.
    pub listed: bool,
}

/// Most tags of a request, and most bytes of a name and of a value.
const MAX_TAGS: usize = 32;
const MAX_TAG: (usize, usize) = (64, 256);

/// The names of a comma-separated header.
pub fn split_names(header: &str) -> Vec<String> {
    header.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The tags of a comma-separated header: `team=build,beta=yes`.
pub fn split_tags(header: &str) -> Result<BTreeMap<String, String>, Error> {
    let read = |tag: &String| {
        let (name, value) = tag.split_once('=').ok_or_else(|| {
            let why = format!("`{}` in the header `x-portolan-tags` is no tag; write `name=value`", clip(tag, 64));
            Error::invalid(why, "x-portolan-tags")
        })?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    split_names(header).iter().map(read).collect()
}

impl Asked {
    /// Whether the gateway is asked for tools.
    pub(super) fn joins(&self) -> bool {
        !self.tools.is_empty() || !self.mcp.is_empty()
    }

    /// Takes the field `portolan` out of a request's body, and checks what was asked in whatever way.
    pub(super) fn take_field(&mut self, request: &mut Request) -> Result<(), Error> {
        if let Some(field) = request.remove("portolan") {
            let field = Field::read(&field)?;
            self.context.extend(field.context);
            self.tools.extend(field.tools);
            self.tags.extend(field.tags);
            self.report |= field.report;
        }
        let long = |(name, value): (&String, &String)| name.is_empty() || name.len() > MAX_TAG.0 || value.len() > MAX_TAG.1;
        if self.tags.len() > MAX_TAGS || self.tags.iter().any(long) {
            let (name, value) = MAX_TAG;
            let why = format!("a request has at most {MAX_TAGS} tags, with names of 1 to {name} and values of at most {value} bytes");
            return Err(Error::invalid(why, "portolan.tags"));
        }
        Ok(())
    }

    /// Takes what is the gateway's out of a request's body; it never reaches a provider.
    pub(super) fn take_from(&mut self, request: &mut Request) -> Result<(), Error> {
        self.take_field(request)?;
        let Some(tools) = request.list("tools")? else { return self.take_servers(request, &[]) };
        let wanted = if request.dialect() == Dialect::Messages { "mcp_toolset" } else { "mcp" };
        let is_mcp = |tool: &RawValue| RawObject::parse(tool.get()).is_ok_and(|tool| tool.string("type").as_deref() == Some(wanted));
        let (ours, rest): (Vec<_>, Vec<_>) = tools.into_iter().partition(|tool| is_mcp(tool));
        if !ours.is_empty() {
            if rest.is_empty() {
                request.remove("tools");
            } else {
                request.set("tools", raw(&rest));
            }
        }
        if request.dialect() == Dialect::Messages {
            return self.take_servers(request, &ours);
        }
        for tool in ours {
            let mut mcp = McpTool::read(&tool)?;
            mcp.listed = request.dialect() == Dialect::Responses && !lists(request, &mcp.server)?;
            self.mcp.push(mcp);
        }
        Ok(())
    }

    /// The servers of a request of Messages, with the toolsets that narrow them.
    fn take_servers(&mut self, request: &mut Request, toolsets: &[Box<RawValue>]) -> Result<(), Error> {
        if request.dialect() != Dialect::Messages {
            return Ok(());
        }
        let servers = request.list("mcp_servers")?.unwrap_or_default();
        request.remove("mcp_servers");
        let mut known = Vec::new();
        for server in &servers {
            let (name, mcp) = McpTool::of_server(server)?;
            known.push(name);
            self.mcp.push(mcp);
        }
        for toolset in toolsets {
            let toolset = RawObject::parse(toolset.get()).map_err(|error| Error::invalid(error.to_string(), "tools"))?;
            let name = toolset.string("mcp_server_name").unwrap_or_default();
            let at = known.iter().position(|known| *known == name);
            let Some(mcp) = at.and_then(|at| self.mcp.get_mut(at)) else {
                let why = format!("the toolset names `{}`, which is not in `mcp_servers`", clip(&name, 64));
                return Err(Error::invalid(why, "tools"));
            };
            mcp.narrow(&toolset);
        }
        Ok(())
    }
}

/// Whether the client was told of a server's tools in an earlier answer.
fn lists(request: &Request, server: &str) -> Result<bool, Error> {
    let told = |item: &str| {
        item.contains("mcp_list_tools") && RawObject::parse(item).is_ok_and(|item| item.string("server_label").as_deref() == Some(server))
    };
    Ok(request.said()?.iter().any(|item| told(item)))
}

/// What names a server elsewhere, or a credential for it.
const FOREIGN: [&str; 5] = ["connector_id", "tunnel_id", "authorization", "authorization_token", "headers"];

fn refuse_foreign(object: &RawObject<'_>, param: &'static str) -> Result<(), Error> {
    match FOREIGN.iter().find(|field| object.get(field).is_some_and(|value| value.get() != "null")) {
        None => Ok(()),
        Some(field) => {
            let why = format!("`{field}` is not taken from callers; register the server with the gateway and name it");
            Err(Error::invalid(why, param))
        }
    }
}

impl McpTool {
    fn read(tool: &RawValue) -> Result<Self, Error> {
        let invalid = |why: &str| Error::invalid(why, "tools");
        let tool = RawObject::parse(tool.get()).map_err(|error| invalid(&error.to_string()))?;
        let server = tool
            .string("server_label")
            .ok_or_else(|| invalid("an `mcp` tool needs `server_label`, the name of a server of this gateway"))?;
        if let Some(url) = tool.string("server_url").filter(|url| !is_own(url, &server)) {
            let why = format!(
                "`server_url` `{}` is not taken from callers; register the server with the gateway and name it by `server_label`",
                clip(&url, 120)
            );
            return Err(invalid(&why));
        }
        refuse_foreign(&tool, "tools")?;
        let allowed = match tool.read::<Value>("allowed_tools") {
            None | Some(Value::Null) => None,
            Some(Value::Array(names)) => Some(texts(&names)),
            // What narrows and is not understood must not widen.
            Some(Value::Object(filter)) if filter.len() == 1 => match filter.get("tool_names").and_then(Value::as_array) {
                Some(names) => Some(texts(names)),
                None => return Err(invalid("`allowed_tools` takes `tool_names`, a list of names, and nothing else")),
            },
            Some(_) => return Err(invalid("`allowed_tools` must be a list of names, or hold one as `tool_names`")),
        };
        // Anything but a plain "never" wants a person to be asked, and the caller is who can ask.
        let run = tool.string("require_approval").as_deref() == Some("never");
        Ok(Self { server: clip(&server, 64), allowed, run, ..Self::default() })
    }

    /// An entry of `mcp_servers`, with the name that toolsets call it by.
    fn of_server(server: &RawValue) -> Result<(String, Self), Error> {
        let invalid = |why: &str| Error::invalid(why, "mcp_servers");
        let server = RawObject::parse(server.get()).map_err(|error| invalid(&error.to_string()))?;
        let name =
            server.string("name").ok_or_else(|| invalid("an entry of `mcp_servers` needs `name`, the name of a server of this gateway"))?;
        refuse_foreign(&server, "mcp_servers")?;
        if let Some(url) = server.string("url").filter(|url| !is_own(url, &name)) {
            let why = format!(
                "`url` `{}` does not end in `/mcp/{name}`: name a server of this gateway, and write this gateway's URL of it; others are not called",
                clip(&url, 120)
            );
            return Err(invalid(&why));
        }
        let mut mcp = Self { server: clip(&name, 64), run: true, ..Self::default() };
        if let Some(configuration) = server.get("tool_configuration").and_then(|raw| RawObject::parse(raw.get()).ok()) {
            mcp.allowed = configuration.read::<Option<Vec<String>>>("allowed_tools").flatten();
            if configuration.get("enabled").is_some_and(|enabled| enabled.get() == "false") {
                mcp.allowed = Some(Vec::new());
            }
        }
        Ok((name, mcp))
    }

    /// Narrows a server's tools to those of a toolset.
    fn narrow(&mut self, toolset: &RawObject<'_>) {
        let enabled = |config: &Value| config.get("enabled").and_then(Value::as_bool);
        let all = toolset.read::<Value>("default_config").as_ref().and_then(enabled).unwrap_or(true);
        let configs: serde_json::Map<String, Value> = toolset.read("configs").unwrap_or_default();
        let names = |wanted: bool| {
            configs.iter().filter(|(_, config)| enabled(config).unwrap_or(all) == wanted).map(|(name, _)| name.clone()).collect()
        };
        if all {
            self.denied = names(false);
        } else {
            self.allowed = Some(names(true));
        }
    }
}

/// Whether an address is that of a server behind this gateway; it is never dialled.
fn is_own(url: &str, server: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.path().trim_end_matches('/').ends_with(&format!("/mcp/{server}")))
}

fn texts(names: &[Value]) -> Vec<String> {
    names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}
