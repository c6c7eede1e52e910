//! Streams that break off: clients go on where they were, and the gateway does where its servers' streams do.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Events, Manner, McpUpstream, Modern, Puppet, Session, Speaks, TestGateway, named, question, saying, settles, text_of, tool,
};

async fn able(gateway: &TestGateway) -> Arc<Session> {
    Arc::new(Session::able(&gateway.url("/mcp"), "2025-11-25", None, json!({ "elicitation": {} })).await)
}

/// A call that has told one step.
async fn begun(server: &Puppet, session: &Arc<Session>) -> (crate::support::Call, Events) {
    let (starting, params) = (session.clone(), json!({ "name": "inn__greet", "arguments": {}, "_meta": { "progressToken": "t" } }));
    let calling = tokio::spawn(async move { starting.start("tools/call", params).await });
    let mut call = server.call().await;
    call.progress(1);
    let mut events = calling.await.unwrap();
    let told = events.next_of("notifications/progress").await;
    assert_eq!(told["params"]["progressToken"], "t");
    (call, events)
}

#[tokio::test]
async fn who_only_disconnects_goes_on_behind_the_last_event_and_hears_everything_once() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = able(&gateway).await;
        let (mut call, events) = begun(&server, &session).await;
        let last = events.last.clone();
        assert!(!last.is_empty(), "events have ids");
        drop(events);
        call.progress(2);
        let done = call.success(saying("done"));
        let mut events = session.resume(&last).await;
        assert_eq!(events.next_json().await.unwrap()["params"]["progress"], 2, "{manner:?}");
        let middle = events.last.clone();
        drop(events);
        call.progress(3);
        call.say(&done);
        drop(call);
        let mut events = session.resume(&middle).await;
        assert_eq!(events.next_json().await.unwrap()["params"]["progress"], 3, "{manner:?}");
        assert_eq!(text_of(&events.result().await), "done", "{manner:?}");
        let end = events.last.clone();
        assert!(events.next_json().await.is_none(), "the stream ends with the answer");
        assert!(session.resume(&end).await.next_json().await.is_none(), "and nothing comes after it");
        assert!(server.seen("notifications/cancelled").is_empty(), "who disconnects has not cancelled");
        assert_eq!(server.seen("tools/call").len(), 1);
    }
}

#[tokio::test]
async fn a_client_that_was_told_nothing_yet_can_come_back_too() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway).await;
    let calling = session.starting("inn__greet", json!({}));
    let mut call = server.call().await;
    call.ask_name("q-1");
    let mut events = calling.await.unwrap();
    let primed = events.next().await.unwrap();
    assert_eq!((primed.data.as_str(), primed.id.is_empty()), ("", false), "the first event has an id and no message");
    drop(events);
    let mut events = session.resume(&primed.id).await;
    let asked = events.next_of("elicitation/create").await;
    session.reply(&asked, named("Ada")).await;
    assert_eq!(server.answer_to("q-1").await["result"], named("Ada"));
    call.text("done");
    assert_eq!(text_of(&events.result().await), "done");
}

#[tokio::test]
async fn the_events_of_one_session_are_not_those_of_another() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let (ada, alan) = (able(&gateway).await, able(&gateway).await);
    let (call, events) = begun(&server, &ada).await;
    let last = events.last.clone();
    call.text("Ada's");
    let stolen = alan.resume(&last).await.for_a_while(Duration::from_millis(500)).await;
    assert_eq!(stolen, Vec::<Value>::new(), "it is a stream of changes like any other");
    assert_eq!(text_of(&ada.resume(&last).await.result().await), "Ada's");
    for nonsense in ["x", "-", "0-0", "../1", &format!("{last}0"), &"9".repeat(5000)] {
        let heard = ada.resume(nonsense).await.for_a_while(Duration::from_millis(100)).await;
        assert_eq!(heard, Vec::<Value>::new(), "{nonsense}");
    }
}

#[tokio::test]
async fn two_calls_of_one_session_are_taken_up_each_by_itself() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway).await;
    let (one, first) = begun(&server, &session).await;
    let (two, second) = begun(&server, &session).await;
    let (first, second) = (first.last.clone(), second.last.clone());
    one.text("one");
    two.text("two");
    assert_eq!(text_of(&session.resume(&second).await.result().await), "two");
    assert_eq!(text_of(&session.resume(&first).await.result().await), "one");
}

#[tokio::test]
async fn the_gateway_takes_up_a_servers_stream_that_broke_off() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let client = Arc::new(Modern::new(&gateway.url("/mcp")).able(json!({ "elicitation": {} })));
    let calling = client.starting("tools/call", json!({ "name": "inn__greet", "arguments": {}, "_meta": { "progressToken": 5 } }));
    let mut call = server.call().await;
    let answer = call.success(saying("whole"));
    let step = |step: u64| json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": call.params["_meta"]["progressToken"], "progress": step } });
    let (first, second) = (step(1), step(2));
    call.say_as("e-1", &first);
    drop(call);
    let mut resumed = server.call().await;
    assert_eq!((resumed.method.as_str(), &resumed.params["last"]), ("resume", &json!("e-1")));
    assert_eq!(resumed.headers["mcp-session-id"], "the-session");
    resumed.say_as("e-2", &second);
    drop(resumed);
    let mut resumed = server.call().await;
    assert_eq!(resumed.params["last"], "e-2");
    resumed.say_as("e-3", &answer);
    let mut events = calling.await.unwrap();
    let mut heard = Vec::new();
    let result = loop {
        let message = events.next_json().await.unwrap();
        match message["params"]["progress"].as_u64() {
            Some(step) => heard.push(step),
            None => break message["result"].clone(),
        }
    };
    assert_eq!((heard, text_of(&result)), (vec![1, 2], "whole"));
    assert_eq!(server.seen("tools/call").len(), 1, "it is not called again");
}

#[tokio::test]
async fn a_stream_that_cannot_be_taken_up_is_an_error_and_the_call_is_not_sent_again() {
    for (manner, with_id) in [(Manner::Sessions, false), (Manner::Stateless, true), (Manner::Stateless, false)] {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let client = Arc::new(Modern::new(&gateway.url("/mcp")));
        let calling = client.starting("tools/call", json!({ "name": "inn__greet", "arguments": {} }));
        let mut call = server.call().await;
        call.bytes(if with_id { "id: e-1\ndata:\n\n" } else { ": hello\n\n" });
        drop(call);
        let answer = calling.await.unwrap().answer().await;
        assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{manner:?}: {answer}");
        assert_eq!(server.seen("tools/call").len(), 1, "{manner:?}");
        assert!(!server.is_called().await, "{manner:?}");
    }
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let client = Arc::new(Modern::new(&gateway.url("/mcp")));
    let calling = client.starting("tools/call", json!({ "name": "inn__greet", "arguments": {} }));
    let mut call = server.call().await;
    call.say_as("e-1", &json!({ "jsonrpc": "2.0", "method": "notifications/vendor" }));
    drop(call);
    // Whoever has forgotten the event answers the way back with 404.
    drop(server.call().await);
    let answer = calling.await.unwrap().answer().await;
    assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{answer}");
    assert_eq!(server.seen("tools/call").len(), 1);
}

#[tokio::test]
async fn a_stateless_caller_who_leaves_cancels_also_when_it_was_told_something_already() {
    for manner in [Manner::Sessions, Manner::Stateless, Manner::Line, Manner::Pipe] {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let client = Arc::new(Modern::new(&gateway.url("/mcp")));
        let calling = client.starting("tools/call", json!({ "name": "inn__greet", "arguments": {}, "_meta": { "progressToken": 5 } }));
        let mut call = server.call().await;
        call.progress(1);
        let mut events = calling.await.unwrap();
        events.next_of("notifications/progress").await;
        drop(events);
        if manner == Manner::Stateless {
            call.left().await;
        } else {
            let told = server.arrival("notifications/cancelled").await;
            assert_eq!(told["params"]["requestId"], call.id, "{manner:?}");
        }
    }
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_the_server_wherever_it_speaks() {
    for manner in [Manner::Sessions, Manner::Stateless, Manner::Line, Manner::Pipe] {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = able(&gateway).await;
        let starting = session.clone();
        let message = json!({ "jsonrpc": "2.0", "id": "mine", "method": "tools/call",
            "params": { "name": "inn__greet", "arguments": {}, "_meta": { "progressToken": "t" } } });
        let calling = tokio::spawn(async move {
            Events::of(starting.prepare(reqwest::Method::POST).json(&message).send().await.unwrap(), "2025-11-25", "tools/call")
        });
        let mut call = server.call().await;
        call.progress(1);
        let mut events = calling.await.unwrap();
        events.next_of("notifications/progress").await;
        // Another session's request of that id is none of this one's business.
        able(&gateway).await.notify("notifications/cancelled", json!({ "requestId": "mine" })).await;
        call.progress(2);
        events.next_of("notifications/progress").await;
        session.notify("notifications/cancelled", json!({ "requestId": "mine" })).await;
        if manner == Manner::Stateless {
            call.left().await;
        } else {
            assert_eq!(server.arrival("notifications/cancelled").await["params"]["requestId"], call.id, "{manner:?}");
        }
        assert_eq!(server.seen("tools/call").len(), 1);
    }
}

#[tokio::test]
async fn a_session_that_comes_back_after_a_restart_is_told_once_that_lists_may_be_others() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    let mut gateway = TestGateway::start().await;
    gateway.add_url("old", &upstream.url()).await;
    let session = Session::open(&gateway.url("/mcp"), "2025-11-25", None).await;
    let before = session.listen().await.for_a_while(Duration::from_millis(300)).await;
    assert_eq!(before, Vec::<Value>::new(), "nothing has changed");
    gateway.stop().await;
    gateway.start_again_here().await;
    gateway.wait_for_server("old", "ready").await;
    let mut told: Vec<String> = Vec::new();
    for message in session.listen().await.for_a_while(Duration::from_millis(1200)).await {
        told.push(message["method"].as_str().unwrap().to_owned());
    }
    told.sort();
    let once = ["prompts", "resources", "tools"].map(|what| format!("notifications/{what}/list_changed"));
    assert_eq!(told, once);
    let again = session.listen().await.for_a_while(Duration::from_millis(300)).await;
    assert_eq!(again, Vec::<Value>::new(), "and not a second time");
}

#[tokio::test]
async fn what_changed_while_nobody_listened_is_told_to_whoever_comes_back() {
    let gateway = TestGateway::start().await;
    let session = Session::open(&gateway.url("/mcp"), "2025-11-25", None).await;
    let stream = session.listen().await;
    drop(stream);
    settles("the gateway knows that the stream broke off", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        true
    })
    .await;
    gateway.add_demo().await;
    session.listen().await.next_of("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn of_two_streams_of_one_session_only_the_newer_one_tells_of_changes() {
    let gateway = TestGateway::start().await;
    let session = Session::open(&gateway.url("/mcp"), "2025-11-25", None).await;
    let mut older = session.listen().await;
    let mut newer = session.listen().await;
    gateway.add_demo().await;
    newer.next_of("notifications/tools/list_changed").await;
    assert_eq!(older.for_a_while(Duration::from_millis(500)).await, Vec::<Value>::new(), "no message goes onto two streams");
    // When the newer one has ended, it is the older one's turn again.
    let mut older = session.listen().await;
    drop(session.listen().await);
    gateway.control("servers_remove", json!({ "name": "demo" })).await;
    older.next_of("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn a_change_of_a_list_is_told_also_when_a_resource_changes_right_behind_it() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway).await;
    let mut events = session.listen().await;
    let followed = session.request("resources/subscribe", json!({ "uri": "inn+note://a" })).await;
    assert!(followed.body["result"].is_object(), "{}", followed.text);
    let updated = json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": "note://a" } });
    server.notice(&json!({ "jsonrpc": "2.0", "method": "notifications/resources/list_changed" }));
    let (mut told, mut listed) = (0, false);
    // Faster than the pause in which changes of lists are gathered.
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        server.notice(&updated);
    }
    while told == 0 || !listed {
        let message = events.next_json().await.expect("the stream goes on");
        told += usize::from(message["method"] == "notifications/resources/updated");
        listed |= message["method"] == "notifications/resources/list_changed";
    }
}

#[tokio::test]
async fn a_question_on_the_stream_of_notices_is_still_asked_when_that_stream_broke_off_before() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway).await;
    let (call, mut events) = begun(&server, &session).await;
    server.hang_up();
    settles("the gateway listens again", async || server.listeners() == 1).await;
    server.notice(&question("q-1", "elicitation/create", crate::support::form("Who is there?")));
    let asked = events.next_of("elicitation/create").await;
    session.reply(&asked, named("Ada")).await;
    assert_eq!(server.answer_to("q-1").await["result"], named("Ada"));
    call.text("done");
    assert_eq!(text_of(&events.result().await), "done");
}
