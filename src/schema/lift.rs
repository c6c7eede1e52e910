//! Schemas of older drafts in the words of JSON Schema 2020-12.
//!
//! Draft-07's `definitions`, `dependencies` and lists of `items` have other names since 2019-09 and 2020-12, and readers that know
//! only the newest draft pass over the old ones in silence.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Keywords whose value is a schema.
pub(super) const ONE: [&str; 12] = [
    "additionalProperties",
    "additionalItems",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas.
pub(super) const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a map of schemas.
pub(super) const MAP: [&str; 5] = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// A schema in the words of 2020-12; none where it is in them already. A `$schema` is left out: 2020-12 is what MCP assumes.
pub fn lifted(schema: &RawValue) -> Option<Value> {
    let old: Value = serde_json::from_str(schema.get()).ok()?;
    let new = Lift(&old).schema(&old);
    (new != old).then_some(new)
}

/// The whole schema, in which references are followed.
struct Lift<'s>(&'s Value);

impl Lift<'_> {
    fn schema(&self, schema: &Value) -> Value {
        let Value::Object(members) = schema else { return schema.clone() };
        let tuple = members.get("items").is_some_and(Value::is_array);
        let mut new = Map::new();
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("$schema", _) => {}
                ("additionalItems", _) if !tuple => {}
                ("$id", Value::String(id)) if id.starts_with('#') => {
                    new.insert("$anchor".to_owned(), id.trim_start_matches('#').into());
                }
                ("$ref", Value::String(reference)) => {
                    new.insert(keyword.clone(), self.reference(reference).into());
                }
                ("dependencies", Value::Object(all)) => self.dependencies(all, &mut new),
                ("items", Value::Array(list)) => {
                    new.insert("prefixItems".to_owned(), self.list(list));
                }
                (word, Value::Object(map)) if MAP.contains(&word) => add(&mut new, renamed(word, members), self.map(map)),
                (word, Value::Array(list)) if LIST.contains(&word) => {
                    new.insert(keyword.clone(), self.list(list));
                }
                (word, value) if ONE.contains(&word) => {
                    new.insert(renamed(word, members).to_owned(), self.schema(value));
                }
                _ => {
                    new.insert(keyword.clone(), value.clone());
                }
            }
        }
        Value::Object(new)
    }

    fn list(&self, list: &[Value]) -> Value {
        list.iter().map(|schema| self.schema(schema)).collect()
    }

    fn map(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter().map(|(name, schema)| (name.clone(), self.schema(schema))).collect()
    }

    /// What must be there beside a member: names, or a schema.
    fn dependencies(&self, all: &Map<String, Value>, new: &mut Map<String, Value>) {
        let (names, schemas): (Vec<_>, Vec<_>) = all.iter().partition(|(_, needs)| needs.is_array());
        if !names.is_empty() {
            let names = names.into_iter().map(|(member, needs)| (member.clone(), needs.clone()));
            add(new, "dependentRequired", names.collect());
        }
        if !schemas.is_empty() {
            add(new, "dependentSchemas", schemas.into_iter().map(|(member, schema)| (member.clone(), self.schema(schema))).collect());
        }
    }

    /// A reference to where its schema stands now.
    fn reference(&self, reference: &str) -> String {
        let Some(pointer) = reference.strip_prefix("#/") else { return reference.to_owned() };
        let mut moved = "#".to_owned();
        let mut at = Some(self.0);
        // In a map of schemas or a list of them, a step is a name and no keyword.
        let mut named = false;
        for step in pointer.split('/') {
            let plain = step.replace("~1", "/").replace("~0", "~");
            let here = at;
            at = at.and_then(|value| match value {
                Value::Array(list) => list.get(plain.parse::<usize>().ok()?),
                other => other.get(&plain),
            });
            let members = here.and_then(Value::as_object).filter(|_| !named);
            let word = match members {
                Some(members) => match plain.as_str() {
                    "items" if at.is_some_and(Value::is_array) => "prefixItems",
                    "dependencies" => "dependentSchemas",
                    other => renamed(other, members),
                },
                None => step,
            };
            named = members.is_some() && at.is_some_and(|at| at.is_array() || MAP.contains(&plain.as_str()) || plain == "dependencies");
            moved.push('/');
            moved.push_str(if word == plain { step } else { word });
        }
        moved
    }
}

/// What a keyword that only changed its name is called now.
fn renamed<'k>(keyword: &'k str, members: &Map<String, Value>) -> &'k str {
    match keyword {
        "definitions" => "$defs",
        "additionalItems" if members.get("items").is_some_and(Value::is_array) => "items",
        other => other,
    }
}

/// Adds to a map what is not there yet, for old and new words may stand side by side.
fn add(new: &mut Map<String, Value>, keyword: &str, map: Map<String, Value>) {
    if let Value::Object(there) = new.entry(keyword).or_insert_with(|| Value::Object(Map::new())) {
        for (name, schema) in map {
            there.entry(name).or_insert(schema);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::raw;

    fn lift(schema: &Value) -> Option<Value> {
        lifted(&raw(schema))
    }

    #[test]
    fn the_words_of_draft_07_become_those_of_2020_12_and_references_still_lead_there() {
        let old = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "definitions": { "a/b": { "type": "string" }, "pair": { "items": [{ "$ref": "#/definitions/a~1b" }, true], "additionalItems": false } },
            "properties": {
                "definitions": { "$ref": "#/definitions/pair" }, "first": { "$ref": "#/definitions/pair/items/0" },
                "own": { "$ref": "#/properties/definitions" }, "self": { "$ref": "#" }, "set": { "const": { "definitions": {} } },
                "x": { "additionalItems": false, "items": { "$id": "#here" } },
            },
            "dependencies": { "own": ["self"], "self": { "required": ["set"] } },
        });
        let new = json!({
            "type": "object",
            "$defs": { "a/b": { "type": "string" }, "pair": { "prefixItems": [{ "$ref": "#/$defs/a~1b" }, true], "items": false } },
            "properties": {
                "definitions": { "$ref": "#/$defs/pair" }, "first": { "$ref": "#/$defs/pair/prefixItems/0" },
                "own": { "$ref": "#/properties/definitions" }, "self": { "$ref": "#" }, "set": { "const": { "definitions": {} } },
                "x": { "items": { "$anchor": "here" } },
            },
            "dependentRequired": { "own": ["self"] }, "dependentSchemas": { "self": { "required": ["set"] } },
        });
        assert_eq!(lift(&old).unwrap(), new);
        assert_eq!(lift(&new), None, "what is lifted already stays as it was written");
    }

    #[test]
    fn a_lifted_schema_takes_and_refuses_what_the_old_one_does() {
        let old = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "definitions": { "port": { "type": "integer", "maximum": 65535 } },
            "properties": { "at": { "items": [{ "type": "string" }, { "$ref": "#/definitions/port" }], "additionalItems": false } },
            "dependencies": { "user": ["password"], "at": { "required": ["why"] } },
        });
        let new = lift(&old).unwrap();
        let (before, after) = (jsonschema::draft7::new(&old).unwrap(), jsonschema::draft202012::new(&new).unwrap());
        for (value, fits) in [
            (json!({ "at": ["a", 1], "why": 1 }), true),
            (json!({ "at": ["a", 70000], "why": 1 }), false),
            (json!({ "at": ["a", 1, 2], "why": 1 }), false),
            (json!({ "at": [] }), false),
            (json!({ "user": 1 }), false),
            (json!({ "user": 1, "password": 2 }), true),
        ] {
            assert_eq!((before.is_valid(&value), after.is_valid(&value)), (fits, fits), "{value}");
        }
    }
}
