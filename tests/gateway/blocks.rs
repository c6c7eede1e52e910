//! The kill switch: what is under way ends within a second, what comes is refused, and what is blocked is not shown.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Answer, Issuer, McpUpstream, Modern, Reply, Speaks, StubProvider, TestGateway, chat, http, modern, names, post, session, settles,
    streamed, tool, until, within,
};

const SECOND: Duration = Duration::from_secs(1);

fn any() -> Value {
    json!({ "type": "object" })
}

/// A server with one tool that answers and one that never does.
async fn slow(speaks: Speaks) -> McpUpstream {
    let upstream = McpUpstream::start(speaks, [tool("wait", "Waits.", any()), tool("go", "Goes.", any())]).await;
    upstream.hangs("wait");
    upstream
}

async fn with_slow(upstream: &McpUpstream) -> TestGateway {
    let gateway = TestGateway::start().await;
    gateway.add_url("slow", &upstream.url()).await;
    gateway
}

/// A stream that stands still in its middle.
fn half() -> Reply {
    let reply = Reply::stream_text(&["Land ", "ahoy"]);
    let middle = reply.body_text().find("ahoy").unwrap();
    reply.stalled_after(middle)
}

async fn block(gateway: &TestGateway, target: &str) {
    gateway.control("access_block", json!({ "target": target, "reason": "drill" })).await;
}

async fn unblock(gateway: &TestGateway, target: &str) {
    gateway.control("access_unblock", json!({ "target": target })).await;
}

fn call(gateway: &TestGateway, path: &str, tool: &str) -> tokio::task::JoinHandle<Answer> {
    let client = modern(&gateway.url(path));
    let tool = tool.to_owned();
    tokio::spawn(async move { client.request("tools/call", json!({ "name": tool, "arguments": {} })).await })
}

#[tokio::test]
async fn a_call_at_a_server_ends_when_the_server_is_blocked_and_the_server_is_told() {
    for speaks in [Speaks::Sessions, Speaks::Stateless] {
        for target in ["server:slow", "tool:slow__wait", "all"] {
            let upstream = slow(speaks).await;
            let gateway = with_slow(&upstream).await;
            let waiting = call(&gateway, "/mcp/slow", "wait");
            upstream.arrival("tools/call").await;
            let start = Instant::now();
            block(&gateway, target).await;
            let ended = within(SECOND, "the end of the call", waiting).await.unwrap();
            assert!(ended.message().contains("the operator has blocked"), "{target}: {}", ended.text);
            settles("the server has seen the end of the call", async || match speaks {
                Speaks::Sessions => !upstream.recorded("notifications/cancelled").is_empty(),
                Speaks::Stateless => upstream.left() == 1,
            })
            .await;
            assert!(start.elapsed() < SECOND * 2, "{:?}", start.elapsed());
        }
    }
}

#[tokio::test]
async fn what_is_blocked_is_refused_and_hidden_until_it_is_unblocked() {
    let upstream = slow(Speaks::Stateless).await;
    let gateway = with_slow(&upstream).await;
    gateway.add_demo().await;
    let client = modern(&gateway.url("/mcp"));
    assert!(names(&client.tools().await).contains(&"slow__go"));

    block(&gateway, "tool:slow__go").await;
    let tools = client.tools().await;
    assert!(!names(&tools).contains(&"slow__go") && names(&tools).contains(&"slow__wait"), "{:?}", names(&tools));
    for (path, name) in [("/mcp", "slow__go"), ("/mcp/slow", "go")] {
        let refused = call(&gateway, path, name).await.unwrap();
        assert!(refused.message().contains("blocked the tool `slow__go`"), "{path}: {}", refused.text);
    }

    block(&gateway, "server:slow").await;
    let tools = client.tools().await;
    assert!(names(&tools).iter().all(|name| name.starts_with("demo__")), "{:?}", names(&tools));
    let refused = call(&gateway, "/mcp", "slow__wait").await.unwrap();
    assert!(refused.message().contains("blocked the server `slow`"), "{}", refused.text);
    let refused = call(&gateway, "/mcp/slow", "wait").await.unwrap();
    assert!(refused.message().contains("blocked the server `slow`") && refused.body["id"].is_number(), "{}", refused.text);
    assert!(upstream.recorded("tools/call").is_empty(), "nothing reaches it");

    unblock(&gateway, "server:slow").await;
    unblock(&gateway, "tool:slow__go").await;
    assert!(client.call("slow__go", json!({})).await["content"].is_array());
}

#[tokio::test]
async fn clients_that_listen_hear_that_tools_are_gone() {
    let upstream = slow(Speaks::Stateless).await;
    let gateway = with_slow(&upstream).await;
    let session = session(&gateway.url("/mcp")).await;
    let mut heard = session.listen().await;
    block(&gateway, "server:slow").await;
    heard.next_of("notifications/tools/list_changed").await;
    assert!(session.tools().await.is_empty());
}

#[tokio::test]
async fn a_stream_of_a_model_ends_with_the_reason_and_its_provider_is_let_go() {
    for target in ["model:fast", "model:stub/stub-1", "all"] {
        let provider = StubProvider::start([half(), Reply::text("still here")]).await;
        let gateway = TestGateway::with_config(&format!(
            "{}models: {{ fast: {{ targets: [{{ provider: stub, model: stub-1 }}] }} }}\n",
            provider.section()
        ))
        .await;
        let url = gateway.url("/v1/chat/completions");
        let waiting = tokio::spawn(async move { post(&url, &streamed("fast", "x")).await });
        let asked = provider.arrival(0).await;
        // The stream has begun.
        tokio::time::sleep(Duration::from_millis(200)).await;
        block(&gateway, target).await;
        let ended = within(SECOND, "the end of the stream", waiting).await.unwrap();
        assert!(ended.text.contains("Land ") && !ended.text.contains("[DONE]"), "{target}: {}", ended.text);
        assert_eq!(ended.word(), "blocked", "{target}: {}", ended.text);
        assert!(asked.gone(SECOND).await);

        let refused = post(&gateway.url("/v1/chat/completions"), &chat("fast", "x")).await;
        assert_eq!((refused.status, refused.word()), (403, "blocked"), "{target}: {}", refused.text);
        unblock(&gateway, target).await;
        assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("fast", "x")).await.status, 200);
    }
}

#[tokio::test]
async fn an_answer_that_has_not_begun_ends_too() {
    let provider = StubProvider::start([Reply::text("x").after(Duration::from_secs(60))]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    let url = gateway.url("/v1/chat/completions");
    let waiting = tokio::spawn(async move { post(&url, &chat("stub/stub-1", "x")).await });
    let asked = provider.arrival(0).await;
    block(&gateway, "model:stub/stub-1").await;
    let ended = within(SECOND, "the end of the answer", waiting).await.unwrap();
    assert_eq!((ended.status, ended.word()), (403, "blocked"), "{}", ended.text);
    assert!(asked.gone(SECOND).await);
}

#[tokio::test]
async fn a_models_other_targets_answer_while_one_is_blocked() {
    let provider = StubProvider::start([Reply::text("one"), Reply::text("two")]).await;
    let both = "targets: [{ provider: stub, model: stub-1 }, { provider: stub, model: stub-2 }]";
    let gateway = TestGateway::with_config(&format!("{}models: {{ fast: {{ {both} }} }}\n", provider.section())).await;
    block(&gateway, "model:stub/stub-1").await;
    let answer = post(&gateway.url("/v1/chat/completions"), &chat("fast", "x")).await;
    assert_eq!((answer.status, answer.header("x-portolan-model")), (200, "stub/stub-2"), "{}", answer.text);
    block(&gateway, "model:fast").await;
    let listed = Answer::read(http().get(gateway.url("/v1/models")).send().await.unwrap()).await;
    assert!(!listed.text.contains("\"fast\""), "{}", listed.text);
    assert_eq!(http().get(gateway.url("/v1/models/fast")).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_loop_ends_with_its_callers_key_and_every_door_is_closed_to_it() {
    let upstream = slow(Speaks::Stateless).await;
    let provider = StubProvider::start([Reply::calls(&[("a", "slow__wait", "{}")]), Reply::text("never")]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models: {{ agent: {{ targets: [{{ provider: stub, model: stub-1 }}], tools: [slow] }} }}\nmcp: {{ servers: {{ slow: {{ url: '{}' }} }} }}\n",
        provider.section(),
        upstream.url()
    ))
    .await;
    gateway.wait_for_server("slow", "ready").await;
    let (key, id) = gateway.key(json!({ "grants": ["mcp", "models", "admin"] })).await;
    let (url, bearer) = (gateway.url("/v1/chat/completions"), key.clone());
    let waiting =
        tokio::spawn(
            async move { Answer::read(http().post(url).bearer_auth(bearer).json(&chat("agent", "x")).send().await.unwrap()).await },
        );
    upstream.arrival("tools/call").await;
    block(&gateway, &format!("key:{id}")).await;
    let ended = within(SECOND, "the end of the loop", waiting).await.unwrap();
    assert_eq!((ended.status, ended.word()), (403, "blocked"), "{}", ended.text);
    assert_eq!(provider.received().len(), 1, "the model is not asked again");
    for path in ["/v1/models", "/metrics", "/mcp", "/mcp/portolan"] {
        let refused = Answer::read(http().get(gateway.url(path)).bearer_auth(&key).send().await.unwrap()).await;
        assert!(refused.status == 403 && refused.text.contains("blocked this key"), "{path}: {}", refused.text);
    }
    assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await.status, 200, "others go on");
}

#[tokio::test]
async fn a_subject_is_blocked_whatever_token_it_has() {
    let issuer = Issuer::start().await;
    let gateway = TestGateway::with_config(&issuer.config("")).await;
    let ask = async || {
        let mut claims = issuer.claims("https://gw.test/v1");
        claims["jti"] = format!("{:?}", Instant::now()).into();
        http().get(gateway.url("/v1/models")).bearer_auth(issuer.with_claims(claims)).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask().await, 200);
    for target in ["subject:alice".to_owned(), format!("subject:alice@{}", issuer.url())] {
        block(&gateway, &target).await;
        assert_eq!(ask().await, 403, "{target}");
        unblock(&gateway, &target).await;
        assert_eq!(ask().await, 200, "{target}");
    }
    block(&gateway, "subject:bob").await;
    block(&gateway, "key:alice").await;
    assert_eq!(ask().await, 200);
}

#[tokio::test]
async fn all_closes_every_door_but_that_of_whoever_can_open_it_again() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let stateless = modern(&gateway.url("/mcp"));
    let (_, mut heard) = stateless.listen(json!({ "toolsListChanged": true })).await;
    heard.next_of("notifications/subscriptions/acknowledged").await;
    block(&gateway, "all").await;
    within(SECOND, "the end of the stream", async { while heard.next().await.is_some() {} }).await;
    assert!(stateless.tools().await.is_empty());
    let refused = call(&gateway, "/mcp", "demo__echo").await.unwrap();
    assert!(refused.message().contains("blocked this gateway"), "{}", refused.text);
    assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await.status, 403);
    assert_eq!(http().get(gateway.url("/readyz")).send().await.unwrap().status(), 200);
    let said = gateway.cli(&["unblock", "all"]).await.ok();
    assert_eq!(said, "all is not blocked any more.\n");
    assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await.status, 200);
}

#[tokio::test]
async fn a_block_outlives_the_gateway() {
    let mut gateway = TestGateway::start().await;
    gateway.add_demo().await;
    block(&gateway, "server:demo").await;
    gateway.kill().await;
    gateway.start_again().await;
    gateway.wait_for_server("demo", "blocked").await;
    assert!(modern(&gateway.url("/mcp")).tools().await.is_empty());
    let blocks = gateway.control("access_blocks", json!({})).await;
    assert_eq!(blocks["blocks"][0]["target"], "server:demo");
    assert_eq!(blocks["blocks"][0]["reason"], "drill");
}

#[tokio::test]
async fn what_a_blocked_server_once_said_is_put_into_no_conversation() {
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("say", "Says.", any())]).await;
    upstream.answers("say", json!({ "content": [{ "type": "text", "text": "POISON" }] }));
    let read_only = {
        let mut tool = tool("say", "Says.", any());
        tool["annotations"] = json!({ "readOnlyHint": true });
        tool
    };
    upstream.set_tools([read_only]);
    let provider = StubProvider::start([Reply::text("one"), Reply::text("two")]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models: {{ told: {{ targets: [{{ provider: stub, model: stub-1 }}], context: [said] }} }}\nmcp: {{ servers: {{ slow: {{ url: '{}' }} }} }}\ncontext: {{ deadline: 20s, sources: {{ said: {{ server: slow, tool: say }} }} }}\n",
        provider.section(),
        upstream.url()
    ))
    .await;
    gateway.wait_for_server("slow", "ready").await;
    let url = gateway.url("/v1/chat/completions");
    assert_eq!(post(&url, &chat("told", "x")).await.status, 200);
    assert!(provider.bodies()[0].to_string().contains("POISON"));
    block(&gateway, "server:slow").await;
    let next = json!({ "model": "told", "messages": [
        { "role": "user", "content": "x" }, { "role": "assistant", "content": "one" }, { "role": "user", "content": "y" }] });
    assert_eq!(post(&url, &next).await.status, 200);
    assert!(!provider.bodies()[1].to_string().contains("POISON"), "{}", provider.bodies()[1]);
}

#[tokio::test]
async fn whoever_administers_may_block_and_the_owner_alone_unblocks() {
    let gateway = TestGateway::start().await;
    let (key, _) = gateway.key(json!({ "grants": ["admin"] })).await;
    let agent = Modern::new(&gateway.url("/mcp/portolan")).with_key(&key);
    let done = agent.call("access_block", json!({ "target": "model:portolan/echo" })).await;
    assert_eq!(done["isError"], false, "{done}");
    let refused = agent.call("access_unblock", json!({ "target": "model:portolan/echo" })).await;
    assert_eq!(refused["structuredContent"]["error"]["code"], "owner_only");
}

#[tokio::test]
async fn the_command_line_says_what_is_blocked_and_what_cannot_be() {
    let gateway = TestGateway::start().await;
    assert_eq!(gateway.cli(&["blocks"]).await.ok(), "Nothing is blocked.\n");
    let said = gateway.cli(&["block", "server:github", "--reason", "it misbehaves"]).await;
    assert!(
        said.stdout.starts_with("server:github is blocked") && said.stderr.contains("There is nothing called `server:github`"),
        "{said:?}"
    );
    let listed = gateway.cli(&["blocks"]).await.ok();
    assert!(listed.contains("server:github") && listed.contains("owner") && listed.contains("it misbehaves"), "{listed}");
    assert!(gateway.cli(&["status"]).await.ok().contains("blocked    server:github"));
    let wrong = gateway.cli(&["block", "github"]).await.failed(1);
    assert!(wrong.contains("`github` is nothing that can be blocked") && wrong.contains("server:NAME"), "{wrong}");
    assert!(gateway.cli(&["unblock", "server:gitlab"]).await.failed(1).contains("server:gitlab"));
    until("the block is gone", async || {
        gateway.cli(&["unblock", "server:github"]).await.ok();
        (gateway.cli(&["blocks"]).await.ok() == "Nothing is blocked.\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_provider_is_blocked_with_all_its_models() {
    let provider = StubProvider::start([Reply::text("x")]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models: {{ fast: {{ targets: [{{ provider: stub, model: stub-1 }}] }} }}\n",
        provider.section()
    ))
    .await;
    block(&gateway, "provider:stub").await;
    for model in ["fast", "stub/stub-1", "stub/another"] {
        let refused = post(&gateway.url("/v1/chat/completions"), &chat(model, "x")).await;
        assert_eq!((refused.status, refused.word()), (403, "blocked"), "{model}: {}", refused.text);
    }
    assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await.status, 200);
}

#[tokio::test]
async fn a_conversation_under_way_does_not_bring_back_what_was_to_be_forgotten() {
    let upstream = McpUpstream::start(Speaks::Stateless, []).await;
    let say = {
        let mut tool = tool("say", "Says.", any());
        tool["annotations"] = json!({ "readOnlyHint": true });
        tool
    };
    upstream.set_tools([say]);
    upstream.answers("say", json!({ "content": [{ "type": "text", "text": "POISON" }] }));
    let slow = Reply::text("one").after(Duration::from_millis(800));
    let provider = StubProvider::start([slow, Reply::text("two")]).await;
    // A loop of its own tools, so that the turn is remembered when it ends.
    let gateway = TestGateway::with_config(&format!(
        "{}models: {{ told: {{ targets: [{{ provider: stub, model: stub-1 }}], context: [said], tools: [demo] }} }}\nmcp: {{ servers: {{ slow: {{ url: '{}' }}, demo: {{ command: [portolan, demo-server] }} }} }}\ncontext: {{ deadline: 20s, sources: {{ said: {{ server: slow, tool: say }} }} }}\n",
        provider.section(),
        upstream.url()
    ))
    .await;
    gateway.wait_for_server("slow", "ready").await;
    gateway.wait_for_server("demo", "ready").await;
    let url = gateway.url("/v1/chat/completions");
    let begun = chat("told", "x");
    let (first, blocked) = tokio::join!(post(&url, &begun), async {
        provider.arrival(0).await;
        block(&gateway, "server:slow").await;
    });
    assert_eq!((first.status, blocked), (200, ()));
    let next = json!({ "model": "told", "messages": [
        { "role": "user", "content": "x" }, { "role": "assistant", "content": "one" }, { "role": "user", "content": "y" }] });
    assert_eq!(post(&url, &next).await.status, 200);
    assert!(!provider.bodies()[1].to_string().contains("POISON"), "{}", provider.bodies()[1]);
}

#[tokio::test]
async fn a_caller_is_not_told_of_blocks_of_what_it_may_not_use() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp", "models"], "servers": ["other"], "models": ["other"] })).await;
    block(&gateway, "tool:demo__echo").await;
    block(&gateway, "model:portolan/echo").await;
    let client = Modern::new(&gateway.url("/mcp")).with_key(&key);
    let refused = client.request("tools/call", json!({ "name": "demo__echo", "arguments": {} })).await;
    assert!(refused.message().contains("there is no tool"), "{}", refused.text);
    let refused =
        http().post(gateway.url("/v1/chat/completions")).bearer_auth(&key).json(&chat("portolan/echo", "x")).send().await.unwrap();
    assert_eq!(refused.status(), 404);
}

#[tokio::test]
async fn the_program_of_a_blocked_server_ends_and_comes_back_with_the_end_of_the_block() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    assert!(modern(&gateway.url("/mcp")).call("demo__echo", json!({ "text": "a" })).await["content"].is_array());
    let runs = || {
        let parent = format!(" {} ", gateway.pid());
        let processes =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
        // After the name in parentheses stand the state and the parent's number.
        let is_child = |stat: String| {
            stat.rsplit_once(')')
                .is_some_and(|(_, rest)| rest.get(2..).is_some_and(|rest| rest.starts_with(&parent)) && !rest.starts_with(" Z"))
        };
        processes.into_iter().any(is_child)
    };
    settles("the program runs", async || runs()).await;
    block(&gateway, "server:demo").await;
    settles("the program has ended", async || !runs()).await;
    unblock(&gateway, "server:demo").await;
    assert!(modern(&gateway.url("/mcp")).call("demo__echo", json!({ "text": "a" })).await["content"].is_array());
}

#[tokio::test]
async fn explanations_and_lists_of_models_know_what_is_blocked() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models: {{ fast: {{ targets: [{{ provider: stub, model: stub-1 }}, {{ provider: portolan, model: echo }}] }}, other: {{ targets: [{{ provider: stub, model: stub-1 }}] }} }}\n",
        provider.section()
    ))
    .await;
    block(&gateway, "provider:stub").await;
    let told = gateway.cli(&["model", "explain", "fast"]).await.ok();
    assert!(told.contains("is answered") && told.contains("blocked the provider `stub`"), "{told}");
    let told = gateway.cli(&["model", "explain", "other"]).await;
    assert!(told.code == 1 && told.stdout.contains("is NOT answered"), "{told:?}");
    assert!(gateway.cli(&["model", "list"]).await.ok().contains("(blocked)"));
    let listed = Answer::read(http().get(gateway.url("/v1/models")).send().await.unwrap()).await;
    assert!(listed.text.contains("\"fast\"") && !listed.text.contains("\"other\""), "{}", listed.text);
    block(&gateway, "provider:portolan").await;
    let refused = post(&gateway.url("/v1/chat/completions"), &chat("fast", "x")).await;
    assert_eq!((refused.status, refused.word()), (403, "blocked"), "{}", refused.text);
}

#[tokio::test]
async fn what_is_blocked_is_on_record_whether_it_was_under_way_or_came_later() {
    let upstream = slow(Speaks::Stateless).await;
    let gateway = with_slow(&upstream).await;
    let waiting = call(&gateway, "/mcp", "slow__wait");
    upstream.arrival("tools/call").await;
    block(&gateway, "server:slow").await;
    waiting.await.unwrap();
    call(&gateway, "/mcp", "slow__go").await.unwrap();
    call(&gateway, "/mcp", "slow__gone").await.unwrap();
    settles("all three are on record", async || {
        let found = gateway.control("journal_query", json!({ "kind": "tool" })).await;
        let entries = found["entries"].as_array().unwrap();
        let words: Vec<_> =
            entries.iter().rev().map(|entry| (entry["outcome"].as_str().unwrap(), entry["detail"].as_str().unwrap())).collect();
        words == [("cancelled", "blocked"), ("refused", "blocked"), ("refused", "blocked")]
    })
    .await;
}
