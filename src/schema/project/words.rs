//! What the parts of the projection know of schemas alike: where subschemas stand, and what references mean.

use serde_json::{Map, Value, json};

use crate::schema::lift::{LIST, MAP, ONE};

/// Calls `each` with every subschema right below a schema.
pub(super) fn below(words: &mut Map<String, Value>, each: &mut dyn FnMut(&mut Value)) {
    for (word, value) in words {
        match (word.as_str(), value) {
            (word, Value::Object(all)) if MAP.contains(&word) => all.values_mut().for_each(&mut *each),
            (word, Value::Array(all)) if LIST.contains(&word) => all.iter_mut().for_each(&mut *each),
            (word, value @ Value::Object(_)) if ONE.contains(&word) => each(value),
            _ => {}
        }
    }
}

/// The items of a list of schemas.
pub(super) fn list<'s>(words: &'s Map<String, Value>, word: &str) -> &'s [Value] {
    words.get(word).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The members of a map of schemas.
pub(super) fn map<'s>(words: &'s Map<String, Value>, word: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    words.get(word).and_then(Value::as_object).into_iter().flatten()
}

/// The texts of a list.
pub(super) fn texts<'s>(words: &'s Map<String, Value>, word: &str) -> impl Iterator<Item = &'s str> {
    list(words, word).iter().filter_map(Value::as_str)
}

/// The types that a schema names; none where it names none.
pub(super) fn types(words: &Map<String, Value>) -> Option<Vec<&str>> {
    match words.get("type")? {
        Value::String(one) => Some(vec![one]),
        Value::Array(all) => Some(all.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// The schema that takes nothing, as an object.
pub(super) fn nothing() -> Value {
    json!({ "not": {} })
}

/// What a reference within a schema leads to.
pub(super) fn find<'s>(whole: &'s Value, reference: &str) -> Option<&'s Value> {
    let fragment = percent_encoding::percent_decode_str(reference.strip_prefix('#')?).decode_utf8().ok()?;
    if fragment.is_empty() || fragment.starts_with('/') { whole.pointer(&fragment) } else { anchor(whole, &fragment) }
}

/// The subschema that calls itself so.
fn anchor<'s>(value: &'s Value, name: &str) -> Option<&'s Value> {
    if value.get("$anchor").and_then(Value::as_str) == Some(name) {
        return Some(value);
    }
    match value {
        Value::Object(members) => members.values().find_map(|value| anchor(value, name)),
        Value::Array(items) => items.iter().find_map(|value| anchor(value, name)),
        _ => None,
    }
}

/// Whether a word stands anywhere in a schema, as a keyword or as anything else.
pub(super) fn mentions(value: &Value, word: &str) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| key == word || mentions(value, word)),
        Value::Array(items) => items.iter().any(|value| mentions(value, word)),
        _ => false,
    }
}
