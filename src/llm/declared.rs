//! What requests of different dialects say in the same words.

use serde_json::value::RawValue;

use super::conversation::{Choice, Conversation, Format, Function, Wrong};
use super::fields::Fields;

/// Reads a field that dialects have by the same name; whether it is one.
pub(super) fn field(conversation: &mut Conversation, fields: &Fields<'_, '_>, key: &str, value: &RawValue) -> Result<bool, Wrong> {
    match key {
        "temperature" => conversation.temperature = Some(value.to_owned()),
        "top_p" => conversation.top_p = Some(value.to_owned()),
        "top_k" => conversation.top_k = Some(value.to_owned()),
        "stream" => conversation.stream = fields.flag(key)?.unwrap_or_default(),
        "user" => conversation.user = fields.text(key)?,
        "prompt_cache_key" => conversation.cache_key = fields.text(key)?,
        "parallel_tool_calls" => conversation.parallel = fields.flag(key)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A function; `schema` is the member that holds the schema of its arguments.
pub(super) fn function(fields: &Fields<'_, '_>, schema: &str) -> Result<Function, Wrong> {
    Ok(Function {
        name: fields.need("name")?,
        description: fields.text("description")?,
        schema: fields.some(schema).map(ToOwned::to_owned),
        strict: fields.flag("strict")?,
        cache: fields.some("cache_control").map(ToOwned::to_owned),
    })
}

/// A choice that is one word, or names a function; `named` finds the name in an object.
pub(super) fn choice(value: &RawValue, named: impl FnOnce(&str) -> Option<String>) -> Result<Choice, Wrong> {
    match value.get() {
        "\"auto\"" => Ok(Choice::Auto),
        "\"none\"" => Ok(Choice::None),
        "\"required\"" => Ok(Choice::Required),
        other => named(other)
            .map(Choice::Function)
            .ok_or_else(|| Wrong::at("tool_choice", "`tool_choice` must be none, auto, required, or a function of `tools`")),
    }
}

/// The shape of an answer, of a kind that stands at a path; `named` is the object with the schema and its name.
pub(super) fn format(kind: &str, path: &str, named: &Fields<'_, '_>) -> Result<Option<Format>, Wrong> {
    match kind {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Object)),
        "json_schema" => {
            let schema = named.some("schema").map(ToOwned::to_owned).ok_or_else(|| named.wrong("schema", "there, a JSON Schema"))?;
            let name = named.text("name")?.unwrap_or_else(|| "answer".to_owned());
            Ok(Some(Format::Schema { name, schema, strict: named.flag("strict")? }))
        }
        _ => Err(Wrong::at(path, format!("`{path}` must be text, json_object or json_schema"))),
    }
}
