//! What schemas say of the members of objects and the items of lists.
//!
//! An open object is read as it is used: what its schema does not name is not there, unless an input says itself that it may be. Where
//! an object names nothing at all, anything may be in it, unless it is the whole value.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::change::Side;
use super::fit::{Fit, Gap, mean_the_same, same};
use super::place::{Facts, Part, Place};

/// Whether nothing at all is said of an object's members.
fn is_free(facts: &Facts<'_>) -> bool {
    const SAYING: [&str; 4] = ["properties", "patternProperties", "additionalProperties", "required"];
    let says = |part: &Part<'_>| part.place.at.is_empty() || SAYING.iter().any(|keyword| part.words.contains_key(*keyword));
    facts.elsewhere.is_empty() && !facts.open_elsewhere && !facts.parts.iter().any(says)
}

/// What a member may be.
enum Member<'s> {
    /// Nobody speaks of it, so it is not there.
    Unnamed,
    /// All of this holds of it; none where that is too much.
    Of(Option<Facts<'s>>),
}

impl<'s> Member<'s> {
    fn is_there(&self) -> bool {
        matches!(self, Self::Of(_))
    }

    /// What holds of it, where it is there.
    fn facts(self) -> impl Iterator<Item = Option<Facts<'s>>> {
        match self {
            Self::Unnamed => None,
            Self::Of(facts) => Some(facts),
        }
        .into_iter()
    }
}

/// A number of things, to be compared with numbers of a schema.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn member<'s>(fit: &mut Fit, facts: &Facts<'s>, name: &str) -> Member<'s> {
    let mut spoken_of =
        is_free(facts) || facts.open_elsewhere || facts.elsewhere.contains(name) || facts.names("required").any(|known| known == name);
    let mut places = Vec::new();
    for part in &facts.parts {
        let mut here: Vec<Place<'s>> = part.place.below(&["properties", name]).into_iter().collect();
        here.extend(patterns(part).filter(|(pattern, _)| fit.matches(pattern, name)).map(|(_, place)| place));
        if here.is_empty() {
            here.extend(part.place.below(&["additionalProperties"]));
            spoken_of |= here.iter().any(|place| *place.schema != Value::Bool(false)) || part.words.contains_key("unevaluatedProperties");
        } else {
            spoken_of = true;
        }
        places.extend(here);
    }
    if spoken_of { Member::Of(Facts::of(places)) } else { Member::Unnamed }
}

fn patterns<'s>(part: &Part<'s>) -> impl Iterator<Item = (&'s str, Place<'s>)> {
    let place = part.place.clone();
    let keys = part.words.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    keys.filter_map(move |pattern| Some((pattern.as_str(), place.below(&["patternProperties", pattern])?)))
}

/// What the members may be that no name and no pattern speaks of.
fn others<'s>(side: Side, facts: &Facts<'s>) -> Member<'s> {
    let places: Vec<Place<'s>> = facts.parts.iter().filter_map(|part| part.place.below(&["additionalProperties"])).collect();
    let unevaluated = facts.each("unevaluatedProperties").any(|(_, value)| *value != Value::Bool(false));
    // Who says that such are taken promises it to those who send them.
    let promised = side == Side::Input && facts.promises();
    let any =
        promised || is_free(facts) || facts.open_elsewhere || unevaluated || places.iter().any(|place| *place.schema != Value::Bool(false));
    if any { Member::Of(Facts::of(places)) } else { Member::Unnamed }
}

/// Where objects of which `narrow` holds do not fit what a part of the wider schema says of members.
pub(super) fn members<'s>(fit: &mut Fit, narrow: &Facts<'s>, part: &Part<'s>, wide: &Facts<'s>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for keyword in part.words.keys() {
        let Some(place) = part.place.below(&[keyword]) else { continue };
        match keyword.as_str() {
            "properties" => gaps.extend(properties(fit, narrow, &place)),
            "patternProperties" => gaps.extend(patterned(fit, narrow, part)),
            "additionalProperties" => gaps.extend(beyond(fit, narrow, std::slice::from_ref(part), &place)),
            "unevaluatedProperties" if *place.schema != Value::Bool(true) => {
                const BRANCHING: [&str; 5] = ["anyOf", "oneOf", "if", "dependentSchemas", "not"];
                if wide.parts.iter().any(|part| BRANCHING.iter().any(|keyword| part.words.contains_key(*keyword))) {
                    gaps.push(fit.gap(&place.at, "may take fewer members than before", "may have more members than before"));
                } else {
                    gaps.extend(beyond(fit, narrow, &wide.parts, &place));
                }
            }
            "propertyNames" if !same(narrow, part, keyword) => {
                let strange = narrow.named().into_iter().find(|name| !fit.takes(&place, &(*name).into()));
                if strange.is_some()
                    || others(fit.side, narrow).is_there()
                    || narrow.parts.iter().any(|part| patterns(part).next().is_some())
                {
                    gaps.push(fit.gap(&place.at, "may take fewer names than before", "may have other names than before"));
                }
            }
            "required" => {
                let sure: BTreeSet<&str> = narrow.names("required").collect();
                let missing = place.schema.as_array().into_iter().flatten().filter_map(Value::as_str).filter(|name| !sure.contains(name));
                gaps.extend(missing.map(|name| {
                    let name = super::fit::told(&name.into());
                    fit.gap(&place.at, format!("needs {name} now"), format!("may be without {name} now"))
                }));
            }
            "minProperties" | "maxProperties" => gaps.extend(counted(fit, narrow, keyword, &place)),
            "dependentRequired" | "dependentSchemas" => gaps.extend(dependent(fit, narrow, part, keyword, &place)),
            _ => {}
        }
    }
    gaps
}

fn properties<'s>(fit: &mut Fit, narrow: &Facts<'s>, properties: &Place<'s>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for name in properties.schema.as_object().into_iter().flat_map(Map::keys) {
        let Some(place) = properties.below(&[name]) else { continue };
        match member(fit, narrow, name) {
            Member::Of(facts) => gaps.extend(fit.gaps(facts, &place)),
            // Whoever reads answers may look for it.
            Member::Unnamed if fit.side == Side::Output => gaps.push(Gap { at: place.at, why: "is not described any more".to_owned() }),
            Member::Unnamed => {}
        }
    }
    gaps
}

fn patterned<'s>(fit: &mut Fit, narrow: &Facts<'s>, part: &Part<'s>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (pattern, wide) in patterns(part) {
        let mut all = Vec::new();
        for name in narrow.named() {
            if fit.matches(pattern, name)
                && let Member::Of(facts) = member(fit, narrow, name)
            {
                all.push(facts);
            }
        }
        // Names of another pattern may be of this one as well.
        all.extend(narrow.parts.iter().flat_map(patterns).map(|(_, place)| Facts::of([place])));
        all.extend(others(fit.side, narrow).facts());
        gaps.extend(all.into_iter().flat_map(|facts| fit.gaps(facts, &wide)).collect::<Vec<_>>());
    }
    gaps
}

/// `additionalProperties`, of what these parts do not speak of.
fn beyond<'s>(fit: &mut Fit, narrow: &Facts<'s>, speaking: &[Part<'s>], wide: &Place<'s>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for name in narrow.named() {
        let known = speaking
            .iter()
            .any(|part| part.place.below(&["properties", name]).is_some() || patterns(part).any(|(pattern, _)| fit.matches(pattern, name)));
        if known {
            continue;
        }
        let Member::Of(facts) = member(fit, narrow, name) else { continue };
        if *wide.schema == Value::Bool(false) {
            if facts.is_none_or(|facts| !facts.never) {
                let name = super::fit::told(&name.into());
                gaps.push(fit.gap(&wide.at, format!("does not take {name} any more"), format!("may have {name} now")));
            }
        } else {
            gaps.extend(fit.gaps(facts, wide));
        }
    }
    let spoken = |pattern: &str| speaking.iter().any(|part| patterns(part).any(|(own, _)| own == pattern));
    let strange: Vec<_> =
        narrow.parts.iter().flat_map(patterns).filter(|(pattern, _)| !spoken(pattern)).map(|(_, place)| Facts::of([place])).collect();
    for facts in strange.into_iter().chain(others(fit.side, narrow).facts()) {
        gaps.extend(fit.gaps(facts, wide));
    }
    gaps
}

fn counted(fit: &Fit, narrow: &Facts<'_>, keyword: &str, place: &Place<'_>) -> Option<Gap> {
    let bound = place.schema.as_f64()?;
    let fits = if keyword == "minProperties" {
        let sure: BTreeSet<&str> = narrow.names("required").collect();
        narrow.numbers(keyword).any(|own| own >= bound) || number(sure.len()) >= bound
    } else {
        let patterned = narrow.parts.iter().any(|part| patterns(part).next().is_some());
        let most = (!patterned && !others(fit.side, narrow).is_there()).then(|| number(narrow.named().len()));
        narrow.numbers(keyword).chain(most).any(|own| own <= bound)
    };
    let shown = super::fit::told(place.schema);
    (!fits).then(|| match keyword {
        "minProperties" => fit.gap(&place.at, format!("needs {shown} members now"), format!("may have fewer members than {shown} now")),
        _ => fit.gap(&place.at, format!("takes only {shown} members now"), format!("may have more members than {shown} now")),
    })
}

fn dependent<'s>(fit: &mut Fit, narrow: &Facts<'s>, part: &Part<'s>, keyword: &str, place: &Place<'s>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if same(narrow, part, keyword) {
        return gaps;
    }
    for name in place.schema.as_object().into_iter().flat_map(Map::keys) {
        match member(fit, narrow, name) {
            Member::Unnamed => continue,
            Member::Of(Some(facts)) if facts.never => continue,
            Member::Of(_) => {}
        }
        let Some(wanted) = place.below(&[name]) else { continue };
        if keyword == "dependentSchemas" {
            gaps.extend(fit.gaps(Some(narrow.clone()), &wanted));
            continue;
        }
        let with = narrow.each(keyword).filter_map(|(_, value)| value.get(name)?.as_array()).flatten().filter_map(Value::as_str);
        let sure: BTreeSet<&str> = narrow.names("required").chain(with).collect();
        let missing = wanted.schema.as_array().into_iter().flatten().filter_map(Value::as_str).find(|other| !sure.contains(other));
        if let Some(missing) = missing {
            let missing = super::fit::told(&missing.into());
            gaps.push(fit.gap(&wanted.at, format!("needs {missing} beside it now"), format!("may be without {missing} now")));
        }
    }
    gaps
}

/// What an item of a list may be.
fn item<'s>(facts: &Facts<'s>, at: usize) -> Option<Facts<'s>> {
    let place = |part: &Part<'s>| part.place.below(&["prefixItems", &at.to_string()]).or_else(|| part.place.below(&["items"]));
    Facts::of(facts.parts.iter().filter_map(place))
}

/// Where lists of which `narrow` holds do not fit what a part of the wider schema says of items.
pub(super) fn items<'s>(fit: &mut Fit, narrow: &Facts<'s>, part: &Part<'s>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let first = |part: &Part<'_>| part.words.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
    let own = first(part);
    let longest = narrow.parts.iter().map(first).max().unwrap_or(0).max(own);
    let most = narrow.numbers("maxItems").fold(f64::INFINITY, f64::min);
    for at in 0..=longest {
        let wide = part.place.below(&["prefixItems", &at.to_string()]).or_else(|| part.place.below(&["items"]));
        if let Some(wide) = wide.filter(|_| number(at) < most) {
            gaps.extend(fit.gaps(item(narrow, at), &wide));
        }
    }
    for (keyword, value) in part.words {
        let shown = super::fit::told(value);
        let (kept, sent, back) = match keyword.as_str() {
            "minItems" => {
                let kept = value.as_f64().is_none_or(|least| least == 0.0 || narrow.numbers(keyword).any(|own| own >= least));
                (kept, format!("needs {shown} items now"), format!("may have fewer items than {shown} now"))
            }
            "maxItems" => {
                let kept = value.as_f64().is_some_and(|bound| most <= bound);
                (kept, format!("takes only {shown} items now"), format!("may have more items than {shown} now"))
            }
            "uniqueItems" => {
                let kept = *value != Value::Bool(true) || same(narrow, part, keyword) || most <= 1.0;
                (kept, "takes no item twice now".to_owned(), "may have an item twice now".to_owned())
            }
            "contains" => {
                let beside = |keyword: &str| part.words.get(keyword).is_none() || same(narrow, part, keyword);
                let kept = part.words.get("minContains").and_then(Value::as_u64) == Some(0) && !part.words.contains_key("maxContains");
                let kept = kept || (same(narrow, part, keyword) && beside("minContains") && beside("maxContains"));
                (kept, "may need other items than before".to_owned(), "may have other items than before".to_owned())
            }
            "unevaluatedItems" => {
                let kept = *value == Value::Bool(true)
                    || narrow.parts.iter().any(|own| own.words == part.words && mean_the_same(part.place.schema, &own.place, &part.place));
                (kept, "may take fewer items than before".to_owned(), "may have more items than before".to_owned())
            }
            _ => continue,
        };
        if !kept {
            gaps.push(fit.gap(&format!("{}/{keyword}", part.place.at), sent, back));
        }
    }
    gaps
}
