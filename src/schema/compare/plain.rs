//! One way to say what schemas say in several, so that a change of words is no change of meaning.

use serde_json::{Map, Value, json};

/// The largest whole number that every JSON reader knows exactly (RFC 8259 §6): a bound as far out excludes nothing that is sent.
const FARTHEST: i64 = 9_007_199_254_740_991;
/// Keywords whose value is a map from names to schemas, and those whose value is data.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const DATA: [&str; 6] = ["const", "enum", "default", "examples", "required", "dependentRequired"];

/// Puts a schema into the words in which it is compared. No place of what stays is another than before.
pub(super) fn plain(schema: &mut Value) {
    // With `unevaluatedProperties` it matters which members somebody speaks of, if only to allow them.
    let speaking = schema.to_string().contains("\"unevaluatedProperties\"");
    put(schema, speaking);
}

fn put(schema: &mut Value, speaking: bool) {
    let words = match schema {
        Value::Object(words) => words,
        Value::Array(items) => return items.iter_mut().for_each(|item| put(item, speaking)),
        _ => return,
    };
    words.retain(|keyword, value| !says_nothing(keyword, value) || (speaking && keyword.ends_with("Properties")));
    if is_whole(words) {
        whole_bounds(words);
    }
    for (keyword, value) in words.iter_mut() {
        match value {
            Value::Object(members) if MAPS.contains(&keyword.as_str()) => members.values_mut().for_each(|member| put(member, speaking)),
            _ if DATA.contains(&keyword.as_str()) => {}
            value => put(value, speaking),
        }
    }
}

/// Whether a keyword excludes nothing, as if it were not there.
fn says_nothing(keyword: &str, value: &Value) -> bool {
    let anything = |value: &Value| *value == Value::Bool(true) || value.as_object().is_some_and(Map::is_empty);
    match keyword {
        "required" => value.as_array().is_some_and(Vec::is_empty),
        "properties" => value.as_object().is_some_and(Map::is_empty),
        // What a schema does not name is not sent, whether or not it says that it might be.
        "additionalProperties" | "unevaluatedProperties" => anything(value),
        // Every name is a text.
        "propertyNames" => anything(value) || *value == json!({ "type": "string" }),
        _ => false,
    }
}

/// Whether all numbers that a schema takes are whole.
fn is_whole(words: &Map<String, Value>) -> bool {
    match words.get("type") {
        Some(Value::String(kind)) => kind == "integer",
        Some(Value::Array(kinds)) => kinds.contains(&"integer".into()) && !kinds.contains(&"number".into()),
        _ => false,
    }
}

/// Bounds of whole numbers include themselves; those that exclude nothing are left out.
fn whole_bounds(words: &mut Map<String, Value>) {
    for (exclusive, inclusive, step) in [("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)] {
        let moved = words.get(exclusive).and_then(Value::as_i64).and_then(|bound| bound.checked_add(step));
        if let Some(bound) = moved.filter(|_| !words.contains_key(inclusive)) {
            words.shift_remove(exclusive);
            words.insert(inclusive.to_owned(), bound.into());
        }
        let far = |bound: i64| if step > 0 { bound <= -FARTHEST } else { bound >= FARTHEST };
        if words.get(inclusive).and_then(Value::as_i64).is_some_and(far) {
            words.shift_remove(inclusive);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Class, raw};
    use crate::schema::{Side, compare};

    /// The worst class of a change of an input, none where it is no change.
    fn worst(old: &Value, new: &Value) -> Option<Class> {
        compare(&raw(old), &raw(new), Side::Input).into_iter().map(|change| change.class).max()
    }

    #[test]
    fn what_says_the_same_in_other_words_is_no_change() {
        let object = |mut more: Value| {
            more["type"] = "object".into();
            more
        };
        let whole = |bounds: Value| {
            let mut schema = bounds;
            schema["type"] = "integer".into();
            json!({ "properties": { "n": schema } })
        };
        for (old, new) in [
            (json!({}), json!({ "required": [], "properties": {} })),
            (object(json!({})), object(json!({ "propertyNames": { "type": "string" }, "additionalProperties": {} }))),
            (object(json!({ "additionalProperties": true })), object(json!({}))),
            (whole(json!({ "exclusiveMinimum": 0, "exclusiveMaximum": 1_000_000 })), whole(json!({ "minimum": 1, "maximum": 999_999 }))),
            (whole(json!({})), whole(json!({ "minimum": -FARTHEST, "maximum": FARTHEST }))),
        ] {
            assert_eq!((worst(&old, &new), worst(&new, &old)), (None, None));
        }
        assert_eq!(worst(&json!({ "type": "object" }), &json!({ "type": "object", "additionalProperties": false })), Some(Class::Patch));
        let order = |a: &str, b: &str| json!({ "properties": { "q": { "anyOf": [{ "type": a }, { "type": b }] } } });
        assert_eq!(worst(&order("string", "null"), &order("null", "string")), Some(Class::Patch));
        assert_eq!(worst(&whole(json!({ "minimum": 0 })), &whole(json!({ "exclusiveMinimum": 0 }))), Some(Class::Breaking));
    }

    #[test]
    fn what_is_referred_to_and_did_not_change_is_the_same_beside_what_did() {
        let block = json!({ "oneOf": [{ "$ref": "#/$defs/text" }, { "type": "integer" }] });
        let schema = |item: Value| {
            let defs = json!({ "block": block, "text": { "type": "string", "maxLength": 9 } });
            json!({ "$defs": defs, "properties": { "q": item, "r": { "$ref": "#/$defs/block" } } })
        };
        let wider = json!({ "anyOf": [{ "$ref": "#/$defs/block" }, { "type": "boolean" }] });
        assert_eq!(worst(&schema(json!({ "$ref": "#/$defs/block" })), &schema(wider.clone())), Some(Class::Minor));
        assert_eq!(worst(&schema(wider), &schema(json!({ "$ref": "#/$defs/block" }))), Some(Class::Breaking));
    }
}
