//! What a provider answers, as each door's clients see it: whole and streamed alike.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::harbour;
use crate::support::{Door, Reply, Seen, StubProvider, TestGateway, as_stream, tool_use};

type Harbour = (TestGateway, StubProvider);

/// An answer of either provider, whole and streamed.
struct Said {
    model: &'static str,
    whole: Reply,
    stream: Reply,
}

impl Said {
    fn openai(whole: Reply, stream: Reply) -> Self {
        Self { model: "stub/stub-1", whole, stream }
    }

    fn claude(blocks: &[Value], stop: &str) -> Self {
        Self { model: "claude/claude-stub", whole: Reply::message(blocks, stop), stream: Reply::stream_message(blocks, stop) }
    }

    /// What a door's client sees of both, which is the same.
    async fn at(&self, (gateway, provider): &Harbour, door: Door) -> Seen {
        provider.then([self.whole.clone(), self.stream.clone()]);
        let mut body = door.ask(self.model, "x");
        body["tools"] = json!([door.function("look")]);
        let whole = door.hear(gateway, &body).await;
        let stream = door.hear(gateway, &as_stream(door, body)).await;
        assert_ne!(whole.id, stream.id, "{door:?}: every answer has an id of its own");
        assert_eq!(whole.said(), stream.said(), "{door:?} of {}", self.model);
        whole
    }
}

/// A whole answer of Chat Completions, and the same as a stream of these deltas.
fn chat_answer(message: &Value, deltas: &[Value], finish: &str) -> Said {
    let usage = json!({ "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "prompt_tokens_details": { "cached_tokens": 5 } });
    let frame =
        |object: &str, id: &str, choices: Value| json!({ "id": id, "object": object, "created": 1, "model": "stub-1", "choices": choices });
    let mut whole = frame("chat.completion", "chatcmpl-1", json!([{ "index": 0, "message": message, "finish_reason": finish }]));
    whole["usage"] = usage.clone();
    let mut stream = String::new();
    for delta in deltas {
        let chunk = frame("chat.completion.chunk", "chatcmpl-2", json!([{ "index": 0, "delta": delta, "finish_reason": null }]));
        let _ = write!(stream, "data: {chunk}\n\n");
    }
    let last = frame("chat.completion.chunk", "chatcmpl-2", json!([{ "index": 0, "delta": {}, "finish_reason": finish }]));
    let mut counted = frame("chat.completion.chunk", "chatcmpl-2", json!([]));
    counted["usage"] = usage;
    let _ = write!(stream, "data: {last}\n\ndata: {counted}\n\ndata: [DONE]\n\n");
    Said::openai(Reply::json(&whole.to_string()), Reply::stream(&stream))
}

/// Text of an answer of Chat Completions that ends for some reason.
fn chat_text(text: &str, finish: &str) -> Said {
    let message = json!({ "role": "assistant", "content": text });
    chat_answer(&message, &[json!({ "role": "assistant", "content": "" }), json!({ "content": text })], finish)
}

fn words(door: Door, chat: &'static str, messages: &'static str, responses: &'static str) -> &'static str {
    match door {
        Door::Chat => chat,
        Door::Messages => messages,
        Door::Responses => responses,
    }
}

#[tokio::test]
async fn a_text_is_the_same_text_at_every_door_with_what_it_cost() {
    let harbour = harbour([]).await;
    for door in Door::ALL {
        let seen = chat_text("Land ahoy", "stop").at(&harbour, door).await;
        assert_eq!((seen.text.as_str(), seen.usage), ("Land ahoy", (11, 5, 7)), "{door:?}");
        assert_eq!(seen.finish, words(door, "stop", "end_turn", "completed"));
        // Anthropic counts what it read from its cache and wrote to it apart.
        let seen = Said::claude(&[json!({ "type": "text", "text": "Land ahoy" })], "end_turn").at(&harbour, door).await;
        assert_eq!((seen.text.as_str(), seen.usage), ("Land ahoy", (18, 5, 7)), "{door:?}");
        assert_eq!(seen.finish, words(door, "stop", "end_turn", "completed"));
    }
}

#[tokio::test]
async fn parallel_calls_stay_apart_with_their_ids_and_arguments() {
    let harbour = harbour([]).await;
    let calls = [("call_a", "look", r#"{"text":"one"}"#), ("call_b", "look", ""), ("call_c", "look", r#"{"text":"é\"three"}"#)];
    let blocks: Vec<Value> = calls
        .iter()
        .map(|(id, name, arguments)| tool_use(id, name, serde_json::from_str(if arguments.is_empty() { "{}" } else { arguments }).unwrap()))
        .collect();
    for door in Door::ALL {
        for said in [Said::openai(Reply::calls(&calls), Reply::stream_calls(&calls)), Said::claude(&blocks, "tool_use")] {
            let own = said.model.starts_with("stub") && door == Door::Chat;
            let seen = said.at_with_calls(&harbour, door, own).await;
            let expected: Vec<_> = calls
                .iter()
                // What a provider of the client's own dialect says is passed on as it is.
                .map(|(id, name, arguments)| (*id, *name, if arguments.is_empty() && !own { "{}" } else { arguments }))
                .collect();
            let told: Vec<_> = seen.calls.iter().map(|(id, name, arguments)| (id.as_str(), name.as_str(), arguments.as_str())).collect();
            assert_eq!(told, expected, "{door:?} of {}", said.model);
            assert_eq!(seen.finish, words(door, "tool_calls", "tool_use", "completed"), "{door:?}");
        }
    }
}

impl Said {
    /// As `at`; what is passed on has the id that the provider gave.
    async fn at_with_calls(&self, harbour: &Harbour, door: Door, own: bool) -> Seen {
        if !own {
            return self.at(harbour, door).await;
        }
        harbour.1.then([self.whole.clone()]);
        door.hear(&harbour.0, &door.ask(self.model, "x")).await
    }
}

#[tokio::test]
async fn a_reason_for_the_end_keeps_its_meaning_and_the_providers_own_word() {
    let harbour = harbour([]).await;
    let claude = [
        ("end_turn", "stop", "completed"),
        ("stop_sequence", "stop", "completed"),
        ("max_tokens", "length", "incomplete"),
        ("model_context_window_exceeded", "length", "incomplete"),
        ("pause_turn", "stop", "completed"),
    ];
    for (native, chat, responses) in claude {
        for door in Door::ALL {
            let seen = Said::claude(&[json!({ "type": "text", "text": "x" })], native).at(&harbour, door).await;
            assert_eq!(seen.finish, words(door, chat, native, responses), "{door:?}: {native}");
            assert!(door != Door::Chat || seen.native == native, "{native}: {seen:?}");
        }
    }
    let openai = [
        ("length", "max_tokens", "incomplete"),
        ("MAX_TOKENS", "max_tokens", "incomplete"),
        ("content_filter", "refusal", "incomplete"),
        ("content_filter: SAFETY", "refusal", "incomplete"),
        ("RECITATION", "refusal", "incomplete"),
        ("eos", "end_turn", "completed"),
        ("STOP", "end_turn", "completed"),
    ];
    for (native, messages, responses) in openai {
        for door in [Door::Messages, Door::Responses] {
            let seen = chat_text("x", native).at(&harbour, door).await;
            assert_eq!(seen.finish, words(door, "", messages, responses), "{door:?}: {native}");
        }
    }
}

#[tokio::test]
async fn an_end_that_is_a_failure_is_never_taken_for_one_that_is_not() {
    let failures = ["error", "network_error", "insufficient_system_resource", "OTHER", "function_call_filter: MALFORMED_FUNCTION_CALL"];
    for native in failures.into_iter().chain(["a_word_of_tomorrow", ""]) {
        let said = chat_text("half an ans", native);
        for door in [Door::Messages, Door::Responses] {
            let (gateway, _provider) = harbour([said.whole.clone(), said.stream.clone()]).await;
            let whole = door.send(&gateway, &door.ask(said.model, "x")).await;
            assert_eq!(whole.status, 502, "{door:?}: {native}: {}", whole.text);
            let stream = Seen::read(door, &door.send(&gateway, &door.ask_streamed(said.model, "x")).await);
            assert!(stream.error.is_some() && !stream.is_whole(), "{door:?}: {native}: {stream:?}");
        }
    }
    for door in [Door::Chat, Door::Responses] {
        let said = Said::claude(&[json!({ "type": "text", "text": "half an ans" })], "a_word_of_tomorrow");
        let (gateway, _provider) = harbour([said.whole.clone(), said.stream.clone()]).await;
        assert_eq!(door.send(&gateway, &door.ask(said.model, "x")).await.status, 502, "{door:?}");
        let stream = Seen::read(door, &door.send(&gateway, &door.ask_streamed(said.model, "x")).await);
        assert!(stream.error.is_some() && !stream.is_whole(), "{door:?}: {stream:?}");
    }
}

#[tokio::test]
async fn a_stop_that_made_calls_is_a_wish_for_their_answers() {
    let harbour = harbour([]).await;
    let call = json!([{ "index": 0, "id": "call_a", "type": "function", "function": { "name": "look", "arguments": "{}" } }]);
    let message = json!({ "role": "assistant", "content": null, "tool_calls": call });
    let said = chat_answer(&message, &[json!({ "role": "assistant" }), json!({ "tool_calls": call })], "stop");
    let seen = said.at(&harbour, Door::Messages).await;
    assert_eq!((seen.finish.as_str(), seen.calls.len()), ("tool_use", 1));
    assert_eq!(said.at(&harbour, Door::Responses).await.calls.len(), 1);
}

#[tokio::test]
async fn a_refusal_is_one_at_every_door() {
    let harbour = harbour([]).await;
    for door in [Door::Messages, Door::Responses] {
        let message = json!({ "role": "assistant", "content": null, "refusal": "I will not." });
        let seen = chat_answer(&message, &[json!({ "role": "assistant", "content": "" }), json!({ "refusal": "I will not." })], "stop")
            .at(&harbour, door)
            .await;
        assert_eq!(if door == Door::Messages { &seen.text } else { &seen.refusal }, "I will not.", "{door:?}: {seen:?}");
    }
    harbour.1.then([Reply::message(&[json!({ "type": "text", "text": "I will not." })], "refusal")]);
    let seen = Door::Chat.hear(&harbour.0, &Door::Chat.ask("claude/claude-stub", "x")).await;
    assert_eq!((seen.finish.as_str(), seen.refusal.as_str(), seen.native.as_str()), ("content_filter", "I will not.", "refusal"));
    // A refusal may come without a word, and is not an empty answer.
    let seen = Said::claude(&[], "refusal").at(&harbour, Door::Responses).await;
    assert_eq!(seen.finish, "incomplete", "{seen:?}");
}

#[tokio::test]
async fn counts_that_stand_only_at_one_end_of_a_stream_are_all_told() {
    let text = |start: &str, end: &str| {
        format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{start}}}}}\n\n\
             event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\n\
             event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"hi\"}}}}\n\n\
             event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}},\"usage\":{end}}}\n\n\
             event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        )
    };
    let streams = [
        text(
            r#"{"input_tokens":11,"cache_creation_input_tokens":2,"cache_read_input_tokens":5,"output_tokens":1}"#,
            r#"{"output_tokens":7}"#,
        ),
        text(
            r#"{"input_tokens":0,"output_tokens":0}"#,
            r#"{"input_tokens":11,"cache_creation_input_tokens":2,"cache_read_input_tokens":5,"output_tokens":7}"#,
        ),
        text(
            r#"{"input_tokens":11,"cache_creation_input_tokens":2,"cache_read_input_tokens":5,"output_tokens":1}"#,
            r#"{"input_tokens":11,"cache_creation_input_tokens":2,"cache_read_input_tokens":5,"output_tokens":7}"#,
        ),
    ];
    let (gateway, _provider) = harbour(streams.iter().flat_map(|stream| [Reply::stream(stream), Reply::stream(stream)])).await;
    for _ in &streams {
        for door in [Door::Chat, Door::Responses] {
            let seen = door.hear(&gateway, &door.ask_streamed("claude/claude-stub", "x")).await;
            assert_eq!(seen.usage, (18, 5, 7), "{door:?}: not lost, and not counted twice");
        }
    }
}

#[tokio::test]
async fn every_refusal_of_a_provider_has_its_status_and_the_doors_own_shape() {
    let cases = [
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", 400, "invalid_request_error"),
        (401, "authentication_error", "invalid x-api-key", 502, "api_error"),
        (404, "not_found_error", "model: x", 404, "not_found_error"),
        (429, "rate_limit_error", "slow down", 429, "rate_limit_error"),
        (529, "overloaded_error", "Overloaded", 503, "overloaded_error"),
    ];
    let replies = cases.iter().map(|(status, kind, why, ..)| Reply::refusal(*status, kind, why).header("retry-after", "7"));
    for model in ["claude/claude-stub", "stub/stub-1"] {
        for door in Door::ALL {
            for streamed in [false, true] {
                let (gateway, _provider) = harbour(replies.clone()).await;
                for (status, _, why, expected, kind) in cases {
                    let body = if streamed { door.ask_streamed(model, "x") } else { door.ask(model, "x") };
                    let answer = door.send(&gateway, &body).await;
                    // Anthropic's clients know a status of their own for it.
                    let expected = if (status, door) == (529, Door::Messages) { 529 } else { expected };
                    assert_eq!(answer.status, expected, "{door:?}: {status}: {}", answer.text);
                    if door == Door::Messages {
                        assert_eq!(
                            (&answer.body["type"], &answer.body["error"]["type"]),
                            (&json!("error"), &json!(kind)),
                            "{}",
                            answer.text
                        );
                    }
                    assert!(!answer.message().is_empty() && (status != 400 || answer.message().starts_with(why)), "{}", answer.text);
                    assert!(status != 429 || answer.header("retry-after") == "7", "{door:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn tokens_are_counted_by_whoever_can() {
    let (gateway, provider) = harbour([]).await;
    let url = gateway.url("/v1/messages/count_tokens?beta=true");
    let mut body = Door::Messages.ask("claude/claude-stub", "How many are we?");
    body.as_object_mut().unwrap().remove("max_tokens");
    let counted = crate::support::post(&url, &body).await;
    assert_eq!((counted.status, &counted.body["input_tokens"]), (200, &json!(42)), "{}", counted.text);
    assert_eq!(provider.only().path, "/v1/messages/count_tokens");
    body["model"] = "stub/stub-1".into();
    let counted = crate::support::post(&url, &body).await;
    assert!(counted.body["input_tokens"].as_u64().is_some_and(|tokens| (5..60).contains(&tokens)), "{}", counted.text);
    body["messages"] = json!([]);
    let refused = crate::support::post(&url, &body).await;
    assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!("messages")), "{}", refused.text);
    assert_eq!(provider.received().len(), 1, "who cannot count is not asked");
}

#[tokio::test]
async fn tokens_of_tools_that_are_joined_are_counted_as_functions() {
    let provider = crate::support::StubProvider::exacting([]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models:\n  bound: {{ targets: [{{ provider: claude, model: claude-stub }}], tools: [demo] }}\nmcp: {{ servers: {{ demo: {{ command: {} }} }} }}\n",
        provider.both_sections(),
        crate::support::DEMO
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;
    let url = gateway.url("/v1/messages/count_tokens");
    let count = async |model: &str, named: bool| {
        let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "How many are we?" }] });
        if named {
            body["mcp_servers"] = json!([{ "type": "url", "name": "demo", "url": "http://gateway/mcp/demo" }]);
            body["tools"] = json!([{ "type": "mcp_toolset", "mcp_server_name": "demo" }]);
        }
        let counted = crate::support::post(&url, &body).await;
        assert_eq!(counted.status, 200, "{}", counted.text);
        counted.body["input_tokens"].as_u64().unwrap()
    };
    let plain = count("stub/stub-1", false).await;
    assert!(count("stub/stub-1", true).await > plain + 20, "{plain}");
    assert!(provider.received().is_empty());
    for (model, named) in [("claude/claude-stub", true), ("bound", false)] {
        count(model, named).await;
        let sent = provider.received().last().unwrap().body();
        assert!(sent["mcp_servers"].is_null() && !sent.to_string().contains("mcp_toolset"), "{sent}");
        assert!(sent["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "demo__echo"), "{sent}");
    }
}

#[tokio::test]
async fn an_error_in_a_good_answer_is_the_error_that_it_says() {
    let whole = |code: Value| Reply::json(&json!({ "error": { "message": "quota", "code": code } }).to_string());
    // One provider says it beside what it had said so far.
    let chunk = |code: Value| {
        let choice = json!({ "index": 0, "delta": { "content": "" }, "finish_reason": "error" });
        let chunk =
            json!({ "id": "c", "object": "chat.completion.chunk", "error": { "message": "quota", "code": code }, "choices": [choice] });
        Reply::stream(&format!("data: {chunk}\n\n"))
    };
    for (code, status) in
        [(json!(429), 429), (json!("429"), 429), (json!(503), 502), (json!(529), 503), (json!("server_error"), 502), (Value::Null, 502)]
    {
        for streamed in [false, true] {
            let (gateway, _provider) = harbour([if streamed { chunk(code.clone()) } else { whole(code.clone()) }]).await;
            let body = if streamed { Door::Chat.ask_streamed("stub/stub-1", "x") } else { Door::Chat.ask("stub/stub-1", "x") };
            let answer = Door::Chat.send(&gateway, &body).await;
            assert_eq!(answer.status, status, "{code}, streamed {streamed}: {}", answer.text);
        }
    }
}
