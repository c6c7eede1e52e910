//! Views against the validator: what fitted still fits, and nothing stands in them that is refused.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::pattern::plain_pattern;
use super::strict::strict;
use super::view::View;
use crate::domain::{Flavour, Flavours, raw};
use crate::schema::samples::{values, whole};
use crate::schema::validate::build;

/// Calls `each` with every subschema, and with where it stands.
fn each(schema: &Value, is_root: bool, call: &mut dyn FnMut(&Value, bool)) {
    call(schema, is_root);
    let Value::Object(words) = schema else { return };
    for (word, value) in words {
        match (word.as_str(), value) {
            ("properties" | "$defs" | "patternProperties" | "dependentSchemas", Value::Object(all)) => {
                all.values().for_each(|schema| each(schema, false, call));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(all)) => all.iter().for_each(|schema| each(schema, false, call)),
            (
                "items"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "unevaluatedItems",
                value @ Value::Object(_),
            ) => each(value, false, call),
            ("items" | "not" | "if" | "then" | "else" | "contains" | "propertyNames", Value::Bool(_)) => {
                panic!("a schema that is no object: {value}")
            }
            _ => {}
        }
    }
}

fn only(words: &Map<String, Value>, known: &[&str]) {
    let unknown: Vec<&String> = words.keys().filter(|word| !known.contains(&word.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// What OpenAI and Anthropic refuse.
fn is_plain(view: &Value, names: bool) {
    each(view, true, &mut |schema, is_root| {
        let words = schema.as_object().expect("an object");
        let of_type =
            |kind: &str| words.get("type").is_some_and(|own| own == kind || own.as_array().is_some_and(|all| all.contains(&json!(kind))));
        assert!(words.get("pattern").is_none_or(|pattern| plain_pattern(pattern.as_str().unwrap())), "{schema}");
        if let Some(all) = words.get("patternProperties") {
            assert!(all.as_object().unwrap().keys().all(|name| plain_pattern(name)), "{schema}");
        }
        assert!(!of_type("array") || words["items"].is_object(), "a list without `items`: {schema}");
        if is_root {
            assert!(words["type"] == "object" && words["properties"].is_object(), "{schema}");
            for word in ["anyOf", "oneOf", "allOf", "enum", "const", "not"] {
                assert!(!words.contains_key(word), "`{word}` at the root: {schema}");
            }
            let plain =
                |name: &String| (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
            assert!(!names || words["properties"].as_object().unwrap().keys().all(plain), "{schema}");
        }
    });
}

/// What Gemini refuses.
fn is_gemini(view: &Value) {
    const KNOWN: [&str; 17] = [
        "type",
        "format",
        "description",
        "nullable",
        "enum",
        "properties",
        "required",
        "items",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minProperties",
        "maxProperties",
        "pattern",
    ];
    each(view, true, &mut |schema, is_root| {
        let words = schema.as_object().expect("an object");
        if words.contains_key("anyOf") {
            assert!(words.len() == 1 && !is_root, "`anyOf` with something beside it: {schema}");
            return;
        }
        only(words, &KNOWN);
        let kind = words["type"].as_str().expect("one type");
        assert!(["string", "integer", "number", "boolean", "array", "object"].contains(&kind), "{schema}");
        assert!(kind != "array" || words["items"].is_object(), "{schema}");
        assert!(
            words.get("enum").is_none_or(
                |all| kind == "string" && all.as_array().unwrap().iter().all(|one| one.as_str().is_some_and(|text| !text.is_empty()))
            ),
            "{schema}"
        );
        let named = |name: &Value| words["properties"].get(name.as_str().unwrap()).is_some();
        assert!(words.get("required").is_none_or(|all| all.as_array().unwrap().iter().all(named)), "{schema}");
        assert!(
            words.get("format").is_none_or(|format| ["date-time", "int32", "int64", "float", "double"].contains(&format.as_str().unwrap())),
            "{schema}"
        );
    });
}

/// What strict functions refuse.
fn is_strict(view: &Value) {
    const KNOWN: [&str; 18] = [
        "type",
        "description",
        "enum",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "$ref",
        "$defs",
        "pattern",
        "format",
        "multipleOf",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
    ];
    each(view, true, &mut |schema, is_root| {
        let words = schema.as_object().expect("an object");
        only(words, &[&KNOWN[..], &["maxItems"]].concat());
        assert!(!words.contains_key("$ref") || words.len() == 1, "a reference with something beside it: {schema}");
        assert!(!is_root || (words["type"] == "object" && !words.contains_key("anyOf")), "{schema}");
        assert!(words.contains_key("type") || words.contains_key("$ref") || words.contains_key("anyOf"), "no type: {schema}");
        if let Some(properties) = words.get("properties") {
            let names: BTreeSet<&str> = properties.as_object().unwrap().keys().map(String::as_str).collect();
            let required: BTreeSet<&str> = words["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            assert_eq!(names, required, "{schema}");
            assert_eq!(words["additionalProperties"], false, "{schema}");
        }
    });
}

/// A view in the words of the validator, which knows no `nullable`.
fn without_nullable(view: &Value) -> Value {
    match view {
        Value::Object(words) => {
            let nullable = words.get("nullable") == Some(&json!(true));
            let plain: Map<String, Value> =
                words.iter().filter(|(word, _)| *word != "nullable").map(|(word, value)| (word.clone(), without_nullable(value))).collect();
            if nullable { json!({ "anyOf": [plain, { "type": "null" }] }) } else { plain.into() }
        }
        Value::Array(all) => all.iter().map(without_nullable).collect(),
        other => other.clone(),
    }
}

/// A value as a strict view wants it: null for each member that is missing. None where it has a member that the view does not name.
fn filled(view: &Value, schema: &Value, value: &Value, left: usize) -> Option<Value> {
    let left = left.checked_sub(1)?;
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return filled(view, view.pointer(reference.trim_start_matches('#')).unwrap(), value, left);
    }
    if let Some(ways) = schema.get("anyOf").and_then(Value::as_array) {
        let valid = |way: &Value, value: &Value| {
            let whole = json!({ "$defs": view["$defs"].as_object().cloned().unwrap_or_default(), "allOf": [way] });
            build(&whole).unwrap().is_valid(value)
        };
        return ways.iter().find_map(|way| filled(view, way, value, left).filter(|filled| valid(way, filled)));
    }
    match value {
        Value::Object(members) => {
            let properties = schema.get("properties")?.as_object()?;
            if members.keys().any(|name| !properties.contains_key(name)) {
                return None;
            }
            let member = |(name, schema): (&String, &Value)| match members.get(name) {
                None => Some((name.clone(), Value::Null)),
                Some(value) => Some((name.clone(), filled(view, schema, value, left)?)),
            };
            properties.iter().map(member).collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        Value::Array(items) => {
            items.iter().map(|item| filled(view, schema.get("items")?, item, left)).collect::<Option<Vec<_>>>().map(Value::from)
        }
        other => Some(other.clone()),
    }
}

/// Whether something in a schema speaks of members or items without saying that it is an object or a list.
fn leaves_a_type_open(schema: &Value) -> bool {
    const WORDS: [&str; 8] = ["properties", "required", "items", "prefixItems", "minItems", "maxItems", "minProperties", "maxProperties"];
    match schema {
        Value::Object(words) => {
            let speaks = !words.contains_key("type") && WORDS.iter().any(|word| words.contains_key(*word));
            speaks || words.values().any(leaves_a_type_open)
        }
        Value::Array(all) => all.iter().any(leaves_a_type_open),
        _ => false,
    }
}

/// A value without members that are null.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().filter(|(_, member)| !member.is_null()).map(|(name, member)| (name.clone(), without_nulls(member))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn view(schema: &Value, flavours: Flavours) -> Option<Value> {
    let view = View::of(&raw(schema), flavours).ok()?;
    Some(view.map_or_else(|| schema.clone(), |view| serde_json::from_str(view.schema().get()).unwrap()))
}

fn of(flavour: Flavour) -> Flavours {
    std::iter::once(flavour).collect()
}

fn roots() -> impl Strategy<Value = Value> {
    let object = |schema: Value| {
        let mut words = schema.as_object().cloned().unwrap_or_default();
        words.insert("type".to_owned(), json!("object"));
        Value::Object(words)
    };
    prop_oneof![1 => whole(), 2 => whole().prop_map(object)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 8, max_global_rejects: 1 << 20, ..ProptestConfig::default() })]

    #[test]
    fn what_fits_a_schema_fits_each_view_of_it(schema in roots(), values in prop::collection::vec(values(), 32)) {
        let Ok(own) = build(&schema) else { return Ok(()) };
        for flavour in [Flavour::Openai, Flavour::Anthropic, Flavour::Gemini] {
            let fitting = values.iter().filter(|value| value.is_object() && own.is_valid(value));
            let Some(view) = view(&schema, of(flavour)) else {
                // Only what takes no object is left out: nothing here is recursive.
                let fitting: Vec<_> = fitting.collect();
                prop_assert!(fitting.is_empty(), "{flavour:?} is not told {schema}, which {fitting:?} fit");
                continue;
            };
            let shown = build(&without_nullable(&view)).unwrap_or_else(|why| panic!("{flavour:?}: {why}: {schema} -> {view}"));
            for value in fitting {
                prop_assert!(shown.is_valid(value), "{flavour:?}: {value} does not fit any more: {schema} -> {view}");
            }
        }
    }

    #[test]
    fn no_view_has_what_is_refused_and_a_view_of_a_view_is_the_same(schema in roots()) {
        if build(&schema).is_err() {
            return Ok(());
        }
        for flavours in [of(Flavour::Openai), of(Flavour::Anthropic), of(Flavour::Gemini), of(Flavour::Openai).strictly()] {
            let Some(shown) = view(&schema, flavours) else { continue };
            is_plain(&shown, flavours.has(Flavour::Anthropic));
            if flavours.has(Flavour::Gemini) {
                is_gemini(&shown);
            }
            if flavours.strict() {
                is_strict(&shown);
            }
            prop_assert_eq!(view(&shown, flavours), Some(shown.clone()), "{:?}: {}", flavours, schema);
        }
    }

    #[test]
    fn what_fits_a_strict_view_with_its_nulls_comes_back_without_them(schema in roots(), values in prop::collection::vec(values(), 32)) {
        let Ok(own) = build(&schema) else { return Ok(()) };
        let Ok(Some(view)) = View::of(&raw(&schema), of(Flavour::Openai).strictly()) else { return Ok(()) };
        let shown: Value = serde_json::from_str(view.schema().get()).unwrap();
        let validator = build(&shown).unwrap();
        for value in values.iter().filter(|value| value.is_object() && own.is_valid(value)) {
            let Some(told) = filled(&shown, &shown, value, 24) else { continue };
            if !validator.is_valid(&told) {
                // It is read as it is used: where the root is put together of alternatives, one that is open does not take what only
                // others name, and who speaks of members or items means an object or a list.
                let composed = ["anyOf", "oneOf", "allOf"].iter().any(|word| schema.get(word).is_some());
                prop_assert!(composed || leaves_a_type_open(&schema), "{told} for {value} does not fit: {schema} -> {shown}");
                continue;
            }
            let restored = view.restored(&raw(&told)).map_or_else(|| told.clone(), |raw| serde_json::from_str(raw.get()).unwrap());
            // Who says null where the schema does not ask for it is understood to say nothing.
            prop_assert_eq!(without_nulls(&restored), without_nulls(value), "{} -> {}", schema, shown);
        }
    }
}

#[test]
fn the_generator_reaches_what_it_should() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut told, mut strictly, mut changed) = (0, 0, 0);
    for _ in 0..500 {
        let schema = roots().new_tree(&mut runner).unwrap().current();
        let views = [Flavour::Openai, Flavour::Gemini].map(|flavour| view(&schema, of(flavour)));
        told += usize::from(views[1].is_some());
        changed += usize::from(views[0].as_ref().is_some_and(|view| *view != schema));
        strictly += usize::from(strict(&schema).is_ok());
    }
    assert!(told > 200 && changed > 100 && strictly > 50, "{told} {changed} {strictly}");
}
