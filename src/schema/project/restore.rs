//! Arguments in the words of the original schema again.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::names::Names;
use super::words::{find, list, map, texts, types};
use crate::domain::pointer::token;
use crate::domain::raw;
use crate::schema::strict::Strict;

/// How deep alternatives are looked into to know which one was meant.
const LOOK: usize = 2;
/// Most places that are looked at.
const STEPS: usize = 200_000;

/// The way back from a view to the original.
#[derive(Clone, Debug)]
pub(super) struct Back {
    /// The view.
    view: Value,
    /// The places of members in it that are null where they are missing.
    added: BTreeSet<String>,
    /// The members of the root that have another name, each with its own one.
    names: Names,
}

impl Back {
    /// The way back; none where a view says what it says in the original's words.
    pub(super) fn new(view: &Value, added: BTreeSet<String>, names: Names) -> Option<Self> {
        (!added.is_empty() || !names.is_empty()).then(|| Self { view: view.clone(), added, names })
    }

    /// Arguments that are meant for the original; none where they are so already, or cannot be read.
    pub(super) fn restored(&self, arguments: &RawValue) -> Option<Box<RawValue>> {
        let Strict(mut value) = serde_json::from_str(arguments.get()).ok()?;
        let mut walk = Walk { back: self, steps: STEPS, changed: false };
        if !self.added.is_empty() {
            walk.take_out(&self.view, "", &mut value);
        }
        let mut changed = walk.changed;
        if let Value::Object(members) = &mut value
            && members.keys().any(|name| self.names.contains_key(name))
        {
            let own = |name: String| self.names.get(&name).cloned().unwrap_or(name);
            *members = std::mem::take(members).into_iter().map(|(name, member)| (own(name), member)).collect();
            changed = true;
        }
        changed.then(|| raw(&value))
    }
}

struct Walk<'b> {
    back: &'b Back,
    steps: usize,
    changed: bool,
}

impl Walk<'_> {
    /// Takes the nulls out that stand for missing members.
    fn take_out(&mut self, schema: &Value, at: &str, value: &mut Value) {
        let Some(left) = self.steps.checked_sub(1) else { return };
        self.steps = left;
        let back = self.back;
        let Value::Object(words) = schema else { return };
        if let Some(reference) = words.get("$ref").and_then(Value::as_str) {
            if let Some(target) = find(&back.view, reference) {
                self.take_out(target, reference.trim_start_matches('#'), value);
            }
            return;
        }
        let meant = list(words, "anyOf").iter().enumerate().find(|(_, way)| fits(&back.view, way, value, LOOK));
        if let Some((number, way)) = meant {
            self.take_out(way, &format!("{at}/anyOf/{number}"), value);
        }
        match value {
            Value::Object(members) => self.members(words, at, members),
            Value::Array(items) => {
                if let Some(schema) = words.get("items") {
                    let at = format!("{at}/items");
                    for item in items {
                        self.take_out(schema, &at, item);
                    }
                }
            }
            _ => {}
        }
    }

    fn members(&mut self, words: &Map<String, Value>, at: &str, members: &mut Map<String, Value>) {
        for (name, schema) in map(words, "properties") {
            let at = format!("{at}/properties/{}", token(name));
            match members.get_mut(name) {
                Some(Value::Null) if self.back.added.contains(&at) => {
                    members.shift_remove(name);
                    self.changed = true;
                }
                Some(member) => self.take_out(schema, &at, member),
                None => {}
            }
        }
    }
}

/// Whether a value is of an alternative: by its type, its values, and the names of its members, which strict objects all have.
fn fits(view: &Value, schema: &Value, value: &Value, look: usize) -> bool {
    let Value::Object(words) = schema else { return false };
    if let Some(reference) = words.get("$ref").and_then(Value::as_str) {
        return find(view, reference).is_some_and(|target| look == 0 || fits(view, target, value, look - 1));
    }
    if words.contains_key("anyOf") {
        return look == 0 || list(words, "anyOf").iter().any(|way| fits(view, way, value, look - 1));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let of_type = |name: &&str| *name == kind || (*name == "integer" && value.as_f64().is_some_and(|number| number.fract() == 0.0));
    if !types(words).unwrap_or_default().iter().any(of_type) || (words.contains_key("enum") && !list(words, "enum").contains(value)) {
        return false;
    }
    match value {
        Value::Object(members) => {
            let named = |name: &String| map(words, "properties").any(|(own, _)| own == name);
            let inside = |(name, schema): (&String, &Value)| {
                members.get(name).is_some_and(|member| look == 0 || fits(view, schema, member, look - 1))
            };
            members.keys().all(named)
                && texts(words, "required").all(|name| members.contains_key(name))
                && map(words, "properties").all(inside)
        }
        Value::Array(items) => {
            look == 0 || words.get("items").is_none_or(|schema| items.iter().all(|item| fits(view, schema, item, look - 1)))
        }
        _ => true,
    }
}
