//! A resource or a prompt of an MCP server, as text.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde_json::Value;

use crate::domain::{Principal, ServerName};
use crate::federation::{Caller, Federation, Scope};
use crate::protocol::Params;

/// The texts of a resource.
pub(super) async fn resource(federation: &Federation, server: &ServerName, uri: &str) -> Result<String, String> {
    let result = request(federation, server, "resources/read", Params::default().with("uri", uri)).await?;
    let contents = result.get("contents").and_then(Value::as_array).ok_or("the server's answer has no contents")?;
    let texts: Vec<&str> = contents.iter().filter_map(|content| content.get("text")?.as_str()).collect();
    if texts.is_empty() { Err("the resource holds no text".to_owned()) } else { Ok(texts.join("\n\n")) }
}

/// The texts of a prompt's messages; roles are named where there is more than one message.
pub(super) async fn prompt<T: Deref<Target = str>>(
    federation: &Federation,
    server: &ServerName,
    name: &str,
    arguments: &BTreeMap<String, T>,
) -> Result<String, String> {
    let arguments: BTreeMap<&str, &str> = arguments.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
    let result = request(federation, server, "prompts/get", Params::default().with("name", name).with("arguments", &arguments)).await?;
    let messages = result.get("messages").and_then(Value::as_array).ok_or("the server's answer has no messages")?;
    let text = |message: &Value| {
        let content = message.get("content")?;
        let text = content.get("text").or_else(|| content.pointer("/resource/text"))?.as_str()?;
        let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
        Some(if messages.len() > 1 { format!("{role}: {text}") } else { text.to_owned() })
    };
    let texts: Vec<String> = messages.iter().filter_map(text).collect();
    if texts.is_empty() { Err("the prompt holds no text".to_owned()) } else { Ok(texts.join("\n\n")) }
}

async fn request(federation: &Federation, server: &ServerName, method: &str, params: Params) -> Result<Value, String> {
    // The operator chose the source, so it is read as the gateway itself.
    let gateway = Principal::local();
    let scope = Scope::One(server.as_str());
    federation.enter(&gateway, scope)?;
    let result = federation.request(&Caller::new(&gateway, None), scope, method, params).await;
    let result = result.map_err(|error| error.message)?;
    serde_json::from_str(result.get()).map_err(|_| "the server's answer cannot be read".to_owned())
}
