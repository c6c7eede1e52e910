//! Is a schema safe to validate with? Size, depth, references, and above all: how much work it can cause.
//!
//! A validator has no cost limit of its own, and a timeout cannot stop it, so the work is bounded
//! before the first value is seen. The subschemas form a graph with two kinds of edges: those that
//! look at the *same* value (`allOf`, `$ref` …) and those that descend into a *part* of it
//! (`properties`, `items` …). A cycle of the first kind never ends. Cycles of the second kind are
//! honest recursion, bounded by the value's depth; where they also branch, the work doubles with
//! each level, and then the depth of values is what must be bounded: see [`Bounds::depth`].

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::Value;

use super::strict::MAX_DEPTH;
use crate::domain::pointer::step;

/// Largest schema, in bytes.
const MAX_BYTES: usize = 256 << 10;
/// Most subschemas of one schema.
const MAX_SUBSCHEMAS: usize = 2_000;
/// Most references of one schema.
const MAX_REFS: usize = 500;
/// Deepest nesting of a schema's own text.
const MAX_NESTING: usize = 48;
/// Most subschemas that may look at one and the same value.
const MAX_SAME_VALUE: usize = 10_000;
/// Most subschemas met along one path into a value.
const MAX_WORK: u64 = 500_000;
/// A schema that allows even fewer levels than this is of no use to anyone.
const MIN_DEPTH: usize = 8;

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unsound {
    /// JSON Pointer into the schema.
    pub at: String,
    /// What is wrong there.
    pub why: String,
}

impl Unsound {
    pub(super) fn new(at: &str, why: impl fmt::Display) -> Self {
        Self { at: at.to_owned(), why: why.to_string() }
    }
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.at.is_empty() { "" } else { " at " };
        write!(f, "{}{place}{}", self.why, self.at)
    }
}

/// What must hold of a value before it may be validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Deepest nesting that is validated.
    pub depth: usize,
}

/// Checks a schema as it was received.
pub fn check(schema: &str) -> Result<Bounds, Unsound> {
    if schema.len() > MAX_BYTES {
        return Err(Unsound::new("", format!("is larger than {MAX_BYTES} bytes")));
    }
    let schema: super::Strict = serde_json::from_str(schema).map_err(|error| Unsound::new("", error))?;
    let mut graph = Graph::default();
    graph.add(&schema.0, &mut String::new(), 0)?;
    graph.link(&schema.0)?;
    graph.bounds()
}

/// One subschema and where it leads.
#[derive(Default)]
struct Node {
    pointer: String,
    reference: Option<String>,
    same: Vec<usize>,
    named: Vec<(String, usize)>,
    pattern: Vec<usize>,
    additional: Vec<usize>,
    items: Vec<usize>,
}

#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
    by_pointer: HashMap<String, usize>,
    anchors: HashMap<String, usize>,
    references: usize,
}

/// What a keyword holds and how it leads on.
#[derive(Clone, Copy)]
enum Edge {
    Same,
    Named,
    Pattern,
    Additional,
    Items,
    Definition,
}

/// Keywords that hold one schema, a list of schemas, or a map of schemas.
fn edge(keyword: &str) -> Option<Edge> {
    Some(match keyword {
        "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" | "dependentSchemas" | "dependencies" => Edge::Same,
        "properties" => Edge::Named,
        "patternProperties" | "unevaluatedProperties" => Edge::Pattern,
        "additionalProperties" => Edge::Additional,
        "items" | "prefixItems" | "contains" | "unevaluatedItems" | "additionalItems" => Edge::Items,
        "$defs" | "definitions" | "propertyNames" | "contentSchema" => Edge::Definition,
        _ => return None,
    })
}

impl Graph {
    /// Adds a subschema and all below it; the result is its index.
    fn add(&mut self, schema: &Value, pointer: &mut String, nesting: usize) -> Result<usize, Unsound> {
        if self.nodes.len() >= MAX_SUBSCHEMAS {
            return Err(Unsound::new(pointer, format!("has more than {MAX_SUBSCHEMAS} subschemas")));
        }
        if nesting > MAX_NESTING {
            return Err(Unsound::new(pointer, format!("is nested deeper than {MAX_NESTING} levels")));
        }
        let at = self.nodes.len();
        self.nodes.push(Node { pointer: pointer.clone(), ..Node::default() });
        self.by_pointer.insert(pointer.clone(), at);
        let Value::Object(members) = schema else {
            let sound = schema.is_boolean();
            return if sound { Ok(at) } else { Err(Unsound::new(pointer, "is neither an object nor a boolean")) };
        };
        let mut node = Node { pointer: pointer.clone(), ..Node::default() };
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => {
                    self.references += 1;
                    if self.references > MAX_REFS {
                        return Err(Unsound::new(pointer, format!("has more than {MAX_REFS} references")));
                    }
                    if !target.starts_with('#') {
                        return Err(Unsound::new(pointer, "refers to another document; only references within the schema are followed"));
                    }
                    if node.reference.replace(target.clone()).is_some() {
                        return Err(Unsound::new(pointer, "has two kinds of reference at once"));
                    }
                }
                ("$anchor" | "$dynamicAnchor", Value::String(name)) => {
                    self.anchors.insert(format!("#{name}"), at);
                }
                ("$id", Value::String(_)) if !pointer.is_empty() => {
                    return Err(Unsound::new(pointer, "has an `$id` of its own, which only a whole schema may have"));
                }
                _ => {
                    let Some(edge) = edge(keyword) else { continue };
                    self.below(edge, keyword, value, pointer, nesting, &mut node)?;
                }
            }
        }
        if let Some(slot) = self.nodes.get_mut(at) {
            *slot = node;
        }
        Ok(at)
    }

    fn below(
        &mut self,
        edge: Edge,
        keyword: &str,
        value: &Value,
        pointer: &mut String,
        nesting: usize,
        node: &mut Node,
    ) -> Result<(), Unsound> {
        let map_of_schemas =
            matches!(keyword, "properties" | "patternProperties" | "dependentSchemas" | "dependencies" | "$defs" | "definitions");
        let children: Vec<(Option<String>, &Value)> = match value {
            Value::Object(map) if map_of_schemas => map.iter().map(|(key, value)| (Some(key.clone()), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(at, value)| (Some(at.to_string()), value)).collect(),
            single => vec![(None, single)],
        };
        for (key, child) in children {
            // `dependencies` may also hold lists of names, which are no schemas.
            if child.is_array() {
                continue;
            }
            let length = pointer.len();
            pointer.push('/');
            pointer.push_str(keyword);
            if let Some(key) = &key {
                step(pointer, key);
            }
            let index = self.add(child, pointer, nesting + 1)?;
            pointer.truncate(length);
            match edge {
                Edge::Same => node.same.push(index),
                Edge::Named => node.named.push((key.unwrap_or_default(), index)),
                Edge::Pattern => node.pattern.push(index),
                Edge::Additional => node.additional.push(index),
                Edge::Items => node.items.push(index),
                Edge::Definition => {}
            }
        }
        Ok(())
    }

    /// Turns references into edges.
    fn link(&mut self, root: &Value) -> Result<(), Unsound> {
        let mut waiting: Vec<usize> = (0..self.nodes.len()).collect();
        while let Some(at) = waiting.pop() {
            let Some(node) = self.nodes.get(at) else { continue };
            let (Some(reference), place) = (node.reference.clone(), node.pointer.clone()) else { continue };
            let pointer = percent_decoded(reference.trim_start_matches('#'));
            let known = self.anchors.get(&reference).or_else(|| self.by_pointer.get(&pointer)).copied();
            let target = match (known, root.pointer(&pointer)) {
                (Some(target), _) => target,
                // A reference to a place that no keyword leads to is allowed; it becomes a node now.
                (None, Some(schema)) if pointer.starts_with('/') => {
                    let before = self.nodes.len();
                    let target = self.add(schema, &mut pointer.clone(), 1)?;
                    waiting.extend(before..self.nodes.len());
                    target
                }
                _ => return Err(Unsound::new(&place, format!("refers to `{}`, which is not there", crate::domain::clip(&reference, 120)))),
            };
            if let Some(node) = self.nodes.get_mut(at) {
                node.same.push(target);
            }
        }
        Ok(())
    }

    /// All subschemas that look at the value `at` looks at, itself included, as often as they do.
    fn same_value(&self, at: usize, path: &mut Vec<usize>, out: &mut Vec<usize>) -> Result<(), Unsound> {
        let Some(node) = self.nodes.get(at) else { return Ok(()) };
        if path.contains(&at) {
            return Err(Unsound::new(&node.pointer, "refers to itself without descending into the value, so it never decides"));
        }
        out.push(at);
        if out.len() > MAX_SAME_VALUE {
            return Err(Unsound::new(&node.pointer, format!("expands to more than {MAX_SAME_VALUE} subschemas for one value")));
        }
        path.push(at);
        for next in &node.same {
            self.same_value(*next, path, out)?;
        }
        path.pop();
        Ok(())
    }

    /// For each kind of part that `at` may descend into, the subschemas that then apply.
    fn parts(&self, same: &[usize]) -> Vec<Vec<usize>> {
        let nodes: Vec<&Node> = same.iter().filter_map(|at| self.nodes.get(*at)).collect();
        let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for node in &nodes {
            for (name, _) in &node.named {
                named.entry(name).or_default();
            }
        }
        for (name, targets) in &mut named {
            for node in &nodes {
                let own = node.named.iter().filter(|(key, _)| key == name);
                let before = targets.len();
                targets.extend(own.map(|(_, target)| *target));
                if targets.len() == before {
                    targets.extend(&node.additional);
                }
                targets.extend(&node.pattern);
            }
        }
        let other = nodes.iter().flat_map(|node| node.additional.iter().chain(&node.pattern)).copied().collect();
        let items = nodes.iter().flat_map(|node| &node.items).copied().collect();
        named.into_values().chain([other, items]).filter(|targets: &Vec<usize>| !targets.is_empty()).collect()
    }

    /// How deep values may be so that the work stays bounded.
    fn bounds(&self) -> Result<Bounds, Unsound> {
        let mut own = Vec::with_capacity(self.nodes.len());
        let mut parts = Vec::with_capacity(self.nodes.len());
        let mut total = 0;
        for at in 0..self.nodes.len() {
            let mut same = Vec::new();
            self.same_value(at, &mut Vec::new(), &mut same)?;
            let below = self.parts(&same);
            total += below.iter().map(Vec::len).sum::<usize>();
            if total > 20 * MAX_SAME_VALUE {
                return Err(Unsound::new("", "is too entangled to be validated in bounded time"));
            }
            own.push(same.len() as u64);
            parts.push(below);
        }
        let mut work = own.clone();
        for depth in 1..=MAX_DEPTH {
            let cost = |targets: &Vec<usize>| targets.iter().fold(0_u64, |sum, at| sum.saturating_add(work.get(*at).copied().unwrap_or(0)));
            let worst = |below: &Vec<Vec<usize>>| below.iter().map(cost).max().unwrap_or(0);
            let next: Vec<u64> = own.iter().zip(&parts).map(|(own, below)| own.saturating_add(worst(below))).collect();
            if next.first().is_some_and(|work| *work > MAX_WORK) {
                let why = "its work doubles with each level of the value; it would take too long";
                return if depth < MIN_DEPTH { Err(Unsound::new("", why)) } else { Ok(Bounds { depth }) };
            }
            if next == work {
                break;
            }
            work = next;
        }
        Ok(Bounds { depth: MAX_DEPTH })
    }
}

/// A URI fragment as the JSON Pointer it stands for (RFC 6901 §6).
fn percent_decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(schema: &Value) -> Result<usize, String> {
        check(&schema.to_string()).map(|bounds| bounds.depth).map_err(|unsound| unsound.to_string())
    }

    #[test]
    fn a_tree_and_any_json_value_are_honest_recursion() {
        let tree = json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" }, "v": {} } });
        let any = json!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "$ref": "#" } },
            { "type": "object", "additionalProperties": { "$ref": "#" } },
        ] });
        let filter = json!({ "$defs": { "f": { "anyOf": [
            { "properties": { "and": { "items": { "$ref": "#/$defs/f" } } } },
            { "properties": { "or": { "items": { "$ref": "#/$defs/f" } } } },
            { "properties": { "not": { "$ref": "#/$defs/f" } } },
        ] } }, "properties": { "where": { "$ref": "#/$defs/f" } } });
        for schema in [tree, any, filter] {
            assert_eq!(verdict(&schema), Ok(MAX_DEPTH), "{schema}");
        }
    }

    #[test]
    fn a_union_that_branches_at_each_level_is_kept_shallow_and_not_refused() {
        let group = |kind: &str| json!({ "properties": { "type": { "const": kind }, "filters": { "items": { "$ref": "#/$defs/f" } } } });
        let schema = json!({ "$defs": { "f": { "anyOf": [group("and"), group("or")] } }, "$ref": "#/$defs/f" });
        let depth = verdict(&schema).unwrap();
        assert!((MIN_DEPTH..MAX_DEPTH).contains(&depth), "{depth}");
    }

    #[test]
    fn a_schema_that_refers_to_itself_in_place_is_refused() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
        ] {
            assert!(verdict(&schema).unwrap_err().contains("refers to itself"), "{schema}");
        }
    }

    #[test]
    fn an_exponential_schema_is_refused() {
        let mut defs = serde_json::Map::new();
        for level in 0..26 {
            let below = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
            defs.insert(format!("l{level}"), json!({ "allOf": [below, below] }));
        }
        defs.insert("l26".into(), json!({ "type": "string" }));
        let schema = json!({ "$defs": defs, "$ref": "#/$defs/l0" });
        assert!(verdict(&schema).unwrap_err().contains("expands to more than"));
        let wide: Vec<_> = (0..30).map(|_| json!({ "properties": { "a": { "$ref": "#" } } })).collect();
        assert!(verdict(&json!({ "anyOf": wide })).unwrap_err().contains("doubles with each level"));
    }

    #[test]
    fn a_reference_out_of_the_document_or_to_nothing_is_refused() {
        assert!(verdict(&json!({ "$ref": "https://example.com/a.json" })).is_err());
        assert!(verdict(&json!({ "items": { "$ref": "other.json#/a" } })).is_err());
        assert!(verdict(&json!({ "$ref": "#/$defs/gone" })).unwrap_err().contains("not there"));
    }
}
