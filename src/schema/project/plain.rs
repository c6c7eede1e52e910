//! What everybody asks for: JSON Schema 2020-12, schemas that are objects, lists that say what is in them, and an object at the root.
//!
//! OpenAI and Anthropic refuse a request for one root with `anyOf`, `oneOf`, `allOf`, `enum`, `const` or `not`, or of another type than
//! `object`; OpenAI also one list without `items`, and a root without `properties`; all of them one pattern that their engine does not
//! know. Below the root nothing else is loosened here: the same is said in other words, so that it may stand below `not` as well. A
//! pattern that not all take is left out where whatever fits more does no harm; elsewhere, what it stands in is.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::names::{Names, rename};
use super::pattern::plain_pattern;
use super::references::settle;
use super::root::object;
use super::unfit::Unfit;
use super::words::{find, list, map, nothing, types};
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
    let lifted = lifted(schema);
    let said = lifted.as_ref().unwrap_or(own);
    let tidy = Tidy { lone: LONE.iter().any(|draft| dialect.contains(draft)), strange: has_strange_patterns(said) };
    let whole = tidy.schema(said, true).unwrap_or_else(|| json!({}));
    if tidy.strange && !leads_on(&whole, &whole) {
        return Err(Unfit::new("", "refers to what has a pattern that this provider does not take"));
    }
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

/// Says the same in words that all readers know, and leaves out what has none.
struct Tidy {
    lone: bool,
    /// Whether something is a pattern that not all take. Then what it is needed for goes as well: what is said of the members and items
    /// that are left over, and what refers from where nothing may be left out.
    strange: bool,
}

impl Tidy {
    /// `free` says that a value which fits more than before does no harm. Where it does harm, and something would have to be left out,
    /// there is nothing.
    fn schema(&self, schema: &Value, free: bool) -> Option<Value> {
        let words = match schema {
            Value::Bool(true) => return Some(json!({})),
            Value::Bool(false) => return Some(nothing()),
            Value::Object(words) => words,
            other => return Some(other.clone()),
        };
        let lone = self.lone && words.contains_key("$ref");
        let mut new = Map::new();
        for (word, value) in words {
            if lone && !BESIDE.contains(&word.as_str()) {
                continue;
            }
            let told = match (word.as_str(), value) {
                (word, _) if self.is_left_out(word, value, words, free) => None,
                ("patternProperties", Value::Object(all)) => self.map(all.iter().filter(|(name, _)| plain_pattern(name)), free),
                (word, Value::Object(all)) if MAP.contains(&word) => self.map(all.iter(), free),
                ("oneOf", Value::Array(all)) => self.list(all, false),
                (word, Value::Array(all)) if LIST.contains(&word) => self.list(all, free),
                // Everybody knows these two words for an object or a list that is closed.
                ("additionalProperties" | "unevaluatedProperties" | "unevaluatedItems", Value::Bool(_)) => Some(value.clone()),
                ("not" | "if" | "contains", value) => self.schema(value, false),
                (word, value) if ONE.contains(&word) => self.schema(value, free),
                (_, value) => Some(value.clone()),
            };
            match told {
                Some(told) => drop(new.insert(word.clone(), told)),
                None if !free => return None,
                None => {}
            }
        }
        if free && !lone {
            self.widen(words, &mut new);
        }
        bounds(&mut new);
        let is_list = types(&new).is_some_and(|types| types.contains(&"array"));
        // What is evaluated by `items` is not left for the other one.
        if is_list && !new.contains_key("items") && (free || !new.contains_key("unevaluatedItems")) {
            new.shift_remove("unevaluatedItems");
            new.insert("items".to_owned(), json!({}));
        }
        Some(Value::Object(new))
    }

    fn map<'s>(&self, all: impl Iterator<Item = (&'s String, &'s Value)>, free: bool) -> Option<Value> {
        all.map(|(name, schema)| Some((name.clone(), self.schema(schema, free)?))).collect()
    }

    fn list(&self, all: &[Value], free: bool) -> Option<Value> {
        all.iter().map(|schema| self.schema(schema, free)).collect()
    }

    /// Whether a word itself has to go: for a pattern, or for what is not the same without one.
    fn is_left_out(&self, word: &str, value: &Value, beside: &Map<String, Value>, free: bool) -> bool {
        match (word, value) {
            _ if !self.strange => false,
            ("pattern", Value::String(pattern)) => !plain_pattern(pattern),
            ("patternProperties", Value::Object(all)) => !free && !all.keys().all(|name| plain_pattern(name)),
            // Members of such a name are among the others now.
            ("additionalProperties", _) => !map(beside, "patternProperties").all(|(name, _)| plain_pattern(name)),
            ("unevaluatedProperties" | "unevaluatedItems", _) => true,
            // What is referred to may be without something.
            ("$ref" | "$dynamicRef" | "$recursiveRef", _) => !free,
            _ => false,
        }
    }

    /// What goes with what was left out, and what may be said instead.
    fn widen(&self, words: &Map<String, Value>, new: &mut Map<String, Value>) {
        let is_gone = |word: &str, new: &Map<String, Value>| words.contains_key(word) && !new.contains_key(word);
        if new.get("patternProperties").and_then(Value::as_object).is_some_and(Map::is_empty) && !is_empty(words, "patternProperties") {
            new.shift_remove("patternProperties");
        }
        for (word, others) in [("if", ["then", "else"]), ("contains", ["minContains", "maxContains"])] {
            if is_gone(word, new) {
                new.retain(|word, _| !others.contains(&word.as_str()));
            }
        }
        if is_gone("oneOf", new)
            && !new.contains_key("anyOf")
            && let Some(any) = self.list(list(words, "oneOf"), true)
        {
            new.insert("anyOf".to_owned(), any);
        }
    }
}

fn is_empty(words: &Map<String, Value>, word: &str) -> bool {
    map(words, word).next().is_none()
}

/// Whether there may be a pattern somewhere that not all take.
fn has_strange_patterns(value: &Value) -> bool {
    match value {
        Value::Object(words) => words.iter().any(|(word, value)| match (word.as_str(), value) {
            ("pattern", Value::String(pattern)) => !plain_pattern(pattern),
            ("patternProperties", Value::Object(all)) if !all.keys().all(|name| plain_pattern(name)) => true,
            (_, value) => has_strange_patterns(value),
        }),
        Value::Array(items) => items.iter().any(has_strange_patterns),
        _ => false,
    }
}

/// Whether every reference of a schema leads somewhere.
fn leads_on(schema: &Value, whole: &Value) -> bool {
    let Value::Object(words) = schema else { return true };
    let here = words.get("$ref").and_then(Value::as_str).is_none_or(|reference| find(whole, reference).is_some());
    here && words.iter().all(|(word, value)| match (word.as_str(), value) {
        (word, Value::Object(all)) if MAP.contains(&word) => all.values().all(|schema| leads_on(schema, whole)),
        (word, Value::Array(all)) if LIST.contains(&word) => all.iter().all(|schema| leads_on(schema, whole)),
        (word, value) if ONE.contains(&word) => leads_on(value, whole),
        _ => true,
    })
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
