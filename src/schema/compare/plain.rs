//! One way to say what schemas say in several, so that a change of words is no change of meaning.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::domain::pointer::step;

/// Keywords whose value is a map from names to schemas, and those whose value is data.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const DATA: [&str; 6] = ["const", "enum", "default", "examples", "required", "dependentRequired"];

/// Puts a schema into the words in which it is compared. No place of what stays is another than before.
///
/// Gives the places of the objects that said themselves that they take names which are not known here.
pub(super) fn plain(schema: &mut Value) -> BTreeSet<String> {
    // With `unevaluatedProperties` it matters which members somebody speaks of, if only to allow them.
    let speaking = schema.to_string().contains("\"unevaluatedProperties\"");
    let mut put = Put { speaking, at: String::new(), open: BTreeSet::new() };
    put.schema(schema);
    put.open
}

struct Put {
    speaking: bool,
    /// Where it is.
    at: String,
    open: BTreeSet<String>,
}

impl Put {
    fn schema(&mut self, schema: &mut Value) {
        let words = match schema {
            Value::Object(words) => words,
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.below(&at.to_string(), |put| put.schema(item));
                }
                return;
            }
            _ => return,
        };
        if words.get("additionalProperties").is_some_and(is_anything) {
            self.open.insert(self.at.clone());
        }
        words.retain(|keyword, value| !says_nothing(keyword, value) || (self.speaking && keyword.ends_with("Properties")));
        if is_whole(words) {
            whole_bounds(words);
        }
        for (keyword, value) in words.iter_mut() {
            match value {
                Value::Object(members) if MAPS.contains(&keyword.as_str()) => self.below(keyword, |put| {
                    for (name, member) in members.iter_mut() {
                        put.below(name, |put| put.schema(member));
                    }
                }),
                _ if DATA.contains(&keyword.as_str()) => {}
                value => self.below(keyword, |put| put.schema(value)),
            }
        }
    }

    /// Does something a step further in.
    fn below(&mut self, key: &str, each: impl FnOnce(&mut Self)) {
        let length = self.at.len();
        step(&mut self.at, key);
        each(self);
        self.at.truncate(length);
    }
}

fn is_anything(schema: &Value) -> bool {
    *schema == Value::Bool(true) || schema.as_object().is_some_and(Map::is_empty)
}

/// Whether a keyword excludes nothing, as if it were not there.
fn says_nothing(keyword: &str, value: &Value) -> bool {
    match keyword {
        "required" => value.as_array().is_some_and(Vec::is_empty),
        "properties" => value.as_object().is_some_and(Map::is_empty),
        // What a schema does not name is not sent, unless the schema says that it might be: that is known by its place.
        "additionalProperties" | "unevaluatedProperties" => is_anything(value),
        // Every name is a text.
        "propertyNames" => is_anything(value) || *value == json!({ "type": "string" }),
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

/// Bounds of whole numbers include themselves.
fn whole_bounds(words: &mut Map<String, Value>) {
    for (exclusive, inclusive, step) in [("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)] {
        let moved = words.get(exclusive).and_then(Value::as_i64).and_then(|bound| bound.checked_add(step));
        if let Some(bound) = moved.filter(|_| !words.contains_key(inclusive)) {
            words.shift_remove(exclusive);
            words.insert(inclusive.to_owned(), bound.into());
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
        ] {
            assert_eq!((worst(&old, &new), worst(&new, &old)), (None, None));
        }
        assert_eq!(worst(&json!({ "type": "object" }), &json!({ "type": "object", "additionalProperties": false })), Some(Class::Patch));
        let order = |a: &str, b: &str| json!({ "properties": { "q": { "anyOf": [{ "type": a }, { "type": b }] } } });
        assert_eq!(worst(&order("string", "null"), &order("null", "string")), Some(Class::Patch));
        assert_eq!(worst(&whole(json!({ "minimum": 0 })), &whole(json!({ "exclusiveMinimum": 0 }))), Some(Class::Breaking));
    }

    #[test]
    fn who_says_that_unknown_names_are_taken_promises_it() {
        let object = |others: Option<Value>, more: Value| {
            let mut schema = json!({ "type": "object", "properties": more });
            schema.as_object_mut().unwrap().extend(others.map(|others| ("additionalProperties".to_owned(), others)));
            schema
        };
        let open = [Some(json!(true)), Some(json!({}))];
        for named in [json!({}), json!({ "a": { "type": "string" } })] {
            let (unsaid, closed) = (object(None, named.clone()), object(Some(json!(false)), named.clone()));
            for others in open.clone() {
                let open = object(others, named.clone());
                let within = |schema: &Value| json!({ "type": "object", "properties": { "x/y": { "type": "array", "items": schema } } });
                let branch = |schema: &Value| json!({ "anyOf": [schema, { "type": "string" }] });
                assert_eq!(worst(&open, &closed), Some(Class::Breaking), "{named}");
                assert_eq!(worst(&within(&open), &within(&closed)), Some(Class::Breaking), "{named}");
                assert_eq!(worst(&branch(&open), &branch(&closed)), Some(Class::Breaking), "{named}");
                assert_eq!((worst(&unsaid, &open), worst(&open, &unsaid)), (None, None), "{named}");
                assert_eq!(worst(&closed, &open), Some(Class::Minor), "{named}");
                // A new name is not among those that were sent so far, as with any open object.
                let mut more = open.clone();
                more["properties"]["b"] = json!({ "type": "integer" });
                assert_eq!(worst(&open, &more), Some(Class::Minor), "{named}");
                assert_eq!(worst(&open, &object(Some(json!({ "type": "integer" })), named.clone())), Some(Class::Breaking), "{named}");
            }
            assert_eq!(worst(&unsaid, &closed), Some(Class::Patch), "{named}");
        }
        let branches = |others: bool| json!({ "oneOf": [{ "type": "object", "additionalProperties": others }, { "type": "string" }] });
        assert_eq!(worst(&branches(true), &branches(false)), Some(Class::Breaking));
    }

    #[test]
    fn a_bound_of_whole_numbers_excludes_some_however_far_out_it_is() {
        let bounded = json!({ "type": "integer", "maximum": 9_007_199_254_740_991_i64 });
        assert_eq!(worst(&json!({ "type": "integer" }), &bounded), Some(Class::Breaking));
        assert_eq!(worst(&bounded, &json!({ "type": "integer" })), Some(Class::Minor));
    }

    #[test]
    fn what_stands_beside_a_reference_counts_in_newer_drafts_alone() {
        let schema = |dialect: &str| {
            let q = json!({ "oneOf": [{ "$ref": "#/$defs/t", "maxLength": 3 }, { "type": "integer" }] });
            json!({ "$schema": dialect, "$defs": { "t": { "type": "string" } }, "properties": { "q": q } })
        };
        let (old, new) = (schema("http://json-schema.org/draft-07/schema#"), schema("https://json-schema.org/draft/2020-12/schema"));
        assert_eq!(worst(&old, &new), Some(Class::Breaking));
        assert_eq!((worst(&old, &old), worst(&new, &new)), (None, None));
    }

    #[test]
    fn items_that_are_left_over_depend_on_what_is_referred_to() {
        let schema = |first: Value| {
            let q = json!({ "$ref": "#/$defs/t", "unevaluatedItems": false });
            json!({ "$defs": { "t": { "prefixItems": first } }, "properties": { "q": q } })
        };
        assert_eq!(worst(&schema(json!([{}, {}])), &schema(json!([{}]))), Some(Class::Breaking));
        let elsewhere = |kind: &str| {
            let mut schema = schema(json!([{}, {}]));
            schema["properties"]["r"] = json!({ "type": kind });
            schema
        };
        assert_eq!(worst(&elsewhere("integer"), &elsewhere("number")), Some(Class::Minor));
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
