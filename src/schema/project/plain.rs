//! What everybody asks for: JSON Schema 2020-12, schemas that are objects, lists that say what is in them, and an object at the root.
//!
//! OpenAI and Anthropic refuse a request for one root with `anyOf`, `oneOf`, `allOf`, `enum`, `const` or `not`, or of another type than
//! `object`; OpenAI also one list without `items`, and a root without `properties`. Below the root nothing is loosened here: the same
//! is said in other words, so that it may stand below `not` as well.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::names::{Names, rename};
use super::references::settle;
use super::root::object;
use super::unfit::Unfit;
use super::words::{nothing, types};
use crate::schema::lift::{LIST, MAP, ONE, lifted};

/// Drafts in which what stands beside a `$ref` counts for nothing (draft-07 §8.3 and before).
const LONE: [&str; 4] = ["draft-03", "draft-04", "draft-06", "draft-07"];
/// What may stand beside one nevertheless, since it says nothing of values.
const BESIDE: [&str; 6] = ["$ref", "$defs", "title", "description", "default", "examples"];
/// What a root must not have.
const NOT_AT_ROOT: [&str; 9] = ["allOf", "anyOf", "oneOf", "enum", "const", "not", "$ref", "$dynamicRef", "$recursiveRef"];

/// A schema as everybody takes it, and the names that it gives members of the root where `names` are to be plain. `closed` reads open
/// objects as they are used: a member that is not named is not sent.
pub(super) fn plain(schema: &RawValue, own: &Value, closed: bool, names: bool) -> Result<(Value, Names), Unfit> {
    let dialect = own.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let tidy = Tidy { lone: LONE.iter().any(|draft| dialect.contains(draft)) };
    let whole = tidy.schema(lifted(schema).as_ref().unwrap_or(own), true);
    let Value::Object(words) = &whole else { return Err(Unfit::new("", "is no schema")) };
    let is_object = words.get("type").and_then(Value::as_str) == Some("object");
    let fits = is_object && !NOT_AT_ROOT.iter().any(|word| words.contains_key(*word));
    let mut root = if fits { words.clone() } else { object(&whole, words, closed)? };
    let given = if names { rename(&mut root) } else { Names::default() };
    if !fits || !given.is_empty() {
        settle(&mut root, &whole)?;
    }
    if !root.contains_key("properties") {
        root.insert("properties".to_owned(), json!({}));
    }
    Ok((Value::Object(root), given))
}

/// Says the same in words that all readers know.
struct Tidy {
    lone: bool,
}

impl Tidy {
    /// `free` says that a value which fits more than before does no harm.
    fn schema(&self, schema: &Value, free: bool) -> Value {
        let words = match schema {
            Value::Bool(true) => return json!({}),
            Value::Bool(false) => return nothing(),
            Value::Object(words) => words,
            other => return other.clone(),
        };
        let lone = self.lone && words.contains_key("$ref");
        let mut new = Map::new();
        for (word, value) in words {
            let free = free && !matches!(word.as_str(), "not" | "if" | "oneOf" | "contains");
            let value = match (word.as_str(), value) {
                (word, _) if lone && !BESIDE.contains(&word) => continue,
                (word, Value::Object(all)) if MAP.contains(&word) => {
                    all.iter().map(|(name, schema)| (name.clone(), self.schema(schema, free))).collect()
                }
                (word, Value::Array(all)) if LIST.contains(&word) => all.iter().map(|schema| self.schema(schema, free)).collect(),
                // Everybody knows these two words for an object or a list that is closed.
                ("additionalProperties" | "unevaluatedProperties" | "unevaluatedItems", Value::Bool(_)) => value.clone(),
                (word, value) if ONE.contains(&word) => self.schema(value, free),
                (_, value) => value.clone(),
            };
            new.insert(word.clone(), value);
        }
        bounds(&mut new);
        let is_list = types(&new).is_some_and(|types| types.contains(&"array"));
        // What is evaluated by `items` is not left for the other one.
        if is_list && !new.contains_key("items") && (free || !new.contains_key("unevaluatedItems")) {
            new.shift_remove("unevaluatedItems");
            new.insert("items".to_owned(), json!({}));
        }
        Value::Object(new)
    }
}

/// Draft-04's exclusive bounds, which are true or false, as those of later drafts.
fn bounds(words: &mut Map<String, Value>) {
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        let Some(Value::Bool(is)) = words.get(exclusive) else { continue };
        let is = *is;
        words.shift_remove(exclusive);
        if is && let Some(limit) = words.shift_remove(bound) {
            words.insert(exclusive.to_owned(), limit);
        }
    }
}
