//! Definitions and results for clients that read less than the newest revision says.

use memchr::memmem;
use serde_json::json;
use serde_json::value::RawValue;

use crate::domain::{RawObject, raw};
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

/// Takes structured content that is no object out of a result. What it says stays, as text.
pub(super) fn result(result: Box<RawValue>) -> Result<Box<RawValue>, RpcError> {
    let text = result.get().as_bytes();
    // A key may hide behind an escape.
    if memmem::find(text, b"\"structuredContent\"").is_none() && memmem::find(text, b"\\u").is_none() {
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
