//! The root of a schema as one object, whatever it is put together of.
//!
//! `allOf` and `$ref` add to what is asked of a member, alternatives take away: a member of some of them may be what any of them says,
//! and only what all of them need is needed.

use serde_json::{Map, Value, json};

use super::unfit::Unfit;
use super::union::Budget;
use super::words::{find, list, map, nothing, texts, types};

/// Most members of subschemas that are put together, and how deep these stand in each other.
const MOST: usize = 20_000;
const DEEPEST: usize = 48;

/// What is said anew of a root that is put together.
const MERGED: [&str; 16] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "enum",
    "const",
    "not",
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "nullable",
];

/// A root as an object; `closed` reads open alternatives as they are used.
pub(super) fn object(whole: &Value, words: &Map<String, Value>, closed: bool) -> Result<Map<String, Value>, Unfit> {
    let never = || Unfit::new("", "takes no object, and arguments are one");
    let composed = ["allOf", "anyOf", "oneOf", "$ref"].iter().any(|word| words.contains_key(*word));
    if !composed {
        if !may_be_object(words) {
            return Err(never());
        }
        let kept = |word: &str| !matches!(word, "type" | "enum" | "const" | "not" | "$dynamicRef" | "$recursiveRef" | "nullable");
        let mut root: Map<String, Value> = Map::new();
        root.insert("type".to_owned(), "object".into());
        root.extend(words.iter().filter(|(word, _)| kept(word)).map(|(word, value)| (word.clone(), value.clone())));
        return Ok(root);
    }
    let shape = Merge { whole, closed, budget: Budget(MOST) }.shape(words, 0)?.ok_or_else(never)?;
    let mut root = Map::new();
    root.insert("type".to_owned(), "object".into());
    root.extend(words.iter().filter(|(word, _)| !MERGED.contains(&word.as_str())).map(|(word, value)| (word.clone(), value.clone())));
    let properties: Map<String, Value> = shape.properties.into_iter().filter(|(_, schema)| *schema != Value::Bool(false)).collect();
    root.insert("properties".to_owned(), properties.into());
    if !shape.required.is_empty() {
        root.insert("required".to_owned(), shape.required.into());
    }
    if !is_anything(&shape.rest) {
        root.insert("additionalProperties".to_owned(), shape.rest);
    }
    Ok(root)
}

/// What an object may hold. What must not be there is `false`, and nothing else is.
#[derive(Clone)]
struct Shape {
    properties: Map<String, Value>,
    required: Vec<String>,
    /// What members may be that are not named.
    rest: Value,
}

fn is_anything(schema: &Value) -> bool {
    schema.as_object().is_some_and(Map::is_empty)
}

/// A schema with one word for what is never there, and one for what may be anything.
fn said(schema: &Value) -> Value {
    match schema {
        Value::Bool(true) => json!({}),
        schema if *schema == nothing() => Value::Bool(false),
        schema => schema.clone(),
    }
}

/// Whether an object may fit, as far as a schema itself says.
fn may_be_object(words: &Map<String, Value>) -> bool {
    types(words).is_none_or(|types| types.contains(&"object"))
        && words.get("const").is_none_or(Value::is_object)
        && words.get("enum").and_then(Value::as_array).is_none_or(|values| values.iter().any(Value::is_object))
        && words.get("not").is_none_or(|not| !is_anything(not))
}

/// What fits both.
fn both(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (one, other) if is_anything(other) || one == other => one.clone(),
        (one, other) if is_anything(one) => other.clone(),
        (one, other) => joined("allOf", one, other),
    }
}

/// What fits one of them.
fn either(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Bool(false), only) | (only, Value::Bool(false)) => only.clone(),
        (one, other) if one == other => one.clone(),
        (one, other) => joined("anyOf", one, other),
    }
}

/// Two schemas under a word; lists under that word alone become one.
fn joined(word: &str, one: &Value, other: &Value) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for schema in [one, other] {
        let parts = schema.as_object().filter(|words| words.len() == 1).map(|words| list(words, word)).filter(|parts| !parts.is_empty());
        for part in parts.unwrap_or(std::slice::from_ref(schema)) {
            if !all.contains(part) {
                all.push(part.clone());
            }
        }
    }
    json!({ word: all })
}

impl Shape {
    fn of(words: &Map<String, Value>) -> Self {
        let properties = map(words, "properties").map(|(name, schema)| (name.clone(), said(schema))).collect();
        let open = map(words, "patternProperties").next().is_some();
        let rest = words.get("additionalProperties").filter(|_| !open).map_or_else(|| json!({}), said);
        Self { properties, required: texts(words, "required").map(str::to_owned).collect(), rest }
    }

    fn names(&self, other: &Self) -> Vec<String> {
        let more = other.properties.keys().filter(|name| !self.properties.contains_key(*name));
        self.properties.keys().chain(more).cloned().collect()
    }

    fn member(&self, name: &str) -> &Value {
        self.properties.get(name).unwrap_or(&self.rest)
    }

    fn and(&self, other: &Self) -> Self {
        let properties = self.names(other).into_iter().map(|name| (name.clone(), both(self.member(&name), other.member(&name)))).collect();
        let more = other.required.iter().filter(|name| !self.required.contains(name));
        let required = self.required.iter().chain(more).cloned().collect();
        Self { properties, required, rest: both(&self.rest, &other.rest) }
    }

    fn or(&self, other: &Self, closed: bool) -> Self {
        let unnamed = |shape: &Self, name: &str| closed && is_anything(&shape.rest) && !shape.properties.contains_key(name);
        let member = |shape: &Self, name: &str| if unnamed(shape, name) { Value::Bool(false) } else { shape.member(name).clone() };
        let one = |name: String| {
            let schema = either(&member(self, &name), &member(other, &name));
            (name, schema)
        };
        let properties = self.names(other).into_iter().map(one).collect();
        let required = self.required.iter().filter(|name| other.required.contains(name)).cloned().collect();
        Self {
            properties,
            required,
            rest: if is_anything(&self.rest) || is_anything(&other.rest) { json!({}) } else { either(&self.rest, &other.rest) },
        }
    }
}

struct Merge<'s> {
    whole: &'s Value,
    closed: bool,
    budget: Budget,
}

impl Merge<'_> {
    /// What a schema says of an object; none where no object fits.
    fn shape(&mut self, words: &Map<String, Value>, depth: usize) -> Result<Option<Shape>, Unfit> {
        self.budget.take(1)?;
        if depth > DEEPEST {
            return Err(Unfit::large());
        }
        if !may_be_object(words) {
            return Ok(None);
        }
        let mut shape = Shape::of(words);
        let target = words.get("$ref").and_then(Value::as_str).map(|reference| find(self.whole, reference));
        let target = target.map(|target| target.ok_or_else(|| Unfit::new("/$ref", "refers to what is not there"))).transpose()?;
        for part in target.into_iter().chain(list(words, "allOf")) {
            let Some(part) = self.part(part, depth)? else { return Ok(None) };
            self.budget.take(shape.properties.len() + part.properties.len())?;
            shape = shape.and(&part);
        }
        for word in ["anyOf", "oneOf"] {
            if !words.contains_key(word) {
                continue;
            }
            let mut any: Option<Shape> = None;
            for part in list(words, word) {
                let part = self.part(part, depth)?;
                self.budget.take([&any, &part].into_iter().flatten().map(|shape| shape.properties.len()).sum())?;
                any = match (any, part) {
                    (Some(any), Some(part)) => Some(any.or(&part, self.closed)),
                    (any, part) => any.or(part),
                };
            }
            let Some(any) = any else { return Ok(None) };
            shape = shape.and(&any);
        }
        Ok(Some(shape))
    }

    fn part(&mut self, schema: &Value, depth: usize) -> Result<Option<Shape>, Unfit> {
        match schema {
            Value::Object(words) => self.shape(words, depth + 1),
            _ => Ok(None),
        }
    }
}
