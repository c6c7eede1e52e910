//! What a provider is told, whichever door it was said at.

use serde_json::{Value, json};

use super::{harbour, newest, unmarked};
use crate::support::Door;

const PNG: &str = "iVBORw0KGgo=";
const BOTH: [&str; 2] = ["stub/stub-1", "claude/claude-sonnet-4-5"];

/// One conversation: instructions, a text with two images, two calls of one tool of which one has no
/// arguments, their answers, and one more question.
fn rich(door: Door, model: &str) -> Value {
    let data = format!("data:image/png;base64,{PNG}");
    let mut body = door.ask(model, "x");
    body["tools"] = json!([door.function("look")]);
    body[door.list()] = match door {
        Door::Chat => json!([
            { "role": "system", "content": "Be kind." },
            { "role": "user", "content": [
                { "type": "text", "text": "Look:" }, { "type": "image_url", "image_url": { "url": data } },
                { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } },
            ] },
            { "role": "assistant", "content": "I look.", "tool_calls": [
                { "id": "call_a", "type": "function", "function": { "name": "look", "arguments": "{\"text\":\"one\"}" } },
                { "id": "call_b", "type": "function", "function": { "name": "look", "arguments": "" } },
            ] },
            { "role": "tool", "tool_call_id": "call_a", "content": "A ship." },
            { "role": "tool", "tool_call_id": "call_b", "content": [{ "type": "text", "text": "Nothing." }] },
            { "role": "user", "content": "And now?" },
        ]),
        Door::Messages => {
            body["system"] = "Be kind.".into();
            json!([
                { "role": "user", "content": [
                    { "type": "text", "text": "Look:" },
                    { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PNG } },
                    { "type": "image", "source": { "type": "url", "url": "https://example.com/a.png" } },
                ] },
                { "role": "assistant", "content": [
                    { "type": "text", "text": "I look." }, { "type": "tool_use", "id": "call_a", "name": "look", "input": { "text": "one" } },
                    { "type": "tool_use", "id": "call_b", "name": "look", "input": {} },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "call_a", "content": "A ship." },
                    { "type": "tool_result", "tool_use_id": "call_b", "content": [{ "type": "text", "text": "Nothing." }] },
                    { "type": "text", "text": "And now?" },
                ] },
            ])
        }
        Door::Responses => {
            body["instructions"] = "Be kind.".into();
            json!([
                { "type": "message", "role": "user", "content": [
                    { "type": "input_text", "text": "Look:" }, { "type": "input_image", "image_url": data },
                    { "type": "input_image", "image_url": "https://example.com/a.png" },
                ] },
                { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "I look.", "annotations": [] }] },
                { "type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "look", "arguments": "{\"text\":\"one\"}", "status": "completed" },
                { "type": "function_call", "id": "fc_2", "call_id": "call_b", "name": "look", "arguments": "" },
                { "type": "function_call_output", "call_id": "call_a", "output": "A ship." },
                { "type": "function_call_output", "call_id": "call_b", "output": [{ "type": "input_text", "text": "Nothing." }] },
                { "role": "user", "content": "And now?" },
            ])
        }
    };
    body
}

#[tokio::test]
async fn anthropic_is_told_the_same_conversation_from_every_door() {
    let (gateway, provider) = harbour([]).await;
    for door in Door::ALL {
        door.hear(&gateway, &rich(door, BOTH[1])).await;
        let sent = unmarked(newest(&provider));
        let texts = |text: &str| json!([{ "type": "text", "text": text }]);
        let system = if sent["system"].is_string() { texts(sent["system"].as_str().unwrap()) } else { sent["system"].clone() };
        assert_eq!(system, texts("Be kind."), "{door:?}: {sent}");
        assert_eq!(sent["tools"], json!([Door::Messages.function("look")]), "{door:?}");
        let mut messages = sent["messages"].clone();
        // A text and a list of one text are the same here.
        for result in messages[2]["content"].as_array_mut().unwrap() {
            if let Some(text) = result["content"].as_str() {
                result["content"] = texts(text);
            }
        }
        let mut expected = rich(Door::Messages, "x")["messages"].clone();
        expected[2]["content"][0]["content"] = texts("A ship.");
        assert_eq!(messages, expected, "{door:?}");
        assert!(sent["max_tokens"].as_u64().is_some_and(|most| most > 0), "{door:?}: {sent}");
    }
}

#[tokio::test]
async fn openai_is_told_the_same_conversation_from_every_door() {
    let (gateway, provider) = harbour([]).await;
    for door in Door::ALL {
        door.hear(&gateway, &rich(door, BOTH[0])).await;
        let mut sent = newest(&provider);
        let mut expected = rich(Door::Chat, "x")["messages"].clone();
        // Both spellings of a text, and both of no arguments, are the same here.
        for messages in [&mut sent["messages"], &mut expected] {
            if let Some(text) = messages[4]["content"][0]["text"].as_str() {
                messages[4]["content"] = text.into();
            }
            if messages[2]["tool_calls"][1]["function"]["arguments"] == "" {
                messages[2]["tool_calls"][1]["function"]["arguments"] = "{}".into();
            }
        }
        assert_eq!(sent["messages"], expected, "{door:?}");
        assert_eq!(sent["tools"][0]["function"]["name"], "look", "{door:?}");
        assert_eq!(sent["tools"][0]["function"]["parameters"]["properties"]["text"]["type"], "string", "{door:?}");
    }
}

#[tokio::test]
async fn what_one_side_says_in_a_row_is_one_turn_for_anthropic() {
    let (gateway, provider) = harbour([]).await;
    for door in [Door::Chat, Door::Responses] {
        let mut body = door.ask("claude/claude-stub", "one");
        body[door.list()] = json!([
            { "role": "user", "content": "one" }, { "role": "user", "content": "two" }, { "role": "assistant", "content": "three" },
            { "role": "assistant", "content": "four" }, { "role": "user", "content": "" }, { "role": "user", "content": "five" },
        ]);
        door.hear(&gateway, &body).await;
        let texts = |texts: &[&str]| texts.iter().map(|text| json!({ "type": "text", "text": text })).collect::<Vec<_>>();
        let sent = unmarked(newest(&provider));
        assert_eq!(
            sent["messages"],
            json!([
                { "role": "user", "content": texts(&["one", "two"]) }, { "role": "assistant", "content": texts(&["three", "four"]) },
                { "role": "user", "content": texts(&["five"]) },
            ]),
            "{door:?}: what is empty would be refused"
        );
    }
}

#[tokio::test]
async fn a_history_with_calls_says_which_tools_they_were_of_though_none_is_offered_now() {
    let (gateway, provider) = harbour([]).await;
    for door in [Door::Chat, Door::Responses] {
        let mut body = rich(door, BOTH[1]);
        body.as_object_mut().unwrap().remove("tools");
        door.hear(&gateway, &body).await;
        let sent = newest(&provider);
        assert_eq!((&sent["tools"][0]["name"], sent["tools"].as_array().unwrap().len()), (&json!("look"), 1), "{door:?}: {sent}");
        assert_eq!(sent["tool_choice"]["type"], "none", "{door:?}: and it calls none of them");
    }
}

#[tokio::test]
async fn a_tools_answer_keeps_its_image_and_its_failure() {
    let (gateway, provider) = harbour([]).await;
    let mut body = rich(Door::Messages, BOTH[0]);
    let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PNG } });
    body["messages"][2]["content"] = json!([
        { "type": "tool_result", "tool_use_id": "call_a", "content": [{ "type": "text", "text": "Seen." }, image] },
        { "type": "tool_result", "tool_use_id": "call_b", "is_error": true, "content": "no light" },
        { "type": "text", "text": "And now?" },
    ]);
    Door::Messages.hear(&gateway, &body).await;
    let sent = newest(&provider);
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!((&messages[3]["content"], &messages[4]["content"]), (&json!("Seen."), &json!("Error: no light")), "{sent}");
    assert!(messages[5]["role"] == "user" && messages[5].to_string().contains(&format!("data:image/png;base64,{PNG}")), "{sent}");
    assert!(messages[5].to_string().contains("And now?"), "{sent}");

    let mut body = rich(Door::Responses, BOTH[1]);
    body["input"][4]["output"] =
        json!([{ "type": "input_text", "text": "Seen." }, { "type": "input_image", "image_url": format!("data:image/png;base64,{PNG}") }]);
    Door::Responses.hear(&gateway, &body).await;
    let sent = unmarked(newest(&provider));
    let result = &sent["messages"][2]["content"][0];
    assert_eq!(result["content"][1], image, "{sent}");
}

#[tokio::test]
async fn the_bound_on_an_answers_length_has_each_providers_name() {
    let (gateway, provider) = harbour([]).await;
    let bound = |door: Door| if door == Door::Responses { "max_output_tokens" } else { "max_tokens" };
    for door in Door::ALL {
        for (model, name) in
            [("stub/stub-1", "max_tokens"), ("claude/claude-stub", "max_tokens"), ("openai/gpt-5-mini", "max_completion_tokens")]
        {
            let mut body = door.ask(model, "x");
            body[bound(door)] = 77.into();
            // What a client says to a provider of its own dialect is not changed.
            let own = model.starts_with("openai") && door != Door::Messages;
            if own {
                continue;
            }
            door.hear(&gateway, &body).await;
            assert_eq!(newest(&provider)[name], 77, "{door:?} {model}");
        }
    }
    let mut body = Door::Chat.ask("claude/claude-stub", "x");
    body["max_completion_tokens"] = 78.into();
    Door::Chat.hear(&gateway, &body).await;
    assert_eq!(newest(&provider)["max_tokens"], 78);
}

#[tokio::test]
async fn a_choice_of_tools_is_the_same_choice_in_every_dialect() {
    let (gateway, provider) = harbour([]).await;
    let cases = [
        (json!("auto"), json!({ "type": "auto" })),
        (json!("none"), json!({ "type": "none" })),
        (json!("required"), json!({ "type": "any" })),
        (json!({ "type": "function", "function": { "name": "look" } }), json!({ "type": "tool", "name": "look" })),
    ];
    for (chat, messages) in cases {
        let responses = if chat.is_string() { chat.clone() } else { json!({ "type": "function", "name": "look" }) };
        for (door, said) in Door::ALL.into_iter().zip([&chat, &messages, &responses]) {
            for (model, expected) in BOTH.into_iter().zip([&chat, &messages]) {
                let mut body = door.ask(model, "x");
                body["tools"] = json!([door.function("look")]);
                body["tool_choice"] = said.clone();
                door.hear(&gateway, &body).await;
                assert_eq!(newest(&provider)["tool_choice"], *expected, "{door:?} to {model}");
            }
        }
    }
}

#[tokio::test]
async fn one_call_at_a_time_is_asked_for_in_every_dialect() {
    let (gateway, provider) = harbour([]).await;
    for door in Door::ALL {
        for model in BOTH {
            let mut body = door.ask(model, "x");
            body["tools"] = json!([door.function("look")]);
            match door {
                Door::Messages => body["tool_choice"] = json!({ "type": "auto", "disable_parallel_tool_use": true }),
                Door::Chat | Door::Responses => body["parallel_tool_calls"] = false.into(),
            }
            door.hear(&gateway, &body).await;
            let sent = newest(&provider);
            let single = sent["parallel_tool_calls"] == false || sent["tool_choice"]["disable_parallel_tool_use"] == true;
            assert!(single, "{door:?} to {model}: {sent}");
        }
    }
}

#[tokio::test]
async fn a_shape_for_the_answer_is_asked_for_in_every_dialect() {
    let (gateway, provider) = harbour([]).await;
    let schema =
        json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"], "additionalProperties": false });
    for door in Door::ALL {
        for model in BOTH {
            let mut body = door.ask(model, "x");
            match door {
                Door::Chat => {
                    body["response_format"] =
                        json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": schema, "strict": true } });
                }
                Door::Messages => body["output_config"] = json!({ "format": { "type": "json_schema", "schema": schema } }),
                Door::Responses => {
                    body["text"] = json!({ "format": { "type": "json_schema", "name": "n", "schema": schema, "strict": true } });
                }
            }
            door.hear(&gateway, &body).await;
            let sent = newest(&provider);
            let given = if model == BOTH[1] {
                assert_eq!(sent["output_config"]["format"]["type"], "json_schema", "{sent}");
                &sent["output_config"]["format"]["schema"]
            } else {
                assert_eq!(sent["response_format"]["type"], "json_schema", "{sent}");
                assert!(sent["response_format"]["json_schema"]["name"].is_string(), "{sent}");
                &sent["response_format"]["json_schema"]["schema"]
            };
            assert_eq!(*given, schema, "{door:?} to {model}");
        }
    }
}

#[tokio::test]
async fn what_is_left_out_for_a_provider_is_named_in_a_header() {
    let (gateway, provider) = harbour([]).await;
    let mut body = Door::Chat.ask("claude/claude-stub", "x");
    body["messages"][0]["name"] = "ada".into();
    for (key, value) in
        [("seed", json!(7)), ("logit_bias", json!({ "1": 2 })), ("presence_penalty", json!(0.5)), ("temperature", json!(1.5))]
    {
        body[key] = value;
    }
    let answer = Door::Chat.send(&gateway, &body).await;
    let dropped = answer.header("x-portolan-dropped");
    for name in ["seed", "logit_bias", "presence_penalty", "temperature", "name"] {
        assert!(dropped.contains(name), "{name}: {dropped}");
    }
    assert_eq!(newest(&provider)["temperature"], 1, "the highest it takes");

    let mut body = Door::Messages.ask("stub/stub-1", "x");
    for (key, value) in [("top_k", json!(7)), ("context_management", json!({ "edits": [] })), ("service_tier", json!("auto"))] {
        body[key] = value;
    }
    body["metadata"] = json!({ "user_id": "u".repeat(100) });
    let answer = Door::Messages.send(&gateway, &body).await;
    for name in ["top_k", "context_management", "user_id"] {
        assert!(answer.header("x-portolan-dropped").contains(name), "{name}: {}", answer.header("x-portolan-dropped"));
    }
    let kept = Door::Chat.send(&gateway, &Door::Chat.ask("stub/stub-1", "x")).await;
    assert_eq!(kept.header("x-portolan-dropped"), "", "what is passed on as it is loses nothing");
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_by_name_and_nothing_is_sent() {
    let (gateway, provider) = harbour([]).await;
    let chat = |part: Value| {
        let mut body = Door::Chat.ask("claude/claude-stub", "x");
        body["messages"][0]["content"] = json!([{ "type": "text", "text": "x" }, part]);
        (Door::Chat, body, "messages")
    };
    let messages = |block: Value| {
        let mut body = Door::Messages.ask("stub/stub-1", "x");
        body["messages"][0]["content"] = json!([{ "type": "text", "text": "x" }, block]);
        (Door::Messages, body, "messages")
    };
    let with = |door: Door, model: &str, key: &'static str, value: Value| {
        let mut body = door.ask(model, "x");
        body[key] = value;
        (door, body, key)
    };
    let found = json!({ "type": "search_result", "source": "s", "title": "t", "content": [{ "type": "text", "text": "found" }] });
    let mut tool_found = rich(Door::Messages, "stub/stub-1");
    tool_found["messages"][2]["content"][0]["content"] = json!([found]);
    let mut tool_audio = rich(Door::Chat, "claude/claude-stub");
    tool_audio["messages"][4]["content"] = json!([{ "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } }]);
    let cases = [
        chat(json!({ "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } })),
        chat(json!({ "type": "x_new", "x": 1 })),
        (Door::Chat, tool_audio, "messages"),
        messages(found.clone()),
        messages(json!({ "type": "container_upload", "file_id": "f" })),
        messages(json!({ "type": "document", "source": { "type": "url", "url": "https://example.com/a.pdf" } })),
        messages(json!({ "type": "image", "source": { "type": "file", "file_id": "f" } })),
        (Door::Messages, tool_found, "messages"),
        with(Door::Chat, "claude/claude-stub", "n", json!(2)),
        with(Door::Chat, "claude/claude-stub", "functions", json!([{ "name": "f" }])),
        with(Door::Chat, "claude/claude-stub", "tools", json!([{ "type": "custom", "custom": { "name": "f" } }])),
        with(Door::Messages, "stub/stub-1", "tools", json!([{ "type": "web_search_20250305", "name": "web_search" }])),
        with(Door::Responses, "stub/stub-1", "tools", json!([{ "type": "file_search", "vector_store_ids": ["v"] }])),
        with(Door::Responses, "stub/stub-1", "input", json!([{ "type": "item_reference", "id": "msg_1" }])),
        with(Door::Responses, "stub/stub-1", "input", json!([{ "type": "computer_call", "id": "cc_1" }])),
        with(Door::Responses, "stub/stub-1", "prompt", json!({ "id": "pmpt_1" })),
        with(Door::Responses, "stub/stub-1", "background", json!(true)),
        with(Door::Responses, "stub/stub-1", "conversation", json!("conv_1")),
    ];
    for (door, body, param) in cases {
        let answer = door.send(&gateway, &body).await;
        assert_eq!(answer.status, 400, "{door:?} {body}: {}", answer.text);
        let named = answer.body["error"]["param"].as_str().unwrap_or_default().to_owned();
        assert!(named.starts_with(param), "{body}: `{named}` {}", answer.text);
    }
    assert!(provider.received().is_empty(), "{:?}", provider.bodies());
}

#[tokio::test]
async fn ids_that_anthropic_does_not_take_are_made_fit_on_both_sides_alike() {
    let (gateway, provider) = harbour([]).await;
    let mut body = rich(Door::Chat, BOTH[1]);
    body["messages"][2]["tool_calls"][0]["id"] = "call:1/é".into();
    body["messages"][3]["tool_call_id"] = "call:1/é".into();
    Door::Chat.hear(&gateway, &body).await;
    let sent = newest(&provider);
    assert_eq!(sent["messages"][1]["content"][1]["id"], sent["messages"][2]["content"][0]["tool_use_id"]);
}

#[tokio::test]
async fn a_question_that_says_nothing_is_refused_before_a_provider_would() {
    let (gateway, provider) = harbour([]).await;
    for door in [Door::Chat, Door::Responses] {
        for text in ["", "  \n"] {
            let answer = door.send(&gateway, &door.ask("claude/claude-stub", text)).await;
            assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(door.list())), "{door:?}: {}", answer.text);
        }
    }
    assert!(provider.received().is_empty(), "{:?}", provider.bodies());
}
