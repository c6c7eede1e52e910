//! Thoughts and their seals: a provider takes them back only as it gave them.

use serde_json::{Value, json};

use super::{harbour, newest, unmarked};
use crate::support::{Door, Reply, as_stream, tool_use};

fn thought(text: &str, seal: &str) -> Value {
    json!({ "type": "thinking", "thinking": text, "signature": seal })
}

/// A door's request that asks for thoughts, and offers a tool.
fn wish(door: Door, model: &str) -> Value {
    let mut body = door.ask(model, "Look.");
    body["tools"] = json!([door.function("look")]);
    match door {
        Door::Chat => body["reasoning_effort"] = "low".into(),
        Door::Messages => {
            body["max_tokens"] = 8000.into();
            body["thinking"] = json!({ "type": "enabled", "budget_tokens": 2048 });
        }
        Door::Responses => {
            body["reasoning"] = json!({ "effort": "low" });
            body["include"] = json!(["reasoning.encrypted_content"]);
        }
    }
    body
}

/// The next turn: what was said comes back, with an answer to its one call.
fn next(door: Door, mut body: Value, said: &[Value], call: &str) -> Value {
    let list = body[door.list()].as_array_mut().unwrap();
    list.extend(said.iter().cloned());
    list.push(match door {
        Door::Chat => json!({ "role": "tool", "tool_call_id": call, "content": "A ship." }),
        Door::Messages => json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": call, "content": "A ship." }] }),
        Door::Responses => json!({ "type": "function_call_output", "call_id": call, "output": "A ship." }),
    });
    body
}

#[tokio::test]
async fn thoughts_come_and_go_with_their_seals_byte_for_byte() {
    let blocks = [
        thought("I must look.\n\"Now\"", "c2VhbA=="),
        json!({ "type": "redacted_thinking", "data": "cmVkYWN0ZWQ=" }),
        thought("Twice.", "dHdvCg=="),
        json!({ "type": "text", "text": "Let me see." }),
        tool_use("toolu_1", "look", json!({ "text": "sea" })),
    ];
    for door in Door::ALL {
        for streamed in [false, true] {
            let reply = if streamed { Reply::stream_message(&blocks, "tool_use") } else { Reply::message(&blocks, "tool_use") };
            let (gateway, provider) = harbour([reply]).await;
            let body = wish(door, "claude/claude-sonnet-4-5");
            let seen = door.hear(&gateway, &if streamed { as_stream(door, body.clone()) } else { body.clone() }).await;
            assert_eq!(seen.thoughts, "I must look.\n\"Now\"Twice.", "{door:?}");
            assert_eq!(seen.seals.len(), 3, "{door:?}: {seen:?}");
            let items = if door == Door::Chat && streamed { chat_items(&seen) } else { seen.items.clone() };
            door.hear(&gateway, &next(door, body, &items, "toolu_1")).await;
            let sent = unmarked(newest(&provider));
            assert_eq!(sent["messages"][1]["content"], json!(blocks), "{door:?}, streamed {streamed}");
            assert_eq!(sent["thinking"]["type"], "enabled", "{door:?}: it goes on thinking");
        }
    }
}

/// What a client of Chat Completions that knows nothing of seals keeps of an answer.
fn chat_items(seen: &crate::support::Seen) -> Vec<Value> {
    let (id, name, arguments) = &seen.calls[0];
    let call = json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
    vec![json!({ "role": "assistant", "content": seen.text, "tool_calls": [call] })]
}

#[tokio::test]
async fn a_client_that_drops_thoughts_gets_on_all_the_same() {
    let blocks = [thought("Hm.", "c2VhbA=="), tool_use("toolu_1", "look", json!({ "text": "sea" }))];
    for door in [Door::Chat, Door::Responses] {
        let (gateway, provider) = harbour([Reply::message(&blocks, "tool_use")]).await;
        let body = wish(door, "claude/claude-sonnet-4-5");
        let seen = door.hear(&gateway, &body).await;
        let kept: Vec<Value> = match door {
            Door::Chat => chat_items(&seen),
            _ => seen.items.iter().filter(|item| item["type"] != "reasoning").cloned().collect(),
        };
        door.hear(&gateway, &next(door, body.clone(), &kept, "toolu_1")).await;
        let sent = unmarked(newest(&provider));
        assert_eq!(sent["messages"][1]["content"], json!(blocks), "{door:?}: the gateway remembers");
        // Another conversation is not remembered, and the model then simply does not think.
        let other = next(door, wish(door, "claude/claude-haiku-4-5"), &kept, "toolu_1");
        door.hear(&gateway, &other).await;
        assert!(newest(&provider)["thinking"].is_null(), "{door:?}: {}", newest(&provider));
    }
}

#[tokio::test]
async fn how_much_to_think_is_said_as_each_generation_takes_it() {
    let (gateway, provider) = harbour([]).await;
    for door in [Door::Chat, Door::Responses] {
        let mut body = wish(door, "claude/claude-sonnet-4-5");
        body["temperature"] = json!(0.5);
        let answer = door.send(&gateway, &body).await;
        assert!(answer.status == 200 && answer.header("x-portolan-dropped").contains("temperature"), "{}", answer.text);
        let sent = newest(&provider);
        assert_eq!(sent["thinking"]["type"], "enabled", "{door:?}: {sent}");
        let mut small = body.clone();
        small[if door == Door::Chat { "max_tokens" } else { "max_output_tokens" }] = 500.into();
        door.hear(&gateway, &small).await;
        assert!(newest(&provider)["thinking"].is_null(), "{door:?}: there is no room to think: {}", newest(&provider));
        let mut forced = body.clone();
        forced["tool_choice"] = "required".into();
        door.hear(&gateway, &forced).await;
        assert!(newest(&provider)["thinking"].is_null(), "{door:?}: a forced call is not thought about");
        let mut newer = body;
        newer["model"] = "claude/claude-opus-4-8".into();
        door.hear(&gateway, &newer).await;
        let sent = newest(&provider);
        assert_eq!((&sent["thinking"]["type"], &sent["output_config"]["effort"]), (&json!("adaptive"), &json!("low")), "{door:?}");
    }
}

#[tokio::test]
async fn a_reasoning_model_of_openai_is_told_the_effort_and_others_lose_it_by_name() {
    let (gateway, provider) = harbour([]).await;
    let mut body = Door::Messages.ask("openai/gpt-5-mini", "x");
    body["max_tokens"] = 8000.into();
    body["thinking"] = json!({ "type": "enabled", "budget_tokens": 6000 });
    Door::Messages.hear(&gateway, &body).await;
    assert_eq!(newest(&provider)["reasoning_effort"], "medium");
    body["model"] = "openai/gpt-4.1".into();
    let answer = Door::Messages.send(&gateway, &body).await;
    assert!(newest(&provider)["reasoning_effort"].is_null() && answer.header("x-portolan-dropped").contains("thinking"));
}

#[tokio::test]
async fn an_effort_that_a_provider_has_no_word_for_is_told_in_one_that_it_has() {
    let (gateway, provider) = harbour([]).await;
    for (effort, told) in [("max", "high"), ("vast", "high"), ("xhigh", "xhigh"), ("low", "low")] {
        let mut body = Door::Messages.ask("openai/gpt-5-mini", "x");
        body["output_config"] = json!({ "effort": effort });
        let answer = Door::Messages.send(&gateway, &body).await;
        assert_eq!(newest(&provider)["reasoning_effort"], told, "{effort}: {}", answer.text);
        assert_eq!(answer.header("x-portolan-dropped").contains("effort"), effort != told, "{effort}");
    }
    let cases = [
        ("claude-opus-4-8", "minimal", "low"),
        ("claude-opus-4-8", "xhigh", "xhigh"),
        ("claude-opus-4-6", "xhigh", "high"),
        ("claude-opus-4-8", "vast", "high"),
    ];
    for (model, effort, told) in cases {
        let mut body = Door::Chat.ask(&format!("claude/{model}"), "x");
        body["reasoning_effort"] = effort.into();
        let answer = Door::Chat.send(&gateway, &body).await;
        assert_eq!(newest(&provider)["output_config"]["effort"], told, "{effort}: {}", answer.text);
        assert_eq!(answer.header("x-portolan-dropped").contains("effort"), effort != told, "{effort}");
    }
}

#[tokio::test]
async fn a_budget_for_thoughts_leaves_room_for_the_answer() {
    let (gateway, provider) = harbour([]).await;
    for (most, budget) in [(40_000, json!(16_384)), (4_000, json!(2_000)), (2_048, json!(1_024)), (2_000, Value::Null)] {
        let mut body = Door::Chat.ask("claude/claude-sonnet-4-5", "x");
        body["reasoning_effort"] = "high".into();
        body["max_tokens"] = most.into();
        let answer = Door::Chat.send(&gateway, &body).await;
        assert_eq!((answer.status, &newest(&provider)["thinking"]["budget_tokens"]), (200, &budget), "{most}: {}", answer.text);
        assert_eq!(answer.header("x-portolan-dropped").contains("effort"), budget.is_null(), "{most}");
    }
}

#[tokio::test]
async fn a_turn_that_was_thoughts_alone_is_left_out_for_who_cannot_read_them() {
    let (gateway, provider) = harbour([]).await;
    let mut body = Door::Messages.ask("stub/stub-1", "x");
    let say = |role: &str, content: Value| json!({ "role": role, "content": content });
    body["messages"] = json!([say("user", "one".into()), say("assistant", json!([thought("Hm.", "c2VhbA==")])), say("user", "two".into())]);
    Door::Messages.hear(&gateway, &body).await;
    assert_eq!(newest(&provider)["messages"], json!([say("user", "one".into()), say("user", "two".into())]));
}

#[tokio::test]
async fn thoughts_of_models_without_seals_are_shown_too() {
    let deltas = ["I ", "think."].map(|text| json!({ "choices": [{ "index": 0, "delta": { "role": "assistant", "reasoning_content": text }, "finish_reason": null }], "id": "c", "object": "chat.completion.chunk" }));
    let end = json!({ "choices": [{ "index": 0, "delta": { "content": "So." }, "finish_reason": "stop" }], "id": "c", "object": "chat.completion.chunk" });
    let stream: String = deltas.iter().chain([&end]).map(|chunk| format!("data: {chunk}\n\n")).collect();
    for door in [Door::Messages, Door::Responses] {
        let (gateway, _provider) = harbour([Reply::stream(&format!("{stream}data: [DONE]\n\n"))]).await;
        let seen = door.hear(&gateway, &door.ask_streamed("stub/stub-1", "x")).await;
        assert_eq!((seen.thoughts.as_str(), seen.text.as_str()), ("I think.", "So."), "{door:?}");
    }
}
