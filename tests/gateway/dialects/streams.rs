//! Streams: their events in order, whole when they were whole, broken when they broke.

use std::time::Duration;

use serde_json::json;

use super::harbour;
use crate::support::{Answer, Door, PATIENCE, Reply, Seen, StubProvider, TestGateway, http, tool_use, within};

/// Which provider, and what it says: a thought where it has them, a text, two calls.
fn sayings() -> [(&'static str, Reply); 2] {
    let calls = [("call_a", "look", r#"{"text":"one"}"#), ("call_b", "look", "")];
    let text = Reply::stream_text(&["Let me ", "se\u{e9}."]).body_text();
    let text = &text[..text.find("data: {\"id\":\"chatcmpl-text\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub-1\",\"choices\":[{\"index\":0,\"delta\":{},").unwrap()];
    let calls = Reply::stream_calls(&calls).body_text().replace("chatcmpl-calls", "chatcmpl-text");
    let blocks = [
        json!({ "type": "thinking", "thinking": "Hm, hm.", "signature": "c2VhbA==" }),
        json!({ "type": "text", "text": "Let me se\u{e9}." }),
        tool_use("call_a", "look", json!({ "text": "one" })),
        tool_use("call_b", "look", json!({})),
    ];
    [("stub/stub-1", Reply::stream(&format!("{text}{calls}"))), ("claude/claude-stub", Reply::stream_message(&blocks, "tool_use"))]
}

async fn hear(door: Door, gateway: &TestGateway, model: &str) -> (Answer, Seen) {
    let answer = door.send(gateway, &door.ask_streamed(model, "x")).await;
    let seen = Seen::read(door, &answer);
    (answer, seen)
}

/// The names of a stream's events, those in a row counted once.
fn outline(door: Door, text: &str) -> String {
    let mut names: Vec<String> = Vec::new();
    for event in text.split("\n\n").filter(|event| !event.is_empty()) {
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(event);
        let value: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
        let name = match door {
            _ if value.is_null() => data.to_owned(),
            Door::Chat if value["usage"].is_object() => "usage".to_owned(),
            Door::Chat => {
                let choice = &value["choices"][0];
                let said: Vec<&str> = choice["delta"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
                if said.is_empty() { format!("finish {}", choice["finish_reason"]) } else { said.join("+") }
            }
            Door::Messages => {
                let kind = value.pointer("/content_block/type").or(value.pointer("/delta/type")).and_then(|kind| kind.as_str());
                format!("{} {}", value["type"].as_str().unwrap(), kind.unwrap_or_default()).trim_end().to_owned()
            }
            Door::Responses => value["type"].as_str().unwrap().trim_start_matches("response.").to_owned(),
        };
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    names.join("\n")
}

#[tokio::test]
async fn each_door_tells_its_events_in_its_own_order() {
    for (model, reply) in sayings() {
        for door in Door::ALL {
            let (gateway, _provider) = harbour([reply.clone()]).await;
            let (answer, seen) = hear(door, &gateway, model).await;
            assert!(seen.is_whole() && seen.text == "Let me seé." && seen.calls.len() == 2, "{door:?}: {seen:?}");
            let name = format!("{}-from-{}", door.path().rsplit('/').next().unwrap(), model.split('/').next().unwrap());
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(name, outline(door, &answer.text));
            });
        }
    }
}

#[tokio::test]
async fn bytes_that_arrive_split_anywhere_make_the_same_answer() {
    for (model, reply) in sayings() {
        let length = reply.len();
        // Every place is a cut of some answer: pieces of each length up to a line's, and one by one.
        let sizes = [1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, length];
        let script = sizes.iter().map(|size| reply.clone().in_pieces(*size, Duration::ZERO));
        for door in Door::ALL {
            let (gateway, _provider) = harbour(script.clone()).await;
            let mut all = Vec::new();
            for size in sizes {
                let (_, seen) = hear(door, &gateway, model).await;
                assert!(seen.is_whole(), "{door:?} in pieces of {size}: {seen:?}");
                all.push(seen.said());
            }
            assert!(all.iter().all(|seen| *seen == all[0]), "{door:?}: {all:#?}");
        }
    }
}

#[tokio::test]
async fn an_error_in_a_stream_is_the_last_event_in_the_doors_own_shape() {
    let (_, whole) = &sayings()[1];
    for door in Door::ALL {
        for events in [0, 1, 2, 6] {
            let (gateway, _provider) = harbour([whole.ended_by_error("overloaded_error", events)]).await;
            let (answer, seen) = hear(door, &gateway, "claude/claude-stub").await;
            let overloaded = if door == Door::Messages { 529 } else { 503 };
            assert_eq!(answer.status, if events == 0 { overloaded } else { 200 }, "{door:?}: {}", answer.text);
            assert!(!seen.is_whole() && seen.error.is_some(), "{door:?}: {seen:?}");
        }
    }
}

/// A number that looks like any other, and is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// How many streams are broken; more with `PROPTEST_CASES`.
fn cases() -> usize {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1_000)
}

/// A gateway with many broken streams, and what becomes of each at one door after the other.
async fn all_broken(script: Vec<(Reply, &'static str)>, mut look: impl FnMut(usize, Door, &Answer)) {
    let (gateway, provider) = harbour([]).await;
    let client = http();
    for (at, (reply, model)) in script.into_iter().enumerate() {
        let door = Door::ALL[at % 3];
        provider.then([reply]);
        let sent = client.post(gateway.url(door.path())).json(&door.ask_streamed(model, "x")).send();
        let answer = Answer::read(within(PATIENCE, "an answer", sent).await.unwrap()).await;
        look(at, door, &answer);
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[tokio::test]
async fn a_thousand_cuts_are_a_thousand_errors_and_no_false_end() {
    let mut dice = Dice(7);
    let mut cuts = Vec::new();
    let script = (0..cases()).map(|at| {
        let (model, whole) = &sayings()[dice.below(2)];
        // Now and then nothing is cut at all.
        let cut = if at % 16 == 0 { whole.len() } else { dice.below(whole.len()) };
        cuts.push((cut, whole.len(), whole.body_text().as_bytes()[..cut].windows(2).any(|two| two == b"\n\n")));
        let reply = match (cut == whole.len(), dice.below(2)) {
            (true, _) => whole.clone(),
            (false, 0) => whole.clone().cut_after(cut),
            (false, _) => whole.clone().reset_after(cut),
        };
        (reply, *model)
    });
    let script: Vec<_> = script.collect();
    all_broken(script, |at, door, answer| {
        let (cut, length, begun) = cuts[at];
        let seen = Seen::read(door, answer);
        assert_eq!(seen.is_whole(), cut == length, "{door:?}: {cut} of {length} bytes: {}", answer.text);
        if cut < length {
            let error = seen.error.unwrap();
            assert_eq!(error["code"], "upstream_truncated", "{door:?}: {cut} of {length}: {}", answer.text);
            // Until the first event has come, the status itself can say it; a reset may take it along.
            assert!(answer.status == 502 || begun && answer.status == 200, "{cut} of {length}: {} {}", answer.status, answer.text);
        }
    })
    .await;
}

#[tokio::test]
async fn a_garbled_byte_is_an_error_or_another_word_and_never_a_panic() {
    let mut dice = Dice(11);
    let script = (0..cases() / 3).map(|_| {
        let (model, whole) = &sayings()[dice.below(2)];
        let byte = [0, b'"', b'\n', b'{', b'}', b':', 0xff, b'x'][dice.below(8)];
        (whole.clone().garbled(dice.below(whole.len()), byte), *model)
    });
    let script: Vec<_> = script.collect();
    all_broken(script, |_, door, answer| {
        assert!(matches!(answer.status, 200 | 502), "{}", answer.text);
        let ends = match door {
            Door::Chat => answer.text.ends_with("data: [DONE]\n\n"),
            Door::Messages => answer.text.contains("message_stop"),
            Door::Responses => answer.text.contains("event: response.completed") || answer.text.contains("event: response.incomplete"),
        };
        assert!(ends || answer.text.contains("error"), "{door:?}: {}", answer.text);
    })
    .await;
}

#[tokio::test]
async fn an_event_without_a_blank_line_or_with_other_line_ends_is_an_event() {
    let (_, claude) = &sayings()[1];
    let text = claude.body_text();
    let forms = [
        text.replace('\n', "\r\n"),
        text.replace("\n\n", "\r\r").replace('\n', "\r"),
        text.replace(": ", ":"),
        format!(": hello\n\n{text}"),
    ];
    for form in forms {
        for door in [Door::Chat, Door::Responses] {
            let (gateway, _provider) = harbour([Reply::stream(&form), claude.clone()]).await;
            let (_, seen) = hear(door, &gateway, "claude/claude-stub").await;
            let (_, plain) = hear(door, &gateway, "claude/claude-stub").await;
            assert_eq!(seen.said(), plain.said(), "{door:?}: {form:?}");
        }
    }
}

#[tokio::test]
async fn calls_that_are_written_in_turns_keep_their_own_arguments() {
    let calls = [("call_a", "look", r#"{"text":"one"}"#), ("call_b", "look", r#"{"text":"two","more":[1,2,3]}"#), ("call_c", "look", "{}")];
    for door in [Door::Messages, Door::Responses] {
        let (gateway, _provider) = harbour([Reply::stream_calls(&calls)]).await;
        let (_, seen) = hear(door, &gateway, "stub/stub-1").await;
        let told: Vec<_> = seen.calls.iter().map(|(id, name, arguments)| (id.as_str(), name.as_str(), arguments.as_str())).collect();
        assert_eq!(told, calls, "{door:?}");
    }
}

fn chunk(delta: &serde_json::Value, finish: Option<&str>, more: &serde_json::Value) -> String {
    let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let mut chunk = json!({ "id": "c", "object": "chat.completion.chunk", "choices": choices });
    chunk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("data: {chunk}\n\n")
}

#[tokio::test]
async fn calls_that_a_provider_numbers_zero_each_are_several_also_by_one_name() {
    let call = |id: &str, arguments: &str| {
        let call = json!({ "index": 0, "id": id, "type": "function", "function": { "name": "look", "arguments": arguments } });
        chunk(&json!({ "tool_calls": [call] }), None, &json!({}))
    };
    let stream = call("call_a", r#"{"text":"one"}"#) + &call("call_b", r#"{"text":"one"}"#) + &chunk(&json!({}), Some("stop"), &json!({}));
    for door in [Door::Messages, Door::Responses] {
        // Nothing says that it is done but the reason it gave.
        let (gateway, _provider) = harbour([Reply::stream(&stream)]).await;
        let (_, seen) = hear(door, &gateway, "stub/stub-1").await;
        let ids: Vec<&str> = seen.calls.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(ids, ["call_a", "call_b"], "{door:?}: {seen:?}");
        assert!(seen.is_whole() && seen.finish != "end_turn", "{seen:?}");
    }
}

#[tokio::test]
async fn counts_are_found_wherever_a_provider_puts_them_and_odd_ones_do_no_harm() {
    let text = chunk(&json!({ "role": "assistant", "content": "hi" }), None, &json!({}));
    let usage = json!({ "prompt_tokens": 18, "completion_tokens": 7, "total_tokens": 25, "prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 13 });
    let mut inside =
        json!({ "id": "c", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    inside["choices"][0]["usage"] = usage.clone();
    let cases = [
        (chunk(&json!({}), Some("stop"), &json!({ "usage": usage })), (18, 5, 7)),
        (chunk(&json!({}), Some("stop"), &json!({ "x_groq": { "usage": usage } })), (18, 5, 7)),
        (format!("data: {inside}\n\n"), (18, 5, 7)),
        (chunk(&json!({}), Some("stop"), &json!({ "usage": { "prompt_tokens": -1.5, "completion_tokens": "many" } })), (0, 0, 0)),
        (chunk(&json!({}), Some("stop"), &json!({ "usage": [] })), (0, 0, 0)),
    ];
    for (end, expected) in cases {
        for door in [Door::Messages, Door::Responses] {
            let (gateway, _provider) = harbour([Reply::stream(&format!("{text}{end}data: [DONE]\n\n"))]).await;
            let (_, seen) = hear(door, &gateway, "stub/stub-1").await;
            assert_eq!((seen.text.as_str(), seen.usage), ("hi", expected), "{door:?}: {end}");
        }
    }
}

#[tokio::test]
async fn a_response_that_is_passed_on_and_breaks_is_ended_in_its_own_numbers() {
    let event = |number: usize, kind: &str, more: &serde_json::Value| {
        let mut event = json!({ "type": kind, "sequence_number": number });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("event: {kind}\ndata: {event}\n\n")
    };
    let response = json!({ "response": { "id": "resp_7", "object": "response", "status": "in_progress", "output": [] } });
    let stream = event(0, "response.created", &response) + &event(1, "response.in_progress", &response);
    let whole = Reply::stream(&format!("{stream}{stream}"));
    let (gateway, _provider) = harbour([whole.cut_after(stream.len() + 3)]).await;
    let (answer, seen) = hear(Door::Responses, &gateway, "openai/gpt-5-mini").await;
    assert_eq!(seen.error.unwrap()["code"], "upstream_truncated");
    assert_eq!((&answer.body["response"]["id"], &answer.body["sequence_number"]), (&json!("resp_7"), &json!(2)));
}

#[tokio::test]
async fn arguments_that_are_cut_are_handed_on_as_they_are_and_not_mended() {
    // The model ran out of room in the middle of a call.
    let call = json!({ "index": 0, "id": "call_a", "type": "function", "function": { "name": "look", "arguments": "{\"text\":\"on" } });
    let stream = format!(
        "{}{}data: [DONE]\n\n",
        chunk(&json!({ "role": "assistant", "tool_calls": [call] }), None, &json!({})),
        chunk(&json!({}), Some("length"), &json!({}))
    );
    let (gateway, _provider) = harbour([Reply::stream(&stream), Reply::stream(&stream)]).await;
    let (_, seen) = hear(Door::Responses, &gateway, "stub/stub-1").await;
    assert_eq!((seen.finish.as_str(), seen.calls[0].2.as_str()), ("incomplete", "{\"text\":\"on"));
    let answer = Door::Messages.send(&gateway, &Door::Messages.ask_streamed("stub/stub-1", "x")).await;
    assert!(
        answer.text.contains(r#""stop_reason":"max_tokens""#) && answer.text.contains(r#""partial_json":"{\"text\":\"on""#),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn the_providers_work_ends_when_the_caller_leaves_whatever_they_speak() {
    for (model, reply) in sayings() {
        let half = reply.len() / 2;
        for door in Door::ALL {
            let provider = StubProvider::start([reply.clone().stalled_after(half)]).await;
            let gateway = TestGateway::with_config(&provider.both_sections()).await;
            let (url, body) = (gateway.url(door.path()), door.ask_streamed(model, "x"));
            let call = tokio::spawn(async move { http().post(url).json(&body).send().await.unwrap().text().await });
            let asked = provider.arrival(0).await;
            call.abort();
            assert!(asked.gone(Duration::from_secs(2)).await, "{door:?} {model}");
        }
    }
}

#[tokio::test]
async fn a_part_of_a_summary_that_begins_ends_and_a_thought_without_words_has_none() {
    let blocks = [
        json!({ "type": "redacted_thinking", "data": "cmVkYWN0ZWQ=" }),
        json!({ "type": "thinking", "thinking": "", "signature": "b21pdHRlZA==" }),
        json!({ "type": "thinking", "thinking": "Hm.", "signature": "c2VhbA==" }),
        json!({ "type": "text", "text": "Aye." }),
    ];
    let (gateway, _provider) = harbour([Reply::stream_message(&blocks, "end_turn")]).await;
    let (answer, seen) = hear(Door::Responses, &gateway, "claude/claude-stub").await;
    assert_eq!((seen.thoughts.as_str(), seen.seals.len()), ("Hm.", 3), "{seen:?}");
    for event in ["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"] {
        assert_eq!(answer.text.matches(&format!("event: {event}\n")).count(), 1, "{event}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_function_of_a_namespace_has_its_own_name_in_every_event() {
    let (gateway, _provider) = harbour([Reply::stream_calls(&[("call_a", "sea__look", r#"{"text":"one"}"#)])]).await;
    let mut body = Door::Responses.ask_streamed("stub/stub-1", "x");
    body["tools"] = json!([{ "type": "namespace", "name": "sea", "tools": [Door::Responses.function("look")] }]);
    let answer = Door::Responses.send(&gateway, &body).await;
    let done = answer.text.lines().find(|line| line.contains("\"response.function_call_arguments.done\"")).unwrap();
    assert!(done.contains("\"name\":\"look\"") && !answer.text.contains("sea__look"), "{}", answer.text);
}

#[tokio::test]
async fn a_stream_that_does_not_say_why_it_ended_is_not_taken_for_whole() {
    let stream = chunk(&json!({ "role": "assistant", "content": "half" }), None, &json!({})) + "data: [DONE]\n\n";
    for door in [Door::Messages, Door::Responses] {
        let (gateway, _provider) = harbour([Reply::stream(&stream)]).await;
        let (_, seen) = hear(door, &gateway, "stub/stub-1").await;
        assert!(!seen.is_whole() && seen.error.is_some(), "{door:?}: {seen:?}");
    }
}
