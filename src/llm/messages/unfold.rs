//! Calls that the gateway ran in an earlier answer, as every provider knows calls.
//!
//! The client was told of them in blocks of one assistant message (`mcp_tool_use`, `mcp_tool_result`) and
//! sends them back so. To a model they are calls that it made and results that it was given.

use serde_json::value::RawValue;

use crate::domain::{RawObject, raw};

/// Takes messages apart where such blocks stand in them; `name` is a tool's name as the model was told it.
pub(in crate::llm) fn unfold(messages: Vec<Box<RawValue>>, name: &dyn Fn(&str, &str) -> String) -> Vec<Box<RawValue>> {
    messages.into_iter().flat_map(|message| one(&message, name).unwrap_or_else(|| vec![message])).collect()
}

fn one(message: &RawValue, name: &dyn Fn(&str, &str) -> String) -> Option<Vec<Box<RawValue>>> {
    if !message.get().contains("\"mcp_tool_") {
        return None;
    }
    let object = RawObject::parse(message.get()).ok()?;
    let blocks = object.read_raw("content")?;
    let mut said: Vec<(&str, Vec<Box<RawValue>>)> = Vec::new();
    let mut say = |role: &'static str, block: Box<RawValue>| match said.last_mut() {
        Some((last, all)) if *last == role => all.push(block),
        _ => said.push((role, vec![block])),
    };
    for block in blocks {
        let Ok(mut own) = RawObject::parse(block.get()) else { continue };
        match own.string("type").as_deref() {
            Some("mcp_tool_use") => {
                let server = own.string("server_name").unwrap_or_default();
                let tool = own.string("name").unwrap_or_default();
                own.remove("server_name");
                own.set("type", raw("tool_use"));
                own.set("name", raw(&name(&server, &tool)));
                say("assistant", own.to_raw());
            }
            Some("mcp_tool_result") => {
                own.set("type", raw("tool_result"));
                if own.get("is_error").is_some_and(|failed| failed.get() == "false") {
                    own.remove("is_error");
                }
                say("user", own.to_raw());
            }
            _ => say("assistant", block.to_owned()),
        }
    }
    let message = |(role, blocks): (&str, Vec<Box<RawValue>>)| {
        let mut message = RawObject::default();
        message.set("role", raw(role));
        message.set("content", raw(&blocks));
        message.to_raw()
    };
    Some(said.into_iter().map(message).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_told_in_one_message_is_a_call_and_its_result() {
        let message = json!({ "role": "assistant", "content": [
            { "type": "text", "text": "Let me see." },
            { "type": "mcp_tool_use", "id": "a", "name": "echo", "server_name": "demo", "input": { "n": 1 } },
            { "type": "mcp_tool_result", "tool_use_id": "a", "is_error": false, "content": [{ "type": "text", "text": "1" }] },
            { "type": "text", "text": "It is 1." },
        ] });
        let unfolded = unfold(vec![raw(&message)], &|server, tool| format!("{server}__{tool}"));
        let roles: Vec<String> = unfolded.iter().filter_map(|one| RawObject::parse(one.get()).ok()?.string("role")).collect();
        assert_eq!(roles, ["assistant", "user", "assistant"]);
        assert!(unfolded[0].get().contains(r#""type":"tool_use","id":"a","name":"demo__echo","input":{"n":1}"#), "{}", unfolded[0]);
        assert!(unfolded[1].get().contains(r#""type":"tool_result","tool_use_id":"a""#), "{}", unfolded[1]);
    }
}
