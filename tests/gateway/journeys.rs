//! The three journeys by which the gateway is judged, as the README tells them.

use serde_json::json;

use crate::support::{Answer, McpUpstream, Modern, Reply, Speaks, StubProvider, TestGateway, http, names, session, text_of, tool};

#[tokio::test]
async fn a_user_registers_a_server_and_calls_its_tool() {
    let gateway = TestGateway::start().await;

    let added = gateway.cli(&["server", "add", "demo", "--", "portolan", "demo-server"]).await.ok();
    assert!(added.contains("1.0.0") && added.contains("echo"), "what was added is shown: {added}");

    let servers = gateway.cli(&["server", "list", "--json"]).await.json();
    let demo = &servers["servers"][0];
    assert_eq!((&demo["name"], &demo["state"], &demo["release"]), (&json!("demo"), &json!("ready"), &json!("1.0.0")));

    let tools = gateway.cli(&["tool", "list"]).await.ok();
    assert!(tools.contains("demo__echo"), "{tools}");

    let said = gateway.cli(&["tool", "call", "demo__echo", "text=ahoy"]).await.ok();
    assert_eq!(said.trim(), "ahoy");
}

#[tokio::test]
async fn an_agent_client_finds_all_servers_at_one_url_whatever_era_it_speaks() {
    let wiki = McpUpstream::start(Speaks::Stateless, [tool("search", "Searches the wiki.", json!({ "type": "object" }))]).await;
    let gateway = TestGateway::start().await;
    gateway.cli(&["server", "add", "demo", "--", "portolan", "demo-server"]).await.ok();
    gateway.cli(&["server", "add", "wiki", "--url", &wiki.url(), "--allow-private"]).await.ok();

    let older = session(&gateway.url("/mcp")).await;
    let newer = Modern::new(&gateway.url("/mcp"));
    for tools in [older.tools().await, newer.tools().await] {
        for name in ["demo__echo", "demo__time", "wiki__search"] {
            assert!(names(&tools).contains(&name), "{name} is among {:?}", names(&tools));
        }
    }

    assert_eq!(text_of(&older.call("demo__echo", json!({ "text": "ahoy" })).await), "ahoy");
    assert_eq!(text_of(&newer.call("demo__echo", json!({ "text": "ahoy" })).await), "ahoy");
    assert_eq!(text_of(&older.call("wiki__search", json!({ "q": "tides" })).await), r#"search was given {"q":"tides"}"#);
    assert_eq!(text_of(&newer.call("wiki__search", json!({ "q": "tides" })).await), r#"search was given {"q":"tides"}"#);
}

#[tokio::test]
async fn an_openai_client_streams_an_answer_with_context_and_tools_joined_in() {
    let provider = StubProvider::start([
        Reply::stream_calls(&[("call_1", "demo__echo", r#"{"text":"channel 12"}"#)]),
        Reply::stream_text(&["The pilot answers ", "on channel 12."]),
    ])
    .await;
    let gateway = TestGateway::with_config(&format!(
        "{}
models:
  harbour:
    targets: [{{ provider: stub, model: stub-1 }}]
    context: [notes]
    tools: [demo]
mcp:
  servers:
    demo: {{ command: [portolan, demo-server] }}
context:
  deadline: 20s
  sources:
    notes: {{ server: demo, resource: 'demo://notes' }}
",
        provider.section()
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;

    let body = json!({ "model": "harbour", "stream": true, "messages": [{ "role": "user", "content": "How do I reach the pilot?" }] });
    let response = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.unwrap();
    let answer = Answer::read(response).await;

    let text: String =
        answer.notes.iter().chain([&answer.body]).filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str()).collect();
    assert_eq!(text, "The pilot answers on channel 12.");
    assert_eq!(answer.text.matches("[DONE]").count(), 1);
    assert_eq!(answer.header("x-portolan-model"), "stub/stub-1");
    assert!(answer.header("x-portolan-context").starts_with("notes;"), "{:?}", answer.headers);

    let turns = provider.bodies();
    let system = turns[0]["messages"][0].to_string();
    assert!(system.contains("The pilot boat answers on channel 12."), "{system}");
    assert_eq!(turns[0]["tools"].as_array().unwrap().iter().filter(|tool| tool["function"]["name"] == "demo__echo").count(), 1);
    let result = turns[1]["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(result, &json!({ "role": "tool", "tool_call_id": "call_1", "content": "channel 12" }));
}
