//! Names of arguments that Anthropic takes: it refuses a request for one that does not match `^[a-zA-Z0-9_.-]{1,64}$`, as `$top` or
//! `filter[id]`. It looks at the root's alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::words::{map, texts};

/// Longest name that is taken.
const LONGEST: usize = 64;

/// What members of the root are called instead, and what they are called.
pub(super) type Names = BTreeMap<String, String>;

/// What speaks of members by their names, and is left out where some have others: that says less, and nothing wrong.
const BY_NAME: [&str; 8] =
    ["dependentRequired", "dependentSchemas", "if", "then", "else", "propertyNames", "patternProperties", "unevaluatedProperties"];

/// Gives members of the root names that are taken.
pub(super) fn rename(root: &mut Map<String, Value>) -> Names {
    let mut taken: BTreeSet<String> = map(root, "properties").map(|(name, _)| name.clone()).filter(|name| is_taken(name)).collect();
    let strange: Vec<String> = map(root, "properties").map(|(name, _)| name.clone()).filter(|name| !is_taken(name)).collect();
    let mut given: BTreeMap<&str, String> = BTreeMap::new();
    for own in &strange {
        let name = free_name(own, &taken);
        taken.insert(name.clone());
        given.insert(own, name);
    }
    if given.is_empty() {
        return Names::default();
    }
    let name = |own: &str| given.get(own).map_or(own, String::as_str).to_owned();
    let properties: Map<String, Value> = map(root, "properties").map(|(own, schema)| (name(own), schema.clone())).collect();
    let required: Vec<String> = texts(root, "required").map(name).collect();
    if root.contains_key("patternProperties") {
        root.shift_remove("additionalProperties");
    }
    root.retain(|word, _| !BY_NAME.contains(&word.as_str()));
    root.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        root.insert("required".to_owned(), required.into());
    }
    given.iter().map(|(own, name)| (name.clone(), (*own).to_owned())).collect()
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn is_taken(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.chars().all(is_part)
}

/// A name that is taken, and that nothing else has: as much of its own as there may be.
fn free_name(own: &str, taken: &BTreeSet<String>) -> String {
    let plain: String = own.chars().map(|c| if is_part(c) { c } else { '_' }).take(LONGEST - 6).collect();
    let plain = plain.trim_matches('_');
    let plain = if plain.is_empty() { "argument" } else { plain };
    let numbered = (2..).map(|number| format!("{plain}_{number}"));
    std::iter::once(plain.to_owned()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default()
}
