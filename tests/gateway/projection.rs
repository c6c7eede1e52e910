//! Tools of servers that write any JSON Schema, for providers that take little of it.

use serde_json::{Value, json};

use crate::support::{Answer, McpUpstream, Reply, Speaks, StubProvider, TestGateway, chat, post, streamed, tool, tool_use};

/// Tools whose schemas one provider or another refuses.
fn odd() -> [Value; 7] {
    let way = |kind: &str, member: &str| {
        let properties = json!({ "kind": { "const": kind }, member: { "type": "string" } });
        json!({ "type": "object", "properties": properties, "required": ["kind", member], "additionalProperties": false })
    };
    let kinds = json!({
        "type": "object", "additionalProperties": false, "required": ["level"],
        "properties": {
            "level": { "enum": [1, 2] }, "name": { "type": ["string", "null"], "format": "uri" }, "any": true, "share": { "type": "number", "exclusiveMinimum": 0 },
            "tags": { "type": "array" }, "labels": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    });
    let pair = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "definitions": { "n": { "type": "number" } },
        "properties": { "at": { "type": "array", "items": [{ "$ref": "#/definitions/n" }, { "$ref": "#/definitions/n" }], "minItems": 2, "maxItems": 2 }, "note": { "type": "string" } },
        "required": ["at"],
    });
    let tree = json!({
        "type": "object", "properties": { "node": { "$ref": "#/$defs/node" } }, "required": ["node"],
        "$defs": { "node": { "type": "object", "properties": { "name": { "type": "string" }, "next": { "$ref": "#/$defs/node" } }, "required": ["name"] } },
    });
    [
        tool("plain", "Plain.", json!({ "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"] })),
        tool(
            "union",
            "One of two.",
            json!({ "anyOf": [way("file", "path"), { "$ref": "#/$defs/inline" }], "$defs": { "inline": way("inline", "body") } }),
        ),
        tool("pair", "A pair.", pair),
        tool("tree", "A tree.", tree),
        tool("kinds", "All kinds.", kinds),
        tool("list", "No object.", json!({ "type": "array", "items": { "type": "string" } })),
        tool(
            "query",
            "With a dollar.",
            json!({ "type": "object", "properties": { "$top": { "type": "integer" }, "filter[id]": { "type": "string" } }, "required": ["$top"] }),
        ),
    ]
}

struct House {
    gateway: TestGateway,
    provider: StubProvider,
    server: McpUpstream,
}

impl House {
    /// A gateway with these tools behind a model of each flavour, and behind one that several may answer.
    async fn new() -> Self {
        let server = McpUpstream::start(Speaks::Stateless, odd()).await;
        let provider = StubProvider::start([]).await;
        let target = |provider: &str| format!("{{ provider: {provider}, model: stub-1 }}");
        let model = |targets: &str, more: &str| format!("{{ targets: [{targets}], tools: [odd]{more} }}");
        let (stub, claude, gemini) = (target("stub"), target("claude"), target("gemini"));
        let gateway = TestGateway::with_config(&format!(
            "{}  gemini: {{ kind: openai-compatible, base_url: '{}', tool_schemas: gemini }}
models:
  gpt: {}
  sonnet: {}
  flash: {}
  exact: {}
  either: {}
  bare: {{ targets: [{stub}], strict_tools: true }}
mcp: {{ servers: {{ odd: {{ url: '{}' }} }} }}
",
            provider.both_sections(),
            provider.base(),
            model(&stub, ""),
            model(&claude, ""),
            model(&gemini, ""),
            model(&stub, ", strict_tools: true"),
            model(&format!("{stub}, {claude}, {gemini}"), ", retries: 0"),
            server.url()
        ))
        .await;
        gateway.wait_for_server("odd", "ready").await;
        Self { gateway, provider, server }
    }

    async fn ask(&self, mut body: Value) -> Answer {
        body["portolan"] = json!({ "report": true });
        post(&self.gateway.url("/v1/chat/completions"), &body).await
    }

    /// The schemas that the provider got with a request, by their tools' names.
    fn shown(&self, at: usize) -> Vec<(String, Value)> {
        let body = self.provider.bodies()[at].clone();
        let tool = |tool: &Value| {
            let own = if tool["function"].is_object() { &tool["function"] } else { tool };
            let schema = if own["input_schema"].is_object() { &own["input_schema"] } else { &own["parameters"] };
            (own["name"].as_str().unwrap().trim_start_matches("odd__").to_owned(), schema.clone())
        };
        body["tools"].as_array().unwrap().iter().map(tool).collect()
    }

    /// What a tool of the server was called with, the last time.
    fn called(&self) -> Value {
        self.server.recorded("tools/call").last().expect("a call").body["params"]["arguments"].clone()
    }
}

fn names(shown: &[(String, Value)]) -> Vec<&str> {
    shown.iter().map(|(name, _)| name.as_str()).collect()
}

fn of<'s>(shown: &'s [(String, Value)], name: &str) -> &'s Value {
    &shown.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("`{name}` is not shown")).1
}

/// The tools that the report says were left out, with why.
fn left_out(answer: &Answer) -> Vec<(String, String)> {
    let report = answer.notes.iter().chain([&answer.body]).find_map(|chunk| chunk.get("portolan")).expect("a report");
    let one = |one: &Value| (one["tool"].as_str().unwrap().to_owned(), one["why"].as_str().unwrap().to_owned());
    report["left_out"].as_array().unwrap().iter().map(one).collect()
}

/// Every subschema's words, with whether it is the root.
fn words(schema: &Value, is_root: bool, each: &mut dyn FnMut(&serde_json::Map<String, Value>, bool)) {
    let Value::Object(own) = schema else { panic!("a schema that is no object: {schema}") };
    each(own, is_root);
    for (word, value) in own {
        match (word.as_str(), value) {
            ("properties" | "$defs", Value::Object(all)) => all.values().for_each(|schema| words(schema, false, each)),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(all)) => all.iter().for_each(|schema| words(schema, false, each)),
            ("items" | "not", schema) | ("additionalProperties", schema @ Value::Object(_)) => words(schema, false, each),
            _ => {}
        }
    }
}

/// What OpenAI and Anthropic say of a request with such a schema.
fn refused(schema: &Value) -> Option<String> {
    let mut why = None;
    words(schema, true, &mut |own, is_root| {
        if is_root && (own.get("type") != Some(&json!("object")) || !own.contains_key("properties")) {
            why = Some("schema must have type 'object'".to_owned());
        }
        if let Some(word) = ["oneOf", "anyOf", "allOf", "enum", "const", "not"].iter().find(|word| is_root && own.contains_key(**word)) {
            why = Some(format!("schema must not have '{word}' at the top level"));
        }
        if own.get("type") == Some(&json!("array")) && !own.contains_key("items") {
            why = Some("array schema missing items".to_owned());
        }
    });
    why
}

#[tokio::test]
async fn each_provider_is_shown_schemas_that_it_takes_and_the_turn_goes_on_with_them() {
    let house = House::new().await;
    let call = ("c", "odd__plain", r#"{"text":"ahoy"}"#);
    let said = [json!({ "type": "text", "text": "done" })];
    for (model, script, gone) in [
        ("gpt", [Reply::calls(&[call]), Reply::text("done")], vec!["list"]),
        (
            "sonnet",
            [Reply::message(&[tool_use("c", "odd__plain", json!({ "text": "ahoy" }))], "tool_use"), Reply::message(&said, "end_turn")],
            vec!["list"],
        ),
        ("flash", [Reply::calls(&[call]), Reply::text("done")], vec!["list", "tree"]),
        ("exact", [Reply::calls(&[call]), Reply::text("done")], vec!["kinds", "list"]),
    ] {
        let before = house.provider.received().len();
        house.provider.then(script);
        let answer = house.ask(chat(model, "x")).await;
        assert_eq!(answer.body["choices"][0]["message"]["content"], "done", "{model}: {}", answer.text);
        assert_eq!(house.called(), json!({ "text": "ahoy" }));
        let shown = house.shown(before);
        let wanted: Vec<&str> =
            ["plain", "union", "pair", "tree", "kinds", "list", "query"].into_iter().filter(|name| !gone.contains(name)).collect();
        assert_eq!(names(&shown), wanted, "{model}");
        for (name, schema) in &shown {
            assert_eq!(refused(schema), None, "{model}: {name}: {schema}");
            let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
            assert!(model != "sonnet" || schema["properties"].as_object().unwrap().keys().all(plain), "{schema}");
        }
        let mut reported: Vec<String> = left_out(&answer).iter().map(|(tool, _)| tool.trim_start_matches("odd__").to_owned()).collect();
        reported.sort_unstable();
        assert_eq!(reported, gone, "{model}");
        assert_eq!(house.shown(before), house.shown(before + 1), "{model}: the next turn is shown the same");
    }
    let log = house.gateway.log();
    assert!(log.contains("models are not offered `odd__tree`") && log.contains("refers to itself"), "{log}");
}

#[tokio::test]
async fn gemini_gets_no_word_that_it_does_not_know() {
    const KNOWN: [&str; 11] =
        ["type", "format", "description", "nullable", "enum", "properties", "required", "items", "minimum", "minItems", "maxItems"];
    let house = House::new().await;
    let answer = house.ask(streamed("flash", "x")).await;
    assert!(answer.text.contains("[DONE]"));
    let shown = house.shown(0);
    for (name, schema) in &shown {
        words(schema, true, &mut |own, _| {
            let known = own.keys().all(|word| KNOWN.contains(&word.as_str())) || own.keys().eq(["anyOf"]);
            assert!(known && own.get("type").is_none_or(Value::is_string), "{name}: {schema}");
        });
    }
    let kinds = of(&shown, "kinds");
    assert_eq!(kinds["properties"]["level"], json!({ "type": "integer", "description": "One of: 1, 2" }));
    assert_eq!(kinds["properties"]["name"], json!({ "type": "string", "nullable": true }));
    assert_eq!(kinds["properties"]["share"], json!({ "type": "number", "minimum": 0 }));
    let union = of(&shown, "union");
    assert_eq!(
        union["properties"]["kind"],
        json!({ "anyOf": [{ "type": "string", "enum": ["file"] }, { "type": "string", "enum": ["inline"] }] })
    );
    assert_eq!(union["required"], json!(["kind"]));
    assert_eq!(
        of(&shown, "pair")["properties"]["at"],
        json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
    );
    let reported = left_out(&answer);
    let (_, why) = reported.iter().find(|(tool, _)| tool == "odd__tree").unwrap();
    assert_eq!(why, "`/properties/node/properties/next` of its schema refers to itself, which this provider cannot be told");
}

#[tokio::test]
async fn calls_are_held_up_to_the_schema_that_was_approved_and_not_to_its_view() {
    for stream in [false, true] {
        let house = House::new().await;
        let calls =
            [("a", "odd__kinds", r#"{"level":3}"#), ("b", "odd__union", r#"{"kind":"file"}"#), ("c", "odd__tree", r#"{"node":{}}"#)];
        let body = if stream { streamed("flash", "x") } else { chat("flash", "x") };
        if stream {
            house.provider.then([Reply::stream_calls(&calls[..2]), Reply::stream_text(&["I see."])]);
        } else {
            house.provider.then([Reply::calls(&calls[..2]), Reply::text("I see.")]);
        }
        let answer = house.ask(body).await;
        assert!(answer.text.contains("I see."), "{}", answer.text);
        let told = house.provider.bodies()[1]["messages"].clone();
        for at in [2, 3] {
            let said = told[at]["content"].as_str().unwrap();
            assert!(said.contains("do not fit the input schema") && said.contains("odd@1.0.0"), "{said}");
        }
        assert!(house.server.recorded("tools/call").is_empty(), "the server hears nothing of them");
        assert_eq!(left_out(&answer).len(), 2);

        // What was left out is no tool of ours, also where a model makes its name up.
        house.provider.then([if stream { Reply::stream_calls(&calls[2..]) } else { Reply::calls(&calls[2..]) }]);
        let answer = house.ask(if stream { streamed("flash", "x") } else { chat("flash", "x") }).await;
        assert!(answer.text.contains("odd__tree") && house.server.recorded("tools/call").is_empty(), "{}", answer.text);
    }
}

#[tokio::test]
async fn strict_functions_are_asked_for_by_the_model_and_their_nulls_never_reach_a_server() {
    for stream in [false, true] {
        let house = House::new().await;
        let calls = [
            ("a", "odd__pair", r#"{"at":[1,2.5],"note":null}"#),
            ("b", "odd__tree", r#"{"node":{"name":"x","next":{"name":"y","next":null}}}"#),
        ];
        for call in calls {
            if stream {
                house.provider.then([Reply::stream_calls(&[call]), Reply::stream_text(&["ok"])]);
            } else {
                house.provider.then([Reply::calls(&[call]), Reply::text("ok")]);
            }
            let answer = house.ask(if stream { streamed("exact", "x") } else { chat("exact", "x") }).await;
            assert!(answer.text.contains("ok"), "{}", answer.text);
            let wanted =
                if call.0 == "a" { json!({ "at": [1, 2.5] }) } else { json!({ "node": { "name": "x", "next": { "name": "y" } } }) };
            assert_eq!(house.called(), wanted);
        }
        let tools = house.provider.bodies()[0]["tools"].clone();
        assert!(tools.as_array().unwrap().iter().all(|tool| tool["function"]["strict"] == true), "{tools}");
        let shown = house.shown(0);
        for (name, schema) in &shown {
            words(schema, true, &mut |own, _| {
                if let Some(Value::Object(properties)) = own.get("properties") {
                    let all: Vec<&String> = properties.keys().collect();
                    assert_eq!((&own["required"], &own["additionalProperties"]), (&json!(all), &json!(false)), "{name}: {schema}");
                }
            });
        }
        assert_eq!(
            of(&shown, "tree")["$defs"]["node"]["properties"]["next"],
            json!({ "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] })
        );
        assert_eq!(of(&shown, "pair")["properties"]["note"], json!({ "type": ["string", "null"] }));
    }
}

#[tokio::test]
async fn arguments_with_names_that_anthropic_refuses_come_to_the_server_under_their_own() {
    for stream in [false, true] {
        let house = House::new().await;
        let call = [tool_use("c", "odd__query", json!({ "top": 5, "filter_id": "7" }))];
        let said = [json!({ "type": "text", "text": "done" })];
        house.provider.then(if stream {
            [Reply::stream_message(&call, "tool_use"), Reply::stream_message(&said, "end_turn")]
        } else {
            [Reply::message(&call, "tool_use"), Reply::message(&said, "end_turn")]
        });
        let answer = house.ask(if stream { streamed("sonnet", "x") } else { chat("sonnet", "x") }).await;
        assert_eq!(house.called(), json!({ "$top": 5, "filter[id]": "7" }), "{}", answer.text);
        assert_eq!(of(&house.shown(0), "query")["required"], json!(["top"]));
        let history = house.provider.bodies()[1]["messages"][1]["content"].clone();
        assert_eq!(history[0]["input"], json!({ "top": 5, "filter_id": "7" }), "the model reads its call as it wrote it");
    }
}

#[tokio::test]
async fn a_request_that_several_may_answer_is_safe_for_each_of_them() {
    let house = House::new().await;
    house.provider.then([Reply::status(503, &json!({})), Reply::refusal(503, "overloaded_error", "busy"), Reply::text("done")]);
    let mut body = chat("either", "x");
    body["tools"] = json!([{ "type": "function", "function": { "name": "mine", "parameters": { "anyOf": [true] }, "strict": false } }]);
    let retried = house.ask(body.clone()).await;
    assert_eq!(retried.status, 200, "{}", retried.text);
    let received = house.provider.received();
    assert!(received.iter().any(|request| request.path.ends_with("/messages")), "another provider was asked: {}", retried.text);
    for at in 0..received.len() {
        let shown = house.shown(at);
        assert_eq!(names(&shown), ["mine", "plain", "union", "pair", "kinds", "query"]);
        assert_eq!(of(&shown, "mine")["anyOf"], json!([true]), "the client's own functions are its own affair");
        assert!(of(&shown, "query")["properties"]["top"].is_object() && of(&shown, "union").get("anyOf").is_none());
    }
}

#[tokio::test]
async fn a_schema_that_needs_nothing_keeps_its_bytes() {
    let server = McpUpstream::start(Speaks::Stateless, []).await;
    let schema = r#"{"type":"object","properties":{"n":{"maximum":1.50,"type":"number"}},"x-note":[ 1.0 ]}"#;
    server.set_raw_tools([format!(r#"{{"name":"a","description":"A.","inputSchema":{schema}}}"#)]);
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models: {{ gpt: {{ targets: [{{ provider: stub, model: stub-1 }}, {{ provider: claude, model: c }}], tools: [odd] }} }}
mcp: {{ servers: {{ odd: {{ url: '{}' }} }} }}\n",
        provider.both_sections(),
        server.url()
    ))
    .await;
    gateway.wait_for_server("odd", "ready").await;
    post(&gateway.url("/v1/chat/completions"), &chat("gpt", "x")).await;
    assert!(provider.only().text.contains(schema), "{}", provider.only().text);
}

#[tokio::test]
async fn whoever_approves_calls_himself_gets_them_in_the_tools_own_words() {
    let house = House::new().await;
    let mut body = chat("bare", "x");
    body["tools"] = json!([{ "type": "mcp", "server_label": "odd" }]);
    house.ask(body.clone()).await;
    let first = house.provider.bodies()[0]["tools"].clone();
    assert!(first.as_array().unwrap().iter().all(|tool| tool["function"].get("strict").is_none()), "{first}");
    assert!(names(&house.shown(0)).contains(&"query"));
    body["model"] = "claude/c".into();
    let answer = house.ask(body).await;
    assert!(!names(&house.shown(1)).contains(&"query"), "{}", answer.text);
    let reported = left_out(&answer);
    let (_, why) = reported.iter().find(|(tool, _)| tool == "odd__query").unwrap();
    assert!(why.contains("only the gateway could put them right"), "{why}");
}

#[tokio::test]
async fn a_response_lists_the_tools_that_the_model_is_offered() {
    let house = House::new().await;
    let tools = json!([{ "type": "mcp", "server_label": "odd", "require_approval": "never" }]);
    let body = json!({ "model": "gemini/g", "input": "x", "tools": tools, "portolan": { "report": true } });
    let answer = post(&house.gateway.url("/v1/responses"), &body).await;
    let listed: Vec<&str> =
        answer.body["output"][0]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(listed, ["plain", "union", "pair", "kinds", "query"], "{}", answer.text);
    assert!(answer.body["output"][0]["tools"][1]["input_schema"]["anyOf"].is_array(), "clients are told of them as they are");
    assert_eq!(left_out(&answer).len(), 2);
}
