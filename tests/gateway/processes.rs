//! Child processes: what they are given, who shares them, and that none is left behind.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use crate::support::{Session, TestGateway, modern, session, settles, text_of, until};

/// Processes whose ids stand in a file, and that still run.
fn alive(file: &Path) -> Vec<i32> {
    let ids = std::fs::read_to_string(file).unwrap_or_default();
    let ids = ids.split_whitespace().map(|id| id.parse().unwrap());
    ids.filter(|id| test_kill_process(Pid::from_raw(*id).unwrap()).is_ok() && !is_zombie(*id)).collect()
}

/// A process that has ended, and whose new parent has not looked yet.
fn is_zombie(id: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// A server with a grandchild that would live on; both ids go into the file.
fn family(file: &Path) -> String {
    format!("sleep 1000 & echo $! $$ > '{}'; exec portolan demo-server", file.display())
}

/// The same, and it does not listen to reason.
fn stubborn(file: &Path) -> String {
    format!("trap '' TERM HUP INT; sleep 1000 & echo $! $$ > '{}'; portolan demo-server; sleep 1000", file.display())
}

#[tokio::test]
async fn no_process_is_left_after_sigterm() {
    let mut gateway = TestGateway::start().await;
    let (kind, hard) = (gateway.file("kind"), gateway.file("hard"));
    gateway.add_command("kind", &["/bin/sh", "-c", &family(&kind)]).await;
    gateway.add_command("hard", &["/bin/sh", "-c", &stubborn(&hard)]).await;
    assert_eq!((alive(&kind).len(), alive(&hard).len()), (2, 2));
    assert_eq!(gateway.stop().await.code(), Some(0));
    settles("all have ended", async || alive(&kind).is_empty() && alive(&hard).is_empty()).await;
}

#[tokio::test]
async fn no_process_is_left_after_sigkill() {
    let mut gateway = TestGateway::start().await;
    let (kind, hard) = (gateway.file("kind"), gateway.file("hard"));
    gateway.add_command("kind", &["/bin/sh", "-c", &family(&kind)]).await;
    gateway.add_command("hard", &["/bin/sh", "-c", &stubborn(&hard)]).await;
    gateway.kill().await;
    let gone = settles("all have ended", async || alive(&kind).is_empty() && alive(&hard).is_empty());
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("within ten seconds");
}

#[tokio::test]
async fn no_process_is_left_of_a_server_that_never_greeted() {
    for kill in [false, true] {
        let home = tempfile::TempDir::new().unwrap();
        let file = home.path().join("silent");
        // In a configuration `$$` is one dollar sign.
        let script = format!("sleep 1000 & echo $! $$$$ > {}; exec sleep 1000", file.display());
        let config = format!("mcp:\n  servers:\n    silent: {{ command: [/bin/sh, -c, '{script}'] }}\n");
        let mut gateway = TestGateway::with_config(&config).await;
        settles("both run", async || alive(&file).len() == 2).await;
        if kill {
            gateway.kill().await;
        } else {
            assert_eq!(gateway.stop().await.code(), Some(0));
        }
        settles("both have ended", async || alive(&file).is_empty()).await;
    }
}

#[tokio::test]
async fn no_process_is_left_of_a_server_that_is_removed_or_disabled() {
    let gateway = TestGateway::start().await;
    for act in ["servers_disable", "servers_remove"] {
        let file = gateway.file(act);
        gateway.add_command("family", &["/bin/sh", "-c", &family(&file)]).await;
        assert_eq!(alive(&file).len(), 2);
        gateway.control(act, json!({ "name": "family" })).await;
        settles("both have ended", async || alive(&file).is_empty()).await;
        if act == "servers_disable" {
            gateway.control("servers_remove", json!({ "name": "family" })).await;
        }
    }
}

#[tokio::test]
async fn no_process_is_left_of_a_server_that_could_not_be_added() {
    let gateway = TestGateway::start().await;
    let file = gateway.file("quitter");
    let script = format!("sleep 1000 & echo $! $$ > '{}'; exit 1", file.display());
    gateway.try_control("servers_add", json!({ "name": "quitter", "command": ["/bin/sh", "-c", script] })).await.unwrap_err();
    settles("the grandchild has ended", async || file.exists() && alive(&file).is_empty()).await;
}

#[tokio::test]
async fn a_child_is_given_a_small_environment_and_what_its_entry_adds() {
    let keys = [
        ("OPENAI_API_KEY", "sk-CANARY-1"),
        ("AWS_SECRET_ACCESS_KEY", "CANARY-2"),
        ("LC_ALL", "C.UTF-8"),
        ("HTTPS_PROXY", "http://proxy.test:1"),
    ];
    let gateway = TestGateway::launch(None, "127.0.0.1:0", &keys).await;
    let file = gateway.file("env");
    let script = format!("env > '{}'; exec portolan demo-server", file.display());
    let add = json!({ "name": "nosy", "command": ["/bin/sh", "-c", script], "env": { "WIKI_TOKEN": "of-the-entry" } });
    gateway.control("servers_add", add).await;
    let seen = std::fs::read_to_string(&file).unwrap();
    assert!(!seen.contains("CANARY"), "{seen}");
    // By its name alone a request that comes back through a child is known.
    let ours: Vec<&str> = seen.lines().filter(|line| line.starts_with("PORTOLAN")).collect();
    assert!(ours.len() == 1 && ours[0].starts_with("PORTOLAN_LOOP=portolan-"), "{seen}");
    for line in ["WIKI_TOKEN=of-the-entry", "LC_ALL=C.UTF-8", "HTTPS_PROXY=http://proxy.test:1"] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is in\n{seen}");
    }
    for name in ["PATH=", "HOME="] {
        assert!(seen.lines().any(|seen| seen.starts_with(name)), "{name} is in\n{seen}");
    }
}

#[tokio::test]
async fn no_shell_reads_a_command() {
    let gateway = TestGateway::start().await;
    let file = gateway.file("pwned");
    let bait = format!("$(touch '{}')", file.display());
    gateway.try_control("servers_add", json!({ "name": "bait", "command": ["/bin/echo", bait, "; touch x", "| cat"] })).await.unwrap_err();
    assert!(!file.exists());
}

#[tokio::test]
async fn isolation_says_who_shares_a_process() {
    let gateway = TestGateway::start().await;
    let (first, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    let (second, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    for (isolation, most) in [("shared", 1), ("caller", 3), ("session", 5)] {
        let file = gateway.file(isolation);
        let script = format!("echo $$ >> '{}'; exec portolan demo-server", file.display());
        gateway.control("servers_add", json!({ "name": isolation, "command": ["/bin/sh", "-c", script], "isolation": isolation })).await;
        // Two sessions of each of two callers.
        for key in [&first, &first, &second, &second] {
            let session = Session::open(&gateway.url("/mcp"), "2025-11-25", Some(key)).await;
            session.call(&format!("{isolation}__echo"), json!({ "text": "x" })).await;
        }
        // The gateway's own process, by which it reads the definitions, is one of them.
        let started = until("the processes are known", async || std::fs::read_to_string(&file).ok()).await.lines().count();
        let of_callers = match isolation {
            "shared" => started == 1,
            "caller" => (2..=most).contains(&started),
            _ => (4..=most).contains(&started),
        };
        assert!(of_callers, "{isolation}: {started} processes were started");
    }
}

#[tokio::test]
async fn a_child_that_hangs_is_ended_and_another_one_started() {
    let gateway = TestGateway::with_config("limits: { tool_timeout: 1s }\n").await;
    let file = gateway.file("hanging");
    let script = format!("echo $$ >> '{}'; exec portolan demo-server", file.display());
    gateway.add_command("demo", &["/bin/sh", "-c", &script]).await;
    let client = modern(&gateway.url("/mcp"));
    assert_eq!(text_of(&client.call("demo__echo", json!({ "text": "a" })).await), "a");
    // It is still there, and deaf.
    let [hanging] = alive(&file)[..] else { panic!("one child runs") };
    kill_process(Pid::from_raw(hanging).unwrap(), Signal::STOP).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{hanging}/stat")).unwrap();
    settles("all its threads have heard of it", async || state().contains(") T ")).await;
    let call = json!({ "name": "demo__echo", "arguments": { "text": "b" } });
    let first = client.request("tools/call", call.clone()).await;
    assert!(first.body["error"].is_object(), "{}", first.text);
    settles("another child answers", async || client.request("tools/call", call.clone()).await.body["result"].is_object()).await;
    settles("the first one has ended", async || !alive(&file).contains(&hanging)).await;
}

#[tokio::test]
async fn a_process_of_one_session_ends_with_its_session() {
    let gateway = TestGateway::start().await;
    let file = gateway.file("own");
    let script = format!("echo $$ >> '{}'; exec portolan demo-server", file.display());
    gateway.control("servers_add", json!({ "name": "own", "command": ["/bin/sh", "-c", script], "isolation": "session" })).await;
    let (first, second) = (session(&gateway.url("/mcp")).await, session(&gateway.url("/mcp")).await);
    for session in [&first, &second] {
        session.call("own__echo", json!({ "text": "x" })).await;
    }
    // The gateway's own, by which it reads the definitions, and one for each session.
    assert_eq!(alive(&file).len(), 3);
    first.end().await;
    settles("two are left", async || alive(&file).len() == 2).await;
    assert_eq!(text_of(&second.call("own__echo", json!({ "text": "still here" })).await), "still here");
}

/// A stateless server that keeps its stream of changes open for ever.
const STATELESS: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  case "$line" in
    *server/discover*) echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}}}}" ;;
    *tools/list*) echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"resultType\":\"complete\",\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\"}}]}}" ;;
  esac
done
"#;

#[tokio::test]
async fn a_child_whose_stream_of_changes_is_open_ends_when_its_server_is_removed() {
    let gateway = TestGateway::start().await;
    let file = gateway.file("stateless");
    let script = format!("echo $$ >> '{}'\n{STATELESS}", file.display());
    gateway.add_command("stateless", &["/bin/sh", "-c", &script]).await;
    assert_eq!((alive(&file).len(), gateway.server("stateless").await["era"].as_str()), (1, Some("2026-07-28")));
    let start = std::time::Instant::now();
    gateway.control("servers_remove", json!({ "name": "stateless" })).await;
    assert!(alive(&file).is_empty() && start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}
