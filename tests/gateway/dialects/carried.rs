//! What is carried into another dialect as it was, changed and named, or refused by name.

use serde_json::json;

use super::{harbour, newest, unmarked};
use crate::support::Door;

const PNG: &str = "iVBORw0KGgo=";
const BOTH: [&str; 2] = ["stub/stub-1", "claude/claude-sonnet-4-5"];

#[tokio::test]
async fn instructions_from_the_middle_stay_there_and_leave_the_beginning_as_it_was() {
    let (gateway, provider) = harbour([]).await;
    let say = |role: &str, text: &str| json!({ "role": role, "content": text });
    for door in [Door::Chat, Door::Responses] {
        for role in ["system", "developer"] {
            let mut body = door.ask("claude/claude-stub", "x");
            body[door.list()] = json!([
                say(role, "Be kind."),
                say("user", "one"),
                say("assistant", "two"),
                say(role, "From now on, rhyme."),
                say("user", "three"),
            ]);
            let answer = door.send(&gateway, &body).await;
            let sent = unmarked(newest(&provider));
            assert_eq!(sent["system"], json!([{ "type": "text", "text": "Be kind." }]), "{door:?}: {sent}");
            let texts = ["<system>From now on, rhyme.</system>", "three"].map(|text| json!({ "type": "text", "text": text }));
            assert_eq!(sent["messages"][2], json!({ "role": "user", "content": texts }), "{door:?}: {sent}");
            assert!(answer.header("x-portolan-dropped").contains("instructions"), "{}", answer.header("x-portolan-dropped"));
        }
    }
    Door::Chat.hear(&gateway, &json!({ "model": "stub/stub-1", "messages": [say("user", "one"), say("system", "two")] })).await;
    assert_eq!(newest(&provider)["messages"][1], say("system", "two"));
}

#[tokio::test]
async fn a_documents_bytes_are_bytes_with_or_without_the_head_of_a_url() {
    let (gateway, provider) = harbour([]).await;
    for door in [Door::Chat, Door::Responses] {
        let with = |data: &str, name: &str| {
            let mut body = door.ask("claude/claude-stub", "x");
            body[door.list()][0]["content"] = json!([match door {
                Door::Chat => json!({ "type": "file", "file": { "filename": name, "file_data": data } }),
                _ => json!({ "type": "input_file", "filename": name, "file_data": data }),
            }]);
            body
        };
        for data in ["JVBERi0x", "data:application/pdf;base64,JVBERi0x"] {
            door.hear(&gateway, &with(data, "a.pdf")).await;
            let source = newest(&provider)["messages"][0]["content"][0]["source"].clone();
            assert_eq!(source, json!({ "type": "base64", "media_type": "application/pdf", "data": "JVBERi0x" }), "{door:?}");
        }
        door.hear(&gateway, &with("aGk=", "a.txt")).await;
        assert_eq!(newest(&provider)["messages"][0]["content"][0]["source"]["data"], "hi", "{door:?}: a text is a text");
        let sent = provider.received().len();
        let answer = door.send(&gateway, &with("data:image/svg+xml;utf8,<svg/>", "a.svg")).await;
        let param = format!("{}[0].content[0]", door.list());
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(param)), "{door:?}: {}", answer.text);
        assert_eq!(provider.received().len(), sent);
    }
}

#[tokio::test]
async fn how_closely_an_image_is_looked_at_is_named_where_it_is_lost() {
    let (gateway, _provider) = harbour([]).await;
    for (detail, lost) in [("high", true), ("auto", false)] {
        let url = format!("data:image/png;base64,{PNG}");
        let mut chat = Door::Chat.ask("claude/claude-stub", "x");
        chat["messages"][0]["content"] = json!([{ "type": "image_url", "image_url": { "url": url, "detail": detail } }]);
        let mut responses = Door::Responses.ask("stub/stub-1", "x");
        responses["input"][0]["content"] = json!([{ "type": "input_image", "image_url": url, "detail": detail }]);
        for (door, body) in [(Door::Chat, chat), (Door::Responses, responses)] {
            let answer = door.send(&gateway, &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.header("x-portolan-dropped").contains("detail"), lost, "{door:?} {detail}");
        }
    }
}

#[tokio::test]
async fn a_message_that_holds_nothing_is_refused_by_name_whoever_would_answer() {
    let (gateway, provider) = harbour([]).await;
    for model in BOTH {
        for (door, param) in [(Door::Chat, "messages[0].content"), (Door::Messages, "messages[0].content"), (Door::Responses, "")] {
            let mut body = door.ask(model, "x");
            body[door.list()][0]["content"] = json!([]);
            let answer = door.send(&gateway, &body).await;
            let named = answer.body["error"]["param"].as_str().unwrap_or_default();
            assert!(
                answer.status == 400 && named.starts_with(if param.is_empty() { "input" } else { param }),
                "{door:?} {model}: {}",
                answer.text
            );
        }
    }
    assert!(provider.received().is_empty(), "{:?}", provider.bodies());
}

#[tokio::test]
async fn the_numbers_of_a_schema_keep_their_spelling() {
    let (gateway, provider) = harbour([]).await;
    let schema =
        r#"{"type":"object","properties":{"n":{"type":"number","minimum":1.50,"maximum":18446744073709551616,"multipleOf":1e-2}}}"#;
    let bodies = [
        (
            Door::Responses,
            format!(
                r#""input":"x","tools":[{{"type":"function","name":"look","parameters":{schema}}}],"text":{{"format":{{"type":"json_schema","name":"n","schema":{schema}}}}}"#
            ),
        ),
        (
            Door::Messages,
            format!(
                r#""max_tokens":9,"messages":[{{"role":"user","content":"x"}}],"tools":[{{"name":"look","input_schema":{schema}}}],"output_config":{{"format":{{"type":"json_schema","schema":{schema}}}}}"#
            ),
        ),
        (
            Door::Chat,
            format!(
                r#""messages":[{{"role":"user","content":"x"}}],"tools":[{{"type":"function","function":{{"name":"look","parameters":{schema}}}}}],"response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{schema}}}}}"#
            ),
        ),
    ];
    for (door, body) in bodies {
        for model in BOTH {
            let request = crate::support::http().post(gateway.url(door.path())).header("content-type", "application/json");
            let answer = request.body(format!(r#"{{"model":"{model}",{body}}}"#)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{door:?}");
            let sent = provider.received().last().unwrap().text.clone();
            assert_eq!(sent.matches(schema).count(), 2, "{door:?} {model}: {sent}");
        }
    }
}
