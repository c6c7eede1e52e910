//! What Gemini takes: a subset of OpenAPI 3.0's schemas, as its API reference lists it (`Schema`), with what it refuses beyond that.
//!
//! One type for each schema, or `anyOf` with nothing beside it; `nullable`; `items` for each list; `enum` of texts that are not
//! empty; `required` only for members that are named; `format` of texts `date-time` alone; nothing that refers to anything else.

use serde_json::{Map, Value, json};

use super::pattern::plain_pattern;
use super::read::Reader;
use super::told::{joined, one_of};
use super::unfit::Unfit;
use super::union::{Budget, KINDS, Kind, Union, Way};

/// Most schemas that are written.
const MOST: usize = 4_000;
/// Lists within lists of which nothing else is said. There is no word for any value, so it is told as one of all types; what is in
/// lists further in is told without lists.
const LISTS: usize = 2;

/// A schema as Gemini takes it.
pub(super) fn gemini(schema: &Value) -> Result<Value, Unfit> {
    let mut root = Reader::new(schema, false).read(schema)?;
    let ways = root.ways.take().unwrap_or_default();
    let Some(object) = ways.into_iter().find(|way| way.kind == Kind::Object) else {
        return Err(Unfit::new("", "takes no object, and arguments are one"));
    };
    let mut node = Writer(Budget(MOST)).way(&object, LISTS)?;
    node.entry("properties").or_insert_with(|| json!({}));
    describe(&mut node, root.about);
    Ok(Value::Object(node))
}

struct Writer(Budget);

impl Writer {
    fn node(&mut self, union: &Union, lists: usize) -> Result<Map<String, Value>, Unfit> {
        let anything = |kind: &Kind| lists > 0 || *kind != Kind::List;
        let (ways, within) = match &union.ways {
            Some(ways) => (ways.clone(), LISTS),
            None => (KINDS.into_iter().filter(anything).map(Way::new).collect(), lists.saturating_sub(1)),
        };
        let mut nodes: Vec<Map<String, Value>> = Vec::with_capacity(ways.len());
        for way in &ways {
            let mut node = self.way(way, within)?;
            if union.null {
                node.insert("nullable".to_owned(), true.into());
            }
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        // There is no type for null alone.
        let mut first = if nodes.is_empty() {
            Map::from_iter([("type".to_owned(), "string".into()), ("nullable".to_owned(), true.into())])
        } else {
            nodes.remove(0)
        };
        describe(&mut first, union.about.clone());
        if nodes.is_empty() {
            return Ok(first);
        }
        nodes.insert(0, first);
        Ok(Map::from_iter([("anyOf".to_owned(), nodes.into_iter().map(Value::Object).collect())]))
    }

    fn way(&mut self, way: &Way, lists: usize) -> Result<Map<String, Value>, Unfit> {
        self.0.take(1)?;
        let mut node = Map::new();
        node.insert("type".to_owned(), way.kind.name().into());
        describe(&mut node, way.about.clone());
        let mut told = false;
        match way.kind {
            Kind::Text => {
                told = way
                    .values
                    .as_ref()
                    .is_some_and(|values| values.iter().all(|value| value.as_str().is_some_and(|text| !text.is_empty())));
                if let Some(values) = way.values.as_ref().filter(|_| told) {
                    node.insert("enum".to_owned(), values.clone().into());
                }
            }
            Kind::List => {
                let items = match &way.items {
                    // An empty list is still a list.
                    Some(items) if items.is_never() => self.node(&Union::of(false, vec![Way::new(Kind::Text)]), lists)?,
                    Some(items) => self.node(items, LISTS)?,
                    None => self.node(&Union::anything(), lists)?,
                };
                node.insert("items".to_owned(), items.into());
            }
            Kind::Object => {
                let mut properties = Map::new();
                for (name, member) in way.properties.iter().filter(|(_, member)| !member.is_never()) {
                    properties.insert(name.clone(), self.node(member, LISTS)?.into());
                }
                let required: Vec<&String> = properties.keys().filter(|name| way.required.contains(*name)).collect();
                if !required.is_empty() {
                    node.insert("required".to_owned(), json!(required));
                }
                if !properties.is_empty() {
                    node.insert("properties".to_owned(), properties.into());
                }
            }
            Kind::Integer | Kind::Number | Kind::Truth | Kind::Named(_) => {}
        }
        if let Some(values) = way.values.as_ref().filter(|_| !told) {
            let about = node.get("description").and_then(Value::as_str).map(str::to_owned);
            if let Some(about) = joined(about, one_of(values)) {
                node.insert("description".to_owned(), about.into());
            }
        }
        bound(way, &mut node);
        Ok(node)
    }
}

/// The bounds there are words for; an exclusive one is told as the bound that it lies within.
fn bound(way: &Way, node: &mut Map<String, Value>) {
    for (word, bound) in &way.bounds {
        let (told, fits) = match (word.as_str(), &way.kind) {
            ("pattern", Kind::Text) => (word.as_str(), bound.as_str().is_some_and(plain_pattern)),
            ("format", Kind::Text) => (word.as_str(), bound == "date-time"),
            ("format", Kind::Integer) => (word.as_str(), bound == "int32" || bound == "int64"),
            ("format", Kind::Number) => (word.as_str(), bound == "float" || bound == "double"),
            ("minimum" | "exclusiveMinimum", _) => ("minimum", bound.is_number()),
            ("maximum" | "exclusiveMaximum", _) => ("maximum", bound.is_number()),
            ("multipleOf", _) => continue,
            (word, _) => (word, bound.is_u64()),
        };
        if fits && (told == word || !way.bounds.contains_key(told)) {
            node.insert(told.to_owned(), bound.clone());
        }
    }
}

fn describe(node: &mut Map<String, Value>, about: Option<String>) {
    let own = node.get("description").and_then(Value::as_str).map(str::to_owned);
    if let Some(about) = joined(about, own) {
        node.insert("description".to_owned(), about.into());
    }
}
