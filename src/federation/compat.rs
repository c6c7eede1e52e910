//! Definitions and results for clients that read less than the newest revision says.

use serde_json::json;
use serde_json::value::RawValue;

use crate::domain::{Needle, RawObject, hides_keys, raw};
use crate::protocol::RpcError;
use crate::schema;

/// Makes a tool's definition plainer: its input schema in JSON Schema 2020-12, and no output schema, which may be of anything
/// but an object.
pub(super) fn definition(tool: &mut RawObject<'_>) {
    tool.remove("outputSchema");
    let lifted = tool.get("inputSchema").and_then(schema::lifted);
    if let Some(lifted) = lifted {
        tool.set("inputSchema", raw(&lifted));
    }
}

/// A tool's definition as the revisions with sessions know it, whose schemas are objects with schemas of properties that are
/// objects again (2025-11-25 §schema: `Tool`); none where it is one already. An output schema that is none of these is left out.
pub(super) fn for_sessions(mut tool: RawObject<'_>) -> Option<String> {
    let is_object =
        |schema: &RawValue| RawObject::parse(schema.get()).is_ok_and(|schema| schema.string("type").as_deref() == Some("object"));
    let unknown = tool.get("outputSchema").is_some_and(|output| !is_object(output));
    if unknown {
        tool.remove("outputSchema");
    }
    let mended = ["inputSchema", "outputSchema"].map(|key| (key, tool.get(key).and_then(plain_properties)));
    let changed = unknown || mended.iter().any(|(_, schema)| schema.is_some());
    for (key, schema) in mended {
        if let Some(schema) = schema {
            tool.set(key, schema);
        }
    }
    changed.then(|| tool.to_text())
}

/// A schema whose properties' schemas are objects; none where they are.
fn plain_properties(schema: &RawValue) -> Option<Box<RawValue>> {
    let mut schema = RawObject::parse(schema.get()).ok()?;
    let properties = schema.get("properties")?.to_owned();
    let mut properties = RawObject::parse(properties.get()).ok()?;
    let is_bool = |(key, property): (&str, &RawValue)| match property.get() {
        "true" => Some((key.to_owned(), true)),
        "false" => Some((key.to_owned(), false)),
        _ => None,
    };
    let bools: Vec<_> = properties.iter().filter_map(is_bool).collect();
    if bools.is_empty() {
        return None;
    }
    for (key, anything) in bools {
        properties.put(&key, raw(&if anything { json!({}) } else { json!({ "not": {} }) }));
    }
    schema.set("properties", properties.to_raw());
    Some(schema.to_raw())
}

/// Says as text, too, what a result says in structured content alone: `content` is required (2025-06-18 §schema: `CallToolResult`), and many
/// clients read nothing else. Any other result is passed on as it came.
pub(super) fn with_content(result: Box<RawValue>) -> Box<RawValue> {
    static KEY: Needle = Needle::new("\"content\"");
    if KEY.is_in(result.get()) || hides_keys(result.get()) {
        return result;
    }
    let Ok(mut object) = RawObject::forgiving(result.get()) else { return result };
    let Some(text) = object.get("structuredContent").map(|structured| structured.get().to_owned()) else { return result };
    object.set("content", raw(&json!([{ "type": "text", "text": text }])));
    object.to_raw()
}

/// Takes structured content that is no object out of a result. What it says stays, as text.
pub(super) fn result(result: Box<RawValue>) -> Result<Box<RawValue>, RpcError> {
    static KEY: Needle = Needle::new("\"structuredContent\"");
    if !KEY.is_in(result.get()) && !hides_keys(result.get()) {
        return Ok(result);
    }
    let mut object = RawObject::forgiving(result.get()).map_err(|_| RpcError::unreadable())?;
    let plain = |value: &&RawValue| value.get().starts_with('{');
    let Some(structured) = object.get("structuredContent").filter(|value| !plain(value)).map(ToOwned::to_owned) else {
        return Ok(result);
    };
    object.remove("structuredContent");
    if object.read_raw("content").is_none_or(|content| content.is_empty()) {
        object.set("content", raw(&json!([{ "type": "text", "text": structured.get() }])));
    }
    Ok(object.to_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::raw_string;

    #[test]
    fn sessions_are_shown_schemas_as_their_revisions_know_them() {
        let shown = |text: &str| for_sessions(RawObject::parse(text).unwrap());
        for same in [
            r#"{"name":"a","inputSchema":{"type":"object"}}"#,
            r#"{"inputSchema":{"type":"object","properties":{"a":{"const":true}}},"outputSchema":{"type":"object","anyOf":[]}}"#,
        ] {
            assert_eq!(shown(same), None);
        }
        for (given, told) in [
            (
                r#"{"inputSchema":{"type":"object"},"outputSchema":{"type":"array"},"x":1.0}"#,
                r#"{"inputSchema":{"type":"object"},"x":1.0}"#,
            ),
            (r#"{"outputSchema":true,"inputSchema":{}}"#, r#"{"inputSchema":{}}"#),
            (
                r#"{"inputSchema":{"properties":{"b":true,"a":{"minimum":1.0},"c":false},"type":"object"},"outputSchema":{"anyOf":[]}}"#,
                r#"{"inputSchema":{"properties":{"b":{},"a":{"minimum":1.0},"c":{"not":{}}},"type":"object"}}"#,
            ),
        ] {
            assert_eq!(shown(given).as_deref(), Some(told));
        }
    }

    #[test]
    fn structured_content_that_is_no_object_becomes_text_unless_it_is_there_already() {
        let plain = |text: &str| result(raw_string(text.to_owned()).unwrap()).unwrap().get().to_owned();
        for (given, told) in [
            (r#"{"content":[],"structuredContent":[1.0]}"#, r#"{"content":[{"type":"text","text":"[1.0]"}]}"#),
            (
                r#"{"content":[{"type":"text","text":"x"}],"structuredContent":7,"a":1}"#,
                r#"{"content":[{"type":"text","text":"x"}],"a":1}"#,
            ),
            (r#"{"structured\u0043ontent":null}"#, r#"{"content":[{"type":"text","text":"null"}]}"#),
            (r#"{"content":[],"structuredContent":{"a":1.0}}"#, r#"{"content":[],"structuredContent":{"a":1.0}}"#),
            (r#"{"content":[{"type":"text","text":"structuredContent"}]}"#, r#"{"content":[{"type":"text","text":"structuredContent"}]}"#),
        ] {
            assert_eq!(plain(given), told);
        }
    }
}
