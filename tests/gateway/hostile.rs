//! Bad input at the three doors: refused in the door's own shape, with the field's name, and nothing sent.

use serde_json::{Value, json};

use crate::support::{Answer, Door, StubProvider, TestGateway, http};

async fn harbour() -> (TestGateway, StubProvider) {
    let provider = StubProvider::start([]).await;
    (TestGateway::with_config(&provider.both_sections()).await, provider)
}

async fn send_text(gateway: &TestGateway, door: Door, body: String) -> Answer {
    let sent = http().post(gateway.url(door.path())).header("content-type", "application/json").body(body);
    Answer::read(sent.send().await.unwrap()).await
}

/// Fails unless an answer is a refusal in the door's own shape that names the field.
fn refused(door: Door, answer: &Answer, param: &str, what: &str) {
    assert_eq!(answer.status, 400, "{door:?} {what}: {}", answer.text);
    let error = &answer.body["error"];
    assert_eq!(error["type"], "invalid_request_error", "{door:?} {what}: {}", answer.text);
    assert_eq!(answer.body["type"] == "error", door == Door::Messages, "{door:?} {what}: {}", answer.text);
    let named = error["param"].as_str().unwrap_or_default();
    assert!(named.starts_with(param) && answer.message().contains(param), "{door:?} {what}: `{named}` {}", answer.text);
}

#[tokio::test]
async fn hostile_numbers_are_refused_by_name() {
    let (gateway, provider) = harbour().await;
    let bound = |door| if door == Door::Responses { "max_output_tokens" } else { "max_tokens" };
    let numbers = ["-1", "1.5", "\"10\"", "18446744073709551616", "1e3", "true", "[]", "{}", "-0", "1e400"];
    for door in Door::ALL {
        for (field, values) in [
            (bound(door), numbers.as_slice()),
            ("temperature", &["-0.1", "2.5", "\"1\"", "1e400", "[1]"]),
            ("top_p", &["-1", "1.1", "\"\""]),
        ] {
            for value in values {
                for model in ["stub/stub-1", "claude/claude-stub"] {
                    let mut body = door.ask(model, "x");
                    body.as_object_mut().unwrap().remove(field);
                    let body = body.to_string().replacen('{', &format!("{{\"{field}\":{value},"), 1);
                    refused(door, &send_text(&gateway, door, body).await, field, value);
                }
            }
        }
    }
    assert!(provider.received().is_empty(), "{:?}", provider.bodies());
}

#[tokio::test]
async fn hostile_histories_are_refused_by_name() {
    let (gateway, provider) = harbour().await;
    for door in Door::ALL {
        let list = door.list();
        let item = |role: Value, content: Value| json!([{ "role": role, "content": content }]);
        let mut cases = vec![
            (json!([]), list),
            (json!({}), list),
            (json!(7), list),
            (json!([null]), list),
            (json!(["x"]), list),
            (json!([[]]), list),
            (json!([{}]), list),
            (json!([{ "content": "x" }]), list),
            (item(json!("wizard"), json!("x")), list),
            (item(json!(7), json!("x")), list),
            (item(json!(["user"]), json!("x")), list),
            (item(json!("USER"), json!("x")), list),
            (item(json!("user"), json!(7)), list),
            (item(json!("user"), json!({})), list),
            (item(json!("user"), json!([7])), list),
            (item(json!("user"), json!([{}])), list),
            (item(json!("user"), json!([{ "type": 7 }])), list),
            (item(json!("user"), json!([{ "type": "text" }])), list),
            (item(json!("user"), json!([{ "type": "text", "text": 7 }])), list),
            (item(json!("user"), json!([{ "type": "text", "text": { "a": 1 } }])), list),
        ];
        match door {
            Door::Chat => cases.extend([
                (json!([{ "role": "tool", "content": "x" }]), list),
                (json!([{ "role": "assistant", "tool_calls": [{ "id": "a" }] }]), list),
                (json!([{ "role": "assistant", "tool_calls": "x" }]), list),
                (item(json!("user"), json!([{ "type": "image_url" }])), list),
                (item(json!("user"), json!([{ "type": "image_url", "image_url": { "url": 7 } }])), list),
            ]),
            Door::Messages => cases.extend([
                (item(json!("user"), json!([{ "type": "tool_result" }])), list),
                (item(json!("assistant"), json!([{ "type": "tool_use", "id": "a" }])), list),
                (item(json!("user"), json!([{ "type": "image" }])), list),
                (item(json!("user"), json!([{ "type": "image", "source": { "type": "base64", "data": 7 } }])), list),
                (item(json!("user"), Value::Null), list),
            ]),
            Door::Responses => cases.extend([
                (json!(""), list),
                (json!([{ "type": "function_call", "name": "f" }]), list),
                (json!([{ "type": "function_call_output", "output": "x" }]), list),
                (item(json!("user"), json!([{ "type": "input_image" }])), list),
            ]),
        }
        for (history, param) in cases {
            let mut body = door.ask("claude/claude-stub", "x");
            if door == Door::Messages {
                // Its own provider is not told what is wrong with it either.
                body["model"] = "stub/stub-1".into();
            }
            body[list] = history.clone();
            refused(door, &door.send(&gateway, &body).await, param, &history.to_string());
        }
        let mut body = door.ask("stub/stub-1", "x");
        body.as_object_mut().unwrap().remove(list);
        refused(door, &door.send(&gateway, &body).await, list, "nothing");
    }
    assert!(provider.received().is_empty(), "{:?}", provider.bodies());
}

#[tokio::test]
async fn hostile_tools_are_refused_by_name() {
    let (gateway, provider) = harbour().await;
    for door in Door::ALL {
        let twin = door.function("twin");
        let mut nameless = door.function("x");
        match door {
            Door::Chat => nameless["function"].as_object_mut().unwrap().remove("name"),
            _ => nameless.as_object_mut().unwrap().remove("name"),
        };
        for tools in [json!([twin, twin]), json!([nameless]), json!([7]), json!({}), json!("x"), json!([[]])] {
            for model in ["stub/stub-1", "claude/claude-stub"] {
                let mut body = door.ask(model, "x");
                body["tools"] = tools.clone();
                refused(door, &door.send(&gateway, &body).await, "tools", &tools.to_string());
            }
        }
        // Where the choice must be understood to be carried, it is.
        let other = if door == Door::Messages { "stub/stub-1" } else { "claude/claude-stub" };
        for choice in [json!("perhaps"), json!(7), json!({ "type": "function" }), json!({ "type": 7 }), json!([])] {
            let mut body = door.ask(other, "x");
            body["tools"] = json!([door.function("f")]);
            body["tool_choice"] = choice.clone();
            refused(door, &door.send(&gateway, &body).await, "tool_choice", &choice.to_string());
        }
    }
    assert!(provider.received().is_empty(), "{:?}", provider.bodies());
}

#[tokio::test]
async fn bombs_are_refused_before_anyone_opens_them() {
    let (gateway, provider) = harbour().await;
    for door in Door::ALL {
        let frame = |inner: &str| {
            let list = door.list();
            format!(r#"{{"model":"claude/claude-stub","max_tokens":5,"{list}":[{{"role":"user","content":"x"}}],"extra":{inner}}}"#)
        };
        let deep =
            [format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000))];
        for bomb in deep {
            let answer = send_text(&gateway, door, frame(&bomb)).await;
            assert_eq!(answer.status, 400, "{door:?}: {}", answer.text);
            assert!(answer.message().contains("nested"), "{}", answer.text);
        }
        let list = door.list();
        let twice = [
            (format!(r#"{{"model":"stub/stub-1","model":"x","max_tokens":5,"{list}":[{{"role":"user","content":"x"}}]}}"#), "model"),
            (format!(r#"{{"model":"stub/stub-1","max_tokens":5,"{list}":[{{"role":"user","role":"system","content":"x"}}]}}"#), "role"),
            (
                format!(r#"{{"model":"stub/stub-1","max_tokens":5,"{list}":[{{"role":"user","c\u006fntent":"x","content":"y"}}]}}"#),
                "content",
            ),
        ];
        for (body, key) in twice {
            let answer = send_text(&gateway, door, body).await;
            assert_eq!(answer.status, 400, "{door:?}: {}", answer.text);
            assert!(answer.message().contains(&format!("`{key}` stands twice")), "{}", answer.text);
        }
        for body in ["", "null", "[]", "7", "\"x\"", "{", "{}", "{\"model\":7}", "{\"model\":\"\"}", "\u{feff}{}", "{\"model\":null}"] {
            let answer = send_text(&gateway, door, body.to_owned()).await;
            assert_eq!(answer.status, 400, "{door:?} {body}: {}", answer.text);
            assert_eq!(answer.body["type"] == "error", door == Door::Messages, "{}", answer.text);
        }
        for stream in ["1", "\"true\"", "[]"] {
            let mut body = door.ask("stub/stub-1", "x");
            body["stream"] = serde_json::from_str(stream).unwrap();
            refused(door, &door.send(&gateway, &body).await, "stream", stream);
        }
    }
    assert!(provider.received().is_empty(), "{:?}", provider.bodies());
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[tokio::test]
async fn anthropics_own_way_to_warm_a_cache_is_let_through() {
    let (gateway, provider) = harbour().await;
    let mut body = Door::Messages.ask("claude/claude-stub", "x");
    body["max_tokens"] = 0.into();
    assert_eq!(Door::Messages.send(&gateway, &body).await.status, 200);
    assert_eq!(provider.only().body()["max_tokens"], 0);
}

#[tokio::test]
async fn a_path_that_is_no_text_is_answered_in_the_words_of_its_door() {
    let gateway = TestGateway::start().await;
    for (path, word) in
        [("/v1/responses/%FF", "\"code\":\"not_found\""), ("/v1/models/%FF", "\"code\":\"not_found\""), ("/mcp/%FF", "\"jsonrpc\":\"2.0\"")]
    {
        let answer = Answer::read(http().get(gateway.url(path)).send().await.unwrap()).await;
        assert!(answer.status == 404 && answer.text.contains(word), "{path}: {} {}", answer.status, answer.text);
    }
}
