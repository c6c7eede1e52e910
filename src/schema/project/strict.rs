//! What OpenAI's strict functions take, as its guide on structured outputs lists it under "Supported schemas".
//!
//! Every object names all its members, needs all of them and takes no other; a member that may be missing may be null instead, and
//! [`Back`](super::restore::Back) takes those nulls out again. References to definitions stay, so a schema may refer to itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::pattern::plain_pattern;
use super::read::Reader;
use super::references::free_name;
use super::told::joined;
use super::unfit::Unfit;
use super::union::{Budget, Kind, Rest, Union, Way};
use super::words::{list, map};
use crate::domain::pointer::token;

/// Most schemas that are written.
const MOST: usize = 10_000;
/// How deep objects and lists may stand in each other, how many members there may be, how many values that are listed, and how many
/// characters in all names and listed values together.
const DEEPEST: usize = 10;
const MOST_MEMBERS: usize = 5_000;
const MOST_VALUES: usize = 1_000;
const MOST_CHARACTERS: usize = 120_000;
/// Past so many values of one list, the characters of these are counted by themselves.
const MANY: usize = 250;
const MOST_OF_MANY: usize = 15_000;

/// The formats of texts there are.
const FORMATS: [&str; 9] = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

/// A schema as strict functions take it, and the places of members that may be null because they may be missing.
pub(super) fn strict(schema: &Value) -> Result<(Value, BTreeSet<String>), Unfit> {
    let mut writer = Writer {
        schema,
        budget: Budget(MOST),
        names: BTreeMap::new(),
        taken: BTreeSet::new(),
        waiting: Vec::new(),
        nullable: BTreeMap::new(),
        added: BTreeSet::new(),
    };
    let mut root = Reader::new(schema, true).read(schema)?;
    let ways = root.ways.take().unwrap_or_default();
    let Some(object) = ways.into_iter().find(|way| way.kind == Kind::Object) else {
        return Err(Unfit::new("", "takes no object, and arguments are one"));
    };
    // What names nothing at all is a call without arguments.
    let object = if object.properties.is_empty() && object.rest == Rest::Unsaid { Way { rest: Rest::Closed, ..object } } else { object };
    let mut view = writer.way(&object, "")?;
    describe(&mut view, root.about);
    let mut definitions = Map::new();
    while let Some((reference, name)) = writer.waiting.pop() {
        let union = Reader::new(schema, true).referred(&reference)?;
        let node = writer.node(&union, &format!("/$defs/{name}"))?;
        definitions.insert(name, node.into());
    }
    if !definitions.is_empty() {
        view.insert("$defs".to_owned(), definitions.into());
    }
    Counted::default().count(&view, 0)?.check()?;
    Ok((Value::Object(view), writer.added))
}

struct Writer<'s> {
    schema: &'s Value,
    budget: Budget,
    /// The name of each reference's definition, and all names.
    names: BTreeMap<String, String>,
    taken: BTreeSet<String>,
    waiting: Vec<(String, String)>,
    /// Whether what a reference leads to may be null.
    nullable: BTreeMap<String, bool>,
    /// The places of members to which null was added.
    added: BTreeSet<String>,
}

impl Writer<'_> {
    fn node(&mut self, union: &Union, at: &str) -> Result<Map<String, Value>, Unfit> {
        let ways = union.ways.as_ref().ok_or_else(|| Unfit::new(at, "may be anything, which a strict function cannot say"))?;
        let mut nodes: Vec<Map<String, Value>> = Vec::with_capacity(ways.len());
        for (number, way) in ways.iter().enumerate() {
            let at = if ways.len() == 1 { at.to_owned() } else { format!("{at}/anyOf/{number}") };
            nodes.push(self.way(way, &at)?);
        }
        let mut node = match nodes.pop() {
            None if union.null => Map::from_iter([("type".to_owned(), "null".into())]),
            // There is no word for what never is.
            None => Map::from_iter([("type".to_owned(), "string".into())]),
            Some(only) if nodes.is_empty() => only,
            Some(last) => {
                nodes.push(last);
                Map::from_iter([("anyOf".to_owned(), nodes.into_iter().map(Value::Object).collect())])
            }
        };
        if union.null && !ways.is_empty() {
            node = or_null(node);
        }
        describe(&mut node, union.about.clone());
        Ok(node)
    }

    fn way(&mut self, way: &Way, at: &str) -> Result<Map<String, Value>, Unfit> {
        self.budget.take(1)?;
        if let Kind::Named(reference) = &way.kind {
            return Ok(Map::from_iter([("$ref".to_owned(), self.reference(reference).into())]));
        }
        let mut node = Map::new();
        node.insert("type".to_owned(), way.kind.name().into());
        describe(&mut node, way.about.clone());
        match way.kind {
            Kind::Object => self.object(way, at, &mut node)?,
            Kind::List => {
                let items =
                    way.items.as_ref().ok_or_else(|| Unfit::new(at, "is a list of anything, which a strict function cannot say"))?;
                let items = if items.is_never() { Union::of(false, vec![Way::new(Kind::Text)]) } else { Union::clone(items) };
                node.insert("items".to_owned(), self.node(&items, &format!("{at}/items"))?.into());
            }
            _ => {}
        }
        if let Some(values) = &way.values {
            if matches!(way.kind, Kind::Object | Kind::List) {
                return Err(Unfit::new(at, "is one of some objects or lists, which a strict function cannot say"));
            }
            let characters: usize = values.iter().filter_map(Value::as_str).map(str::len).sum();
            if values.len() <= MANY || (values.len() <= MOST_VALUES && characters <= MOST_OF_MANY) {
                node.insert("enum".to_owned(), values.clone().into());
            }
        }
        for (word, bound) in &way.bounds {
            let fits = match word.as_str() {
                "pattern" => bound.as_str().is_some_and(plain_pattern),
                "format" => way.kind == Kind::Text && bound.as_str().is_some_and(|format| FORMATS.contains(&format)),
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => bound.is_number(),
                "minItems" | "maxItems" => bound.is_u64(),
                _ => false,
            };
            if fits {
                node.insert(word.clone(), bound.clone());
            }
        }
        Ok(node)
    }

    fn object(&mut self, way: &Way, at: &str, node: &mut Map<String, Value>) -> Result<(), Unfit> {
        if way.rest == Rest::Open || (way.properties.is_empty() && way.rest == Rest::Unsaid) {
            return Err(Unfit::new(at, "may have members of any name, which a strict function cannot say"));
        }
        let mut properties = Map::new();
        for (name, member) in way.properties.iter().filter(|(_, member)| !member.is_never()) {
            let place = format!("{at}/properties/{}", token(name));
            let mut member_node = self.node(member, &place)?;
            if !way.required.contains(name) && !self.may_be_null(member)? {
                member_node = or_null(member_node);
                describe(&mut member_node, member.about.clone());
                self.added.insert(place);
            }
            properties.insert(name.clone(), member_node.into());
        }
        let required: Vec<&String> = properties.keys().collect();
        let required = json!(required);
        node.insert("properties".to_owned(), properties.into());
        node.insert("required".to_owned(), required);
        node.insert("additionalProperties".to_owned(), false.into());
        Ok(())
    }

    /// A reference as the view has it; the definition is written later.
    fn reference(&mut self, reference: &str) -> String {
        if reference == "#" {
            return reference.to_owned();
        }
        if !self.names.contains_key(reference) {
            let name = free_name(reference, &self.taken);
            self.taken.insert(name.clone());
            self.names.insert(reference.to_owned(), name.clone());
            self.waiting.push((reference.to_owned(), name));
        }
        format!("#/$defs/{}", self.names.get(reference).map_or("", String::as_str))
    }

    fn may_be_null(&mut self, union: &Union) -> Result<bool, Unfit> {
        if union.null {
            return Ok(true);
        }
        for way in union.ways.iter().flatten() {
            let Kind::Named(reference) = &way.kind else { continue };
            let known = self.nullable.get(reference).copied();
            let null = if let Some(known) = known {
                known
            } else {
                // Who refers to itself in between is looked at already.
                self.nullable.insert(reference.clone(), false);
                let target = Reader::new(self.schema, true).referred(reference)?;
                let null = self.may_be_null(&target)?;
                self.nullable.insert(reference.clone(), null);
                null
            };
            if null {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The same, or null.
fn or_null(mut node: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Array(ways)) = node.get_mut("anyOf") {
        ways.push(json!({ "type": "null" }));
        return node;
    }
    let Some(kind) = node.get("type").cloned() else {
        return Map::from_iter([("anyOf".to_owned(), json!([node, { "type": "null" }]))]);
    };
    node.insert("type".to_owned(), json!([kind, "null"]));
    if let Some(Value::Array(values)) = node.get_mut("enum") {
        values.push(Value::Null);
    }
    node
}

/// A reference stands alone.
fn describe(node: &mut Map<String, Value>, about: Option<String>) {
    let own = node.get("description").and_then(Value::as_str).map(str::to_owned);
    if let Some(about) = joined(about, own).filter(|_| !node.contains_key("$ref")) {
        node.insert("description".to_owned(), about.into());
    }
}

/// What there is a bound for.
#[derive(Default)]
struct Counted {
    deepest: usize,
    members: usize,
    values: usize,
    characters: usize,
}

impl Counted {
    fn count(mut self, words: &Map<String, Value>, depth: usize) -> Result<Self, Unfit> {
        let nests = words.contains_key("properties") || words.contains_key("items");
        let depth = depth + usize::from(nests);
        self.deepest = self.deepest.max(depth);
        let values = list(words, "enum");
        self.values += values.len();
        self.characters += values.iter().filter_map(Value::as_str).map(str::len).sum::<usize>();
        let definitions = map(words, "$defs").map(|(name, schema)| (name, schema, 0));
        let properties = map(words, "properties").map(|(name, schema)| (name, schema, depth));
        self.members += map(words, "properties").count();
        for (name, schema, depth) in definitions.chain(properties) {
            self.characters += name.len();
            if let Value::Object(words) = schema {
                self = self.count(words, depth)?;
            }
        }
        for schema in words.get("items").into_iter().chain(list(words, "anyOf")) {
            if let Value::Object(words) = schema {
                self = self.count(words, depth)?;
            }
        }
        Ok(self)
    }

    fn check(&self) -> Result<(), Unfit> {
        let limits = [
            (self.deepest, DEEPEST, "levels of objects and lists in each other"),
            (self.members, MOST_MEMBERS, "members"),
            (self.values, MOST_VALUES, "listed values"),
            (self.characters, MOST_CHARACTERS, "characters in names and listed values"),
        ];
        match limits.iter().find(|(count, most, _)| count > most) {
            Some((count, most, what)) => Err(Unfit::new("", format!("has {count} {what}, and a strict function has at most {most}"))),
            None => Ok(()),
        }
    }
}
