//! Does each value of one schema fit another? It is proven or not: what cannot be proven counts as not.

use std::collections::HashMap;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::change::Side;
use super::disjoint::are_disjoint;
use super::kinds::Kinds;
use super::place::{Facts, Part, Place};
use super::{objects, values};
use crate::schema::validate;

/// Most steps of one comparison, so that no pair of schemas costs more than a moment.
const STEPS: usize = 20_000;
/// Most alternatives within alternatives that are looked at one by one.
const DEEPEST: usize = 6;

/// A place of the wider schema that some value does not fit, or may not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Its JSON Pointer.
    pub(super) at: String,
    /// In words.
    pub(super) why: String,
}

/// One comparison.
pub(super) struct Fit {
    /// What the schemas describe.
    pub(super) side: Side,
    steps: usize,
    /// Pairs that are being looked at: where they are met again below themselves, they hold if all else does.
    open: Vec<(Vec<String>, String)>,
    validators: HashMap<(usize, String), Option<Validator>>,
}

impl Fit {
    pub(super) fn new(side: Side) -> Self {
        Self { side, steps: 0, open: Vec::new(), validators: HashMap::new() }
    }

    /// What is to be said of values that are sent, or that come back.
    pub(super) fn gap(&self, at: &str, sent: impl Into<String>, back: impl Into<String>) -> Gap {
        let why = match self.side {
            Side::Input => sent.into(),
            Side::Output => back.into(),
        };
        Gap { at: at.to_owned(), why }
    }

    fn unclear(at: &str) -> Gap {
        Gap { at: at.to_owned(), why: "is too entangled to be compared".to_owned() }
    }

    /// Where values of `narrow` do not fit `wide`.
    pub(super) fn gaps<'s>(&mut self, narrow: Option<Facts<'s>>, wide: &Place<'s>) -> Vec<Gap> {
        self.steps += 1;
        let Some(narrow) = narrow.filter(|_| self.steps < STEPS) else { return vec![Self::unclear(&wide.at)] };
        let pair =
            (narrow.parts.iter().map(|part| format!("{}{:?}{:?}", part.place.at, part.split, narrow.kinds)).collect(), wide.at.clone());
        if narrow.never || Kinds::of(&narrow).is_empty() || self.open.contains(&pair) {
            return Vec::new();
        }
        let Some(all) = Facts::of([wide.clone()]) else { return vec![Self::unclear(&wide.at)] };
        if all.never {
            return vec![self.gap(&wide.at, "takes nothing any more", "may be there now")];
        }
        if let Some(values) = values::all(&narrow) {
            let missed = values.iter().find(|value| !self.takes(wide, value));
            return missed
                .map(|value| self.gap(&wide.at, format!("does not take {} any more", told(value)), format!("may be {} now", told(value))))
                .into_iter()
                .collect();
        }
        self.open.push(pair);
        let found = self.between(&narrow, &all);
        self.open.pop();
        found
    }

    fn between<'s>(&mut self, narrow: &Facts<'s>, wide: &Facts<'s>) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for part in &wide.parts {
            gaps.extend(values::gaps(self, narrow, part));
            gaps.extend(self.alternatives(narrow, part));
            if !Kinds::of(narrow).and(Kinds::ARRAY).is_empty() {
                gaps.extend(objects::items(self, narrow, part));
            }
            if !Kinds::of(narrow).and(Kinds::OBJECT).is_empty() {
                gaps.extend(objects::members(self, narrow, part, wide));
            }
        }
        if gaps.is_empty() || self.one_by_one(narrow, wide) { Vec::new() } else { gaps }
    }

    /// Whether the values fit, each of the alternatives that they are among looked at by itself.
    fn one_by_one<'s>(&mut self, narrow: &Facts<'s>, wide: &Facts<'s>) -> bool {
        if narrow.parts.iter().map(|part| part.split.len()).sum::<usize>() >= DEEPEST {
            return false;
        }
        for keyword in ["anyOf", "oneOf"] {
            let unsplit = |part: &Part<'_>| !part.split.contains(&keyword) && part.words.contains_key(keyword);
            let Some(at) = narrow.parts.iter().position(unsplit) else { continue };
            let mut rest = narrow.clone();
            let Some(part) = rest.parts.get_mut(at) else { continue };
            part.split.push(keyword);
            let branches = part.place.list(keyword);
            return branches.into_iter().all(|branch| rest.and(branch).is_some_and(|facts| self.fits_all(&facts, wide)));
        }
        let kinds = Kinds::of(narrow);
        let branching = |part: &Part<'_>| part.words.contains_key("anyOf") || part.words.contains_key("oneOf");
        let several = kinds.each().nth(1).is_some() && wide.parts.iter().any(branching);
        several && kinds.each().all(|kind| self.fits_all(&Facts { kinds: kind, ..narrow.clone() }, wide))
    }

    fn fits_all<'s>(&mut self, narrow: &Facts<'s>, wide: &Facts<'s>) -> bool {
        self.steps += 1;
        if narrow.never || Kinds::of(narrow).is_empty() {
            return true;
        }
        match values::all(narrow) {
            _ if self.steps > STEPS => false,
            Some(values) => wide.parts.iter().all(|part| values.iter().all(|value| self.takes(&part.place, value))),
            None => self.between(narrow, wide).is_empty(),
        }
    }

    fn alternatives<'s>(&mut self, narrow: &Facts<'s>, part: &Part<'s>) -> Vec<Gap> {
        let at = |keyword: &str| format!("{}/{keyword}", part.place.at);
        let mut gaps = Vec::new();
        let any = part.place.list("anyOf");
        if !any.is_empty() && !any.iter().any(|branch| self.gaps(Some(narrow.clone()), branch).is_empty()) {
            gaps.push(self.gap(&at("anyOf"), "may take less than before", "may be something else than before"));
        }
        let one = part.place.list("oneOf");
        if !one.is_empty() && !same(narrow, part, "oneOf") {
            let fitting = one.iter().position(|branch| self.gaps(Some(narrow.clone()), branch).is_empty());
            let alone = |fitting: usize| one.iter().enumerate().all(|(at, other)| at == fitting || are_disjoint(narrow, other));
            if !fitting.is_some_and(alone) {
                gaps.push(self.gap(&at("oneOf"), "may take less than before", "may be something else than before"));
            }
        }
        if let Some(not) = part.place.below(&["not"])
            && !same(narrow, part, "not")
            && !are_disjoint(narrow, &not)
        {
            gaps.push(self.gap(&at("not"), "may exclude more than before", "may exclude less than before"));
        }
        if part.words.contains_key("if")
            && !["if", "then", "else"].iter().all(|keyword| !part.words.contains_key(*keyword) || same(narrow, part, keyword))
        {
            for keyword in ["then", "else"] {
                if let Some(branch) = part.place.below(&[keyword]) {
                    gaps.extend(self.gaps(Some(narrow.clone()), &branch));
                }
            }
        }
        gaps
    }

    /// Whether a schema takes this very value.
    pub(super) fn takes(&mut self, place: &Place<'_>, value: &Value) -> bool {
        let key = (std::ptr::from_ref(place.root()).addr(), place.at.clone());
        let compiled = self.validators.entry(key).or_insert_with(|| compiled(place));
        compiled.as_ref().is_some_and(|validator| validator.is_valid(value))
    }

    /// Whether a member's name is of a pattern.
    pub(super) fn matches(&mut self, pattern: &str, name: &str) -> bool {
        let compiled =
            self.validators.entry((0, pattern.to_owned())).or_insert_with(|| validate::build(&json!({ "pattern": pattern })).ok());
        compiled.as_ref().is_some_and(|validator| validator.is_valid(&name.into()))
    }
}

/// A validator of a subschema, whose references go on meaning what they mean in the whole.
fn compiled(place: &Place<'_>) -> Option<Validator> {
    const WHOLE: &str = "urn:portolan:whole";
    let mut whole = place.root().clone();
    let Value::Object(members) = &mut whole else { return validate::build(&whole).ok() };
    members.insert("$id".to_owned(), WHOLE.into());
    members.remove("$schema");
    validate::build(&json!({ "$ref": format!("{WHOLE}#{}", place.at), "$defs": { "whole": whole } })).ok()
}

/// Whether a keyword says the same beside the narrower schema, so that it takes nothing away.
pub(super) fn same(narrow: &Facts<'_>, part: &Part<'_>, keyword: &str) -> bool {
    let Some(wanted) = part.words.get(keyword) else { return false };
    narrow.each(keyword).any(|(other, value)| value == wanted && mean_the_same(wanted, &other.place, &part.place))
}

/// Whether what a value refers to says the same in both wholes, and so does what that refers to.
pub(super) fn mean_the_same(value: &Value, a: &Place<'_>, b: &Place<'_>) -> bool {
    let alike = a.reads_like(b);
    if alike && a.root() == b.root() {
        return true;
    }
    let (mut left, mut seen) = (Vec::new(), Vec::new());
    // Where it refers to something, what stands beside that may count in one of them alone.
    if !references(value, &mut left) || (!alike && !left.is_empty()) {
        return false;
    }
    while let Some(reference) = left.pop() {
        if seen.contains(&reference) {
            continue;
        }
        let (Some(of_a), Some(of_b)) = (a.referred(&reference), b.referred(&reference)) else { return false };
        if of_a.schema != of_b.schema || !references(of_a.schema, &mut left) {
            return false;
        }
        seen.push(reference);
    }
    true
}

/// Collects what a value refers to; false where that depends on how it was come to.
fn references(value: &Value, out: &mut Vec<String>) -> bool {
    match value {
        Value::Object(members) => members.iter().all(|(key, value)| match (key.as_str(), value) {
            ("$dynamicRef" | "$recursiveRef", _) => false,
            ("$ref", Value::String(reference)) => {
                out.push(reference.clone());
                true
            }
            (_, value) => references(value, out),
        }),
        Value::Array(items) => items.iter().all(|item| references(item, out)),
        _ => true,
    }
}

/// A value as it is told.
pub(super) fn told(value: &Value) -> String {
    format!("`{}`", crate::domain::clip(&crate::domain::printable(&value.to_string()), 60))
}
