//! Calls that the gateway ran in an earlier answer, as every provider knows calls.
//!
//! The client was told of each in one item (`mcp_call`) and sends it back so. To a model they are calls that it made,
//! those of one turn together, and then the results that it was given.

use serde_json::value::RawValue;

use crate::domain::RawObject;
use crate::llm::conversation::{Call, Part, Role, Turn};

/// The id of the item that tells of a call: whoever reads it again finds the turn, and the id that the model gave the call.
pub(super) fn id_of(turn: &str, call: &str) -> String {
    format!("mcp_{turn}_{call}")
}

/// A name for a turn.
pub(super) fn new_turn() -> String {
    uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect()
}

/// The turn and the call that an item's id names; none where the id is somebody else's.
fn read_id(id: &str) -> Option<(&str, &str)> {
    let (turn, call) = id.strip_prefix("mcp_")?.split_once('_')?;
    (turn.len() == 8 && !call.is_empty()).then_some((turn, call))
}

/// Makes calls and results of such items; `name` is a tool's name as the model was told it. What only says which tools
/// a server has is left out: to a model they are functions.
pub(in crate::llm) fn unfold(items: Vec<Box<RawValue>>, name: &dyn Fn(&str, &str) -> String) -> Vec<Box<RawValue>> {
    let mut all = Vec::with_capacity(items.len());
    let mut results = Vec::new();
    let mut turn = String::new();
    for item in items {
        let object = Some(item.get()).filter(|item| item.contains("\"mcp_")).and_then(|item| RawObject::parse(item).ok());
        let kind = object.as_ref().and_then(|item| item.string("type"));
        match (kind.as_deref(), object) {
            (Some("mcp_call"), Some(own)) => {
                let id = own.string("id").unwrap_or_default();
                let (of, call) = read_id(&id).unwrap_or((&id, &id));
                if of != turn {
                    all.append(&mut results);
                    of.clone_into(&mut turn);
                }
                let (called, answered) = taken_apart(&own, call, name);
                all.extend(called);
                results.extend(answered);
            }
            (Some("mcp_list_tools"), _) => {}
            _ => {
                all.append(&mut results);
                turn.clear();
                all.push(item);
            }
        }
    }
    all.append(&mut results);
    all
}

type Items = Vec<Box<RawValue>>;

/// A call and its result, written as the loop wrote them when it ran.
fn taken_apart(own: &RawObject<'_>, id: &str, name: &dyn Fn(&str, &str) -> String) -> (Items, Items) {
    let text = |key: &str| own.string(key).unwrap_or_default();
    let call = Call { id: id.to_owned(), name: name(&text("server_label"), &text("name")), arguments: text("arguments") };
    let error = own.get("error").filter(|error| error.get() != "null");
    let said = error.map_or_else(|| text("output"), why);
    let result = Part::Result { call: id.to_owned(), parts: vec![Part::text(said)], failed: error.is_some(), cache: None };
    let items = |role, part| super::items::items(&[Turn { role, parts: vec![part] }]);
    (items(Role::Assistant, Part::Call(call)), items(Role::User, result))
}

/// The words of an error, which is a text or holds a list of them.
fn why(error: &RawValue) -> String {
    if let Ok(text) = serde_json::from_str(error.get()) {
        return text;
    }
    let parts = RawObject::parse(error.get()).ok().and_then(|error| error.read::<Vec<serde_json::Value>>("content"));
    let texts: Option<Vec<String>> =
        parts.map(|parts| parts.iter().filter_map(|part| part.get("text")?.as_str().map(str::to_owned)).collect());
    texts.map_or_else(|| error.get().to_owned(), |texts| texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::raw;

    #[test]
    fn calls_of_one_turn_stand_together_and_those_of_two_do_not() {
        let told = |id: &str, error: Value| json!({ "id": id, "type": "mcp_call", "server_label": "demo", "name": "echo", "arguments": "{}", "output": "ahoy", "error": error });
        let failed = json!({ "type": "mcp_tool_execution_error", "content": [{ "type": "text", "text": "no" }] });
        let items = [
            json!({ "id": "mcpl_1", "type": "mcp_list_tools", "server_label": "demo", "tools": [] }),
            told("mcp_0123abcd_call_1", Value::Null),
            told("mcp_0123abcd_call_2", failed),
            told("mcp_4567abcd_call_3", Value::Null),
            told("mcp_682d1f0a9c", "broken".into()),
            json!({ "type": "message", "role": "user", "content": "\"mcp_call\"" }),
        ];
        let unfolded = unfold(items.iter().map(raw).collect(), &|server, tool| format!("{server}__{tool}"));
        let read: Vec<Value> = unfolded.iter().map(|item| serde_json::from_str(item.get()).unwrap()).collect();
        let told: Vec<_> = read.iter().map(|item| (item["type"].as_str().unwrap(), item["call_id"].as_str().unwrap_or_default())).collect();
        let (call, output) = ("function_call", "function_call_output");
        assert_eq!(
            told,
            [
                (call, "call_1"),
                (call, "call_2"),
                (output, "call_1"),
                (output, "call_2"),
                (call, "call_3"),
                (output, "call_3"),
                (call, "mcp_682d1f0a9c"),
                (output, "mcp_682d1f0a9c"),
                ("message", "")
            ]
        );
        assert_eq!(
            (&read[0]["name"], &read[3]["output"], &read[7]["output"]),
            (&json!("demo__echo"), &json!("Error: no"), &json!("Error: broken"))
        );
    }
}
