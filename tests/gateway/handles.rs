//! What clients carry for the gateway: sessions, states of round trips, tasks. Each is good for its owner, for what it was given out
//! for, and where it must be, only once; whoever comes with another's hears nothing and moves nothing.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, Call, Manner, Modern, Puppet, Session, TestGateway, form, initialize, named, post, text_of};

fn elicits() -> Value {
    json!({ "elicitation": {} })
}

/// A gateway with a server of two tools, twice, and two callers.
struct Inn {
    gateway: TestGateway,
    server: Puppet,
    keys: [String; 2],
}

async fn inn(manner: Manner) -> Inn {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", manner, &["greet", "other"]).await;
    server.join(&gateway, "annex", "shared").await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        keys.push(gateway.key(json!({ "grants": ["mcp"] })).await.0);
    }
    Inn { gateway, server, keys: keys.try_into().unwrap() }
}

impl Inn {
    fn client(&self, path: &str, key: usize, capabilities: Value) -> Arc<Modern> {
        Arc::new(Modern::new(&self.gateway.url(path)).with_key(&self.keys[key]).able(capabilities))
    }

    /// The first round of a call: what it wants, and the call at the server where that still goes on.
    async fn first_round(&self, params: &Value, manner: Manner) -> (Value, Option<Call>) {
        let first = self.client("/mcp", 0, elicits()).starting("tools/call", params.clone());
        let mut call = self.server.call().await;
        if manner == Manner::Stateless {
            call.answer(json!({ "resultType": "input_required", "requestState": "inner",
                "inputRequests": { "who": { "method": "elicitation/create", "params": form("Who?") } } }));
            return (first.await.unwrap().result().await, None);
        }
        call.ask_name("q-1");
        (first.await.unwrap().result().await, Some(call))
    }
}

fn greet() -> Value {
    json!({ "name": "inn__greet", "arguments": { "a": 1 } })
}

fn with(params: &Value, state: &Value, asked: &Value) -> Value {
    let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let mut params = params.clone();
    params["requestState"] = state.clone();
    params["inputResponses"] = json!({ key: named("Mallory") });
    params
}

/// All the ways to come with a state that is not good for the request.
async fn misuse(inn: &Inn, asked: &Value, manner: Manner) -> Vec<(String, Answer)> {
    let state = &asked["requestState"];
    let mut answers = Vec::new();
    let mut come = async |what: &str, client: Arc<Modern>, params: Value| {
        answers.push((what.to_owned(), client.request("tools/call", params).await));
    };
    for able in [elicits(), json!({})] {
        let own = || inn.client("/mcp", 0, able.clone());
        come("another caller", inn.client("/mcp", 1, able.clone()), with(&greet(), state, asked)).await;
        let alone = json!({ "name": "greet", "arguments": { "a": 1 } });
        // A stateless server is asked the very same by way of its own path.
        if manner != Manner::Stateless {
            come("another endpoint", inn.client("/mcp/inn", 0, able.clone()), with(&alone, state, asked)).await;
        }
        come("another server", inn.client("/mcp/annex", 0, able.clone()), with(&alone, state, asked)).await;
        for (what, params) in [
            ("another tool", json!({ "name": "inn__other", "arguments": { "a": 1 } })),
            ("another server's tool", json!({ "name": "annex__greet", "arguments": { "a": 1 } })),
            ("another argument", json!({ "name": "inn__greet", "arguments": { "a": 2 } })),
            ("one more argument", json!({ "name": "inn__greet", "arguments": { "a": 1, "b": 1 } })),
            ("no arguments", json!({ "name": "inn__greet" })),
        ] {
            come(what, own(), with(&params, state, asked)).await;
        }
        let text = state.as_str().unwrap();
        for at in (0..text.len()).step_by(11) {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            come("a changed byte", own(), with(&greet(), &String::from_utf8(bytes).unwrap().into(), asked)).await;
        }
        for other in [json!(""), json!("x"), json!(7), json!({}), json!(format!("{text}A")), json!(text[1..])] {
            come("no state", own(), with(&greet(), &other, asked)).await;
        }
    }
    answers
}

#[tokio::test]
async fn a_state_moves_nothing_but_the_request_it_was_given_out_for() {
    for manner in [Manner::Sessions, Manner::Stateless] {
        let inn = inn(manner).await;
        let (asked, call) = inn.first_round(&greet(), manner).await;
        for (what, answer) in misuse(&inn, &asked, manner).await {
            assert!(answer.body["error"]["code"] == -32602, "{manner:?}, {what}: {} {}", answer.status, answer.text);
        }
        assert_eq!(inn.server.seen("tools/call").len(), 1, "{manner:?}: nothing of that reaches the server");
        assert!(inn.server.answers("q-1").is_empty(), "{manner:?}");
        // And the one whose it is goes on.
        let last = inn.client("/mcp", 0, elicits()).starting("tools/call", with(&greet(), &asked["requestState"], &asked));
        let call = match call {
            Some(call) => {
                inn.server.answer_to("q-1").await;
                call
            }
            None => inn.server.call().await,
        };
        call.text("done");
        assert_eq!(text_of(&last.await.unwrap().result().await), "done", "{manner:?}");
    }
}

#[tokio::test]
async fn work_that_waits_is_gone_on_with_once() {
    let inn = inn(Manner::Sessions).await;
    let (asked, call) = inn.first_round(&greet(), Manner::Sessions).await;
    let params = with(&greet(), &asked["requestState"], &asked);
    let client = inn.client("/mcp", 0, elicits());
    let (first, second) = (client.starting("tools/call", params.clone()), client.starting("tools/call", params.clone()));
    inn.server.answer_to("q-1").await;
    call.unwrap().text("done");
    let mut answers = [first.await.unwrap().answer().await, second.await.unwrap().answer().await];
    answers.sort_by_key(|answer| answer["error"].is_null());
    assert_eq!(answers[0]["error"]["code"], -32602, "{answers:?}");
    assert_eq!(text_of(&answers[1]["result"]), "done");
    assert_eq!(client.request("tools/call", params).await.code(), -32602);
    assert_eq!((inn.server.seen("tools/call").len(), inn.server.answers("q-1").len()), (1, 1), "it ran once");
}

#[tokio::test]
async fn work_that_waited_is_not_done_again_after_a_restart_and_the_client_is_told() {
    let mut inn = inn(Manner::Sessions).await;
    let (asked, _call) = inn.first_round(&greet(), Manner::Sessions).await;
    inn.gateway.kill().await;
    inn.gateway.start_again_here().await;
    inn.gateway.wait_for_server("inn", "ready").await;
    for able in [elicits(), json!({})] {
        let late = inn.client("/mcp", 0, able).request("tools/call", with(&greet(), &asked["requestState"], &asked)).await;
        assert_eq!(late.code(), -32602, "{}", late.text);
        assert!(late.message().contains("started anew"), "{}", late.text);
    }
    assert_eq!(inn.server.seen("tools/call").len(), 1);
}

#[tokio::test]
async fn a_round_trip_of_a_stateless_server_goes_on_over_a_restart() {
    let mut inn = inn(Manner::Stateless).await;
    let (asked, _) = inn.first_round(&greet(), Manner::Stateless).await;
    inn.gateway.kill().await;
    inn.gateway.start_again_here().await;
    inn.gateway.wait_for_server("inn", "ready").await;
    let last = inn.client("/mcp", 0, elicits()).starting("tools/call", with(&greet(), &asked["requestState"], &asked));
    let call = inn.server.call().await;
    assert_eq!(call.params["requestState"], "inner");
    call.text("done");
    assert_eq!(text_of(&last.await.unwrap().result().await), "done");
}

#[tokio::test]
async fn who_has_a_session_cannot_bring_a_stateless_server_a_state_of_their_own() {
    let inn = inn(Manner::Stateless).await;
    let session = Arc::new(Session::able(&inn.gateway.url("/mcp"), "2025-11-25", Some(&inn.keys[1]), elicits()).await);
    let mut params = greet();
    params["requestState"] = "inner".into();
    params["inputResponses"] = json!({ "who": named("Mallory") });
    let calling = tokio::spawn(async move { session.start("tools/call", params).await });
    let call = inn.server.call().await;
    assert!(call.params["requestState"].is_null() && call.params["inputResponses"].is_null(), "{}", call.params);
    call.text("anew");
    assert_eq!(text_of(&calling.await.unwrap().result().await), "anew");
}

const TASKS: &str = "io.modelcontextprotocol/tasks";

#[tokio::test]
async fn a_task_is_its_callers_alone_and_outlives_the_gateway() {
    let mut inn = inn(Manner::Stateless).await;
    let able = json!({ "extensions": { TASKS: {} } });
    let own = inn.client("/mcp", 0, able.clone());
    let started = own.starting("tools/call", greet());
    let state = json!({ "resultType": "task", "taskId": "t-1", "status": "working", "createdAt": "2026-01-01T00:00:00Z",
        "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttlMs": null });
    inn.server.call().await.answer(state.clone());
    let task = started.await.unwrap().result().await["taskId"].as_str().unwrap().to_owned();
    assert!(task != "t-1" && !task.contains("t-1"));

    let mut tampered = task.clone().into_bytes();
    let last = tampered.len() - 3;
    tampered[last] = if tampered[last] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).unwrap();
    let stranger = inn.client("/mcp", 1, able.clone());
    let next_door = inn.client("/mcp/annex", 0, able.clone());
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let mut said = Vec::new();
        for (client, id) in
            [(&stranger, &task), (&next_door, &task), (&own, &tampered), (&own, &"t-1".to_owned()), (&stranger, &"t-9".to_owned())]
        {
            let refused = client.request(method, json!({ "taskId": id, "inputResponses": {} })).await;
            assert_eq!(refused.code(), -32602, "{method}: {}", refused.text);
            said.push(refused.message().to_owned());
        }
        said.dedup();
        assert_eq!(said.len(), 1, "another's is refused like one that never was");
        let undeclared = inn.client("/mcp", 0, json!({})).request(method, json!({ "taskId": task })).await;
        assert_eq!(undeclared.code(), -32021, "{}", undeclared.text);
        assert!(inn.server.seen(method).is_empty());
    }

    for restarted in [false, true] {
        if restarted {
            inn.gateway.kill().await;
            inn.gateway.start_again_here().await;
            inn.gateway.wait_for_server("inn", "ready").await;
        }
        for path in ["/mcp", "/mcp/inn"] {
            let asking = inn.client(path, 0, able.clone()).starting("tasks/get", json!({ "taskId": task }));
            let call = inn.server.call().await;
            assert_eq!((call.method.as_str(), &call.params["taskId"]), ("tasks/get", &json!("t-1")));
            assert_eq!(call.headers["mcp-name"], "t-1");
            let mut waiting = state.clone();
            waiting["resultType"] = "complete".into();
            waiting["status"] = "input_required".into();
            let form = json!({ "method": "elicitation/create", "params": form("Who?"), "x": 1.0 });
            let other = json!({ "method": "vendor/ask", "params": { "message": "What?" } });
            waiting["inputRequests"] = json!({ "who": form, "what": other });
            call.answer(waiting);
            let told = asking.await.unwrap().result().await;
            assert_eq!(told["taskId"], task, "{path}");
            let whose = if path == "/mcp" { "inn: Who?" } else { "Who?" };
            assert_eq!(told["inputRequests"]["who"]["params"]["message"], whose, "{path}");
            assert_eq!((&told["inputRequests"]["who"]["x"], &told["inputRequests"]["what"]), (&json!(1.0), &other), "{path}");

            let asking = inn.client(path, 0, able.clone()).starting("tasks/get", json!({ "taskId": task }));
            let mut done = state.clone();
            (done["resultType"], done["status"], done["inputRequests"]) = ("complete".into(), "completed".into(), json!({}));
            done["result"] = json!({ "content": [{ "type": "text", "text": "done" }] });
            inn.server.call().await.answer(done);
            assert_eq!(text_of(&asking.await.unwrap().result().await["result"]), "done", "{path}");
        }
    }
}

#[tokio::test]
async fn the_tasks_of_an_older_server_are_reached_by_nobody_who_only_knows_their_names() {
    let inn = inn(Manner::Sessions).await;
    let session = Session::open(&inn.gateway.url("/mcp/inn"), "2025-11-25", Some(&inn.keys[1])).await;
    let client = inn.client("/mcp/inn", 1, elicits());
    // Nobody was told of tasks, so a call that asks for one is an ordinary call.
    let session = Arc::new(session);
    let calling = tokio::spawn({
        let session = session.clone();
        async move { session.start("tools/call", json!({ "name": "greet", "arguments": {}, "task": { "ttl": 1000 } })).await }
    });
    let call = inn.server.call().await;
    assert!(call.params.get("task").is_none(), "{}", call.params);
    call.text("done");
    assert_eq!(text_of(&calling.await.unwrap().result().await), "done");
    for method in ["tasks/list", "tasks/get", "tasks/result", "tasks/cancel", "tasks/update", "tasks/anything"] {
        let refused = session.request(method, json!({ "taskId": "t-1" })).await;
        assert_eq!(refused.code(), -32601, "{method}: {}", refused.text);
        let refused = client.request(method, json!({ "taskId": "t-1" })).await;
        assert!(refused.body["error"].is_object(), "{method}: {}", refused.text);
        assert!(inn.server.seen(method).is_empty(), "{method}");
    }
}

#[tokio::test]
async fn a_session_goes_on_over_a_restart_with_what_its_client_said_and_is_still_nobody_elses() {
    let mut inn = inn(Manner::Sessions).await;
    let url = inn.gateway.url("/mcp");
    let session = Arc::new(Session::able(&url, "2025-06-18", Some(&inn.keys[0]), elicits()).await);
    let ended = Session::open(&url, "2025-11-25", Some(&inn.keys[0])).await;
    inn.gateway.kill().await;
    inn.gateway.start_again_here().await;
    inn.gateway.wait_for_server("inn", "ready").await;

    let thief = |key: usize, path: &str, id: &str| {
        let request = session.http.post(inn.gateway.url(path)).bearer_auth(&inn.keys[key]).header("mcp-session-id", id);
        let request = request.header("accept", "application/json, text/event-stream");
        request.json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).send()
    };
    assert_eq!(thief(1, "/mcp", &session.id).await.unwrap().status(), 404);
    assert_eq!(thief(0, "/mcp/inn", &session.id).await.unwrap().status(), 404);
    for at in (0..session.id.len()).step_by(13) {
        let mut bytes = session.id.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(thief(0, "/mcp", std::str::from_utf8(&bytes).unwrap()).await.unwrap().status(), 404, "{at}");
    }

    let calling = session.starting("inn__greet", json!({}));
    let mut call = inn.server.call().await;
    call.ask_name("q-1");
    let mut events = calling.await.unwrap();
    let asked = events.next_of("elicitation/create").await;
    session.reply(&asked, named("Ada")).await;
    inn.server.answer_to("q-1").await;
    call.text("done");
    assert_eq!(text_of(&events.result().await), "done");

    assert_eq!(ended.request("ping", json!({})).await.status, 200);
    assert_eq!(ended.end().await, 204);
    assert_eq!(ended.request("ping", json!({})).await.status, 404, "what its client ended is over");
    assert_eq!(ended.end().await, 404);
}

#[tokio::test]
async fn two_that_greet_in_the_same_words_have_two_sessions() {
    let gateway = TestGateway::start().await;
    let (first, second) =
        (post(&gateway.url("/mcp"), &initialize("2025-11-25")).await, post(&gateway.url("/mcp"), &initialize("2025-11-25")).await);
    assert_ne!(first.header("mcp-session-id"), second.header("mcp-session-id"));
}
