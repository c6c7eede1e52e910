//! A resource, a prompt or a read-only tool of an MCP server, as text.

use serde_json::{Value, json};

use super::answer::{Read, hints, select};
use crate::domain::Principal;
use crate::federation::{Caller, Federation, Scope};
use crate::protocol::Params;
use crate::trace::Trace;

/// One server, asked in somebody's name.
pub(super) struct Server<'f> {
    pub(super) federation: &'f Federation,
    pub(super) principal: &'f Principal,
    pub(super) name: &'f str,
    /// Where in a trace it is asked.
    pub(super) trace: Trace,
}

impl Server<'_> {
    /// The texts of a resource.
    pub(super) async fn resource(&self, uri: &str) -> Result<Read, String> {
        let result = self.request("resources/read", Params::default().with("uri", uri)).await?;
        let contents = result.get("contents").and_then(Value::as_array).ok_or("the server's answer has no contents")?;
        let texts: Vec<&str> = contents.iter().filter_map(|content| content.get("text")?.as_str()).collect();
        if texts.is_empty() { Err("the resource holds no text".to_owned()) } else { Ok(read(&result, texts.join("\n\n"))) }
    }

    /// The texts of a prompt's messages; roles are named where there is more than one message.
    pub(super) async fn prompt(&self, name: &str, arguments: &Value) -> Result<Read, String> {
        let params = Params::default().with("name", name).with("arguments", arguments);
        let result = self.request("prompts/get", params).await?;
        let messages = result.get("messages").and_then(Value::as_array).ok_or("the server's answer has no messages")?;
        let text = |message: &Value| {
            let content = message.get("content")?;
            let text = content.get("text").or_else(|| content.pointer("/resource/text"))?.as_str()?;
            let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
            Some(if messages.len() > 1 { format!("{role}: {text}") } else { text.to_owned() })
        };
        let texts: Vec<String> = messages.iter().filter_map(text).collect();
        if texts.is_empty() { Err("the prompt holds no text".to_owned()) } else { Ok(read(&result, texts.join("\n\n"))) }
    }

    /// What a tool answers, once its approved release or the operator says that it only reads.
    pub(super) async fn tool(&self, name: &str, arguments: &Value, trusted: bool, pointer: Option<&str>) -> Result<Read, String> {
        match self.federation.tool_reads_only(self.name, name) {
            None => return Err(format!("the server `{}` has no tool `{name}`", self.name)),
            Some(false) if !trusted => {
                let why = "is not said to only read (`annotations.readOnlyHint`); if it does, write `read_only: true`";
                return Err(format!("the tool `{name}` {why}"));
            }
            Some(_) => {}
        }
        let params = Params::default().with("name", name).with("arguments", arguments);
        let result = self.request("tools/call", params).await?;
        if result.get("isError") == Some(&json!(true)) {
            return Err(format!("the tool `{name}` answered with an error"));
        }
        let contents = result.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |content: &Value| Some(content.get("text").or_else(|| content.pointer("/resource/text"))?.as_str()?.to_owned());
        let text = contents.iter().filter_map(text).collect::<Vec<_>>().join("\n\n");
        let structured = result.get("structuredContent").filter(|value| !value.is_null());
        let text = match (pointer, structured) {
            (Some(pointer), Some(value)) => select(value, pointer)?,
            (Some(pointer), None) => {
                let value = serde_json::from_str(&text).map_err(|_| "the tool's answer is not JSON, so nothing can be selected")?;
                select(&value, pointer)?
            }
            (None, Some(value)) if text.trim().is_empty() => value.to_string(),
            // Servers repeat their structured content as text, for those who know only text.
            (None, _) => text,
        };
        if text.trim().is_empty() { Err("the tool's answer holds no text".to_owned()) } else { Ok(read(&result, text)) }
    }

    async fn request(&self, method: &str, params: Params) -> Result<Value, String> {
        let scope = Scope::One(self.name);
        self.federation.enter(self.principal, scope)?;
        let caller = Caller { trace: self.trace.clone(), ..Caller::new(self.principal, None) };
        let result = self.federation.request(&caller, scope, method, params).await;
        let result = result.map_err(|error| error.message)?;
        let result: Value = serde_json::from_str(result.get()).map_err(|_| "the server's answer cannot be read".to_owned())?;
        // A server may ask back, or answer later; a source has nobody to ask and nothing to wait for.
        match result.get("resultType").and_then(Value::as_str) {
            None | Some("complete") => Ok(result),
            Some(_) => Err("the server did not answer, but asked for more".to_owned()),
        }
    }
}

fn read(result: &Value, text: String) -> Read {
    let (ttl, private) = hints(result);
    Read { text, ttl, private }
}
