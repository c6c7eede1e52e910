//! Schema by schema: what each flavour makes of it.

use serde_json::{Value, json};

use super::unfit::Unfit;
use super::view::View;
use crate::domain::{Flavour, Flavours, raw, raw_string};

const OPENAI: [Flavour; 1] = [Flavour::Openai];
const ANTHROPIC: [Flavour; 1] = [Flavour::Anthropic];
const GEMINI: [Flavour; 1] = [Flavour::Gemini];

fn of(flavours: &[Flavour]) -> Flavours {
    flavours.iter().copied().collect()
}

fn strict() -> Flavours {
    of(&OPENAI).strictly()
}

fn seen(schema: &Value, flavours: Flavours) -> Result<Value, Unfit> {
    let view = View::of(&raw(schema), flavours)?;
    Ok(view.map_or_else(|| schema.clone(), |view| serde_json::from_str(view.schema().get()).unwrap()))
}

/// A root with one member.
fn with(member: &Value) -> Value {
    json!({ "type": "object", "properties": { "a": member } })
}

#[test]
fn what_needs_nothing_keeps_its_bytes() {
    for text in [
        r#"{"type":"object","properties":{"n":{"minimum":1.50,"type":"integer"}},"additionalProperties":false,"required":[]}"#,
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"array","items":{}}}}"#,
        r##"{"type":"object","properties":{"left":{"$ref":"#"},"x":{"oneOf":[{"type":"string"},{"not":{"type":"null"}}]}}}"##,
    ] {
        let view = View::of(&raw_string(text.to_owned()).unwrap(), of(&[Flavour::Openai, Flavour::Anthropic])).unwrap();
        assert!(view.is_none(), "{text}: {view:?}");
    }
    let strange = raw(&json!({ "anyOf": [true] }));
    assert!(View::of(&strange, of(&[Flavour::Any])).unwrap().is_none(), "who takes any schema is shown the original");
}

#[test]
fn roots_become_plain_objects() {
    let kind = |kind: &str, more: &str| json!({ "type": "object", "properties": { "kind": { "const": kind }, more: { "type": "string" } }, "required": ["kind", more], "additionalProperties": false });
    for (schema, view) in [
        (json!({}), json!({ "type": "object", "properties": {} })),
        (json!({ "type": ["object", "null"], "minProperties": 1 }), json!({ "type": "object", "minProperties": 1, "properties": {} })),
        (
            json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": {} }, "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
            json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": {} } }),
        ),
        (
            json!({ "oneOf": [kind("x", "path"), kind("y", "body"), { "type": "string" }] }),
            json!({
                "type": "object", "required": ["kind"], "additionalProperties": false,
                "properties": { "kind": { "anyOf": [{ "const": "x" }, { "const": "y" }] }, "path": { "type": "string" }, "body": { "type": "string" } },
            }),
        ),
        (
            json!({ "allOf": [{ "$ref": "#/$defs/base" }, { "properties": { "b": { "minimum": 1 }, "c": true } }], "$defs": { "base": { "type": "object", "properties": { "b": { "type": "number" } }, "required": ["b"] } } }),
            json!({
                "type": "object", "required": ["b"], "properties": { "b": { "allOf": [{ "type": "number" }, { "minimum": 1 }] }, "c": {} },
                "$defs": { "base": { "type": "object", "properties": { "b": { "type": "number" } }, "required": ["b"] } },
            }),
        ),
        // Whoever may have any other members may have these as anything.
        (
            json!({ "anyOf": [{ "properties": { "a": { "type": "string" } } }, { "properties": { "b": { "type": "string" } } }] }),
            json!({ "type": "object", "properties": { "a": { "anyOf": [{ "type": "string" }, {}] }, "b": { "anyOf": [{}, { "type": "string" }] } } }),
        ),
        (json!({ "type": "object", "not": { "required": ["a"] }, "enum": [{}, 1] }), json!({ "type": "object", "properties": {} })),
    ] {
        for flavours in [of(&OPENAI), of(&ANTHROPIC)] {
            assert_eq!(seen(&schema, flavours).unwrap(), view, "{schema}");
        }
    }
}

#[test]
fn references_into_a_root_that_was_put_together_still_lead_there() {
    let schema = json!({ "anyOf": [
        { "type": "object", "properties": { "a": { "type": "string" }, "b": { "$ref": "#/anyOf/0/properties/a" }, "c": { "$ref": "#" }, "d": { "$ref": "#deep" } }, "additionalProperties": false },
        { "type": "object", "properties": { "e": { "$anchor": "deep", "type": "array" } }, "additionalProperties": false },
    ] });
    let view = seen(&schema, of(&OPENAI)).unwrap();
    assert_eq!(view["properties"]["b"], json!({ "$ref": "#/$defs/a" }));
    assert_eq!(view["properties"]["c"], json!({ "$ref": "#/$defs/root" }));
    assert_eq!(view["$defs"]["a"], json!({ "type": "string" }));
    assert_eq!(view["$defs"]["deep"], json!({ "type": "array", "items": {} }));
    assert_eq!(view["$defs"]["root"]["anyOf"][0]["properties"]["c"], json!({ "$ref": "#/$defs/root" }));
}

#[test]
fn members_are_said_in_words_that_all_know() {
    for (member, view) in [
        (json!(true), json!({})),
        (json!(false), json!({ "not": {} })),
        (json!({ "type": "array" }), json!({ "type": "array", "items": {} })),
        (
            json!({ "type": ["array", "null"], "prefixItems": [true] }),
            json!({ "type": ["array", "null"], "prefixItems": [{}], "items": {} }),
        ),
        (json!({ "type": "array", "items": false }), json!({ "type": "array", "items": { "not": {} } })),
        (json!({ "anyOf": [{ "type": "array" }, { "not": true }] }), json!({ "anyOf": [{ "type": "array", "items": {} }, { "not": {} }] })),
        (json!({ "type": "object", "additionalProperties": true }), json!({ "type": "object", "additionalProperties": true })),
        (
            json!({ "not": { "type": "array", "unevaluatedItems": false } }),
            json!({ "not": { "type": "array", "unevaluatedItems": false } }),
        ),
    ] {
        assert_eq!(seen(&with(&member), of(&OPENAI)).unwrap(), with(&view), "{member}");
    }
    let old = json!({
        "$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "definitions": { "s": { "type": "string" } },
        "properties": { "a": { "type": "number", "minimum": 1, "exclusiveMinimum": true }, "b": { "$ref": "#/definitions/s", "maxLength": 1 }, "c": { "type": "array", "items": [{ "type": "string" }] } },
    });
    let new = json!({
        "type": "object", "$defs": { "s": { "type": "string" } },
        "properties": { "a": { "type": "number", "exclusiveMinimum": 1 }, "b": { "$ref": "#/$defs/s" }, "c": { "type": "array", "prefixItems": [{ "type": "string" }], "items": {} } },
    });
    assert_eq!(seen(&old, of(&ANTHROPIC)).unwrap(), new);
}

#[test]
fn patterns_that_some_engine_refuses_are_left_out_with_what_they_are_needed_for() {
    let (good, bad) = (json!({ "type": "string", "pattern": "^a" }), json!({ "type": "string", "pattern": "^\\p{L}" }));
    let plain = json!({ "type": "string" });
    for (member, view) in [
        (good.clone(), good.clone()),
        (bad.clone(), plain.clone()),
        (json!({ "propertyNames": bad, "items": bad }), json!({ "propertyNames": plain, "items": plain })),
        (json!({ "anyOf": [bad, { "allOf": [bad] }] }), json!({ "anyOf": [plain, { "allOf": [plain] }] })),
        (
            json!({ "patternProperties": { "^(?i)x": good, "^y": bad }, "additionalProperties": false }),
            json!({ "patternProperties": { "^y": plain } }),
        ),
        (json!({ "type": "object", "patternProperties": { "(?<n>x)": {} }, "unevaluatedProperties": false }), json!({ "type": "object" })),
        // Nothing more may fit here, so that what it stands in goes.
        (json!({ "type": "string", "not": bad }), plain.clone()),
        (json!({ "allOf": [{ "not": { "not": bad } }] }), json!({ "allOf": [{}] })),
        (json!({ "if": bad, "then": good, "else": good, "minLength": 1 }), json!({ "minLength": 1 })),
        (json!({ "if": good, "then": bad }), json!({ "if": good, "then": plain })),
        (json!({ "contains": bad, "minContains": 2, "items": good }), json!({ "items": good })),
        (json!({ "oneOf": [bad, good] }), json!({ "anyOf": [plain, good] })),
        (json!({ "anyOf": [good], "oneOf": [bad] }), json!({ "anyOf": [good] })),
        (json!({ "not": { "patternProperties": { "\\p{L}": {} } } }), json!({})),
        (json!({ "not": { "$ref": "#/$defs/bad" } }), json!({})),
    ] {
        let mut schema = with(&member);
        let mut wanted = with(&view);
        if member["not"].get("$ref").is_some() {
            schema["$defs"] = json!({ "bad": bad });
            wanted["$defs"] = json!({ "bad": plain });
        }
        for flavours in [of(&OPENAI), of(&ANTHROPIC)] {
            assert_eq!(seen(&schema, flavours).unwrap(), wanted, "{member}");
        }
    }
    let schema = json!({ "type": "object", "properties": { "a": { "oneOf": [bad] }, "b": { "$ref": "#/properties/a/oneOf/0" } } });
    let why = "its schema refers to what has a pattern that this provider does not take";
    assert_eq!(seen(&schema, of(&OPENAI)).unwrap_err().to_string(), why);
}

#[test]
fn names_that_anthropic_refuses_are_others_until_the_call_is_made() {
    let schema = json!({ "type": "object", "properties": { "$top": { "type": "integer" }, "top": {}, "filter[id]": {}, "ok-1.2": {} }, "required": ["$top", "ok-1.2"], "dependentRequired": { "$top": ["top"] } });
    assert_eq!(seen(&schema, of(&OPENAI)).unwrap(), schema);
    let view = View::of(&raw(&schema), of(&ANTHROPIC)).unwrap().unwrap();
    let shown: Value = serde_json::from_str(view.schema().get()).unwrap();
    assert_eq!(
        shown,
        json!({ "type": "object", "properties": { "top_2": { "type": "integer" }, "top": {}, "filter_id": {}, "ok-1.2": {} }, "required": ["top_2", "ok-1.2"] })
    );
    let restored = view.restored(&raw(&json!({ "top_2": 5, "top": 1, "filter_id": "x" }))).unwrap();
    assert_eq!(restored.get(), r#"{"$top":5,"top":1,"filter[id]":"x"}"#);
    assert!(view.goes_back() && view.restored(&raw(&json!({ "top": 1 }))).is_none());
}

#[test]
fn gemini_is_told_in_its_own_words() {
    for (member, view) in [
        (json!({ "type": ["string", "null"] }), json!({ "type": "string", "nullable": true })),
        (
            json!({ "anyOf": [{ "type": "string", "format": "uri" }, { "type": "null" }], "description": "Where.", "default": null }),
            json!({ "type": "string", "nullable": true, "description": "Where." }),
        ),
        (json!({ "const": "x" }), json!({ "type": "string", "enum": ["x"] })),
        (json!({ "enum": ["a", null] }), json!({ "type": "string", "nullable": true, "enum": ["a"] })),
        (json!({ "enum": ["a", ""] }), json!({ "type": "string", "description": "One of: \"a\", \"\"" })),
        (
            json!({ "type": "integer", "enum": [1, 2], "description": "How." }),
            json!({ "type": "integer", "description": "How.\nOne of: 1, 2" }),
        ),
        (
            json!({ "oneOf": [{ "type": "integer", "exclusiveMinimum": 0 }, { "const": "all" }] }),
            json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "enum": ["all"] }] }),
        ),
        (
            json!({ "type": "object", "properties": { "x": { "type": "string" }, "y": false }, "required": ["x", "z"], "additionalProperties": false, "anyOf": [{ "required": ["x"] }, { "required": ["y"] }] }),
            json!({ "type": "object", "properties": { "x": { "type": "string" } }, "required": ["x"] }),
        ),
        (json!({ "$ref": "#/$defs/port", "description": "Here." }), json!({ "type": "integer", "description": "Here.", "maximum": 65535 })),
        (json!({ "allOf": [{ "$ref": "#/$defs/port" }, { "minimum": 1 }] }), json!({ "type": "integer", "maximum": 65535, "minimum": 1 })),
        (
            json!({ "type": "array", "prefixItems": [{ "type": "string" }, { "type": "number" }], "items": false }),
            json!({ "type": "array", "items": { "anyOf": [{ "type": "string" }, { "type": "number" }] } }),
        ),
        (
            json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true, "minItems": 1, "maxItems": 4.5 }),
            json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        ),
        (
            json!({ "type": "string", "pattern": "^[a-z]+\\d$", "format": "date-time", "minLength": 1 }),
            json!({ "type": "string", "pattern": "^[a-z]+\\d$", "format": "date-time", "minLength": 1 }),
        ),
        (json!({ "type": "string", "pattern": "(?i)a", "format": "email" }), json!({ "type": "string" })),
        (json!({ "type": "null" }), json!({ "type": "string", "nullable": true })),
        (json!({ "type": "object", "patternProperties": { "^x": {} } }), json!({ "type": "object" })),
    ] {
        let mut schema = with(&member);
        schema["$defs"] = json!({ "port": { "type": "integer", "maximum": 65535 } });
        assert_eq!(seen(&schema, of(&GEMINI)).unwrap(), with(&view), "{member}");
    }
    insta::assert_snapshot!(seen(&with(&json!({ "type": "array", "description": "Any." })), of(&GEMINI)).unwrap(), @r#"{"type":"object","properties":{"a":{"type":"array","items":{"anyOf":[{"type":"string","nullable":true},{"type":"number","nullable":true},{"type":"boolean","nullable":true},{"type":"object","nullable":true},{"type":"array","items":{"anyOf":[{"type":"string","nullable":true},{"type":"number","nullable":true},{"type":"boolean","nullable":true},{"type":"object","nullable":true},{"type":"array","items":{"anyOf":[{"type":"string","nullable":true},{"type":"number","nullable":true},{"type":"boolean","nullable":true},{"type":"object","nullable":true}]},"nullable":true}]},"nullable":true}]},"description":"Any."}}}"#);
}

#[test]
fn strict_functions_name_and_need_all() {
    for (member, view) in [
        (json!({ "type": "string", "default": "x", "title": "A" }), json!({ "type": ["string", "null"] })),
        (json!({ "enum": ["a", "b"] }), json!({ "type": ["string", "null"], "enum": ["a", "b", null] })),
        (
            json!({ "oneOf": [{ "type": "string" }, { "type": "number", "minimum": 1 }] }),
            json!({ "anyOf": [{ "type": "string" }, { "type": "number", "minimum": 1 }, { "type": "null" }] }),
        ),
        (
            json!({ "$ref": "#/$defs/node", "description": "Here." }),
            json!({ "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }], "description": "Here." }),
        ),
        (
            json!({ "properties": { "x": { "type": "integer" } } }),
            json!({ "type": ["object", "null"], "properties": { "x": { "type": ["integer", "null"] } }, "required": ["x"], "additionalProperties": false }),
        ),
    ] {
        let mut schema = with(&member);
        schema["$defs"] = json!({ "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } } }, "unused": {} });
        let mut wanted = with(&view);
        wanted["required"] = json!(["a"]);
        wanted["additionalProperties"] = json!(false);
        if member.get("$ref").is_some() {
            wanted["$defs"] = json!({ "node": {
                "type": "object", "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] } }, "required": ["next"], "additionalProperties": false,
            } });
        }
        assert_eq!(seen(&schema, strict()).unwrap(), wanted, "{member}");
    }
    let none = json!({ "type": "object", "properties": {}, "required": [], "additionalProperties": false });
    assert_eq!(seen(&json!({ "type": "object" }), strict()).unwrap(), none);
}

#[test]
fn what_cannot_be_told_says_why() {
    let mut deep = json!({ "type": "string" });
    for _ in 0..12 {
        deep = json!({ "type": "object", "properties": { "a": deep } });
    }
    let tree = json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "n": { "type": "integer" } } });
    for (schema, flavours, why) in [
        (json!({ "type": "array" }), of(&OPENAI), "its schema takes no object, and arguments are one"),
        (json!({ "anyOf": [{ "type": "string" }, { "const": 1 }] }), of(&ANTHROPIC), "its schema takes no object, and arguments are one"),
        (
            tree.clone(),
            of(&GEMINI),
            "`/properties/left/properties/left` of its schema refers to itself, which this provider cannot be told",
        ),
        (with(&json!({})), strict(), "`/properties/a` of its schema may be anything, which a strict function cannot say"),
        (
            with(&json!({ "type": "array" })),
            strict(),
            "`/properties/a` of its schema is a list of anything, which a strict function cannot say",
        ),
        (
            with(&json!({ "type": "object", "additionalProperties": { "type": "string" } })),
            strict(),
            "`/properties/a` of its schema may have members of any name, which a strict function cannot say",
        ),
        (deep, strict(), "its schema has 12 levels of objects and lists in each other, and a strict function has at most 10"),
    ] {
        assert_eq!(seen(&schema, flavours).unwrap_err().to_string(), why, "{schema}");
    }
    assert!(seen(&tree, of(&OPENAI)).is_ok() && seen(&tree, strict()).is_ok(), "others know of trees");
}

#[test]
fn nulls_that_stand_for_missing_members_are_taken_out_and_no_others() {
    let way = |kind: &str, member: &str| json!({ "type": "object", "properties": { "kind": { "const": kind }, member: { "type": "string" }, "n": { "type": ["integer", "null"] } }, "required": ["kind"] });
    let schema = json!({
        "type": "object", "required": ["must"],
        "properties": {
            "must": { "type": ["string", "null"] }, "may": { "type": "string" }, "both": { "type": ["string", "null"] },
            "list": { "type": "array", "items": { "anyOf": [way("x", "path"), way("y", "body")] } }, "self": { "$ref": "#" },
        },
    });
    let view = View::of(&raw(&schema), strict()).unwrap().unwrap();
    let restored = |arguments: Value| view.restored(&raw(&arguments)).map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
    assert_eq!(
        restored(json!({
            "must": null, "may": null, "both": null, "self": { "must": "a", "may": null, "both": "b", "list": null, "self": null },
            "list": [{ "kind": "y", "body": null, "n": null }, { "kind": "x", "path": "p", "n": 1 }],
        })),
        Some(json!({
            "must": null, "both": null, "self": { "must": "a", "both": "b" }, "list": [{ "kind": "y", "n": null }, { "kind": "x", "path": "p", "n": 1 }],
        }))
    );
    assert_eq!(restored(json!({ "must": null, "may": "x" })), None);
    assert!(
        view.restored(&raw_string(r#"{"may":null,"may":null}"#.to_owned()).unwrap()).is_none(),
        "what cannot be read is left to others"
    );
}

#[test]
fn a_view_for_several_is_safe_for_each() {
    let schema = json!({ "type": "object", "properties": { "$x": { "const": 1 } }, "anyOf": [{ "required": ["$x"] }] });
    let view = seen(&schema, of(&[Flavour::Openai, Flavour::Anthropic, Flavour::Gemini, Flavour::Any])).unwrap();
    assert_eq!(
        view,
        json!({ "type": "object", "properties": { "x": { "type": "integer", "description": "One of: 1" } }, "required": ["x"] })
    );
    assert!(!of(&[Flavour::Openai, Flavour::Gemini]).strictly().strict(), "only where nobody else is asked");
}

#[test]
fn what_grows_without_end_is_given_up() {
    let mut defs = serde_json::Map::new();
    for level in 0..40 {
        let below = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
        defs.insert(format!("l{level}"), json!({ "type": "object", "properties": { "a": below, "b": below } }));
    }
    defs.insert("l40".into(), json!({ "type": "string" }));
    let wide: Vec<Value> = (0..600).map(|n| json!({ "properties": { format!("p{n}"): { "$ref": "#/$defs/l0" } } })).collect();
    for schema in [
        json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/l0" } }, "$defs": defs }),
        json!({ "allOf": wide, "$defs": defs }),
        json!({ "anyOf": wide, "$defs": defs }),
    ] {
        for flavours in [of(&OPENAI), of(&ANTHROPIC), of(&GEMINI), strict()] {
            let start = std::time::Instant::now();
            let _ = seen(&schema, flavours);
            assert!(start.elapsed() < std::time::Duration::from_secs(5), "{flavours:?}: {:?}", start.elapsed());
        }
        assert!(seen(&schema, of(&GEMINI)).is_err());
    }
}
