//! Schemas and values by chance, for the tests that hold what is said of schemas against the validator.

use proptest::prelude::*;
use serde_json::{Value, json};

/// A schema with its definitions.
pub(super) fn whole() -> impl Strategy<Value = Value> {
    let with = |schema: Value, def: Value| match schema {
        Value::Object(mut words) => {
            words.insert("$defs".to_owned(), json!({ "a": def }));
            Value::Object(words)
        }
        other => other,
    };
    (schemas(), plain()).prop_map(move |(schema, def)| with(schema, def))
}

/// A schema that may refer to the definition `a`.
pub(super) fn schemas() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let small = -2..4_i64;
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!(false)),
        prop::sample::subsequence(vec!["string", "integer", "number", "null", "boolean", "array", "object"], 1..4)
            .prop_map(|types| json!({ "type": types })),
        prop::sample::subsequence(vec![json!("a"), json!(1), json!(null), json!("ab"), json!([1]), json!({ "a": 1 })], 1..4)
            .prop_map(|values| json!({ "enum": values })),
        small.clone().prop_map(|n| json!({ "const": n })),
        (small.clone(), prop::sample::select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]))
            .prop_map(|(n, word)| json!({ word: n })),
        (1..3_i64).prop_map(|n| json!({ "multipleOf": n })),
        (0..3_i64, prop::sample::select(vec!["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]))
            .prop_map(|(n, word)| json!({ word: n })),
        Just(json!({ "uniqueItems": true })),
        // The engines of some providers do not know all of these.
        prop::sample::select(vec!["^a", "^(?i)A", r"^\p{L}$", "(?<first>a)"]).prop_map(|pattern| json!({ "pattern": pattern })),
        Just(json!({ "$ref": "#/$defs/a" })),
        prop::sample::subsequence(vec!["a", "b"], 1..3).prop_map(|names| json!({ "required": names })),
        Just(json!({ "dependentRequired": { "a": ["b"] } })),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            (
                prop::collection::btree_map(name.clone(), inner.clone(), 0..3),
                prop::option::of(prop_oneof![Just(json!(false)), inner.clone()]),
                prop::sample::subsequence(vec!["a", "b"], 0..2)
            )
                .prop_map(|(properties, additional, required)| {
                    let mut schema = json!({ "type": "object", "properties": properties, "required": required });
                    if let Some(additional) = additional {
                        schema["additionalProperties"] = additional;
                    }
                    schema
                }),
            (prop::sample::select(vec!["^a", "^(?i)[AB]", r"\p{L}"]), inner.clone(), prop::option::of(inner.clone())).prop_map(
                |(pattern, schema, additional)| {
                    let mut schema = json!({ "patternProperties": { pattern: schema } });
                    if let Some(additional) = additional {
                        schema["additionalProperties"] = additional;
                    }
                    schema
                }
            ),
            inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
            (inner.clone(), inner.clone()).prop_map(|(first, rest)| json!({ "prefixItems": [first], "items": rest })),
            inner.clone().prop_map(|items| json!({ "contains": items })),
            (prop::collection::vec(inner.clone(), 1..4), prop::sample::select(vec!["anyOf", "oneOf", "allOf"]))
                .prop_map(|(all, word)| json!({ word: all })),
            inner.clone().prop_map(|not| json!({ "not": not })),
            inner.clone().prop_map(|names| json!({ "propertyNames": names })),
            inner.clone().prop_map(|part| json!({ "dependentSchemas": { "a": part } })),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| json!({ "if": a, "then": b, "else": c })),
            (inner.clone(), inner).prop_map(|(a, b)| match (a, b) {
                (Value::Object(mut a), Value::Object(b)) => {
                    a.extend(b);
                    Value::Object(a)
                }
                (a, _) => a,
            }),
        ]
    })
}

fn plain() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({ "type": "string" })),
        Just(json!({ "type": "integer", "minimum": 0 })),
        Just(json!({ "type": "object", "properties": { "a": { "type": "string" } } }))
    ]
}

/// A value that may fit one.
pub(super) fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(vec![json!(null), json!(true), json!("a"), json!("ab"), json!(""), json!("b"), json!(0.5)]),
        (-3..5_i64).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "d"]), inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}
