//! The agent loop: tools that the gateway runs itself, and tools it leaves alone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Answer, DEMO, McpUpstream, Reply, Speaks, StubProvider, TestGateway, chat, http, post, settles, streamed, text_of, tool,
};

/// A gateway whose model `agent` has the demo server's tools.
async fn agent(script: impl IntoIterator<Item = Reply>, limits: &str) -> (TestGateway, StubProvider, String) {
    let provider = StubProvider::start(script).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models:
  agent: {{ targets: [{{ provider: stub, model: stub-1 }}], tools: [demo] }}
  plain: {{ targets: [{{ provider: stub, model: stub-1 }}] }}
mcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}
{limits}",
        provider.section()
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;
    let url = gateway.url("/v1/chat/completions");
    (gateway, provider, url)
}

const ECHO: (&str, &str, &str) = ("call_1", "demo__echo", r#"{"text":"ahoy"}"#);

/// The request as a function tool of the client's own.
fn own_function(name: &str) -> Value {
    json!({ "type": "function", "function": { "name": name, "description": "The client's.", "parameters": { "type": "object" }, "strict": true } })
}

fn functions(body: &Value) -> Vec<&str> {
    body["tools"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(|tool| tool["function"]["name"].as_str()).collect()
}

fn streamed_text(answer: &Answer) -> String {
    answer.notes.iter().chain([&answer.body]).filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str()).collect()
}

#[tokio::test]
async fn a_routes_tools_are_offered_run_and_answered_for() {
    let (_gateway, provider, url) = agent([Reply::calls(&[ECHO]), Reply::text("It said ahoy.")], "").await;
    let answer = post(&url, &chat("agent", "say ahoy")).await;
    assert_eq!(answer.body["choices"][0]["message"]["content"], "It said ahoy.");
    assert!(answer.body["choices"][0]["message"].get("tool_calls").is_none(), "the client hears nothing of them");
    assert_eq!(answer.body["usage"]["total_tokens"], 36, "both turns are counted");
    let turns = provider.bodies();
    assert_eq!(turns.len(), 2);
    assert!(functions(&turns[0]).contains(&"demo__echo"));
    let function = turns[0]["tools"].as_array().unwrap().iter().find(|tool| tool["function"]["name"] == "demo__echo").unwrap();
    assert_eq!(function["type"], "function");
    assert_eq!(function["function"]["parameters"]["properties"]["text"]["type"], "string");
    let messages = turns[1]["messages"].as_array().unwrap();
    assert_eq!(messages[1]["tool_calls"][0]["id"], "call_1");
    assert_eq!(messages[2], json!({ "role": "tool", "tool_call_id": "call_1", "content": "ahoy" }));
}

#[tokio::test]
async fn a_streamed_loop_is_one_stream_with_one_end() {
    let script = [Reply::stream_calls(&[ECHO]), Reply::stream_text(&["It said ", "ahoy."])];
    let (_gateway, provider, url) = agent(script, "").await;
    let answer = post(&url, &streamed("agent", "say ahoy")).await;
    assert_eq!(streamed_text(&answer), "It said ahoy.");
    assert_eq!(answer.text.matches("[DONE]").count(), 1);
    assert!(!answer.text.contains("demo__echo"), "the client hears nothing of the calls: {}", answer.text);
    let mut ids: Vec<&str> = answer.notes.iter().chain([&answer.body]).filter_map(|chunk| chunk["id"].as_str()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one answer has one id: {}", answer.text);
    let ends = answer
        .notes
        .iter()
        .chain([&answer.body])
        .filter(|chunk| chunk.pointer("/choices/0/finish_reason").is_some_and(Value::is_string))
        .count();
    assert_eq!(ends, 1, "{}", answer.text);
    let roles = answer.notes.iter().filter(|chunk| chunk.pointer("/choices/0/delta/role").is_some()).count();
    assert_eq!(roles, 1, "one answer begins once: {}", answer.text);
    assert_eq!(provider.bodies()[1]["messages"][2]["content"], "ahoy");
    assert_eq!(provider.bodies()[1]["stream"], true);
}

#[tokio::test]
async fn parallel_calls_run_side_by_side_and_keep_their_order() {
    let slow = |at: usize| {
        (
            ["c0", "c1", "c2", "c3"][at],
            "demo__slow",
            [
                r#"{"steps":3,"delay_ms":400}"#,
                r#"{"steps":2,"delay_ms":400}"#,
                r#"{"steps":1,"delay_ms":400}"#,
                r#"{"steps":3,"delay_ms":400}"#,
            ][at],
        )
    };
    for (script, body) in [
        ([Reply::calls(&[slow(0), slow(1), slow(2), slow(3)]), Reply::text("done")], chat("agent", "x")),
        ([Reply::stream_calls(&[slow(0), slow(1), slow(2), slow(3)]), Reply::stream_text(&["done"])], streamed("agent", "x")),
    ] {
        let (_gateway, provider, url) = agent(script, "").await;
        let start = Instant::now();
        post(&url, &body).await;
        // One after the other would take 3.6 s.
        assert!(start.elapsed() < Duration::from_millis(3000), "{:?}", start.elapsed());
        let turn = &provider.bodies()[1];
        let results: Vec<(&str, &str)> = turn["messages"].as_array().unwrap()[2..]
            .iter()
            .map(|message| (message["tool_call_id"].as_str().unwrap(), message["content"].as_str().unwrap()))
            .collect();
        assert_eq!(
            results,
            [("c0", "done after 3 steps"), ("c1", "done after 2 steps"), ("c2", "done after 1 steps"), ("c3", "done after 3 steps")]
        );
        let calls = turn["messages"][1]["tool_calls"].as_array().unwrap();
        assert_eq!(calls.iter().map(|call| call["id"].as_str().unwrap()).collect::<Vec<_>>(), ["c0", "c1", "c2", "c3"]);
        assert_eq!(calls[0]["function"]["arguments"], slow(0).2);
    }
}

#[tokio::test]
async fn two_calls_of_one_tool_are_two_calls_even_where_a_provider_numbers_both_zero() {
    let call = |id: &str, text: &str| {
        let call = json!({ "index": 0, "id": id, "type": "function", "function": { "name": "demo__echo", "arguments": format!("{{\"text\":\"{text}\"}}") } });
        format!(
            "data: {}\n\n",
            json!({ "id": "x", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "tool_calls": [call] }, "finish_reason": null }] })
        )
    };
    let end =
        json!({ "id": "x", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] });
    let stream = format!("{}{}data: {end}\n\ndata: [DONE]\n\n", call("a", "one"), call("b", "two"));
    let (_gateway, provider, url) = agent([Reply::stream(&stream), Reply::stream_text(&["ok"])], "").await;
    post(&url, &streamed("agent", "x")).await;
    let messages = provider.bodies()[1]["messages"].clone();
    assert_eq!((&messages[2]["content"], &messages[3]["content"]), (&json!("one"), &json!("two")), "{messages}");
}

#[tokio::test]
async fn what_goes_wrong_with_a_tool_is_told_to_the_model() {
    let calls =
        [("a", "demo__fail", "{}"), ("b", "demo__echo", r#"{"text":7}"#), ("c", "demo__echo", "{\"text\":"), ("d", "demo__time", "")];
    let (_gateway, provider, url) = agent([Reply::calls(&calls), Reply::text("I see.")], "").await;
    let answer = post(&url, &chat("agent", "x")).await;
    assert_eq!(answer.body["choices"][0]["message"]["content"], "I see.");
    let turn = provider.bodies()[1].clone();
    let said: Vec<&str> = turn["messages"].as_array().unwrap()[2..].iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert!(said[0].contains("always fails"), "{said:?}");
    assert!(said[1].contains("/text") && said[1].contains("demo@1.0.0"), "{said:?}");
    assert!(said[2].contains("JSON"), "{said:?}");
    assert!(said[3].starts_with("20") && said[3].ends_with('Z'), "no arguments are an empty object: {said:?}");
}

#[tokio::test]
async fn the_clients_own_functions_are_handed_back_untouched() {
    let own = ("mine_1", "lookup", r#"{ "k" : 1.0 }"#);
    for (reply, mut body) in [(Reply::calls(&[own]), chat("agent", "x")), (Reply::stream_calls(&[own]), streamed("agent", "x"))] {
        let (_gateway, provider, url) = agent([reply], "").await;
        body["tools"] = json!([own_function("lookup")]);
        let answer = post(&url, &body).await;
        assert_eq!(provider.received().len(), 1, "nothing was run");
        assert_eq!(provider.bodies()[0]["tools"][0], own_function("lookup"), "the client's function comes first, as it was");
        assert!(functions(&provider.bodies()[0]).contains(&"demo__echo"));
        let chunks: Vec<&Value> = answer.notes.iter().chain([&answer.body]).collect();
        if body["stream"] == true {
            let deltas: Vec<&Value> = chunks.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0")).collect();
            let arguments: String = deltas.iter().filter_map(|delta| delta["function"]["arguments"].as_str()).collect();
            assert_eq!((deltas[0]["id"].as_str(), arguments.as_str()), (Some("mine_1"), own.2));
            assert!(answer.text.contains("\"tool_calls\"") && answer.text.ends_with("data: [DONE]\n\n"));
        } else {
            let choice = &answer.body["choices"][0];
            assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], own.2);
            assert_eq!(choice["finish_reason"], "tool_calls");
        }
    }
}

#[tokio::test]
async fn a_turn_that_mixes_both_hands_back_the_clients_calls_alone() {
    let mixed = [ECHO, ("mine_1", "lookup", "{}")];
    for (reply, mut body) in [(Reply::calls(&mixed), chat("agent", "x")), (Reply::stream_calls(&mixed), streamed("agent", "x"))] {
        let (_gateway, _provider, url) = agent([reply], "").await;
        body["tools"] = json!([own_function("lookup")]);
        let answer = post(&url, &body).await;
        assert!(answer.text.contains("mine_1") && !answer.text.contains("demo__echo"), "{}", answer.text);
        if body["stream"] == true {
            let index = answer.notes.iter().find_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0/index"));
            assert_eq!(index, Some(&json!(0)), "what the client sees is numbered from 0: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_function_with_the_name_of_a_joined_tool_is_refused() {
    let (_gateway, provider, url) = agent([], "").await;
    let mut body = chat("agent", "x");
    body["tools"] = json!([own_function("demo__echo")]);
    let answer = post(&url, &body).await;
    assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!("tools")), "{}", answer.text);
    assert!(provider.received().is_empty());
}

#[tokio::test]
async fn an_mcp_tool_object_that_needs_no_approval_is_run() {
    let (_gateway, provider, url) = agent([Reply::calls(&[ECHO]), Reply::text("ok")], "").await;
    let mut body = chat("plain", "x");
    body["tools"] = json!([{ "type": "mcp", "server_label": "demo", "allowed_tools": ["echo", "time"], "require_approval": "never" }]);
    let answer = post(&url, &body).await;
    assert_eq!(answer.body["choices"][0]["message"]["content"], "ok");
    let mut offered = functions(&provider.bodies()[0]).into_iter().map(str::to_owned).collect::<Vec<_>>();
    offered.sort_unstable();
    assert_eq!(offered, ["demo__echo", "demo__time"], "only what is allowed is offered");
    assert!(!provider.received()[0].text.contains("server_label"), "no provider sees the object itself");
}

#[tokio::test]
async fn an_mcp_tool_object_that_wants_approval_is_handed_back_as_plain_calls() {
    for approval in [json!("always"), Value::Null, json!({ "never": { "tool_names": ["time"] } })] {
        let (_gateway, provider, url) = agent([Reply::calls(&[ECHO])], "").await;
        let mut body = chat("plain", "x");
        body["tools"] = json!([{ "type": "mcp", "server_label": "demo", "require_approval": approval }]);
        if approval.is_null() {
            body["tools"][0].as_object_mut().unwrap().remove("require_approval");
        }
        let answer = post(&url, &body).await;
        assert_eq!(answer.body["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "demo__echo", "{approval}: {}", answer.text);
        assert_eq!(provider.received().len(), 1, "{approval}");
    }
}

#[tokio::test]
async fn an_mcp_tool_object_names_a_server_of_ours_and_nothing_else() {
    let (_gateway, provider, url) = agent([], "").await;
    for (object, status) in [
        (json!({ "type": "mcp", "server_label": "nobody", "require_approval": "never" }), 404),
        (json!({ "type": "mcp", "require_approval": "never" }), 400),
        (json!({ "type": "mcp", "server_label": "demo", "server_url": "http://169.254.169.254/", "require_approval": "never" }), 400),
        (json!({ "type": "mcp", "server_label": "demo", "authorization": "secret", "require_approval": "never" }), 400),
        (json!({ "type": "mcp", "server_label": "portolan", "require_approval": "never" }), 404),
    ] {
        let mut body = chat("plain", "x");
        body["tools"] = json!([object]);
        let answer = post(&url, &body).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (status, &json!("tools")), "{object}: {}", answer.text);
    }
    assert!(provider.received().is_empty());
}

#[tokio::test]
async fn a_loop_comes_to_an_end() {
    for (reply, body) in [(Reply::calls(&[ECHO]), chat("agent", "x")), (Reply::stream_calls(&[ECHO]), streamed("agent", "x"))] {
        let (_gateway, provider, url) = agent(vec![reply; 10], "limits: { tool_turns: 3 }\n").await;
        let answer = post(&url, &body).await;
        assert_eq!(answer.word(), "tool_turns_exceeded", "{} {}", answer.status, answer.text);
        assert!(answer.message().contains("tool_turns"), "{}", answer.text);
        assert!(!answer.text.contains("[DONE]"));
        assert_eq!(provider.received().len(), 3);
    }
}

#[tokio::test]
async fn a_forced_tool_is_forced_once() {
    for choice in [json!("required"), json!({ "type": "function", "function": { "name": "demo__echo" } })] {
        let (_gateway, provider, url) = agent([Reply::calls(&[ECHO]), Reply::text("ok")], "").await;
        let mut body = chat("agent", "x");
        body["tool_choice"] = choice.clone();
        post(&url, &body).await;
        let turns = provider.bodies();
        assert_eq!(turns[0]["tool_choice"], choice);
        assert!(turns[1].get("tool_choice").is_none_or(|again| again == "auto"), "{}", turns[1]["tool_choice"]);
    }
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_given_up_and_the_model_told() {
    let slow = ("a", "demo__slow", r#"{"steps":100,"delay_ms":1000}"#);
    let (_gateway, provider, url) = agent([Reply::calls(&[slow]), Reply::text("ok")], "limits: { tool_timeout: 500ms }\n").await;
    let start = Instant::now();
    let answer = post(&url, &chat("agent", "x")).await;
    assert_eq!(answer.body["choices"][0]["message"]["content"], "ok", "{}", answer.text);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(provider.bodies()[1]["messages"][2]["content"].as_str().unwrap().starts_with("Error"), "{}", provider.bodies()[1]);
}

#[tokio::test]
async fn the_tools_stop_when_the_caller_leaves() {
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("wait", "Waits.", json!({ "type": "object" }))]).await;
    upstream.hangs("wait");
    let provider = StubProvider::start([Reply::calls(&[("a", "slow__wait", "{}")])]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models: {{ agent: {{ targets: [{{ provider: stub, model: stub-1 }}], tools: [slow] }} }}\nmcp: {{ servers: {{ slow: {{ url: '{}' }} }} }}\n",
        provider.section(),
        upstream.url()
    ))
    .await;
    gateway.wait_for_server("slow", "ready").await;
    let url = gateway.url("/v1/chat/completions");
    let call = tokio::spawn(async move { http().post(url).json(&chat("agent", "x")).send().await });
    upstream.arrival("tools/call").await;
    call.abort();
    settles("the server has seen the end of the call", async || upstream.left() == 1).await;
    assert_eq!(provider.received().len(), 1, "and the model is not asked again");
}

#[tokio::test]
async fn a_later_turn_that_fails_ends_the_answer_with_its_error() {
    for (script, body, status) in [
        ([Reply::calls(&[ECHO]), Reply::status(500, &json!({}))], chat("agent", "x"), 502),
        ([Reply::stream_calls(&[ECHO]), Reply::status(500, &json!({}))], streamed("agent", "x"), 200),
    ] {
        let (_gateway, _provider, url) = agent(script, "limits: { retries: 0 }\n").await;
        let answer = post(&url, &body).await;
        assert!(answer.word() == "upstream_error" && !answer.text.contains("[DONE]"), "{}", answer.text);
        // A stream whose first turn was all tool calls may not have begun yet.
        assert!(answer.status == status || answer.status == 502, "{}", answer.status);
    }
}

#[tokio::test]
async fn a_cut_turn_of_tool_calls_is_never_run() {
    let reply = Reply::stream_calls(&[ECHO]);
    let cut = reply.body_text().find("\"tool_calls\"}").or_else(|| reply.body_text().rfind("\"finish_reason\":\"tool_calls\"")).unwrap();
    let (_gateway, provider, url) = agent([reply.cut_after(cut)], "").await;
    let answer = post(&url, &streamed("agent", "x")).await;
    assert_eq!(answer.word(), "upstream_truncated", "{}", answer.text);
    assert_eq!(provider.received().len(), 1, "half a call is no call");
}

#[tokio::test]
async fn a_report_names_the_tools_that_were_run() {
    let (_gateway, provider, url) = agent([Reply::calls(&[ECHO, ("b", "demo__fail", "{}")]), Reply::text("ok")], "").await;
    let mut body = chat("agent", "x");
    body["portolan"] = json!({ "report": true });
    let answer = post(&url, &body).await;
    let tools = answer.body["portolan"]["tools"].as_array().unwrap();
    assert_eq!((&tools[0]["name"], &tools[1]["name"]), (&json!("demo__echo"), &json!("demo__fail")), "{}", answer.text);
    assert_ne!(tools[0]["outcome"], tools[1]["outcome"]);
    assert_eq!(answer.body["portolan"]["cost"]["input_tokens"], answer.body["usage"]["prompt_tokens"], "of all turns: {}", answer.text);
    assert!(provider.bodies().iter().all(|body| body.get("portolan").is_none()));
}

#[tokio::test]
async fn the_built_in_model_calls_a_tool_when_asked() {
    let (gateway, _provider, url) = agent([], "").await;
    let mut body = chat("portolan/echo", r#"call demo__echo {"text":"ahoy"}"#);
    body["tools"] = json!([{ "type": "mcp", "server_label": "demo", "require_approval": "never" }]);
    let answer = post(&url, &body).await;
    assert_eq!(answer.body["choices"][0]["message"]["content"], "demo__echo answered: ahoy");
    body["portolan"] = json!({ "report": true });
    assert_eq!(post(&url, &body).await.body["portolan"]["cost"]["usd"], 0.0, "its price is known");
    body["stream"] = true.into();
    assert_eq!(streamed_text(&post(&url, &body).await), "demo__echo answered: ahoy");
    let said = gateway.cli(&["chat", "-m", "portolan/echo", "land ahoy"]).await.ok();
    assert!(said.contains("land ahoy"), "{said}");
    let result = crate::support::modern(&gateway.url("/mcp")).call("demo__echo", json!({ "text": "same road" })).await;
    assert_eq!(text_of(&result), "same road");
}

#[tokio::test]
async fn a_function_name_that_comes_in_pieces_is_judged_when_it_is_whole() {
    let chunk = |delta: Value, end: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": end });
        format!("data: {}\n\n", json!({ "id": "x", "object": "chat.completion.chunk", "choices": [choice] }))
    };
    let piece = |index: u64, id: Option<&str>, name: Option<&str>, arguments: Option<&str>| {
        let mut call = json!({ "index": index, "function": {} });
        if let Some(id) = id {
            (call["id"], call["type"]) = (id.into(), "function".into());
        }
        if let Some(name) = name {
            call["function"]["name"] = name.into();
        }
        if let Some(arguments) = arguments {
            call["function"]["arguments"] = arguments.into();
        }
        chunk(json!({ "tool_calls": [call] }), Value::Null)
    };
    let end = chunk(json!({}), "tool_calls".into()) + "data: [DONE]\n\n";

    // Ours, although its beginning could be another's.
    let ours =
        piece(0, Some("a"), Some("demo"), None) + &piece(0, None, Some("__echo"), None) + &piece(0, None, None, Some("{\"text\":\"one\"}"));
    let (_gateway, provider, url) = agent([Reply::stream(&(ours + &end)), Reply::stream_text(&["ok"])], "").await;
    let answer = post(&url, &streamed("agent", "x")).await;
    assert_eq!(provider.bodies()[1]["messages"][2]["content"], "one");
    assert!(!answer.text.contains("tool_calls") && answer.text.contains("ok"), "{}", answer.text);

    // The client's own, although it begins like one of ours; one without arguments is known at the end.
    let theirs = piece(0, Some("a"), Some("demo__e"), None) + &piece(0, None, None, Some("{}")) + &piece(1, Some("b"), Some("demo"), None);
    let (_gateway, provider, url) = agent([Reply::stream(&(theirs + &end))], "").await;
    let mut body = streamed("agent", "x");
    body["tools"] = json!([own_function("demo__e"), own_function("demo")]);
    let answer = post(&url, &body).await;
    assert_eq!(provider.bodies().len(), 1);
    let chunks: Vec<Value> = answer.text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let deltas = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array()).flatten();
    let mut names = [String::new(), String::new()];
    for delta in deltas {
        names[usize::try_from(delta["index"].as_u64().unwrap()).unwrap()] += delta["function"]["name"].as_str().unwrap_or_default();
    }
    assert_eq!(names, ["demo__e", "demo"], "{}", answer.text);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_tool_or_server_that_is_not_there_is_named_with_the_nearest() {
    let (_gateway, provider, url) = agent([], "").await;
    let asked = async |body: &Value, header: &str| {
        let mut request = http().post(&url).json(body);
        if !header.is_empty() {
            request = request.header("x-portolan-tools", header);
        }
        let answer = Answer::read(request.send().await.unwrap()).await;
        (answer.status, answer.body["error"]["code"].clone(), answer.body["error"]["message"].as_str().unwrap().to_owned())
    };
    let mcp = |label: &str, allowed: &str| {
        let mut body = chat("agent", "x");
        body["tools"] = json!([{ "type": "mcp", "server_label": label, "allowed_tools": [allowed], "require_approval": "never" }]);
        body
    };
    for (body, header, code, wanted, near) in [
        (chat("agent", "x"), "demo__ecko", "tool_not_found", "demo__ecko", "demo__echo"),
        (mcp("demo", "ecko"), "", "tool_not_found", "ecko", "echo"),
        (mcp("demoo", "echo"), "", "server_not_found", "demoo", "demo"),
    ] {
        let (status, said, message) = asked(&body, header).await;
        assert_eq!((status, &said), (404, &json!(code)), "{message}");
        assert!(message.contains(&format!("`{wanted}`")) && message.contains(near), "{message}");
    }
    assert!(provider.bodies().is_empty(), "nothing reached the provider");
}
