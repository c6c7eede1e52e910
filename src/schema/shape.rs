//! What arguments look like, without what they say: the names that a schema knows, and the kind of each value.
//!
//! `{"q":"string","tags":["string"],"filter":{"*":["integer"]}}`. A name that the schema does not know may be somebody's data, as in a
//! map, so it is not told: what stands under such names is a list of kinds under `*`, as are the items of an array.

use std::collections::BTreeSet;
use std::hash::Hasher;

use serde_json::{Map, Value, json};

/// How deep values are looked into, and how many items or members of one are.
const DEEPEST: usize = 6;
const WIDEST: usize = 48;
/// What is not looked into.
const ANY: &str = "any";

/// The names of all members that a schema knows, wherever in it.
pub fn names(schema: &Value) -> BTreeSet<String> {
    fn walk(schema: &Value, depth: usize, names: &mut BTreeSet<String>) {
        let Some(below) = depth.checked_sub(1) else { return };
        match schema {
            Value::Object(members) => {
                if let Some(Value::Object(properties)) = members.get("properties") {
                    names.extend(properties.keys().cloned());
                }
                members.values().for_each(|value| walk(value, below, names));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, below, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    walk(schema, 64, &mut names);
    names
}

/// Where a shape is written: into a text, or into a hash where only its sameness matters.
trait Sink {
    fn put(&mut self, text: &str);
}

impl Sink for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }
}

struct Hashed<'h, H>(&'h mut H);

impl<H: Hasher> Sink for Hashed<'_, H> {
    fn put(&mut self, text: &str) {
        self.0.write(text.as_bytes());
    }
}

/// The shape of a value.
pub fn shape(value: &Value, names: &BTreeSet<String>) -> String {
    let mut text = String::new();
    write(value, names, DEEPEST, &mut text);
    text
}

/// Hashes the shape of a value, without writing it.
pub fn hash_shape(value: &Value, names: &BTreeSet<String>, hasher: &mut impl Hasher) {
    write(value, names, DEEPEST, &mut Hashed(hasher));
}

fn write(value: &Value, names: &BTreeSet<String>, depth: usize, out: &mut impl Sink) {
    let kind = match value {
        Value::Null => "\"null\"",
        Value::Bool(_) => "\"boolean\"",
        Value::Number(number) if is_whole(number) => "\"integer\"",
        Value::Number(_) => "\"number\"",
        Value::String(_) => "\"string\"",
        Value::Array(_) | Value::Object(_) if depth == 0 => "\"any\"",
        Value::Array(items) => {
            out.put("[");
            kinds(items.iter(), names, depth - 1, out);
            return out.put("]");
        }
        Value::Object(members) => {
            out.put("{");
            let mut first = true;
            for (name, member) in members.iter().filter(|(name, _)| names.contains(*name)).take(WIDEST) {
                out.put(if first { "\"" } else { ",\"" });
                // Names of schemas are plain; those that are not are written as JSON wants.
                if name.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
                    out.put(name);
                } else {
                    out.put(Value::from(name.as_str()).to_string().trim_matches('"'));
                }
                out.put("\":");
                write(member, names, depth - 1, out);
                first = false;
            }
            let mut others = members.iter().filter(|(name, _)| !names.contains(*name)).map(|(_, member)| member).peekable();
            if others.peek().is_some() {
                out.put(if first { "\"*\":[" } else { ",\"*\":[" });
                kinds(others, names, depth - 1, out);
                out.put("]");
            }
            return out.put("}");
        }
    };
    out.put(kind);
}

/// The shapes of several values, each once.
fn kinds<'v>(values: impl Iterator<Item = &'v Value>, names: &BTreeSet<String>, depth: usize, out: &mut impl Sink) {
    let mut seen: Vec<String> = Vec::new();
    for value in values.take(WIDEST) {
        let mut text = String::new();
        write(value, names, depth, &mut text);
        if !seen.contains(&text) {
            out.put(if seen.is_empty() { "" } else { "," });
            out.put(&text);
            seen.push(text);
        }
    }
}

/// `1.0` is an integer to JSON Schema (2020-12 §4.2.3).
fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// The schema of all values of a shape; none where the text is no shape.
pub fn schema_of(shape: &str) -> Option<Value> {
    read(&serde_json::from_str(shape).ok()?)
}

fn read(shape: &Value) -> Option<Value> {
    let any = |shapes: &[Value]| -> Option<Value> {
        let read: Vec<Value> = shapes.iter().map(read).collect::<Option<_>>()?;
        Some(match read.as_slice() {
            [] => Value::Bool(true),
            [one] => one.clone(),
            _ => json!({ "anyOf": read }),
        })
    };
    Some(match shape {
        Value::String(kind) if kind == ANY => Value::Bool(true),
        Value::String(kind) => json!({ "type": kind }),
        // Nothing is known of the items of an array that had none.
        Value::Array(items) if items.is_empty() => json!({ "type": "array", "maxItems": 0 }),
        Value::Array(items) => json!({ "type": "array", "items": any(items)? }),
        Value::Object(members) => {
            let (mut properties, mut others) = (Map::new(), Value::Bool(false));
            for (name, shape) in members {
                match shape {
                    Value::Array(shapes) if name == "*" => others = any(shapes)?,
                    shape => drop(properties.insert(name.clone(), read(shape)?)),
                }
            }
            let required: Vec<&String> = properties.keys().collect();
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": others })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use proptest::prelude::*;

    use super::*;

    fn known() -> BTreeSet<String> {
        ["q", "n", "a\"b"].map(str::to_owned).into()
    }

    #[test]
    fn a_shape_has_names_and_kinds_and_nothing_of_what_is_said() {
        let arguments = json!({
            "q": "secret words", "n": [1, 2.0, 2.5, "x", "y"], "a\"b": null,
            "me@example.com": { "q": true }, "you@example.com": { "q": false },
        });
        let text = shape(&arguments, &known());
        assert_eq!(text, r#"{"q":"string","n":["integer","number","string"],"a\"b":"null","*":[{"q":"boolean"}]}"#);
        let schema = json!({ "properties": { "q": { "properties": { "n": {} } } }, "$defs": { "x": { "properties": { "z": {} } } } });
        assert_eq!(names(&schema), ["n", "q", "z"].map(str::to_owned).into());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<f32>().prop_map(|number| json!(number)),
            ".{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(8, 32, 4, |inner| {
            let name = prop_oneof!["[qn]", "a\"b", ".{0,3}"];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(name, inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_fits_the_schema_of_its_shape(value in values()) {
            let text = shape(&value, &known());
            let schema = schema_of(&text).unwrap();
            prop_assert!(jsonschema::is_valid(&schema, &value), "{}: {} {}", value, text, schema);
        }

        #[test]
        fn two_values_of_one_shape_have_one_hash(a in values(), b in values()) {
            let hash = |value: &Value| {
                let mut hasher = DefaultHasher::new();
                hash_shape(value, &known(), &mut hasher);
                hasher.finish()
            };
            let same = shape(&a, &known()) == shape(&b, &known());
            prop_assert_eq!(same, hash(&a) == hash(&b));
        }
    }
}
