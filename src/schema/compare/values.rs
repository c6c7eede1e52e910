//! What a schema says of a value itself: its type, the values there are, numbers and texts.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::fit::{Fit, Gap, same};
use super::kinds::Kinds;
use super::place::{Facts, Part};

/// Keywords that `objects`, `alternatives` and references deal with.
const ELSEWHERE: [&str; 30] = [
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "required",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "dependentSchemas",
    "items",
    "prefixItems",
    "unevaluatedItems",
    "contains",
    "minContains",
    "maxContains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "$defs",
    "definitions",
    "type",
];

/// Keywords that exclude no value.
pub(super) const REMARKS: [&str; 12] = [
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$id",
    "$anchor",
    "$vocabulary",
];

/// All values there are, where they can be counted; perhaps some more.
pub(super) fn all(facts: &Facts<'_>) -> Option<Vec<Value>> {
    let kinds = Kinds::of(facts);
    let only = facts.each("const").map(|(_, value)| vec![value.clone()]);
    let listed = facts.each("enum").filter_map(|(_, values)| values.as_array().cloned());
    let mut values = only.chain(listed).min_by_key(Vec::len).or_else(|| kinds.values())?;
    values.retain(|value| !Kinds::of_value(value).and(kinds).is_empty());
    Some(values)
}

/// Where values of which `narrow` holds do not fit what a part says of the value itself.
pub(super) fn gaps(fit: &Fit, narrow: &Facts<'_>, part: &Part<'_>) -> Vec<Gap> {
    let kinds = Kinds::of(narrow);
    let (numbers, texts) = (!kinds.and(Kinds::NUMBER).is_empty(), !kinds.and(Kinds::STRING).is_empty());
    let mut gaps = Vec::new();
    for (keyword, value) in part.words {
        let mut say = |sent: String, back: String| gaps.push(fit.gap(&format!("{}/{keyword}", part.place.at), sent, back));
        let shown = super::fit::told(value);
        match keyword.as_str() {
            "type" => {
                let missed = kinds.without(Kinds::of_type(value));
                if !missed.is_empty() {
                    say(format!("does not take {} any more", missed.told()), format!("may be {} now", missed.told()));
                }
            }
            "enum" | "const" => say(format!("takes only {shown} now"), format!("may be something else than {shown} now")),
            "minimum" | "exclusiveMinimum"
                if numbers && !is_bounded(narrow, keyword, value, ["minimum", "exclusiveMinimum"], Ordering::Greater) =>
            {
                say(format!("takes nothing below {shown} now"), format!("may be below {shown} now"));
            }
            "maximum" | "exclusiveMaximum"
                if numbers && !is_bounded(narrow, keyword, value, ["maximum", "exclusiveMaximum"], Ordering::Less) =>
            {
                say(format!("takes nothing above {shown} now"), format!("may be above {shown} now"));
            }
            "multipleOf" if numbers && !is_multiple(narrow, kinds, value) => {
                say(format!("takes only multiples of {shown} now"), format!("may be no multiple of {shown} now"));
            }
            "minLength"
                if texts
                    && !narrow.numbers("minLength").any(|least| value.as_f64().is_some_and(|value| least >= value))
                    && value.as_f64() != Some(0.0) =>
            {
                say(format!("takes no text shorter than {shown} now"), format!("may be shorter than {shown} now"));
            }
            "maxLength" if texts && !narrow.numbers("maxLength").any(|most| value.as_f64().is_some_and(|value| most <= value)) => {
                say(format!("takes no text longer than {shown} now"), format!("may be longer than {shown} now"));
            }
            "pattern" if texts && !same(narrow, part, keyword) => {
                say(format!("takes only texts like {shown} now"), format!("may be another text than {shown} now"));
            }
            "format" if !same(narrow, part, keyword) => {
                say(format!("takes only the format {shown} now"), format!("may not be of the format {shown} any more"));
            }
            "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" | "multipleOf" | "minLength" | "maxLength" | "pattern"
            | "format" => {}
            known if ELSEWHERE.contains(&known) || REMARKS.contains(&known) => {}
            _ if same(narrow, part, keyword) => {}
            _ => say("is a keyword whose meaning is not known".to_owned(), "is a keyword whose meaning is not known".to_owned()),
        }
    }
    gaps
}

/// Whether a bound is kept by one of the narrower schema's: one that is as far in, or further.
fn is_bounded(narrow: &Facts<'_>, keyword: &str, bound: &Value, keywords: [&str; 2], inward: Ordering) -> bool {
    let Value::Number(bound) = bound else { return false };
    keywords.into_iter().any(|own| {
        let exclusive_needed = keyword.starts_with("exclusive") && !own.starts_with("exclusive");
        narrow.each(own).any(|(_, value)| {
            let Value::Number(value) = value else { return false };
            let order = order(value, bound);
            order == Some(inward) || (order == Some(Ordering::Equal) && !exclusive_needed)
        })
    })
}

/// How two numbers stand to each other, whole ones exactly.
fn order(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn is_multiple(narrow: &Facts<'_>, kinds: Kinds, value: &Value) -> bool {
    let Some(step) = value.as_f64().filter(|step| *step > 0.0) else { return false };
    let whole = kinds.and(Kinds::NUMBER).without(Kinds::INTEGER).is_empty();
    narrow.numbers("multipleOf").chain(whole.then_some(1.0)).any(|own| (own / step).fract() == 0.0)
}
