//! Can no value fit two schemas? Proven or not, as for all that is compared.

use std::collections::BTreeSet;

use serde_json::Value;

use super::kinds::Kinds;
use super::place::{Facts, Part, Place};
use super::values;

/// How deep members of members are looked at.
const DEEPEST: usize = 4;

/// Whether no value fits both.
pub(super) fn are_disjoint<'s>(facts: &Facts<'s>, other: &Place<'s>) -> bool {
    Facts::of([other.clone()]).is_some_and(|other| apart(facts, &other, 0))
}

fn apart<'s>(a: &Facts<'s>, b: &Facts<'s>, depth: usize) -> bool {
    let kinds = Kinds::of(a).and(Kinds::of(b));
    if a.never || b.never || kinds.is_empty() {
        return true;
    }
    if let (Some(a), Some(b)) = (values::all(a), values::all(b)) {
        return !a.iter().any(|value| b.contains(value));
    }
    // What one has for sure, and the other cannot have.
    let only_objects = kinds.without(Kinds::OBJECT).is_empty();
    let sure: BTreeSet<&str> = a.names("required").chain(b.names("required")).collect();
    only_objects
        && depth < DEEPEST
        && sure.into_iter().any(|name| matches!((own(a, name), own(b, name)), (Some(a), Some(b)) if apart(&a, &b, depth + 1)))
}

/// What a member must be that is there.
fn own<'s>(facts: &Facts<'s>, name: &str) -> Option<Facts<'s>> {
    let closed = |part: &Part<'s>| {
        let open = part.words.contains_key("patternProperties") || part.words.get("additionalProperties") != Some(&Value::Bool(false));
        if open { None } else { part.place.below(&["additionalProperties"]) }
    };
    Facts::of(facts.parts.iter().filter_map(|part| part.place.below(&["properties", name]).or_else(|| closed(part))))
}
