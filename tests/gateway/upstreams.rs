//! Servers that are not what they should be: each says what is wrong with it, and none harms another.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Answer, DEMO, McpUpstream, Speaks, TestGateway, http, modern, names, session, settles, text_of, tool, until};

/// An HTTP server that answers everything with these bytes.
async fn saying(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}/mcp")
}

const HTML: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<html>hi</html>";
const ELSEWHERE: &str =
    "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const NO_HTTP: &str = "SSH-2.0-OpenSSH_9.2\r\n";

#[tokio::test]
async fn one_bad_server_never_harms_the_others_and_each_says_what_is_wrong() {
    let (html, elsewhere, no_http) = (saying(HTML).await, saying(ELSEWHERE).await, saying(NO_HTTP).await);
    let gateway = TestGateway::with_config(&format!(
        "mcp:
  servers:
    demo: {{ command: {DEMO} }}
    gone: {{ command: [/no/such/program] }}
    quits: {{ command: [/bin/sh, -c, 'echo the disk is on fire >&2; exit 3'] }}
    hangs: {{ command: [sleep, '1000'] }}
    quiet: {{ command: [cat, /dev/null] }}
    html: {{ url: '{html}' }}
    elsewhere: {{ url: '{elsewhere}' }}
    ssh: {{ url: '{no_http}' }}
    closed: {{ url: 'http://127.0.0.1:1/mcp' }}
"
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;

    let start = Instant::now();
    let session = session(&gateway.url("/mcp")).await;
    assert_eq!(names(&session.tools().await).iter().filter(|name| name.starts_with("demo__")).count(), 4);
    assert_eq!(text_of(&session.call("demo__echo", json!({ "text": "ahoy" })).await), "ahoy");
    for method in ["resources/list", "prompts/list", "resources/templates/list"] {
        assert_eq!(session.request(method, json!({})).await.status, 200, "{method}");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "nobody waits for a server that does not answer: {:?}", start.elapsed());

    for (name, words) in [
        ("gone", vec!["/no/such/program"]),
        ("quits", vec!["3"]),
        ("html", vec!["text/html"]),
        ("elsewhere", vec!["redirect"]),
        ("closed", vec!["refused"]),
        ("ssh", vec![]),
        ("quiet", vec![]),
    ] {
        let server = gateway.wait_for_server(name, "failed").await;
        let error = server["error"].as_str().unwrap_or_default();
        assert!(!error.is_empty(), "{server}");
        for word in words {
            assert!(error.contains(word), "`{word}` is said of {name}: {error}");
        }
    }
    assert_eq!(gateway.server("hangs").await["state"], "connecting");
    let shown = gateway.control("servers_show", json!({ "name": "quits" })).await;
    assert!(shown["stderr"].as_str().unwrap().contains("the disk is on fire"), "{shown}");
    assert_eq!(gateway.server("demo").await["state"], "ready");
}

#[tokio::test]
async fn a_server_is_not_ready_before_its_definitions_are_read() {
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    upstream.lists_after(Duration::from_secs(1));
    let gateway = TestGateway::with_config(&format!("mcp: {{ servers: {{ slow: {{ url: '{}' }} }} }}\n", upstream.url())).await;
    let states = until("it is ready", async || {
        let server = gateway.server("slow").await;
        assert!(server["state"] != "ready" || server["release"] == "1.0.0", "{server}");
        (server["state"] == "ready").then_some(())
    });
    states.await;
    assert_eq!(names(&modern(&gateway.url("/mcp")).tools().await), ["slow__find"]);
}

#[tokio::test]
async fn a_server_that_refuses_a_revision_and_names_it_is_asked_for_it_once_more() {
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    upstream.hesitates();
    let gateway = TestGateway::with_config(&format!("mcp: {{ servers: {{ shy: {{ url: '{}' }} }} }}\n", upstream.url())).await;
    gateway.wait_for_server("shy", "ready").await;
    assert_eq!(upstream.recorded("server/discover").len(), 2);
    assert!(upstream.recorded("initialize").is_empty(), "it is not taken for a server of the older eras");
}

#[tokio::test]
async fn a_call_to_a_server_that_cannot_be_reached_is_an_error_at_once() {
    let gateway = TestGateway::with_config("mcp:\n  servers:\n    closed: { url: 'http://127.0.0.1:1/mcp' }\n").await;
    gateway.wait_for_server("closed", "failed").await;
    let start = Instant::now();
    let answer = modern(&gateway.url("/mcp")).request("tools/call", json!({ "name": "closed__x", "arguments": {} })).await;
    assert!(answer.body.get("error").is_some(), "{}", answer.text);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_not_added_and_the_command_says_why() {
    let gateway = TestGateway::start().await;
    let html = saying(HTML).await;
    let elsewhere = saying(ELSEWHERE).await;
    for (args, words) in [
        (vec!["--", "/no/such/program"], vec!["/no/such/program"]),
        (vec!["--", "/bin/sh", "-c", "echo out of tea >&2; exit 4"], vec!["4", "out of tea"]),
        (vec!["--url", &html, "--allow-private"], vec!["text/html"]),
        (vec!["--url", &elsewhere, "--allow-private"], vec!["redirect"]),
        (vec!["--url", "http://127.0.0.1:1/mcp", "--allow-private"], vec!["refused"]),
    ] {
        let complaint = gateway.cli(&[&["server", "add", "bad"], args.as_slice()].concat()).await.failed(1);
        for word in words {
            assert!(complaint.contains(word), "`{word}` is said of {args:?}: {complaint}");
        }
    }
    assert_eq!(gateway.control("servers_list", json!({})).await["servers"], json!([]), "nothing is kept of them");
    gateway.add_demo().await;
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for name in ["portolan", "sse", "a__b", "A", "1a", "", "a/b", "ümlaut", &"a".repeat(200), "demo"] {
        let refused = gateway.try_control("servers_add", json!({ "name": name, "command": ["portolan", "demo-server"] })).await;
        assert!(refused.is_err(), "`{name}`: {refused:?}");
    }
}

#[tokio::test]
async fn noise_on_standard_output_does_not_disturb_a_server() {
    let gateway = TestGateway::start().await;
    let noise = "echo garbage; echo '{}'; echo '[1,2'; printf 'a\\000b\\n'; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"Result\":1}'; exec portolan demo-server";
    let added = gateway.add_command("noisy", &["/bin/sh", "-c", noise]).await;
    assert_eq!(added["state"], "ready");
    let session = session(&gateway.url("/mcp")).await;
    assert_eq!(text_of(&session.call("noisy__echo", json!({ "text": "clear" })).await), "clear");
}

#[tokio::test]
async fn a_line_of_64_mib_is_dropped_without_holding_it() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let before = gateway.peak_memory();
    let long = "head -c 67108864 /dev/zero | tr '\\000' x; echo; exec portolan demo-server";
    gateway.add_command("long", &["/bin/sh", "-c", long]).await;
    let session = session(&gateway.url("/mcp")).await;
    assert_eq!(text_of(&session.call("long__echo", json!({ "text": "clear" })).await), "clear");
    let grown = gateway.peak_memory() - before;
    assert!(grown < 32 << 10, "memory grew by {grown} KiB");
}

#[tokio::test]
async fn a_flood_on_standard_error_is_drained_and_only_its_end_is_kept() {
    let gateway = TestGateway::start().await;
    let flood = "(head -c 100000000 /dev/zero | tr '\\000' n | fold -w 100 >&2; echo the last words >&2) & exec portolan demo-server";
    gateway.add_command("loud", &["/bin/sh", "-c", flood]).await;
    let session = session(&gateway.url("/mcp")).await;
    for _ in 0..20 {
        assert_eq!(text_of(&session.call("loud__echo", json!({ "text": "clear" })).await), "clear");
    }
    let kept = until("the end of the flood was read", async || {
        let shown = gateway.control("servers_show", json!({ "name": "loud" })).await;
        shown["stderr"].as_str().filter(|text| text.contains("the last words")).map(str::to_owned)
    });
    assert!(kept.await.len() <= 128 << 10);
    assert!(gateway.peak_memory() < 160 << 10, "{} KiB", gateway.peak_memory());
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_fails_that_call_and_is_started_again() {
    let gateway = TestGateway::start().await;
    let pid = gateway.file("pid");
    let script = format!("echo $$ > '{}'; exec portolan demo-server", pid.display());
    gateway.add_command("mortal", &["/bin/sh", "-c", &script]).await;
    let client = modern(&gateway.url("/mcp"));
    let (_, request) = client.prepare("tools/call", json!({ "name": "mortal__slow", "arguments": { "steps": 60, "delay_ms": 1000 } }));
    let call = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    settles("the call is under way", async || gateway.server("mortal").await["state"] == "ready").await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    let killed = Instant::now();
    let first = std::fs::read_to_string(&pid).unwrap().trim().parse::<i32>().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(first).unwrap(), rustix::process::Signal::KILL).unwrap();
    let answer: Value = serde_json::from_str(&call.await.unwrap()).unwrap();
    assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{answer}");
    assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());

    settles("it works again", async || {
        let answer = client.request("tools/call", json!({ "name": "mortal__echo", "arguments": { "text": "back" } })).await;
        answer.body.get("result").is_some_and(|result| text_of(result) == "back")
    })
    .await;
    assert_ne!(std::fs::read_to_string(&pid).unwrap().trim().parse::<i32>().unwrap(), first);
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_given_up_and_the_server_goes_on() {
    let gateway =
        TestGateway::with_config(&format!("limits: {{ tool_timeout: 500ms }}\nmcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}\n"))
            .await;
    gateway.wait_for_server("demo", "ready").await;
    let client = modern(&gateway.url("/mcp"));
    let start = Instant::now();
    let answer = client.request("tools/call", json!({ "name": "demo__slow", "arguments": { "steps": 20, "delay_ms": 1000 } })).await;
    assert!(answer.body.get("error").is_some() || answer.result()["isError"] == true, "{}", answer.text);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(text_of(&client.call("demo__echo", json!({ "text": "on" })).await), "on");
}

#[tokio::test]
async fn a_removed_server_is_gone_with_its_tools_and_a_disabled_one_until_it_is_enabled() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let client = modern(&gateway.url("/mcp"));
    gateway.control("servers_disable", json!({ "name": "demo" })).await;
    assert_eq!(gateway.server("demo").await["state"], "disabled");
    assert!(client.tools().await.is_empty());
    gateway.control("servers_enable", json!({ "name": "demo" })).await;
    gateway.wait_for_server("demo", "ready").await;
    assert_eq!(client.tools().await.len(), 4);
    gateway.cli(&["server", "remove", "demo"]).await.ok();
    assert!(client.tools().await.is_empty());
    assert_eq!(modern(&gateway.url("/mcp/demo")).request("tools/list", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_server_of_the_file_cannot_be_changed_at_run_time() {
    let gateway = TestGateway::with_config(&format!("mcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}\n")).await;
    gateway.wait_for_server("demo", "ready").await;
    for name in ["servers_remove", "servers_disable"] {
        let refused = gateway.try_control(name, json!({ "name": "demo" })).await.unwrap_err();
        assert_eq!(refused["code"], "declared", "{refused}");
    }
    assert_eq!(gateway.server("demo").await["state"], "ready");
}

#[tokio::test]
async fn headers_of_a_server_are_sent_to_it_and_never_shown() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    let gateway = TestGateway::start().await;
    let add = json!({ "name": "keyed", "url": upstream.url(), "allow_private": true, "headers": { "x-team-key": "CANARY-7f3a9c" } });
    gateway.control("servers_add", add).await;
    assert_eq!(upstream.recorded("tools/list")[0].headers["x-team-key"], "CANARY-7f3a9c");
    let shown = gateway.control("servers_show", json!({ "name": "keyed" })).await.to_string();
    let listed = gateway.cli(&["server", "list", "--json"]).await.ok();
    assert!(!(shown + &listed + &gateway.log()).contains("CANARY"));
}

#[tokio::test]
async fn arguments_that_stand_on_several_lines_reach_a_server_that_reads_lines() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let client = modern(&gateway.url("/mcp"));
    let (_, request) = client.prepare("tools/call", json!({ "name": "demo__echo", "arguments": { "text": "ahoy" } }));
    let request = request.build().unwrap();
    let body: Value = serde_json::from_slice(request.body().unwrap().as_bytes().unwrap()).unwrap();
    let mut again = reqwest::Request::new(request.method().clone(), request.url().clone());
    *again.headers_mut() = request.headers().clone();
    again.headers_mut().remove("content-length");
    *again.body_mut() = Some(format!("{body:#}").into());
    let answer = Answer::read(http().execute(again).await.unwrap()).await;
    assert_eq!(text_of(answer.result()), "ahoy", "{}", answer.text);
}

#[tokio::test]
async fn what_goes_with_an_address_is_refused_with_a_command_and_the_other_way_round() {
    let gateway = TestGateway::start().await;
    let url = "https://mcp.example";
    for (arguments, member) in [
        (json!({ "command": ["x"], "headers": { "a": "b" } }), "headers"),
        (json!({ "command": ["x"], "allow_private": true }), "allow_private"),
        (json!({ "command": ["x"], "oauth": { "client_id": "x" } }), "oauth"),
        (json!({ "url": url, "env": { "a": "b" } }), "env"),
        (json!({ "url": url, "oauth": { "client_id": "" } }), "oauth.client_id"),
        (json!({ "url": url, "oauth": { "client_secret": "x" } }), "oauth.client_secret"),
        (json!({ "url": url, "oauth": { "scopes": ["a b"] } }), "oauth.scopes"),
        (json!({ "url": url, "oauth": { "scopes": ["a"] }, "headers": { "AUTHORIZATION": "x" } }), "oauth"),
        (json!({}), "url"),
    ] {
        let mut wish = json!({ "name": "x" });
        wish.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        let refused = gateway.try_control("servers_add", wish).await.unwrap_err();
        assert_eq!(refused["code"], "invalid_arguments", "{arguments}");
        assert!(refused["message"].as_str().unwrap().contains(&format!("`{member}`")), "{arguments}: {refused}");
    }
    for words in [
        ["--header", "A=b", "--", "x"].as_slice(),
        &["--allow-private", "--", "x"],
        &["--client-id", "c", "--", "x"],
        &["--url", url, "--env", "A=b"],
        &["--url", url, "--", "x"],
        &[],
    ] {
        gateway.cli(&[&["server", "add", "x"], words].concat()).await.failed(2);
    }
    assert_eq!(gateway.control("servers_list", json!({})).await["servers"], json!([]));
}

#[tokio::test]
async fn a_gateway_is_no_server_and_no_provider_of_its_own() {
    let gateway = TestGateway::with_config("mcp: {}\n").await;
    let base = gateway.url("");
    for (name, path) in [("own", "/mcp"), ("one", "/mcp/demo"), ("admin", "/mcp/portolan")] {
        let arguments = json!({ "name": name, "url": format!("{base}{path}"), "allow_private": true });
        let refused = gateway.try_control("servers_add", arguments).await.unwrap_err();
        assert_eq!(refused["code"], "server_unusable", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("it is this gateway itself"), "{refused}");
    }
    assert_eq!(gateway.control("servers_list", json!({})).await["servers"], json!([]));
    gateway.write_config(&format!("providers: {{ own: {{ kind: openai, base_url: \"{base}/v1\" }} }}\n"));
    let answer = async || {
        let asked = http().post(gateway.url("/v1/chat/completions"));
        let asked = asked.json(&json!({ "model": "own/own/own/portolan/echo", "messages": [{ "role": "user", "content": "x" }] }));
        Some(Answer::read(asked.send().await.unwrap()).await).filter(|answer| answer.status != 404)
    };
    let answer = until("the provider is known", answer).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    // What `portolan connect` writes for clients that know only stdio.
    let bridge = json!({ "name": "bridge", "command": ["portolan", "stdio"], "env": { "PORTOLAN_URL": base } });
    let refused = gateway.try_control("servers_add", bridge).await.unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("this very gateway"), "{refused}");
}

#[tokio::test]
async fn gateways_that_are_each_others_providers_do_not_ask_each_other_again_and_again() {
    let (one, other) = (TestGateway::with_config("mcp: {}\n").await, TestGateway::with_config("mcp: {}\n").await);
    let to = |peer: &TestGateway| {
        format!(
            "providers: {{ peer: {{ kind: openai, base_url: \"{}/v1\" }} }}\nmodels: {{ m: {{ targets: [{{ provider: peer, model: m }}] }} }}\nlimits: {{ retries: 0 }}\n",
            peer.url("")
        )
    };
    one.write_config(&to(&other));
    other.write_config(&to(&one));
    let asked = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
    let ask = async || {
        let answer = Answer::read(http().post(one.url("/v1/chat/completions")).json(&asked).send().await.unwrap()).await;
        Some(answer).filter(|answer| answer.status != 404)
    };
    let answer = until("both know each other", ask).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    let spoken = async || {
        let journal = other.control("journal_query", json!({ "kind": "chat" })).await;
        Some(journal["entries"].as_array().unwrap().len()).filter(|count| *count > 0)
    };
    assert!(until("the other one was asked", spoken).await < 20, "not again and again");
    // What went through others is welcome.
    let welcome = http().post(one.url("/v1/chat/completions")).header("cdn-loop", "another-cdn; v=1, portolan-of-somebody-else");
    let echo = json!({ "model": "portolan/echo", "messages": [{ "role": "user", "content": "x" }] });
    assert_eq!(welcome.json(&echo).send().await.unwrap().status(), 200);
}
