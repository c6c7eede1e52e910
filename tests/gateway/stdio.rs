//! `portolan stdio`, for clients that know only standard streams, and `portolan demo-server`, which is one
//! end of such streams itself.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::support::{Manner, PATIENCE, Puppet, REVISION_MODERN, TestGateway, form, initialize, named, names, text_of, within};

/// A child that speaks JSON-RPC lines.
struct Talk {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Talk {
    fn with(mut child: Child) -> Self {
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output).lines() }
    }

    async fn say(&mut self, message: &Value) {
        self.input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let line = within(PATIENCE, "a line", self.output.next_line()).await.unwrap().expect("it still talks");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.say(message).await;
        loop {
            let answer = self.hear().await;
            if answer["id"] == message["id"] {
                return answer;
            }
        }
    }

    /// Closes the input; the child ends by itself.
    async fn end(self) -> i32 {
        let Self { mut child, input, .. } = self;
        drop(input);
        within(PATIENCE, "the end of a child", child.wait()).await.unwrap().code().unwrap()
    }
}

fn stamped(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] =
        json!({ "io.modelcontextprotocol/protocolVersion": REVISION_MODERN, "io.modelcontextprotocol/clientCapabilities": {} });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn a_client_with_sessions_reaches_all_servers_over_standard_streams() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let mut talk = Talk::with(gateway.spawn_cli(&["stdio"]));
    assert_eq!(talk.ask(&initialize("2025-06-18")).await["result"]["protocolVersion"], "2025-06-18");
    talk.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    let listed = talk.ask(&json!({ "jsonrpc": "2.0", "id": "list", "method": "tools/list" })).await;
    assert!(names(listed["result"]["tools"].as_array().unwrap()).contains(&"demo__echo"), "{listed}");
    let call = json!({ "name": "demo__slow", "arguments": { "steps": 2, "delay_ms": 20 }, "_meta": { "progressToken": "p" } });
    talk.say(&json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call })).await;
    for step in 1..=2 {
        let note = talk.hear().await;
        assert_eq!(
            (&note["method"], note["params"]["progress"].as_f64()),
            (&json!("notifications/progress"), Some(f64::from(step))),
            "{note}"
        );
    }
    assert_eq!(text_of(&talk.hear().await["result"]), "done after 2 steps");
    assert_eq!(talk.end().await, 0);
}

#[tokio::test]
async fn a_stateless_client_reaches_one_server_over_standard_streams() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let mut talk = Talk::with(gateway.spawn_cli(&["stdio", "demo"]));
    let found = talk.ask(&stamped(1, "server/discover", json!({}))).await;
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!(REVISION_MODERN)), "{found}");
    let called = talk.ask(&stamped(2, "tools/call", json!({ "name": "echo", "arguments": { "text": "ahoy" } }))).await;
    assert_eq!(text_of(&called["result"]), "ahoy");
    let read = talk.ask(&stamped(3, "resources/read", json!({ "uri": "demo://greeting/Zoë" }))).await;
    assert_eq!(read["result"]["contents"][0]["text"], "Good morning, Zoë.", "{read}");
    assert_eq!(talk.end().await, 0);
}

#[tokio::test]
async fn what_a_server_asks_is_asked_and_answered_over_standard_streams_in_both_eras() {
    for manner in [Manner::Sessions, Manner::Stateless, Manner::Pipe] {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let wanted = json!({ "resultType": "input_required", "requestState": "inner",
            "inputRequests": { "who": { "method": "elicitation/create", "params": form("Who?") } } });
        let call = json!({ "name": "inn__greet", "arguments": {} });

        let mut talk = Talk::with(gateway.spawn_cli(&["stdio"]));
        let mut opening = initialize("2025-11-25");
        opening["params"]["capabilities"] = json!({ "elicitation": {} });
        talk.ask(&opening).await;
        talk.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        talk.say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call })).await;
        let mut under_way = server.call().await;
        let answering = if manner == Manner::Stateless {
            under_way.answer(wanted.clone());
            None
        } else {
            under_way.ask_name("q-1");
            Some(under_way)
        };
        let asked = loop {
            let asked = talk.hear().await;
            if asked["method"] == "elicitation/create" {
                break asked;
            }
        };
        talk.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": named("Ada") })).await;
        if let Some(under_way) = answering {
            assert_eq!(server.answer_to("q-1").await["result"], named("Ada"), "{manner:?}");
            under_way.text("welcome");
        } else {
            let again = server.call().await;
            assert_eq!(again.params["inputResponses"]["who"], named("Ada"), "{manner:?}");
            again.text("welcome");
        }
        assert_eq!(text_of(&talk.hear().await["result"]), "welcome", "{manner:?}");
        assert_eq!(talk.end().await, 0);

        let mut talk = Talk::with(gateway.spawn_cli(&["stdio"]));
        let elicits = |id, params: Value| {
            let mut message = stamped(id, "tools/call", params);
            message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "elicitation": {} });
            message
        };
        talk.say(&elicits(1, call.clone())).await;
        let mut under_way = server.call().await;
        let answering = if manner == Manner::Stateless {
            under_way.answer(wanted);
            None
        } else {
            under_way.ask_name("q-2");
            Some(under_way)
        };
        let asked = talk.hear().await["result"].clone();
        let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
        let mut params = call;
        (params["requestState"], params["inputResponses"]) = (asked["requestState"].clone(), json!({ key: named("Ada") }));
        talk.say(&elicits(2, params)).await;
        match answering {
            Some(under_way) => {
                assert_eq!(server.answer_to("q-2").await["result"], named("Ada"), "{manner:?}");
                under_way.text("welcome");
            }
            None => server.call().await.text("welcome"),
        }
        assert_eq!(text_of(&talk.hear().await["result"]), "welcome", "{manner:?}");
        assert_eq!(talk.end().await, 0);
    }
}

#[tokio::test]
async fn a_change_is_told_over_standard_streams() {
    let gateway = TestGateway::start().await;
    let mut talk = Talk::with(gateway.spawn_cli(&["stdio"]));
    talk.ask(&initialize("2025-11-25")).await;
    talk.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    // The stream of changes opens behind the greeting; what changed before it is in the first list.
    let changing = async {
        for round in 0.. {
            gateway.add_command(&format!("demo{round}"), &["portolan", "demo-server"]).await;
        }
    };
    let told = async {
        loop {
            if talk.hear().await["method"] == "notifications/tools/list_changed" {
                return;
            }
        }
    };
    tokio::select! {
        () = changing => unreachable!("it goes on for ever"),
        () = told => {}
    }
}

#[tokio::test]
async fn a_line_that_is_no_message_is_answered_and_the_next_one_heard() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let mut talk = Talk::with(gateway.spawn_cli(&["stdio"]));
    talk.input.write_all(b"nonsense\n\n").await.unwrap();
    assert_eq!(talk.hear().await["error"]["code"], -32700);
    assert_eq!(talk.ask(&initialize("2025-11-25")).await["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn an_absent_gateway_is_an_answer_and_no_silence() {
    let mut gateway = TestGateway::start().await;
    gateway.stop().await;
    let mut talk = Talk::with(gateway.spawn_cli(&["stdio"]));
    let answer = talk.ask(&initialize("2025-11-25")).await;
    assert!(answer["error"]["message"].is_string(), "{answer}");
}

#[tokio::test]
async fn the_demo_server_speaks_both_eras_by_itself() {
    let gateway = TestGateway::start().await;
    let mut older = Talk::with(gateway.spawn_cli(&["demo-server"]));
    assert_eq!(older.ask(&initialize("2025-06-18")).await["result"]["serverInfo"]["name"], "portolan-demo");
    let mut newer = Talk::with(gateway.spawn_cli(&["demo-server"]));
    let listed = newer.ask(&stamped(1, "tools/list", json!({}))).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 4, "{listed}");
    assert_eq!(newer.end().await, 0);
}

#[tokio::test]
async fn a_gateway_that_restarts_is_not_noticed_but_for_a_word_that_lists_may_be_others() {
    let mut gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let mut talk = Talk::with(gateway.spawn_cli(&["stdio"]));
    talk.ask(&initialize("2025-06-18")).await;
    talk.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    let echo = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "demo__echo", "arguments": { "text": "ahoy" } } });
    assert_eq!(text_of(&talk.ask(&echo(1)).await["result"]), "ahoy");
    gateway.stop().await;
    talk.say(&echo(2)).await;
    gateway.start_again_here().await;
    let (mut answered, mut told) = (false, false);
    while !(answered && told) {
        let heard = talk.hear().await;
        told |= heard["method"] == "notifications/tools/list_changed";
        if heard["id"] == 2 {
            assert_eq!(text_of(&heard["result"]), "ahoy", "{heard}");
            answered = true;
        }
    }
    assert_eq!(text_of(&talk.ask(&echo(3)).await["result"]), "ahoy");
    assert_eq!(talk.end().await, 0);
}

#[tokio::test]
async fn what_the_gateway_refuses_or_never_ends_is_answered_by_its_id() {
    let mut gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let mut talk = Talk::with(gateway.spawn_cli(&["stdio", "nosuch"]));
    let refused = talk.ask(&initialize("2025-11-25")).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("nosuch"), "{refused}");

    let mut talk = Talk::with(gateway.spawn_cli(&["stdio"]));
    talk.input.write_all(b"\xff\n").await.unwrap();
    assert_eq!(talk.hear().await["error"]["code"], -32700, "what is not UTF-8 is answered, and the next line heard");
    talk.ask(&initialize("2025-11-25")).await;
    let call = json!({ "name": "demo__slow", "arguments": { "steps": 50, "delay_ms": 100 }, "_meta": { "progressToken": 1 } });
    talk.say(&json!({ "jsonrpc": "2.0", "id": "cut", "method": "tools/call", "params": call })).await;
    assert_eq!(talk.hear().await["method"], "notifications/progress");
    gateway.kill().await;
    let answer = loop {
        let heard = talk.hear().await;
        if heard["id"] == "cut" {
            break heard;
        }
    };
    assert!(answer["error"].is_object(), "{answer}");
}
