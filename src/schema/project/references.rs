//! References of a schema whose root is another one now: what they led to is given a place under `$defs`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::unfit::Unfit;
use super::words::{below, find, map, mentions};

/// Most subschemas of what is given a place.
const MOST: usize = 4_000;

/// Lets the references of `root` lead to what they led to in `whole`.
pub(super) fn settle(root: &mut Map<String, Value>, whole: &Value) -> Result<(), Unfit> {
    if mentions(whole, "$dynamicRef") || mentions(whole, "$recursiveRef") {
        return Err(Unfit::new("", "refers to itself by `$dynamicRef`, which cannot be followed"));
    }
    let own: BTreeSet<String> = map(root, "$defs").map(|(name, _)| name.clone()).collect();
    let mut homes = Homes { taken: own.clone(), own, ..Homes::default() };
    homes.walk(root)?;
    while let Some((reference, name)) = homes.waiting.pop() {
        let target = find(whole, &reference).and_then(Value::as_object);
        let mut target = target.ok_or_else(|| Unfit::new("", "refers to what is not there"))?.clone();
        // What it refers to by name has that name at the root.
        target.shift_remove("$defs");
        homes.walk(&mut target)?;
        homes.placed.insert(name, Value::Object(target));
    }
    if !homes.placed.is_empty() {
        let Value::Object(defs) = root.entry("$defs").or_insert_with(|| Value::Object(Map::new())) else { return Ok(()) };
        defs.extend(homes.placed);
    }
    Ok(())
}

#[derive(Default)]
struct Homes {
    /// The definitions that the root has itself, and all names there are.
    own: BTreeSet<String>,
    taken: BTreeSet<String>,
    /// The name of each reference.
    names: BTreeMap<String, String>,
    waiting: Vec<(String, String)>,
    placed: Map<String, Value>,
    seen: usize,
}

impl Homes {
    fn walk(&mut self, words: &mut Map<String, Value>) -> Result<(), Unfit> {
        self.seen += 1;
        if self.seen > MOST {
            return Err(Unfit::large());
        }
        words.shift_remove("$anchor");
        words.shift_remove("$dynamicAnchor");
        if let Some(Value::String(reference)) = words.get_mut("$ref")
            && !self.stays(reference)
        {
            let name = self.name(reference);
            *reference = format!("#/$defs/{name}");
        }
        let mut outcome = Ok(());
        below(words, &mut |schema| {
            if let (Ok(()), Value::Object(words)) = (&outcome, schema) {
                outcome = self.walk(words);
            }
        });
        outcome
    }

    /// Whether a reference leads to, or into, a definition of the root.
    fn stays(&self, reference: &str) -> bool {
        let name = reference.strip_prefix("#/$defs/").and_then(|rest| rest.split('/').next());
        name.is_some_and(|name| self.own.contains(&plain(name)))
    }

    fn name(&mut self, reference: &str) -> String {
        if let Some(name) = self.names.get(reference) {
            return name.clone();
        }
        let name = free_name(reference, &self.taken);
        self.taken.insert(name.clone());
        self.names.insert(reference.to_owned(), name.clone());
        self.waiting.push((reference.to_owned(), name.clone()));
        name
    }
}

/// The name that a step of a JSON Pointer stands for.
fn plain(step: &str) -> String {
    let step = percent_encoding::percent_decode_str(step).decode_utf8_lossy();
    step.replace("~1", "/").replace("~0", "~")
}

/// A name that nobody has, made of the end of a reference: letters, digits, `_`.
pub(super) fn free_name(reference: &str, taken: &BTreeSet<String>) -> String {
    let end = reference.rsplit(['/', '#']).next().unwrap_or_default();
    let end: String = end.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(48).collect();
    let end = if end.is_empty() { "root".to_owned() } else { end };
    let mut name = end.clone();
    for number in 2.. {
        if !taken.contains(&name) {
            break;
        }
        name = format!("{end}_{number}");
    }
    name
}
