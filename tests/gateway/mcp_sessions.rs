//! `/mcp` and `/mcp/{server}` for clients that open a session (2025-06-18, 2025-11-25).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Answer, McpUpstream, Session, Speaks, TestGateway, http, initialize, modern, names, post, session, settles, text_of, tool,
};

/// A gateway with the demo server as `demo`.
async fn demo() -> TestGateway {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    gateway
}

fn any() -> Value {
    json!({ "type": "object" })
}

#[tokio::test]
async fn a_session_opens_in_the_revision_that_was_asked_for() {
    let gateway = demo().await;
    for path in ["/mcp", "/mcp/demo"] {
        for revision in ["2025-06-18", "2025-11-25"] {
            let session = Session::open(&gateway.url(path), revision, None).await;
            assert_eq!(session.greeting["protocolVersion"], revision, "{path}");
            assert!(session.greeting["capabilities"]["tools"].is_object(), "{}", session.greeting);
            assert!(session.greeting["serverInfo"]["name"].is_string());
            assert!(session.greeting.get("resultType").is_none(), "older clients know no `resultType`");
            assert!(session.id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{}", session.id);
        }
    }
}

#[tokio::test]
async fn an_unknown_or_stateless_revision_gets_the_newest_with_sessions() {
    let gateway = demo().await;
    for revision in ["1999-01-01", "2026-07-28", "nonsense"] {
        let answer = post(&gateway.url("/mcp"), &initialize(revision)).await;
        assert_eq!(answer.result()["protocolVersion"], "2025-11-25", "{revision}");
    }
}

#[tokio::test]
async fn a_request_without_a_session_is_400_and_one_in_an_unknown_session_404() {
    let gateway = demo().await;
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" });
    let missing = post(&gateway.url("/mcp"), &list).await;
    assert_eq!((missing.status, &missing.body["id"]), (400, &json!(7)), "{}", missing.text);
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let sent = http().request(method.clone(), gateway.url("/mcp")).header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(sent.status(), 400, "{method}");
    }
    let mut lost = session(&gateway.url("/mcp")).await;
    lost.id = "nobody-knows-this-one".to_owned();
    assert_eq!(lost.send(&list).await.status, 404);
    assert_eq!(lost.end().await, 404);
}

#[tokio::test]
async fn an_ended_session_is_gone() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    assert_eq!(session.request("ping", json!({})).await.status, 200);
    assert!((200..300).contains(&session.end().await));
    assert_eq!(session.request("ping", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_session_belongs_to_one_endpoint() {
    let gateway = demo().await;
    let mut strayed = session(&gateway.url("/mcp")).await;
    strayed.url = gateway.url("/mcp/demo");
    assert_eq!(strayed.request("tools/list", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_session_belongs_to_one_key() {
    let gateway = demo().await;
    let (first, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    let (second, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    let session = Session::open(&gateway.url("/mcp"), "2025-11-25", Some(&first)).await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let stolen = session.http.post(&session.url).header("mcp-session-id", &session.id).bearer_auth(&second).json(&list);
    assert_eq!(Answer::read(stolen.send().await.unwrap()).await.status, 404);
    assert_eq!(session.request("tools/list", json!({})).await.status, 200);
}

#[tokio::test]
async fn tools_are_prefixed_on_the_aggregate_and_plain_on_the_server_itself() {
    let gateway = demo().await;
    let all = session(&gateway.url("/mcp")).await;
    let one = session(&gateway.url("/mcp/demo")).await;
    let (all_tools, one_tools) = (all.tools().await, one.tools().await);
    for name in ["time", "echo", "slow", "fail"] {
        assert!(names(&one_tools).contains(&name), "{one_tools:?}");
        assert!(names(&all_tools).contains(&format!("demo__{name}").as_str()), "{all_tools:?}");
    }
    assert_eq!(text_of(&all.call("demo__echo", json!({ "text": "é\n" })).await), "é\n");
    assert_eq!(text_of(&one.call("echo", json!({ "text": "ahoy" })).await), "ahoy");
    assert_eq!(all.request("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } })).await.code(), -32602);
    assert_eq!(one.request("tools/call", json!({ "name": "demo__echo", "arguments": { "text": "x" } })).await.code(), -32602);
}

#[tokio::test]
async fn a_tool_that_fails_is_a_result_and_an_unknown_one_an_error() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    assert_eq!(session.call("demo__fail", json!({})).await["isError"], true);
    let unknown = session.request("tools/call", json!({ "name": "demo__nothing", "arguments": {} })).await;
    assert_eq!((unknown.status, unknown.code()), (200, -32602));
    let method = session.request("tools/dance", json!({})).await;
    assert_eq!((method.status, method.code()), (200, -32601));
}

#[tokio::test]
async fn resources_templates_prompts_and_completions_come_through_on_both_doors() {
    let gateway = demo().await;
    for (path, server, prefix) in [("/mcp", "demo+", "demo__"), ("/mcp/demo", "", "")] {
        let session = session(&gateway.url(path)).await;
        let uri = format!("{server}demo://notes");
        let listed = session.request("resources/list", json!({})).await;
        assert_eq!(listed.result()["resources"][0]["uri"], uri, "{path}");
        let read = session.request("resources/read", json!({ "uri": uri })).await;
        assert!(read.result()["contents"][0]["text"].as_str().unwrap().contains("pilot boat"), "{}", read.text);
        assert_eq!(read.result()["contents"][0]["uri"], uri, "{path}");

        let templates = session.request("resources/templates/list", json!({})).await;
        let template = templates.result()["resourceTemplates"][0]["uriTemplate"].as_str().unwrap().to_owned();
        assert_eq!(template, format!("{server}demo://greeting/{{name}}"), "{path}");
        let greeted = session.request("resources/read", json!({ "uri": template.replace("{name}", "Ada") })).await;
        assert_eq!(greeted.result()["contents"][0]["text"], "Good morning, Ada.");

        let prompts = session.request("prompts/list", json!({})).await;
        let prompt = format!("{prefix}greeting");
        assert_eq!(prompts.result()["prompts"][0]["name"], prompt);
        let asked = session.request("prompts/get", json!({ "name": prompt, "arguments": { "name": "Grace" } })).await;
        assert!(asked.text.contains("Greet Grace"), "{}", asked.text);

        let complete = json!({ "ref": { "type": "ref/prompt", "name": prompt }, "argument": { "name": "name", "value": "a" } });
        let completed = session.request("completion/complete", complete).await;
        assert_eq!(completed.result()["completion"]["values"], json!(["Ada", "Alan"]), "{path}");

        let missing = session.request("resources/read", json!({ "uri": format!("{server}demo://gone") })).await;
        assert_eq!((missing.status, missing.code()), (200, -32002), "{path}");
    }
}

#[tokio::test]
async fn a_single_server_is_served_to_the_byte() {
    let written = r#"{"x-vendor":{"n":1e2,"big":18446744073709551615},"name":"odd.name","inputSchema":{"type":"object","properties":{"q":{"type":"string","description":"é"}}},"execution":{"taskSupport":"optional"},"_meta":{"vendor.example/k":[1.0,null]},"description":"Finds."}"#;
    let upstream = McpUpstream::start(Speaks::Sessions, []).await;
    upstream.set_raw_tools([written.to_owned()]);
    let result = json!({ "content": [{ "type": "x-new", "weight": 1.5 }], "structuredContent": null, "x-extra": { "deep": [1] } });
    upstream.answers("odd.name", result.clone());
    let gateway = TestGateway::start().await;
    gateway.add_url("odd", &upstream.url()).await;

    let mut one = session(&gateway.url("/mcp/odd")).await;
    one.strict = false;
    let listed = one.request("tools/list", json!({})).await;
    assert!(listed.text.contains(written), "{}", listed.text);
    assert_eq!(one.greeting["serverInfo"]["x-vendor"], true);
    assert_eq!(one.call("odd.name", json!({ "q": "x" })).await, result);

    let mut all = session(&gateway.url("/mcp")).await;
    all.strict = false;
    let tools = all.tools().await;
    let name = names(&tools)[0];
    assert!(name.starts_with("odd__odd_name") && name.len() <= 48, "{name}");
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{name}");
    assert_eq!(tools[0]["execution"], json!({ "taskSupport": "optional" }), "only the name is another on the aggregate");
    assert_eq!(all.call(name, json!({ "q": "x" })).await, result);
    assert_eq!(upstream.recorded("tools/call").last().unwrap().body["params"]["name"], "odd.name");
}

#[tokio::test]
async fn long_tool_names_stay_short_stable_and_apart() {
    let long = |end: &str| format!("{}_{end}", "a".repeat(80));
    let upstream = McpUpstream::start(Speaks::Sessions, [tool(&long("one"), "1", any()), tool(&long("two"), "2", any())]).await;
    let mut gateway = TestGateway::start().await;
    gateway.add_url("long", &upstream.url()).await;
    let listed = |tools: Vec<Value>| names(&tools).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let before = listed(session(&gateway.url("/mcp")).await.tools().await);
    assert!(before.len() == 2 && before[0] != before[1] && before.iter().all(|name| name.len() <= 48), "{before:?}");
    let called = session(&gateway.url("/mcp")).await.call(&before[1], json!({})).await;
    assert!(text_of(&called).starts_with(&long("two")), "{called}");
    gateway.stop().await;
    gateway.start_again().await;
    assert_eq!(listed(session(&gateway.url("/mcp")).await.tools().await), before);
}

#[tokio::test]
async fn a_list_of_many_pages_is_seen_whole() {
    let tools: Vec<Value> = (0..230).map(|at| tool(&format!("t{at:03}"), "Does a thing.", any())).collect();
    let upstream = McpUpstream::start(Speaks::Sessions, tools).await;
    upstream.paged(40);
    let gateway = TestGateway::start().await;
    gateway.add_url("many", &upstream.url()).await;
    let session = session(&gateway.url("/mcp")).await;
    let listed = session.tools().await;
    let mut seen = names(&listed);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 230);
    assert_eq!(session.request("tools/list", json!({ "cursor": "nonsense" })).await.code(), -32602);
}

#[tokio::test]
async fn progress_comes_before_the_result_with_the_callers_own_token() {
    let gateway = demo().await;
    for (path, name) in [("/mcp", "demo__slow"), ("/mcp/demo", "slow")] {
        let session = session(&gateway.url(path)).await;
        let params = json!({ "name": name, "arguments": { "steps": 3, "delay_ms": 20 }, "_meta": { "progressToken": "mine-1" } });
        let answer = session.request("tools/call", params).await;
        let steps: Vec<f64> = answer.notes.iter().map(|note| note["params"]["progress"].as_f64().unwrap()).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0], "{path}: {}", answer.text);
        assert!(answer.notes.iter().all(|note| note["method"] == "notifications/progress" && note["params"]["progressToken"] == "mine-1"));
        assert_eq!(text_of(answer.result()), "done after 3 steps");
    }
}

#[tokio::test]
async fn two_callers_with_the_same_token_each_hear_of_their_own_call() {
    let gateway = demo().await;
    let (first, second) = (session(&gateway.url("/mcp")).await, session(&gateway.url("/mcp")).await);
    let params =
        |steps: u64| json!({ "name": "demo__slow", "arguments": { "steps": steps, "delay_ms": 30 }, "_meta": { "progressToken": 1 } });
    let (first, second) = tokio::join!(first.request("tools/call", params(2)), second.request("tools/call", params(4)));
    assert_eq!((first.notes.len(), second.notes.len()), (2, 4));
    assert!(first.notes.iter().all(|note| note["params"]["total"] == 2.0 && note["params"]["progressToken"] == 1));
}

#[tokio::test]
async fn progress_that_comes_together_with_the_result_is_told_all_the_same() {
    for speaks in [Speaks::Sessions, Speaks::Stateless] {
        let upstream = McpUpstream::start(speaks, [tool("load", "Loads.", any())]).await;
        upstream.tells_at_once("load");
        let gateway = TestGateway::start().await;
        gateway.add_url("crane", &upstream.url()).await;
        let params = json!({ "name": "crane__load", "arguments": {}, "_meta": { "progressToken": "p" } });
        let (old, new) = (session(&gateway.url("/mcp")).await, modern(&gateway.url("/mcp")));
        for answer in [old.request("tools/call", params.clone()).await, new.request("tools/call", params).await] {
            let steps: Vec<f64> = answer.notes.iter().filter_map(|note| note["params"]["progress"].as_f64()).collect();
            assert_eq!(steps, [1.0, 2.0, 3.0], "{}", answer.text);
            assert!(answer.result()["content"].is_array(), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_and_the_server_is_told() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("wait", "Waits.", any())]).await;
    upstream.hangs("wait");
    let gateway = TestGateway::start().await;
    gateway.add_url("slow", &upstream.url()).await;
    let session = std::sync::Arc::new(session(&gateway.url("/mcp")).await);
    let calling = session.clone();
    let call = tokio::spawn(async move {
        calling
            .send(&json!({ "jsonrpc": "2.0", "id": "c-1", "method": "tools/call", "params": { "name": "slow__wait", "arguments": {} } }))
            .await
    });
    upstream.arrival("tools/call").await;
    assert_eq!(session.notify("notifications/cancelled", json!({ "requestId": "c-1", "reason": "enough" })).await.status, 202);
    let told = upstream.arrival("notifications/cancelled").await;
    assert_eq!(told.body["params"]["requestId"], upstream.recorded("tools/call")[0].body["id"]);
    let answer = call.await.unwrap();
    assert!(answer.body.get("result").is_none(), "{}", answer.text);
}

#[tokio::test]
async fn a_client_that_only_disconnects_has_not_cancelled() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    let message = json!({ "jsonrpc": "2.0", "id": "left", "method": "tools/call", "params": { "name": "demo__slow", "arguments": { "steps": 2, "delay_ms": 300 } } });
    let sent = session.prepare(reqwest::Method::POST).json(&message).timeout(std::time::Duration::from_millis(150)).send().await;
    assert!(sent.is_err(), "the client left before the answer");
    let metrics = async || http().get(gateway.url("/metrics")).send().await.unwrap().text().await.unwrap();
    settles("the call has come to a good end all the same", async || {
        metrics()
            .await
            .lines()
            .any(|line| line.starts_with("portolan_tool_calls_total") && line.contains("demo__slow") && line.contains("\"ok\""))
    })
    .await;
}

#[tokio::test]
async fn the_stream_of_a_session_tells_of_new_tools() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    let mut stream = session.listen().await;
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", any())]).await;
    gateway.add_url("late", &upstream.url()).await;
    stream.next_of("notifications/tools/list_changed").await;
    assert!(names(&session.tools().await).contains(&"late__find"));
}

#[tokio::test]
async fn what_is_not_one_json_rpc_message_is_400_with_its_code() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    let cases = [
        ("{", -32700),
        ("", -32700),
        ("nonsense", -32700),
        ("[]", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("7", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, -32600),
    ];
    for (body, code) in cases {
        let request = session.prepare(reqwest::Method::POST).header("content-type", "application/json").body(body);
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!((answer.status, answer.code()), (400, code), "{body}: {}", answer.text);
    }
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}1{}}}"#, "{\"a\":".repeat(50_000), "}".repeat(50_000));
    let request = session.prepare(reqwest::Method::POST).header("content-type", "application/json").body(deep);
    assert_eq!(request.send().await.unwrap().status(), 400);
    assert_eq!(session.request("ping", json!({})).await.status, 200, "and nothing else is harmed");
}

#[tokio::test]
async fn duplicate_keys_in_arguments_are_not_passed_on() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", any())]).await;
    let gateway = TestGateway::start().await;
    gateway.add_url("dup", &upstream.url()).await;
    let session = session(&gateway.url("/mcp")).await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"dup__find","arguments":{"q":"a","q":"b"}}}"#;
    let request = session.prepare(reqwest::Method::POST).header("content-type", "application/json").body(body);
    let answer = Answer::read(request.send().await.unwrap()).await;
    assert!(answer.body.get("error").is_some() || answer.result()["isError"] == true, "{}", answer.text);
    assert!(upstream.recorded("tools/call").is_empty());
}

#[tokio::test]
async fn a_message_over_the_limit_is_413_with_or_without_its_length() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    let headers = format!("mcp-session-id: {}\r\n", session.id);
    for told in [true, false] {
        assert_eq!(gateway.post_blanks("/mcp", &headers, (4 << 20) + 1, told).await, 413, "told: {told}");
        assert_eq!(gateway.post_blanks("/mcp", &headers, 4 << 20, told).await, 400, "what fits is read, and is no message");
    }
}

#[tokio::test]
async fn notifications_and_replies_are_taken_note_of() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    assert_eq!(session.notify("notifications/roots/list_changed", json!({})).await.status, 202);
    assert_eq!(session.send(&json!({ "jsonrpc": "2.0", "id": 99, "result": {} })).await.status, 202);
    assert_eq!(session.request("logging/setLevel", json!({ "level": "info" })).await.status, 200);
}

#[tokio::test]
async fn string_ids_and_large_ids_come_back_as_they_were() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    for id in [json!("a-b"), json!(0), json!(9_007_199_254_740_993_i64), json!("7")] {
        let answer = session.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })).await;
        assert_eq!(answer.body["id"], id);
    }
}

#[tokio::test]
async fn a_change_of_resources_is_told_once_and_only_to_whoever_may_see_the_server() {
    let gateway = TestGateway::start().await;
    let mut upstreams = Vec::new();
    for name in ["open", "closed"] {
        let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", any())]).await;
        gateway.add_url(name, &upstream.url()).await;
        settles("the gateway listens", async || upstream.listeners() == 1).await;
        upstreams.push(upstream);
    }
    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "servers": ["open"] })).await;
    let session = Session::open(&gateway.url("/mcp"), "2025-11-25", Some(&key)).await;
    let mut stream = session.listen().await;
    for _ in 0..20 {
        upstreams[1].tell_of_resources();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..20 {
        upstreams[0].tell_of_resources();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let told = tokio::time::timeout(Duration::from_millis(1500), async {
        let mut told = 0;
        while let Some(note) = stream.next_json().await {
            assert_eq!(note["method"], "notifications/resources/list_changed");
            told += 1;
            assert!(told < 5, "a burst is told of again and again");
        }
    });
    assert!(told.await.is_err(), "the stream goes on");
    assert_eq!(session.request("resources/list", json!({})).await.result()["resources"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_time_of_a_server_is_told_apart_from_our_own() {
    let gateway = demo().await;
    let session = session(&gateway.url("/mcp")).await;
    let call = json!({ "name": "demo__slow", "arguments": { "steps": 1, "delay_ms": 400 } });
    let answer = session.request("tools/call", call).await;
    let part = |name: &str| -> f64 {
        let timing = answer.header("server-timing");
        let (_, rest) = timing.split_once(&format!("{name};dur=")).unwrap_or_else(|| panic!("{timing}"));
        rest.split(',').next().unwrap().parse().unwrap()
    };
    assert!(part("upstream") >= 400.0 && part("gateway") < 300.0, "{}", answer.header("server-timing"));
}
