//! What else is other in two schemas, member by member: words that models read, and what was added to or taken from what is possible.

use serde_json::{Map, Value};

use super::change::Change;
use super::values::REMARKS;
use crate::domain::Class;
use crate::domain::pointer::token;

/// Keywords whose texts models read.
const WORDS: [&str; 6] = ["title", "description", "default", "examples", "$comment", "deprecated"];
/// Keywords whose values are names in no order.
const SETS: [&str; 4] = ["required", "enum", "const", "type"];
/// Keywords whose value is a map from names to schemas.
const MAPS: [&str; 6] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependentRequired"];

/// Adds what changed and is not said yet.
pub(super) fn add(old: &Value, new: &Value, changes: &mut Vec<Change>) {
    let mut found = Vec::new();
    schema(old, new, "", &mut found);
    for change in found {
        // What breaks is told already, in better words.
        let told =
            |known: &Change| known.class == Class::Breaking && (change.at.starts_with(&known.at) || known.at.starts_with(&change.at));
        if change.class == Class::Steering || !changes.iter().any(told) {
            changes.push(change);
        }
    }
}

fn schema(old: &Value, new: &Value, at: &str, out: &mut Vec<Change>) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        if old != new {
            out.push(Change { at: at.to_owned(), class: Class::Minor, why: "changed".to_owned() });
            if !texts(new).is_empty() {
                out.push(Change { at: at.to_owned(), class: Class::Steering, why: "has words that have not been approved".to_owned() });
            }
        }
        return;
    };
    for (keyword, was, is) in pairs(old, new) {
        let place = format!("{at}/{}", token(keyword));
        match keyword {
            word if WORDS.contains(&word) => words(was, is, &place, out),
            word if REMARKS.contains(&word) => say(Class::Patch, was, is, &place, out),
            word if SETS.contains(&word) => set(was, is, &place, out),
            word if MAPS.contains(&word) => match (was, is) {
                (Some(Value::Object(was)), Some(Value::Object(is))) => {
                    for (name, was, is) in pairs(was, is) {
                        part(was, is, &format!("{place}/{}", token(name)), out);
                    }
                }
                _ => part(was, is, &place, out),
            },
            // Nothing that is sent is excluded: what a schema does not name is not sent.
            "additionalProperties" if is == Some(&Value::Bool(false)) && was.is_none() => say(Class::Patch, was, is, &place, out),
            "anyOf" | "oneOf" | "allOf" if are_the_same(was, is) => {
                out.push(Change { at: place, class: Class::Patch, why: "stand in another order".to_owned() });
            }
            "x-mcp-header" => say(Class::Breaking, was, is, &place, out),
            _ => match (was, is) {
                (Some(was @ Value::Object(_)), Some(is @ Value::Object(_))) => schema(was, is, &place, out),
                (Some(Value::Array(was)), Some(Value::Array(is))) if was.len() == is.len() => {
                    for (index, (was, is)) in was.iter().zip(is).enumerate() {
                        schema(was, is, &format!("{place}/{index}"), out);
                    }
                }
                _ => part(was, is, &place, out),
            },
        }
    }
}

/// A whole part that was added, removed or replaced: what it allows, and what it says.
fn part(was: Option<&Value>, is: Option<&Value>, at: &str, out: &mut Vec<Change>) {
    match (was, is) {
        (Some(was @ Value::Object(_)), Some(is @ Value::Object(_))) => schema(was, is, at, out),
        (was, is) if was == is => {}
        (was, is) => {
            say(Class::Minor, was, is, at, out);
            let (said, says) = (was.map(texts).unwrap_or_default(), is.map(texts).unwrap_or_default());
            if says.iter().any(|text| !said.contains(text)) {
                out.push(Change { at: at.to_owned(), class: Class::Steering, why: "has words that have not been approved".to_owned() });
            }
        }
    }
}

fn words(was: Option<&Value>, is: Option<&Value>, at: &str, out: &mut Vec<Change>) {
    say(Class::Steering, was, is, at, out);
}

fn say(class: Class, was: Option<&Value>, is: Option<&Value>, at: &str, out: &mut Vec<Change>) {
    let why = match (was, is) {
        (None, _) => "was added",
        (_, None) => "was removed",
        _ => "changed",
    };
    out.push(Change { at: at.to_owned(), class, why: why.to_owned() });
}

/// Whether two lists hold the same, in whatever order.
fn are_the_same(was: Option<&Value>, is: Option<&Value>) -> bool {
    let (Some(Value::Array(was)), Some(Value::Array(is))) = (was, is) else { return false };
    was.len() == is.len() && was.iter().all(|item| is.contains(item)) && is.iter().all(|item| was.contains(item))
}

/// A list in no order.
fn set(was: Option<&Value>, is: Option<&Value>, at: &str, out: &mut Vec<Change>) {
    let items = |value: Option<&Value>| match value {
        Some(Value::Array(items)) => items.clone(),
        Some(single) => vec![single.clone()],
        None => Vec::new(),
    };
    let (said, says) = (items(was), items(is));
    let new = |item: &&Value| !said.contains(item);
    let other = says.iter().any(|item| new(&item)) || said.iter().any(|item| !says.contains(item));
    say(if other || was.is_none() || is.is_none() { Class::Minor } else { Class::Patch }, was, is, at, out);
    let named = at.ends_with("/enum") || at.ends_with("/const");
    if named && says.iter().filter(new).any(|item| !texts_within(item).is_empty()) {
        out.push(Change { at: at.to_owned(), class: Class::Steering, why: "has words that have not been approved".to_owned() });
    }
}

/// The texts that a model reads in a schema.
fn texts(schema: &Value) -> Vec<&str> {
    match schema {
        Value::Object(members) => {
            let said = |(key, value)| if is_said(key) { texts_within(value) } else { texts(value) };
            members.iter().map(|(key, value)| (key.as_str(), value)).flat_map(said).collect()
        }
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn is_said(keyword: &str) -> bool {
    WORDS.contains(&keyword) || matches!(keyword, "enum" | "const")
}

/// All texts in a value.
fn texts_within(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts_within).collect(),
        Value::Object(members) => members.values().flat_map(texts_within).collect(),
        _ => Vec::new(),
    }
}

/// The members of both, each with what it was and what it is, where that is not the same.
fn pairs<'v>(
    old: &'v Map<String, Value>,
    new: &'v Map<String, Value>,
) -> impl Iterator<Item = (&'v str, Option<&'v Value>, Option<&'v Value>)> {
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let keys = new.keys().chain(gone);
    keys.map(|key| (key.as_str(), old.get(key), new.get(key))).filter(|(_, was, is)| was != is)
}
