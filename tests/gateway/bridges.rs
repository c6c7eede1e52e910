//! What servers ask while they work reaches the caller whose call it belongs to, in whichever era either of them speaks, and nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Call, Events, Manner, Modern, Puppet, Session, TestGateway, form, named, question, saying, settles, text_of, within};

/// All that a client can be asked.
fn everything() -> Value {
    json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} })
}

async fn able(gateway: &TestGateway, path: &str) -> Arc<Session> {
    Arc::new(Session::able(&gateway.url(path), "2025-11-25", None, everything()).await)
}

fn stateless(gateway: &TestGateway, path: &str) -> Arc<Modern> {
    Arc::new(Modern::new(&gateway.url(path)).able(everything()))
}

/// The params of a call that goes on with an earlier one.
fn again(params: &Value, asked: &Value, answers: Value) -> Value {
    let mut params = params.clone();
    params["requestState"] = asked["requestState"].clone();
    params["inputResponses"] = answers;
    params
}

fn calling(tool: &str) -> Value {
    json!({ "name": tool, "arguments": {} })
}

/// The one question in a result that wants something: its key and what it is.
fn only(asked: &Value) -> (String, Value) {
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let questions = asked["inputRequests"].as_object().unwrap();
    assert_eq!(questions.len(), 1, "{asked}");
    let (key, question) = questions.iter().next().unwrap();
    (key.clone(), question.clone())
}

#[tokio::test]
async fn a_client_with_a_session_is_asked_and_its_answer_reaches_the_server() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        for (path, tool, message) in [("/mcp", "inn__greet", "inn: What is your name?"), ("/mcp/inn", "greet", "What is your name?")] {
            let session = able(&gateway, path).await;
            let calling = session.starting(tool, json!({}));
            let mut call = server.call().await;
            let id = format!("q of {path}");
            call.ask_name(&id);
            let mut events = calling.await.unwrap();
            let asked = events.next_of("elicitation/create").await;
            assert_eq!(asked["params"]["message"], message, "{manner:?}");
            assert_ne!(asked["id"], json!(id), "the ids are the gateway's own");
            session.reply(&asked, named("Ada")).await;
            assert_eq!(server.answer_to(&id).await["result"], named("Ada"), "{manner:?} {path}");
            call.text("Hello, Ada!");
            assert_eq!(text_of(&events.result().await), "Hello, Ada!");
        }
    }
}

#[tokio::test]
async fn a_client_without_a_session_is_asked_in_a_round_trip_and_the_work_goes_on() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let client = stateless(&gateway, "/mcp");
        let params = calling("inn__greet");
        let first = client.starting("tools/call", params.clone());
        let mut call = server.call().await;
        call.ask_name("q-1");
        let asked = first.await.unwrap().result().await;
        let (key, question) = only(&asked);
        assert_eq!(
            (&question["method"], &question["params"]["message"]),
            (&json!("elicitation/create"), &json!("inn: What is your name?"))
        );
        let second = client.starting("tools/call", again(&params, &asked, json!({ key: named("Ada"), "beside": {} })));
        assert_eq!(server.answer_to("q-1").await["result"], named("Ada"));
        call.text("Hello, Ada!");
        assert_eq!(text_of(&second.await.unwrap().result().await), "Hello, Ada!", "{manner:?}");
        assert_eq!(server.seen("tools/call").len(), 1, "it was begun once");
    }
}

#[tokio::test]
async fn what_is_asked_at_one_time_is_asked_together_and_what_was_left_out_is_asked_again() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let client = stateless(&gateway, "/mcp/inn");
    let params = calling("greet");
    let first = client.starting("tools/call", params.clone());
    let mut call = server.call().await;
    for (id, message) in [("q-1", "first?"), ("q-2", "second?")] {
        call.ask(id, "elicitation/create", form(message));
    }
    let asked = first.await.unwrap().result().await;
    let questions = asked["inputRequests"].as_object().unwrap().clone();
    assert_eq!(questions.len(), 2, "{asked}");
    let key = |asked: &Value, message: &str| {
        let all = asked["inputRequests"].as_object().unwrap().clone();
        all.into_iter().find(|(_, question)| question["params"]["message"] == message).unwrap().0
    };
    let one = client.request("tools/call", again(&params, &asked, json!({ key(&asked, "second?"): named("two") }))).await;
    let left = one.result().clone();
    assert_eq!(server.answer_to("q-2").await["result"], named("two"));
    let (first_key, question) = only(&left);
    assert_eq!(question["params"]["message"], "first?");
    assert!(server.answers("q-1").is_empty());
    let last = client.starting("tools/call", again(&params, &left, json!({ first_key: named("one") })));
    assert_eq!(server.answer_to("q-1").await["result"], named("one"));
    call.text("done");
    assert_eq!(text_of(&last.await.unwrap().result().await), "done");
}

#[tokio::test]
async fn each_of_two_callers_is_asked_for_its_own_call() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let (ada, alan) = (able(&gateway, "/mcp").await, able(&gateway, "/mcp").await);
    let mut open: Vec<(Arc<Session>, Events, Call)> = Vec::new();
    for (session, name) in [(&ada, "Ada"), (&alan, "Alan")] {
        let calling = session.starting("inn__greet", json!({ "who": name }));
        let mut call = server.call().await;
        call.ask_name(&format!("q-{name}"));
        open.push((session.clone(), calling.await.unwrap(), call));
    }
    let mut asked = Vec::new();
    for (_, events, _) in &mut open {
        asked.push(events.next_of("elicitation/create").await);
    }
    // Whoever answers what the other one was asked, answers nothing.
    alan.send(&json!({ "jsonrpc": "2.0", "id": asked[0]["id"], "result": named("Mallory") })).await;
    for ((session, _, _), asked) in open.iter().zip(&asked) {
        session.reply(asked, named("me")).await;
    }
    for ((_, mut events, call), name) in open.into_iter().zip(["Ada", "Alan"]) {
        let answer = server.answer_to(&format!("q-{name}")).await;
        assert_eq!(answer["result"], named("me"), "{name}");
        assert_eq!(call.params["arguments"]["who"], name);
        call.text(name);
        assert_eq!(text_of(&events.result().await), name);
        assert_eq!(server.answers(&format!("q-{name}")).len(), 1);
    }
}

/// What the one who is not asked hears before their answer.
async fn heard_before(events: &mut Events) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let message = events.next_json().await.unwrap();
        if message.get("method").is_none() {
            return heard;
        }
        heard.push(message);
    }
}

#[tokio::test]
async fn what_is_asked_beside_the_calls_reaches_the_only_caller_and_where_there_are_two_nobody() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let (ada, alan) = (able(&gateway, "/mcp").await, able(&gateway, "/mcp").await);
        let first = ada.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        call.progress(1);
        server.notice(&question("q-1", "elicitation/create", form("Who is there?")));
        let mut events = first.await.unwrap();
        let asked = events.next_of("elicitation/create").await;
        ada.reply(&asked, named("Ada")).await;
        assert_eq!(server.answer_to("q-1").await["result"], named("Ada"), "{manner:?}");

        let second = alan.starting("inn__greet", json!({}));
        let other = server.call().await;
        server.notice(&question("q-2", "elicitation/create", form("Who is there?")));
        server.notice(&question("q-3", "sampling/createMessage", json!({ "messages": [], "maxTokens": 1 })));
        assert_eq!(server.answer_to("q-2").await["result"], json!({ "action": "cancel" }), "{manner:?}");
        assert!(server.answer_to("q-3").await["error"].is_object(), "{manner:?}");
        let said = gateway.log().lines().filter(|line| line.contains("`inn` asked") && line.contains("isolation: session")).count();
        assert_eq!(said, 1, "{manner:?}: whoever runs it is told once how to mend that: {}", gateway.log());
        call.text("one");
        other.text("two");
        assert_eq!(heard_before(&mut events).await, Vec::<Value>::new(), "{manner:?}");
        assert_eq!(heard_before(&mut second.await.unwrap()).await, Vec::<Value>::new(), "{manner:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_done_keeps_no_question_from_the_next_caller_and_one_that_was_left_does() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let (ada, alan) = (stateless(&gateway, "/mcp"), able(&gateway, "/mcp").await);
        let first = ada.starting("tools/call", calling("inn__greet"));
        let mut call = server.call().await;
        if manner == Manner::Sessions {
            // Without a stream: nothing but the answer itself says that the server is done.
            call.whole(call.success(saying("done")).to_string());
        } else {
            call.text("done");
        }
        assert_eq!(text_of(&first.await.unwrap().result().await), "done", "{manner:?}");
        let second = alan.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        call.progress(1);
        server.notice(&question("q-1", "elicitation/create", form("Who is there?")));
        let mut events = second.await.unwrap();
        let asked = events.next_of("elicitation/create").await;
        alan.reply(&asked, named("Alan")).await;
        assert_eq!(server.answer_to("q-1").await["result"], named("Alan"), "{manner:?}");
        call.text("done");
        events.result().await;

        let left = ada.starting("tools/call", calling("inn__greet"));
        let at_work = server.call().await;
        if manner == Manner::Sessions {
            // The stream of its answer breaks off: nobody waits any more, and the server may still be at work.
            drop(at_work);
            left.await.unwrap().answer().await;
        } else {
            left.abort();
        }
        settles("the server was told", async || server.seen("notifications/cancelled").len() == 1).await;
        let third = alan.starting("inn__greet", json!({}));
        let call = server.call().await;
        server.notice(&question("q-2", "elicitation/create", form("Who is there?")));
        assert_eq!(server.answer_to("q-2").await["result"], json!({ "action": "cancel" }), "{manner:?}: it may be for whoever left");
        call.text("done");
        third.await.unwrap().result().await;
    }
}

#[tokio::test]
async fn a_caller_who_cannot_be_asked_keeps_a_question_from_everybody_else() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let ada = able(&gateway, "/mcp").await;
        let plain = Arc::new(Modern::new(&gateway.url("/mcp")));
        let silent = plain.starting("tools/call", calling("inn__greet"));
        let of_silent = server.call().await;
        let asked = ada.starting("inn__greet", json!({}));
        let call = server.call().await;
        server.notice(&question("q-1", "elicitation/create", form("Who is there?")));
        assert_eq!(server.answer_to("q-1").await["result"], json!({ "action": "cancel" }), "{manner:?}");
        of_silent.text("quiet");
        call.text("asked");
        assert_eq!(text_of(&silent.await.unwrap().result().await), "quiet");
        assert_eq!(text_of(&asked.await.unwrap().result().await), "asked");
    }
}

#[tokio::test]
async fn folders_are_told_to_a_server_of_one_caller_and_never_to_one_that_is_shared() {
    let roots = json!({ "roots": [{ "uri": "file:///home/ada", "name": "home" }] });
    for (isolation, told) in [("shared", false), ("session", true), ("caller", true)] {
        let gateway = TestGateway::start().await;
        let server = Puppet::start(Manner::Sessions, &["look"]).await;
        server.join(&gateway, "inn", isolation).await;
        let session = able(&gateway, "/mcp").await;
        let calling = session.starting("inn__look", json!({}));
        let mut call = server.call().await;
        call.progress(1);
        call.ask("q-1", "roots/list", json!({}));
        if told {
            let mut events = calling.await.unwrap();
            let asked = events.next_of("roots/list").await;
            session.reply(&asked, roots.clone()).await;
            assert_eq!(server.answer_to("q-1").await["result"], roots, "{isolation}");
            call.text("seen");
            assert_eq!(text_of(&events.result().await), "seen");
        } else {
            assert_eq!(server.answer_to("q-1").await["result"], json!({ "roots": [] }), "{isolation}");
            call.text("nothing");
            assert_eq!(heard_before(&mut calling.await.unwrap()).await, Vec::<Value>::new());
        }
    }
}

#[tokio::test]
async fn a_session_of_a_callers_own_is_called_once_the_server_can_ask_beside_the_calls() {
    let gateway = TestGateway::start().await;
    let server = Puppet::start(Manner::Sessions, &["greet"]).await;
    server.join(&gateway, "inn", "session").await;
    for _ in 0..3 {
        let session = able(&gateway, "/mcp").await;
        let before = server.listeners();
        let calling = session.starting("inn__greet", json!({}));
        let call = server.call().await;
        assert_eq!(server.listeners(), before + 1, "it is listened to before anything is asked of it");
        server.notice(&question("q-1", "elicitation/create", form("Who is there?")));
        let mut events = calling.await.unwrap();
        let asked = events.next_of("elicitation/create").await;
        session.reply(&asked, named("Ada")).await;
        call.text("done");
        assert_eq!(text_of(&events.result().await), "done");
        session.end().await;
        settles("the server is let go", async || server.listeners() == before).await;
    }
}

#[tokio::test]
async fn a_client_that_did_not_say_it_can_is_not_asked() {
    let sampling = json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "Hi" } }], "maxTokens": 5 });
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = Arc::new(Session::able(&gateway.url("/mcp"), "2025-11-25", None, json!({ "roots": {} })).await);
        let client = Arc::new(Modern::new(&gateway.url("/mcp")).able(json!({ "roots": {} })));
        for number in 0..2 {
            let calling = match number {
                0 => session.starting("inn__greet", json!({})),
                _ => client.starting("tools/call", calling("inn__greet")),
            };
            let mut call = server.call().await;
            call.ask_name(&format!("form-{number}"));
            call.ask(&format!("model-{number}"), "sampling/createMessage", sampling.clone());
            assert_eq!(server.answer_to(&format!("form-{number}")).await["result"]["action"], "cancel", "{manner:?}");
            assert!(server.answer_to(&format!("model-{number}")).await["error"].is_object(), "{manner:?}");
            call.text("alone");
            assert_eq!(heard_before(&mut calling.await.unwrap()).await, Vec::<Value>::new());
        }
    }
}

#[tokio::test]
async fn a_round_trip_that_the_client_cannot_make_is_refused_with_what_it_lacks() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Stateless, &["greet"]).await;
    let wants = json!({ "resultType": "input_required", "requestState": "s",
        "inputRequests": { "who": { "method": "elicitation/create", "params": form("Who?") } } });
    let client = Arc::new(Modern::new(&gateway.url("/mcp")).able(json!({ "sampling": {} })));
    let calling_first = client.starting("tools/call", calling("inn__greet"));
    server.call().await.answer(wants.clone());
    let refused = calling_first.await.unwrap().answer().await;
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
    assert!(refused["error"]["data"]["requiredCapabilities"]["elicitation"].is_object(), "{refused}");

    let session = Arc::new(Session::able(&gateway.url("/mcp"), "2025-11-25", None, json!({ "sampling": {} })).await);
    let calling = session.starting("inn__greet", json!({}));
    server.call().await.answer(wants);
    let refused = calling.await.unwrap().result().await;
    assert!(refused["isError"] == true && text_of(&refused).contains("elicitation"), "a model reads what is missing: {refused}");
    assert_eq!(server.seen("tools/call").len(), 2, "it was not begun anew");
}

#[tokio::test]
async fn a_stateless_server_asks_a_client_with_a_session_by_requests_and_goes_on_with_its_state() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Stateless, &["greet"]).await;
    let session = able(&gateway, "/mcp").await;
    let calling = session.starting("inn__greet", json!({ "a": 1 }));
    server.call().await.answer(json!({ "resultType": "input_required", "requestState": "inner", "inputRequests": {
        "who": { "method": "elicitation/create", "params": form("Who?") },
        "what": { "method": "sampling/createMessage", "params": { "messages": [], "maxTokens": 1 } },
    } }));
    let mut events = calling.await.unwrap();
    let sampled = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "this" } });
    for _ in 0..2 {
        let asked = events.next_json().await.unwrap();
        let answer = if asked["method"] == "elicitation/create" { named("Ada") } else { sampled.clone() };
        session.reply(&asked, answer).await;
    }
    let again = server.call().await;
    assert_eq!(again.params["requestState"], "inner");
    assert_eq!(again.params["inputResponses"], json!({ "who": named("Ada"), "what": sampled }));
    assert_eq!(again.params["arguments"], json!({ "a": 1 }));
    again.text("both");
    assert_eq!(text_of(&events.result().await), "both");
}

#[tokio::test]
async fn round_trips_of_a_stateless_server_reach_a_stateless_client_with_a_state_of_ours() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Stateless, &["greet"]).await;
    let client = stateless(&gateway, "/mcp");
    let params = calling("inn__greet");
    let first = client.starting("tools/call", params.clone());
    server.call().await.answer(json!({ "resultType": "input_required", "requestState": "inner",
        "inputRequests": { "who": { "method": "elicitation/create", "params": form("Who?") } } }));
    let asked = first.await.unwrap().result().await;
    let (key, question) = only(&asked);
    assert_eq!((key.as_str(), &question["params"]["message"]), ("who", &json!("inn: Who?")));
    assert!(!asked["requestState"].as_str().unwrap().contains("inner"), "the server's own is sealed");
    let second = client.starting("tools/call", again(&params, &asked, json!({ "who": named("Ada") })));
    let call = server.call().await;
    assert_eq!((&call.params["requestState"], &call.params["inputResponses"]), (&json!("inner"), &json!({ "who": named("Ada") })));
    call.text("Hello");
    assert_eq!(text_of(&second.await.unwrap().result().await), "Hello");
}

#[tokio::test]
async fn an_answer_may_take_longer_than_the_tool_has_time() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::with_config("limits: { tool_timeout: 1s }\n").await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let (session, client) = (able(&gateway, "/mcp").await, stateless(&gateway, "/mcp"));
        let in_session = session.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        call.ask_name("q-1");
        let mut events = in_session.await.unwrap();
        let asked = events.next_of("elicitation/create").await;
        tokio::time::sleep(Duration::from_millis(1800)).await;
        session.reply(&asked, named("Ada")).await;
        server.answer_to("q-1").await;
        call.text("late");
        assert_eq!(text_of(&events.result().await), "late", "{manner:?}");

        let params = calling("inn__greet");
        let first = client.starting("tools/call", params.clone());
        let mut call = server.call().await;
        call.ask_name("q-2");
        let asked = first.await.unwrap().result().await;
        tokio::time::sleep(Duration::from_millis(1800)).await;
        let second = client.starting("tools/call", again(&params, &asked, json!({ only(&asked).0: named("Ada") })));
        server.answer_to("q-2").await;
        // From here on it is the server's time again.
        let start = Instant::now();
        let answer = second.await.unwrap().answer().await;
        assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{manner:?}: {answer}");
        assert!(start.elapsed() < Duration::from_secs(4), "{manner:?}: {:?}", start.elapsed());
        drop(call);
    }
}

#[tokio::test]
async fn progress_carries_the_clients_own_token_also_after_a_round_trip() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let client = stateless(&gateway, "/mcp");
    let mut params = calling("inn__greet");
    params["_meta"] = json!({ "progressToken": "before" });
    let first = client.starting("tools/call", params.clone());
    let mut call = server.call().await;
    call.progress(1);
    call.ask_name("q-1");
    let mut events = first.await.unwrap();
    let told = events.next_of("notifications/progress").await;
    assert_eq!(told["params"]["progressToken"], "before");
    let asked = events.result().await;
    params["_meta"]["progressToken"] = "after".into();
    let second = client.starting("tools/call", again(&params, &asked, json!({ only(&asked).0: named("Ada") })));
    server.answer_to("q-1").await;
    call.progress(2);
    let mut events = second.await.unwrap();
    let told = events.next_of("notifications/progress").await;
    assert_eq!((&told["params"]["progressToken"], &told["params"]["progress"]), (&json!("after"), &json!(2)));
    call.ask_name("q-2");
    let asked = events.result().await;
    // Whoever gives no token is told nothing, least of all the gateway's own.
    params["_meta"].as_object_mut().unwrap().remove("progressToken");
    let third = client.starting("tools/call", again(&params, &asked, json!({ only(&asked).0: named("Ada") })));
    server.answer_to("q-2").await;
    call.progress(3);
    call.text("done");
    let mut events = third.await.unwrap();
    assert_eq!(heard_before(&mut events).await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_time_of_all_calls_that_may_be_meant_stands_still_while_a_question_is_open() {
    for manner in [Manner::Line, Manner::Pipe] {
        let gateway = TestGateway::with_config("limits: { tool_timeout: 1s }\n").await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet", "other"]).await;
        let session = able(&gateway, "/mcp").await;
        let older = session.starting("inn__greet", json!({}));
        let asking = server.call().await;
        let newer = session.starting("inn__other", json!({}));
        let mut call = server.call().await;
        // Nothing says for which of the two.
        call.ask_name("q-1");
        let mut events = newer.await.unwrap();
        let asked = events.next_of("elicitation/create").await;
        tokio::time::sleep(Duration::from_millis(1800)).await;
        session.reply(&asked, named("Ada")).await;
        server.answer_to("q-1").await;
        asking.text("older");
        call.text("newer");
        assert_eq!(text_of(&older.await.unwrap().result().await), "older", "{manner:?}");
        assert_eq!(text_of(&events.result().await), "newer", "{manner:?}");
    }
}

#[tokio::test]
async fn a_question_that_the_server_takes_back_is_answered_to_nobody() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway, "/mcp").await;
    let calling = session.starting("inn__greet", json!({}));
    let mut call = server.call().await;
    call.ask_name("q-1");
    let mut events = calling.await.unwrap();
    let asked = events.next_of("elicitation/create").await;
    call.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "q-1" } }));
    call.progress(1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    session.reply(&asked, named("Ada")).await;
    call.text("never mind");
    assert_eq!(text_of(&events.result().await), "never mind");
    assert!(server.answers("q-1").is_empty());
}

#[tokio::test]
async fn what_no_client_knows_is_answered_by_the_gateway() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = able(&gateway, "/mcp").await;
        let calling = session.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        call.ask("p", "ping", json!({}));
        call.ask("u", "vendor/dance", json!({}));
        assert_eq!(server.answer_to("p").await["result"], json!({}), "{manner:?}");
        assert_eq!(server.answer_to("u").await["error"]["code"], -32601, "{manner:?}");
        call.text("done");
        assert_eq!(heard_before(&mut calling.await.unwrap()).await, Vec::<Value>::new(), "{manner:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_client_reaches_the_server_as_one() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway, "/mcp/inn").await;
    let calling = session.starting("greet", json!({}));
    let mut call = server.call().await;
    call.ask("q-1", "sampling/createMessage", json!({ "messages": [], "maxTokens": 1 }));
    let mut events = calling.await.unwrap();
    let asked = events.next_of("sampling/createMessage").await;
    let refusal = json!({ "code": -1, "message": "User rejected sampling request", "data": { "x": 1e2 } });
    session.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "error": refusal })).await;
    assert_eq!(server.answer_to("q-1").await["error"], refusal);
    call.text("well");
    assert_eq!(text_of(&events.result().await), "well");
}

#[tokio::test]
async fn the_kill_switch_ends_what_waits_for_an_answer_at_once() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let (session, client) = (able(&gateway, "/mcp").await, stateless(&gateway, "/mcp"));
    let in_session = session.starting("inn__greet", json!({}));
    let mut first = server.call().await;
    first.ask_name("q-1");
    let mut events = in_session.await.unwrap();
    events.next_of("elicitation/create").await;
    let params = calling("inn__greet");
    let parked = client.starting("tools/call", params.clone());
    let mut second = server.call().await;
    second.ask_name("q-2");
    let asked = parked.await.unwrap().result().await;

    gateway.control("access_block", json!({ "target": "server:inn", "reason": "drill" })).await;
    let ended = within(Duration::from_secs(2), "the end of the call", events.answer()).await;
    assert!(ended["error"]["message"].as_str().unwrap().contains("blocked"), "{ended}");
    within(Duration::from_secs(2), "the end of both at the server", async { tokio::join!(first.left(), second.left()) }).await;
    settles("the server was told", async || server.seen("notifications/cancelled").len() == 2).await;
    let late = client.request("tools/call", again(&params, &asked, json!({ only(&asked).0: named("Ada") }))).await;
    assert!(late.body["error"].is_object(), "{}", late.text);
    assert!(server.answers("q-2").iter().all(|answer| answer["result"]["action"] != "accept"));
}

#[tokio::test]
async fn a_session_that_ends_ends_what_it_was_asked() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway, "/mcp").await;
    let calling = session.starting("inn__greet", json!({}));
    let mut call = server.call().await;
    call.ask_name("q-1");
    calling.await.unwrap().next_of("elicitation/create").await;
    assert_eq!(session.end().await, 204);
    call.left().await;
    settles("the server was told", async || !server.seen("notifications/cancelled").is_empty()).await;
}

#[tokio::test]
async fn a_client_is_asked_also_while_the_gateway_reads_what_the_server_lists() {
    for (manner, isolation) in Manner::ASKING.map(|manner| (manner, "shared")).into_iter().chain([(Manner::Line, "session")]) {
        let gateway = TestGateway::start().await;
        let server = Puppet::start(manner, &["greet"]).await;
        server.join(&gateway, "inn", isolation).await;
        let session = able(&gateway, "/mcp/inn").await;
        let calling = session.starting("greet", json!({}));
        let call = server.call().await;
        server.answer_by_hand("tools/list");
        server.notice_last(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
        let list = server.call().await;
        assert_eq!(list.method, "tools/list");
        // Nothing says that it is the call's.
        server.notice_last(&question("q-1", "elicitation/create", form("What is your name?")));
        let mut events = calling.await.unwrap();
        let asked = events.next_of("elicitation/create").await;
        session.reply(&asked, named("Ada")).await;
        assert_eq!(server.answer_to("q-1").await["result"], named("Ada"), "{manner:?} {isolation}");
        call.text("Hello, Ada!");
        assert_eq!(text_of(&events.result().await), "Hello, Ada!");
    }
}

#[tokio::test]
async fn what_may_be_asked_for_the_sake_of_a_list_that_another_wants_is_asked_of_nobody() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let (ada, alan) = (able(&gateway, "/mcp/inn").await, stateless(&gateway, "/mcp/inn"));
        let first = ada.starting("greet", json!({}));
        let call = server.call().await;
        server.answer_by_hand("resources/list");
        let second = alan.starting("resources/list", json!({}));
        let list = server.call().await;
        assert_eq!(list.method, "resources/list");
        server.notice(&question("q-1", "elicitation/create", form("Which account?")));
        assert_eq!(server.answer_to("q-1").await["result"], json!({ "action": "cancel" }), "{manner:?}");
        list.answer(json!({ "resources": [] }));
        call.text("one");
        assert_eq!(heard_before(&mut first.await.unwrap()).await, Vec::<Value>::new(), "{manner:?}");
        second.await.unwrap().result().await;
    }
}
