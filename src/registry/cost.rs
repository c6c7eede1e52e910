//! What a check of a call's arguments costs: figures for `docs/PERFORMANCE.md`.
//!
//! `cargo test --release --lib registry::cost -- --ignored --nocapture`

use std::hint::black_box;
use std::time::Duration;

use semver::Version;
use serde_json::{Value, json};

use super::definition::{Definition, Kind, Manifest};
use super::release::{Release, Tool};
use crate::domain::{cost, raw};
use crate::schema::Validators;

/// A tool as trackers of issues have it: texts with bounds, a choice, a pattern, numbers, lists, and an object in a list.
fn tool() -> Value {
    let text = |most: u32| json!({ "type": "string", "description": "In words.", "maxLength": most });
    json!({
        "name": "create_issue",
        "description": "Opens an issue.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "owner": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9-]{0,38}$" },
                "repo": { "type": "string", "minLength": 1, "maxLength": 100 },
                "title": text(256),
                "body": text(65_536),
                "state": { "type": "string", "enum": ["open", "closed"] },
                "priority": { "type": "integer", "minimum": 1, "maximum": 5 },
                "draft": { "type": "boolean" },
                "milestone": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
                "labels": { "type": "array", "items": { "type": "string", "maxLength": 50 }, "maxItems": 100, "uniqueItems": true },
                "assignees": { "type": "array", "items": { "$ref": "#/$defs/person" }, "maxItems": 20 }
            },
            "required": ["owner", "repo", "title"],
            "additionalProperties": false,
            "$defs": {
                "person": {
                    "type": "object",
                    "properties": { "login": { "type": "string" }, "role": { "type": "string", "enum": ["reviewer", "owner", "watcher"] } },
                    "required": ["login"],
                    "additionalProperties": false
                }
            }
        }
    })
}

/// An object of 2 KB that fits it.
fn arguments() -> Value {
    let person = |at: usize| json!({ "login": format!("somebody-{at}"), "role": "reviewer" });
    json!({
        "owner": "an-organisation", "repo": "a-repository", "title": "The list is empty after a restart",
        "body": "What I did:\n1. I opened the \"list\".\n2. I restarted it.\n\nWhat I saw: nothing at all.\n".repeat(16),
        "state": "open", "priority": 3, "draft": false, "milestone": null,
        "labels": ["bug", "list", "restart", "needs-triage", "priority/medium", "area/storage"],
        "assignees": (0..8).map(person).collect::<Vec<_>>()
    })
}

#[test]
#[ignore = "a measurement, which means nothing without optimisation"]
fn arguments_are_checked_in_the_time_that_is_promised() {
    let definition = Definition::new(Kind::Tool, "create_issue".to_owned(), raw(&tool())).unwrap();
    let (definitions, empty) = (vec![definition], || raw(&json!({})));
    let manifest = Manifest { definitions, dropped: Vec::new(), info: empty(), capabilities: empty() };
    let release = Release::new("tracker".parse().unwrap(), Version::new(1, 0, 0), manifest);
    let (validators, arguments) = (Validators::default(), raw(&arguments()));
    let tool = release.tool("create_issue").unwrap();
    let read = |text| Tool::read_arguments(text).unwrap();
    let value = read(Some(&arguments));

    let reading = cost(5_000, || drop(black_box(read(black_box(Some(&arguments))))));
    let checking = cost(5_000, || tool.check_arguments(black_box(&value), &validators).unwrap());
    let both = cost(5_000, || {
        let value = read(black_box(Some(&arguments)));
        release.tool(black_box("create_issue")).unwrap().check_arguments(&value, &validators).unwrap();
    });

    println!("arguments of {} bytes: read {reading:?}, checked {checking:?}, both {both:?}", arguments.get().len());
    assert!((1_900..2_200).contains(&arguments.get().len()), "{}", arguments.get().len());
    assert!(cfg!(debug_assertions) || both < Duration::from_micros(10), "{both:?}");
}
