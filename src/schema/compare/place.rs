//! A subschema in the whole it stands in, and what it comes to where it refers to others.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::kinds::Kinds;
use crate::domain::pointer::step;

/// Most subschemas that may look at one value before a comparison gives up.
const MOST_AT_ONCE: usize = 256;
/// How deep alternatives within alternatives are looked into.
const DEEPEST: usize = 16;

/// A whole schema.
pub(super) struct Whole {
    pub(super) schema: Value,
    /// Whether what stands beside a `$ref` counts for nothing (draft-07 §8.3 and before).
    pub(super) lone_references: bool,
    /// The places of the objects that say themselves that they take names which are not known here.
    pub(super) open: BTreeSet<String>,
}

/// A subschema, with its JSON Pointer.
#[derive(Clone)]
pub(super) struct Place<'s> {
    whole: &'s Whole,
    pub(super) schema: &'s Value,
    pub(super) at: String,
}

/// Keywords that hold for one value side by side. What they say of alternatives may be left out, where each of those is looked at by
/// itself.
#[derive(Clone)]
pub(super) struct Part<'s> {
    pub(super) place: Place<'s>,
    pub(super) words: &'s Map<String, Value>,
    /// The alternatives that are looked at one by one, by their keyword.
    pub(super) split: Vec<&'static str>,
}

/// All that holds of a value.
#[derive(Clone, Default)]
pub(super) struct Facts<'s> {
    pub(super) parts: Vec<Part<'s>>,
    /// Whether no value can be here.
    pub(super) never: bool,
    /// Members that some alternative names: they may be there where the others say nothing of them.
    pub(super) elsewhere: BTreeSet<&'s str>,
    /// Whether some alternative speaks of members without naming them.
    pub(super) open_elsewhere: bool,
    /// Whether some alternative says itself that it takes names which are not known.
    pub(super) promised_elsewhere: bool,
    /// The types that are looked at.
    pub(super) kinds: Kinds,
}

impl<'s> Place<'s> {
    pub(super) fn whole(whole: &'s Whole) -> Self {
        Self { whole, schema: &whole.schema, at: String::new() }
    }

    /// What stands under a key here.
    pub(super) fn below(&self, keys: &[&str]) -> Option<Self> {
        let mut place = self.clone();
        for key in keys {
            place.schema = match place.schema {
                Value::Object(members) => members.get(*key)?,
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                _ => return None,
            };
            step(&mut place.at, key);
        }
        Some(place)
    }

    /// The items of a list of schemas.
    pub(super) fn list(&self, keyword: &str) -> Vec<Self> {
        let count = self.schema.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        (0..count).filter_map(|at| self.below(&[keyword, &at.to_string()])).collect()
    }

    /// What may hold of a value here, and may not.
    fn branches(&self) -> Vec<Self> {
        let mut all = [self.list("anyOf"), self.list("oneOf")].concat();
        all.extend(["if", "then", "else"].iter().filter_map(|keyword| self.below(&[keyword])));
        let dependent = self.schema.get("dependentSchemas").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        all.extend(dependent.filter_map(|name| self.below(&["dependentSchemas", name])));
        all
    }

    /// Whether it says itself that it takes names which are not known here.
    fn promises(&self) -> bool {
        self.whole.open.contains(&self.at)
    }

    /// Whether in both wholes the same counts of what stands beside a reference.
    pub(super) fn reads_like(&self, other: &Self) -> bool {
        self.whole.lone_references == other.whole.lone_references
    }

    /// The whole that it is part of.
    pub(super) fn root(&self) -> &'s Value {
        &self.whole.schema
    }

    /// What a reference within the whole leads to.
    pub(super) fn referred(&self, reference: &str) -> Option<Self> {
        let fragment = reference.strip_prefix('#')?;
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8().ok()?;
        let whole = Self::whole(self.whole);
        if fragment.is_empty() {
            return Some(whole);
        }
        let Some(pointer) = fragment.strip_prefix('/') else { return anchor(&whole, &fragment, 0) };
        let keys: Vec<String> = pointer.split('/').map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
        whole.below(&keys.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// The subschema that calls itself so.
fn anchor<'s>(place: &Place<'s>, name: &str, depth: usize) -> Option<Place<'s>> {
    if place.schema.get("$anchor").and_then(Value::as_str) == Some(name) {
        return Some(place.clone());
    }
    let keys: Vec<String> = match place.schema {
        _ if depth > 48 => return None,
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(items) => (0..items.len()).map(|at| at.to_string()).collect(),
        _ => return None,
    };
    keys.iter().find_map(|key| anchor(&place.below(&[key])?, name, depth + 1))
}

impl<'s> Facts<'s> {
    /// What holds where all of these do; none where that is too much to be looked at.
    pub(super) fn of(places: impl IntoIterator<Item = Place<'s>>) -> Option<Self> {
        let mut facts = Self::default();
        for place in places {
            facts.add(place, 0)?;
        }
        Some(facts)
    }

    /// What holds where something else does, too.
    pub(super) fn and(&self, place: Place<'s>) -> Option<Self> {
        let mut facts = self.clone();
        facts.add(place, 0)?;
        Some(facts)
    }

    fn add(&mut self, place: Place<'s>, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        let mut left = vec![place];
        while let Some(place) = left.pop() {
            let words = match place.schema {
                Value::Bool(true) => continue,
                Value::Object(words) => words,
                _ => {
                    self.never = true;
                    continue;
                }
            };
            if self.parts.iter().any(|part| std::ptr::eq(part.words, words)) {
                continue;
            }
            if self.parts.len() >= MOST_AT_ONCE {
                return None;
            }
            let reference = words.get("$ref").and_then(Value::as_str);
            if let Some(reference) = reference {
                left.push(place.referred(reference)?);
                if place.whole.lone_references {
                    continue;
                }
            }
            left.extend(place.list("allOf"));
            for branch in place.branches() {
                let mut facts = Self::default();
                facts.add(branch, depth + 1)?;
                self.open_elsewhere |= facts.is_open();
                self.promised_elsewhere |= facts.promises();
                self.elsewhere.extend(facts.named());
            }
            self.parts.push(Part { place, words, split: Vec::new() });
        }
        Some(())
    }

    /// The members that are named.
    pub(super) fn named(&self) -> BTreeSet<&'s str> {
        let listed = self.each("properties").filter_map(|(_, value)| value.as_object()).flat_map(Map::keys).map(String::as_str);
        listed.chain(self.names("required")).chain(self.elsewhere.iter().copied()).collect()
    }

    /// Whether there may be members without a name of their own.
    fn is_open(&self) -> bool {
        const OPEN: [&str; 3] = ["additionalProperties", "unevaluatedProperties", "patternProperties"];
        let speaks = |part: &Part<'_>| OPEN.iter().any(|word| part.words.get(*word).is_some_and(|value| *value != Value::Bool(false)));
        self.open_elsewhere || self.parts.iter().any(speaks)
    }

    /// Whether something here says itself that names are taken which are not known.
    pub(super) fn promises(&self) -> bool {
        self.promised_elsewhere || self.parts.iter().any(|part| part.place.promises())
    }

    /// The values of a keyword, wherever it stands, with its place.
    pub(super) fn each<'f>(&'f self, keyword: &'f str) -> impl Iterator<Item = (&'f Part<'s>, &'s Value)> {
        self.parts.iter().filter_map(move |part| Some((part, part.words.get(keyword)?)))
    }

    /// The numbers of a keyword.
    pub(super) fn numbers<'f>(&'f self, keyword: &'f str) -> impl Iterator<Item = f64> {
        self.each(keyword).filter_map(|(_, value)| value.as_f64())
    }

    /// The names in a keyword's lists.
    pub(super) fn names<'f>(&'f self, keyword: &'f str) -> impl Iterator<Item = &'s str> {
        self.each(keyword).filter_map(|(_, value)| value.as_array()).flatten().filter_map(Value::as_str)
    }
}
