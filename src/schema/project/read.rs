//! Reads a schema as what a value may be. What has no place in that form is passed over: that only widens.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::unfit::Unfit;
use super::union::{Budget, KINDS, Kind, Rest, Union, Way};
use super::words::{find, list, map, nothing, texts, types};
use crate::domain::pointer;

/// Most that is done for one schema, and how deep it may stand in itself where references are written out.
const STEPS: usize = 20_000;
const DEEPEST: usize = 48;

/// Keywords that bound values of a kind.
const OF_TEXT: [&str; 4] = ["minLength", "maxLength", "pattern", "format"];
const OF_NUMBER: [&str; 6] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"];
const OF_LIST: [&str; 4] = ["minItems", "maxItems", "items", "prefixItems"];
const OF_OBJECT: [&str; 6] = ["minProperties", "maxProperties", "properties", "required", "additionalProperties", "patternProperties"];

/// Reads one schema.
pub(super) struct Reader<'s> {
    whole: &'s Value,
    /// Whether references stay references, and what is open is read as it is used.
    strict: bool,
    budget: Budget,
    depth: usize,
    /// Where it reads.
    pub(super) at: String,
    /// The references that are being written out.
    open: Vec<String>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(whole: &'s Value, strict: bool) -> Self {
        Self { whole, strict, budget: Budget(STEPS), depth: 0, at: String::new(), open: Vec::new() }
    }

    /// What a value may be that fits a schema.
    pub(super) fn read(&mut self, schema: &Value) -> Result<Union, Unfit> {
        self.budget.take(1)?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Unfit::new(&self.at, "is nested too deeply"));
        }
        let union = match schema {
            Value::Object(words) if words.get("not") != Some(&Value::Object(Map::new())) => self.words(words)?,
            Value::Bool(true) => Union::anything(),
            _ => Union::of(false, Vec::new()),
        };
        self.depth -= 1;
        Ok(union)
    }

    /// What a reference leads to.
    pub(super) fn referred(&mut self, reference: &str) -> Result<Union, Unfit> {
        if self.open.iter().any(|open| open == reference) {
            return Err(Unfit::new(&self.at, "refers to itself, which this provider cannot be told"));
        }
        let target = find(self.whole, reference).ok_or_else(|| Unfit::new(&self.at, "refers to what is not there"))?;
        self.open.push(reference.to_owned());
        let union = self.read(target);
        self.open.pop();
        union
    }

    fn words(&mut self, words: &Map<String, Value>) -> Result<Union, Unfit> {
        let about = words.get("description").and_then(Value::as_str).filter(|about| !about.is_empty()).map(str::to_owned);
        let mut union = Union { about, ..Union::anything() };
        if let Some(reference) = words.get("$ref").and_then(Value::as_str) {
            let target = if self.strict { named(reference) } else { self.referred(reference)? };
            union = self.meet(union, target)?;
        }
        if let Some(typed) = self.typed(words)? {
            union = self.meet(union, typed)?;
        }
        let listed = words.get("enum").and_then(Value::as_array).map(Vec::as_slice);
        for values in listed.into_iter().chain(words.get("const").map(std::slice::from_ref)) {
            union = self.meet(union, of_values(values))?;
        }
        for part in list(words, "allOf") {
            let part = self.read(part)?;
            union = self.meet(union, part)?;
        }
        for word in ["anyOf", "oneOf"] {
            if words.contains_key(word) {
                let parts = list(words, word).iter().map(|part| self.read(part)).collect::<Result<_, _>>()?;
                union = self.meet(union, Union::join(parts))?;
            }
        }
        // OpenAPI 3.0's word, which some write here, too.
        union.null |= words.get("nullable") == Some(&Value::Bool(true));
        Ok(union)
    }

    /// What is both; where there is more to say than a reference, what it leads to is written out.
    fn meet(&mut self, one: Union, other: Union) -> Result<Union, Unfit> {
        let both_speak = one.ways.is_some() && other.ways.is_some();
        let (one, other) = if both_speak { (self.opened(one)?, self.opened(other)?) } else { (one, other) };
        one.meet(&other, &mut self.budget)
    }

    fn opened(&mut self, union: Union) -> Result<Union, Unfit> {
        if !union.is_named() {
            return Ok(union);
        }
        let (about, null) = (union.about, union.null);
        let mut parts = vec![Union::of(null, Vec::new())];
        for way in union.ways.into_iter().flatten() {
            let part = match &way.kind {
                Kind::Named(reference) if !self.open.contains(reference) => {
                    let reference = reference.clone();
                    let target = self.referred(&reference)?;
                    Union { about: way.about.or(target.about), ..target }
                }
                _ => Union::of(false, vec![way]),
            };
            parts.push(part);
        }
        let joined = Union::join(parts);
        Ok(Union { about: about.or_else(|| joined.about.clone()), ..joined })
    }

    /// What the type and the keywords of each type say; none where they say nothing.
    fn typed(&mut self, words: &Map<String, Value>) -> Result<Option<Union>, Unfit> {
        let speaks = |all: &[&str]| all.iter().any(|word| words.contains_key(*word));
        let (kinds, null) = match types(words) {
            Some(names) => {
                let kinds =
                    names.iter().filter_map(|name| Kind::of(name)).filter(|kind| *kind != Kind::Integer || !names.contains(&"number"));
                (kinds.collect(), names.contains(&"null"))
            }
            None if ![&OF_TEXT[..], &OF_NUMBER, &OF_LIST, &OF_OBJECT].into_iter().any(speaks) => return Ok(None),
            // Whoever says nothing of the type means the one that the keywords are for.
            None if self.strict && speaks(&OF_OBJECT) => (vec![Kind::Object], false),
            None if self.strict && speaks(&OF_LIST) => (vec![Kind::List], false),
            None => (KINDS.into(), true),
        };
        let ways = kinds.into_iter().map(|kind| self.way(kind, words)).collect::<Result<_, _>>()?;
        Ok(Some(Union::of(null, ways)))
    }

    fn way(&mut self, kind: Kind, words: &Map<String, Value>) -> Result<Way, Unfit> {
        let bounds: &[&str] = match &kind {
            Kind::Text => &OF_TEXT,
            Kind::Integer | Kind::Number => &OF_NUMBER,
            Kind::List => &["minItems", "maxItems"],
            Kind::Object => &["minProperties", "maxProperties"],
            Kind::Truth | Kind::Named(_) => &[],
        };
        let mut way = Way::new(kind);
        way.bounds = bounds.iter().filter_map(|word| Some(((*word).to_owned(), words.get(*word)?.clone()))).collect();
        match way.kind {
            Kind::List => way.items = self.items(words)?,
            Kind::Object => {
                for (name, schema) in map(words, "properties") {
                    let member = self.below("properties", name, schema)?;
                    way.properties.push((name.clone(), Rc::new(member)));
                }
                way.required = texts(words, "required").map(str::to_owned).collect();
                way.rest = rest(words);
            }
            _ => {}
        }
        Ok(way)
    }

    /// What is in a list; none where that may be anything. The places of a tuple are not told apart.
    fn items(&mut self, words: &Map<String, Value>) -> Result<Option<Rc<Union>>, Unfit> {
        let places = list(words, "prefixItems");
        let items = words.get("items");
        let open = items.is_none_or(|items| items.as_object().is_some_and(Map::is_empty));
        let ends = words.get("maxItems").and_then(Value::as_u64).is_some_and(|most| most <= places.len() as u64);
        let mut all = Vec::with_capacity(places.len() + 1);
        for (at, place) in places.iter().enumerate() {
            all.push(self.below("prefixItems", &at.to_string(), place)?);
        }
        match items {
            _ if !places.is_empty() && (ends || (open && self.strict)) => {}
            Some(items) if !open => all.push(self.below("items", "", items)?),
            _ => return Ok(None),
        }
        let joined = Union::join(all);
        Ok(if joined.ways.is_none() && joined.about.is_none() { None } else { Some(Rc::new(joined)) })
    }

    fn below(&mut self, word: &str, name: &str, schema: &Value) -> Result<Union, Unfit> {
        let length = self.at.len();
        for step in [word, name].into_iter().filter(|step| !step.is_empty()) {
            pointer::step(&mut self.at, step);
        }
        let union = self.read(schema);
        self.at.truncate(length);
        union
    }
}

fn named(reference: &str) -> Union {
    Union::of(false, vec![Way::new(Kind::Named(reference.to_owned()))])
}

fn of_values(values: &[Value]) -> Union {
    let mut ways: Vec<Way> = Vec::new();
    for value in values {
        let Some(kind) = Kind::of_value(value) else { continue };
        match ways.iter_mut().find(|way| way.kind == kind) {
            Some(way) => way.values.get_or_insert_default().push(value.clone()),
            None => ways.push(Way { values: Some(vec![value.clone()]), ..Way::new(kind) }),
        }
    }
    Union::of(values.contains(&Value::Null), ways)
}

fn rest(words: &Map<String, Value>) -> Rest {
    let none = |value: &Value| *value == Value::Bool(false) || *value == nothing();
    let some = |value: &Value| value.as_object().is_some_and(|words| !words.is_empty());
    match words.get("additionalProperties") {
        _ if map(words, "patternProperties").next().is_some() => Rest::Open,
        Some(value) if none(value) => Rest::Closed,
        Some(value) if some(value) => Rest::Open,
        _ if words.get("unevaluatedProperties").is_some_and(none) => Rest::Closed,
        _ => Rest::Unsaid,
    }
}
