//! What a provider is told of earlier turns, when the gateway ran some of their calls.

use serde_json::{Value, json};

use super::{newest, unmarked};
use crate::support::{DEMO, Door, McpUpstream, Reply, Speaks, StubProvider, TestGateway, as_stream, tool, tool_use};

/// A gateway whose model `agent` is Claude with the demo server's tools, before a provider that refuses what the real ones refuse.
async fn agent() -> (TestGateway, StubProvider) {
    let provider = StubProvider::exacting([]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models:\n  agent: {{ targets: [{{ provider: claude, model: claude-stub }}], tools: [demo] }}\nmcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}\n",
        provider.both_sections()
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;
    (gateway, provider)
}

fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

/// A streamed block that begins so and grows by these.
fn block(index: usize, start: &Value, deltas: &[Value]) -> String {
    let mut text = event(&json!({ "type": "content_block_start", "index": index, "content_block": start }));
    for delta in deltas {
        text += &event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    }
    text + &event(&json!({ "type": "content_block_stop", "index": index }))
}

#[tokio::test]
async fn blocks_of_the_providers_own_go_back_whole_when_a_streamed_turn_is_followed_by_another() {
    let (gateway, provider) = agent().await;
    let usage = json!({ "input_tokens": 1, "output_tokens": 1 });
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-stub", "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage });
    let input = |json: &str| json!({ "type": "input_json_delta", "partial_json": json });
    let text = |text: &str| json!({ "type": "text_delta", "text": text });
    let citation = json!({ "type": "web_search_result_location", "url": "https://example.com", "cited_text": "blue" });
    let found = json!({ "type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [] });
    let stream = [
        event(&json!({ "type": "message_start", "message": message })),
        block(
            0,
            &json!({ "type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {} }),
            &[input(""), input("{\"query\":"), input("\"sky\"}")],
        ),
        block(1, &found, &[]),
        block(
            2,
            &json!({ "type": "text", "text": "" }),
            &[text("The sky"), json!({ "type": "citations_delta", "citation": citation }), text(" is blue.")],
        ),
        block(3, &json!({ "type": "tool_use", "id": "toolu_1", "name": "demo__echo", "input": {} }), &[input("{\"text\":\"ahoy\"}")]),
        event(
            &json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use", "stop_sequence": null }, "usage": { "output_tokens": 7 } }),
        ),
        event(&json!({ "type": "message_stop" })),
    ];
    let expected = json!([
        { "type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": { "query": "sky" } }, found,
        { "type": "text", "text": "The sky is blue.", "citations": [citation] },
        tool_use("toolu_1", "demo__echo", json!({ "text": "ahoy" })),
    ]);
    let whole = Reply::message(expected.as_array().unwrap(), "tool_use");
    for (streamed, first) in [(true, Reply::stream(&stream.concat())), (false, whole)] {
        let said = [json!({ "type": "text", "text": "Aye." })];
        let last = if streamed { Reply::stream_message(&said, "end_turn") } else { Reply::message(&said, "end_turn") };
        provider.then([first, last]);
        let body = Door::Messages.ask("agent", "x");
        let answer = Door::Messages.send(&gateway, &if streamed { as_stream(Door::Messages, body) } else { body }).await;
        assert!(answer.status == 200 && answer.text.contains("Aye."), "{}", answer.text);
        assert_eq!(unmarked(newest(&provider))["messages"][1]["content"], expected, "streamed {streamed}");
    }
}

/// The server of a request, as a door's client names it.
fn name_server(door: Door, body: &mut Value, server: &str) {
    match door {
        Door::Messages => {
            body["mcp_servers"] = json!([{ "type": "url", "name": server, "url": format!("http://gateway/mcp/{server}") }]);
            body["tools"] = json!([{ "type": "mcp_toolset", "mcp_server_name": server }]);
        }
        _ => body["tools"] = json!([{ "type": "mcp", "server_label": server, "require_approval": "never" }]),
    }
}

#[tokio::test]
async fn calls_that_a_client_was_shown_come_back_as_the_turns_they_were_made_in() {
    // A name that is too long for a function is told in another form, in later turns as in the first.
    let (server, long) = ("a-server-with-quite-a-long-namex", "echo_some_very_long_tool_name_indeed");
    let upstream = McpUpstream::start(Speaks::Stateless, [tool(long, "Echoes.", json!({ "type": "object" }))]).await;
    let provider = StubProvider::exacting([]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}mcp: {{ servers: {{ {server}: {{ url: '{}' }} }} }}\n",
        provider.both_sections(),
        upstream.url()
    ))
    .await;
    gateway.wait_for_server(server, "ready").await;
    for (model, list) in [("claude/claude-stub", "messages"), ("stub/stub-1", "messages")] {
        for door in [Door::Messages, Door::Responses] {
            for streamed in [false, true] {
                let mut body = door.ask(model, "x");
                name_server(door, &mut body, server);
                provider.then([Reply::status(404, &json!({}))]);
                door.send(&gateway, &body).await;
                let offered = newest(&provider)["tools"][0].clone();
                let name = offered["name"].as_str().or(offered["function"]["name"].as_str()).unwrap().to_owned();
                assert!(name.len() <= 64, "{name}");
                // Two calls in one turn, then one more, then the answer.
                let turns = [vec![("call_a", name.as_str(), "{}"), ("call_b", &name, "{}")], vec![("call_c", &name, "{}")]];
                let blocks =
                    |calls: &[(&str, &str, &str)]| calls.iter().map(|(id, name, _)| tool_use(id, name, json!({}))).collect::<Vec<_>>();
                let said = [json!({ "type": "text", "text": "Done." })];
                provider.then(turns.iter().map(|calls| match (model.starts_with("claude"), streamed) {
                    (true, true) => Reply::stream_message(&blocks(calls), "tool_use"),
                    (true, false) => Reply::message(&blocks(calls), "tool_use"),
                    (false, true) => Reply::stream_calls(calls),
                    (false, false) => Reply::calls(calls),
                }));
                provider.then([match (model.starts_with("claude"), streamed) {
                    (true, true) => Reply::stream_message(&said, "end_turn"),
                    (true, false) => Reply::message(&said, "end_turn"),
                    (false, true) => Reply::stream_text(&["Done."]),
                    (false, false) => Reply::text("Done."),
                }]);
                let seen = door.hear(&gateway, &if streamed { as_stream(door, body.clone()) } else { body.clone() }).await;
                let before = unmarked(newest(&provider))[list].clone();
                let history = body[door.list()].as_array_mut().unwrap();
                history.extend(seen.items.iter().cloned());
                history.push(json!({ "role": "user", "content": "And now?" }));
                door.hear(&gateway, &body).await;
                let now = unmarked(newest(&provider))[list].clone();
                let (before, now) = (before.as_array().unwrap(), now.as_array().unwrap());
                assert!(before.len() >= 5, "{before:?}");
                assert_eq!(now[..before.len()], before[..], "{door:?} of {model}, streamed {streamed}");
            }
        }
    }
}

#[tokio::test]
async fn a_thought_that_another_sealed_is_not_sent_to_who_cannot_read_it() {
    let provider = StubProvider::exacting([]).await;
    let itself = format!("  openai: {{ kind: openai, base_url: '{}', api_key: sk-CANARY-7f3a9c }}\n", provider.base());
    let gateway = TestGateway::with_config(&format!("{}{itself}", provider.both_sections())).await;
    let thought = json!({ "type": "thinking", "thinking": "Hm.", "signature": "c2VhbA==" });
    for door in [Door::Chat, Door::Responses] {
        provider.then([Reply::message(&[thought.clone(), json!({ "type": "text", "text": "Aye." })], "end_turn")]);
        let mut body = door.ask("claude/claude-sonnet-4-5", "x");
        let seen = door.hear(&gateway, &body).await;
        assert_eq!(seen.seals.len(), 1, "{door:?}");
        let history = body[door.list()].as_array_mut().unwrap();
        history.extend(seen.items.iter().cloned());
        history.push(json!({ "role": "user", "content": "And thinking_blocks, ptl1: ?" }));
        for model in ["openai/gpt-5", "stub/stub-1"] {
            body["model"] = model.into();
            let native = json!({ "id": "resp_1", "object": "response", "status": "completed", "output": [], "usage": null });
            provider.then((door == Door::Responses && model.starts_with("openai")).then(|| Reply::json(&native.to_string())));
            let answer = door.send(&gateway, &body).await;
            assert_eq!(answer.status, 200, "{door:?} {model}: {}", answer.text);
            let sent = provider.received().last().unwrap().text.clone();
            // Who speaks like OpenAI and is another may know it: there the bytes pass as they are.
            let passes = door == Door::Chat && model.starts_with("stub");
            assert_eq!(sent.contains("c2VhbA==") && sent.contains("\"thinking_blocks\""), passes, "{door:?} {model}: {sent}");
            assert!(!sent.contains("\"ptl1:"), "{door:?} {model}: {sent}");
            assert!(sent.contains("Aye.") && sent.contains("And thinking_blocks, ptl1: ?"), "{door:?} {model}: {sent}");
        }
        body["model"] = "claude/claude-sonnet-4-5".into();
        door.hear(&gateway, &body).await;
        assert!(newest(&provider).to_string().contains("c2VhbA=="), "{door:?}: who sealed it gets it back");
    }
}
