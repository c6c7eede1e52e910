//! Starting, being configured, and being configured anew.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Answer, DEMO, TestGateway, chat, http, modern, post, settles, until};

async fn get(url: &str) -> Answer {
    Answer::read(http().get(url).send().await.unwrap()).await
}

/// The ids of `GET /v1/models`.
async fn models(gateway: &TestGateway) -> Vec<String> {
    let answer = get(&gateway.url("/v1/models")).await;
    answer.body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

fn named(model: &str) -> String {
    format!("providers: {{}}\nmodels:\n  {model}: {{ targets: [{{ provider: portolan, model: echo }}] }}\n")
}

#[tokio::test]
async fn the_banner_says_where_things_are_and_what_to_do_next() {
    let gateway = TestGateway::start().await;
    let banner = gateway.banner();
    for word in ["/mcp", "/v1", "Anthropic", "owner.key", "portolan/echo", "portolan server add"] {
        assert!(banner.contains(word), "`{word}` is in:\n{banner}");
    }
    assert!(!banner.contains(&gateway.owner_key()), "on loopback the key stays in its file");
    assert_eq!(get(&gateway.url("/readyz")).await.status, 200);
}

#[tokio::test]
async fn what_the_banner_says_to_try_works_as_it_stands_in_another_terminal() {
    let gateway = TestGateway::start().await;
    let banner = gateway.banner();
    let (_, advice) = banner.split_once("another terminal:\n").expect("the banner has advice");
    assert!(advice.contains("portolan server add") && advice.contains("portolan chat"), "{advice}");
    let said = TestGateway::shell(advice).await.ok();
    assert!(said.contains("demo__echo") && said.contains("hello"), "{said}");
}

#[tokio::test]
async fn a_start_without_a_file_can_be_used_at_once() {
    let gateway = TestGateway::start().await;
    let answer = post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "ahoy")).await;
    assert_eq!(answer.body["choices"][0]["message"]["content"], "ahoy");
}

#[tokio::test]
async fn a_provider_in_the_environment_is_found_and_its_key_is_not_shown() {
    let gateway = TestGateway::launch(None, "127.0.0.1:0", &[("MISTRAL_API_KEY", "sk-CANARY-7f3a9c")]).await;
    assert!(gateway.banner().contains("mistral"), "{}", gateway.banner());
    assert!(!(gateway.banner() + &gateway.log()).contains("CANARY"));
}

#[tokio::test]
async fn secrets_are_readable_by_their_owner_only() {
    let gateway = TestGateway::start().await;
    let mode = |name: &str| std::fs::metadata(gateway.data_dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("owner.key"), 0o600);
    assert_eq!(mode(""), 0o700);
    assert!(gateway.owner_key().starts_with("ptl_"));
}

#[tokio::test]
async fn a_wrong_file_stops_the_start_and_says_where_it_is_wrong() {
    let cases = [
        ("server:\n  listen: 127.0.0.1:0\n  lisen: x\n", vec!["line 3", "column", "lisen"]),
        ("limits:\n  body: [\n", vec!["line", "column"]),
        ("limits:\n  tool_turns: 0\n", vec!["line 2", "column"]),
        ("limits:\n  drain: soon\n", vec!["line 2", "column", "soon"]),
        (
            "providers:\n  a: { kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1', api_key: '${NOT_SET_ANYWHERE}' }\n",
            vec!["line 2", "NOT_SET_ANYWHERE"],
        ),
        ("providers:\n  a: { kind: openai-compatible }\n", vec!["providers.a.base_url"]),
        ("mcp:\n  servers:\n    a: {}\n", vec!["mcp.servers.a", "command", "url"]),
        ("mcp:\n  servers:\n    A__b: { command: [x] }\n", vec!["line 3", "A__b"]),
        (
            "mcp:\n  servers:\n    a: { command: [x], sampling: { model: m, max_tokens: 0 } }\n",
            vec!["mcp.servers.a.sampling.max_tokens", "at least 1"],
        ),
        ("auth:\n  keys:\n    a: { key: 'file:nowhere.txt', grants: [mcp] }\n", vec!["auth.keys.a.key", "nowhere.txt"]),
        ("auth:\n  keys:\n    a: { key: 0123456789abcdef, grants: [everything] }\n", vec!["auth.keys.a", "everything"]),
        (
            "auth:\n  keys:\n    a: { key: 0123456789abcdef, grants: [mcp] }\n    b: { key: 0123456789abcdef, grants: [admin] }\n",
            vec!["auth.keys.b.key", "the key of `a` too"],
        ),
        ("registry: { refresh: 0s }\n", vec!["registry.refresh", "without a pause"]),
        ("providers:\n  a: { kind: openai, headers: { 'bad header': x } }\n", vec!["providers.a.headers.bad header"]),
        ("providers:\n  a: { kind: openai, base_url: 'https://x.example/v1/chat/completions' }\n", vec!["providers.a.base_url", "/v1"]),
        ("providers:\n  a: { kind: openai, api_version: '2023-06-01' }\n", vec!["providers.a.api_version", "anthropic"]),
        ("models:\n  m: { targets: [{ provider: nobody, model: x }] }\n", vec!["models.m", "nobody"]),
        ("models:\n  m: { targets: [{ provider: portolan, model: echo }], context: [nothing] }\n", vec!["models.m", "nothing"]),
        ("context:\n  sources:\n    a: { file: a.md, resource: 'x://y', server: b }\n", vec!["context.sources.a"]),
        ("storage: { url: 'mysql://x' }\n", vec!["portolan.yaml", "storage.url"]),
        ("server: { listen: here }\n", vec!["line 1", "`here`", "127.0.0.1:8484"]),
        ("server: { origins: [chat.example.com] }\n", vec!["server.origins[0]", "`chat.example.com`", "https://"]),
        ("server: { origins: ['https://chat.example.com/path'] }\n", vec!["server.origins[0]", "write `https://chat.example.com`"]),
        ("server: { origins: ['https://Chat.example.com:443'] }\n", vec!["server.origins[0]", "write `https://chat.example.com`"]),
        ("server: { hosts: ['https://gateway.example.com'] }\n", vec!["server.hosts[0]", "without scheme"]),
        ("server: { hosts: ['gateway.example.com:443'] }\n", vec!["server.hosts[0]", "port"]),
        ("context:\n  sources:\n    a: { url: 'http://x.example', select: '/a~2' }\n", vec!["context.sources.a.select", "`~0`"]),
        ("providers:\n  a: { kind: opnai }\n", vec!["line 2", "opnai", "did you mean `openai`?"]),
        ("telemetry: { log: verbose }\n", vec!["telemetry.log", "verbose", "debug"]),
        ("mcp:\n  servers:\n    a: { command: 'npx -y some-server' }\n", vec!["line 3", "a list is expected"]),
        ("limits: {}\nlimits: {}\n", vec!["line 2", "`limits` stands twice"]),
    ];
    for (config, words) in cases {
        let complaint = TestGateway::refused(config).await.failed(1);
        for word in words {
            assert!(complaint.contains(word), "`{word}` is said of\n{config}\nin: {complaint}");
        }
    }
}

#[tokio::test]
async fn a_complaint_about_a_file_does_not_show_the_secrets_in_it() {
    let config = "auth:\n  keys:\n    a: { key: CANARY-7f3a9c-0123456789, grants: [mcp], nonsense: 1 }\n";
    let cli = TestGateway::refused(config).await;
    let said = cli.stdout.clone() + &cli.stderr;
    assert!(cli.failed(1).contains("line 3"));
    assert!(!said.contains("CANARY"), "{said}");
}

#[tokio::test]
async fn a_file_that_is_not_there_stops_the_start() {
    let complaint = TestGateway::plain_cli(&[], &["serve", "--listen", "127.0.0.1:0", "--config", "nowhere.yaml"]).await.failed(1);
    assert!(complaint.contains("nowhere.yaml"), "{complaint}");
}

#[tokio::test]
async fn a_port_that_is_taken_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let complaint = TestGateway::plain_cli(&[], &["serve", "--listen", &address]).await.failed(1);
    assert!(complaint.contains(&address), "{complaint}");
}

#[tokio::test]
async fn wrong_usage_and_an_absent_gateway_have_exit_codes_of_their_own() {
    TestGateway::plain_cli(&[], &["no-such-command"]).await.failed(2);
    TestGateway::plain_cli(&[], &["server", "add"]).await.failed(2);
    let complaint = TestGateway::plain_cli(&[("PORTOLAN_URL", "http://127.0.0.1:1")], &["server", "list"]).await.failed(3);
    assert!(complaint.contains("http://127.0.0.1:1"), "{complaint}");
}

#[tokio::test]
async fn check_tries_what_a_file_names() {
    let gateway = TestGateway::start().await;
    let check = async |text: &str, more: &[&str]| {
        let path = gateway.file("checked.yaml");
        std::fs::write(&path, text).unwrap();
        gateway.cli(&[&["check", "--config", path.to_str().unwrap()], more].concat()).await
    };

    check("limits: { drain: 1s }\n", &["--offline"]).await.ok();
    assert!(check("limitz: {}\n", &["--offline"]).await.failed(1).contains("limitz"));

    let good = check(&format!("mcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}\n"), &["--json"]).await.json();
    assert_eq!((&good["ok"], &good["checked"][0]["name"]), (&json!(true), &json!("demo")));

    let broken = "mcp: { servers: { gone: { command: [/no/such/program] } } }\nproviders: { dead: { kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1' } }\n";
    let cli = check(broken, &["--json"]).await;
    assert_eq!(cli.code, 1, "{cli:#?}");
    let said: Value = serde_json::from_str(&cli.stdout).unwrap();
    let failed: Vec<&str> =
        said["checked"].as_array().unwrap().iter().filter(|one| one["ok"] == false).filter_map(|one| one["name"].as_str()).collect();
    assert!(failed.contains(&"gone") && failed.contains(&"dead"), "{said}");
    check(broken, &["--offline"]).await.ok();

    let absent = check("context: { sources: { rules: { file: absent.md } } }\n", &["--offline"]).await;
    assert!(absent.code == 1 && absent.stdout.contains("absent.md"), "{absent:#?}");
    let unreadable = check("limitz: {}\n", &["--offline", "--json"]).await;
    let said: Value = serde_json::from_str(&unreadable.stdout).unwrap();
    assert!(unreadable.code == 1 && said["error"]["message"].as_str().unwrap().contains("limitz"), "{said}");
}

#[tokio::test]
async fn a_changed_file_is_taken_over_without_a_restart() {
    let gateway = TestGateway::with_config(&named("first")).await;
    assert!(models(&gateway).await.contains(&"first".to_owned()));
    gateway.write_config(&(named("second") + &format!("mcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}\n")));
    settles("the second model is there", async || models(&gateway).await.contains(&"second".to_owned())).await;
    assert!(!models(&gateway).await.contains(&"first".to_owned()));
    gateway.wait_for_server("demo", "ready").await;
}

#[tokio::test]
async fn a_bad_file_never_replaces_a_good_one() {
    let gateway = TestGateway::with_config(&named("first")).await;
    gateway.write_config(&(named("second") + "nonsense: true\n"));
    let complaint =
        until("the refusal is logged", async || gateway.log().lines().find(|line| line.contains("nonsense")).map(str::to_owned));
    let complaint = complaint.await;
    assert!(complaint.contains("line 4") && complaint.contains("column"), "{complaint}");
    let now = models(&gateway).await;
    assert!(now.contains(&"first".to_owned()) && !now.contains(&"second".to_owned()), "{now:?}");

    gateway.write_config(&named("third"));
    settles("the mended file is in use", async || models(&gateway).await.contains(&"third".to_owned())).await;
}

#[tokio::test]
async fn a_hangup_reads_the_file_and_its_secrets_again() {
    let gateway = TestGateway::with_config(&named("first")).await;
    // A secret beside the file changes nothing in the file itself, so nobody but the signal tells of it.
    let secret = gateway.file("key.txt");
    std::fs::write(&secret, "first-secret-0123456789").unwrap();
    gateway.write_config("auth:\n  keys:\n    a: { key: 'file:key.txt', grants: [models] }\n");
    let status = async |key: &str| http().get(gateway.url("/v1/models")).bearer_auth(key).send().await.unwrap().status().as_u16();
    settles("the declared key is in use", async || status("nobody").await == 401 && status("first-secret-0123456789").await == 200).await;

    std::fs::write(&secret, "second-secret-0123456789").unwrap();
    gateway.signal(Signal::HUP);
    settles("the second secret is in use", async || status("second-secret-0123456789").await == 200).await;
    assert_eq!(status("first-secret-0123456789").await, 401);
}

#[tokio::test]
async fn beyond_loopback_every_door_needs_a_key_and_the_first_start_shows_one() {
    let mut gateway = TestGateway::launch(None, "0.0.0.0:0", &[]).await;
    let key = gateway.owner_key();
    assert!(gateway.banner().contains(&key), "{}", gateway.banner());

    for path in ["/v1/models", "/mcp", "/mcp/portolan", "/metrics"] {
        let answer = get(&gateway.url(path)).await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.text);
        assert!(!answer.header("www-authenticate").is_empty(), "{path}");
    }
    assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await.status, 401);
    assert_eq!(http().get(gateway.url("/v1/models")).bearer_auth("sk-foreign").send().await.unwrap().status(), 401);
    assert_eq!(http().get(gateway.url("/v1/models")).bearer_auth(&key).send().await.unwrap().status(), 200);
    assert_eq!(get(&gateway.url("/livez")).await.status, 200);

    gateway.stop().await;
    gateway.start_again().await;
    assert_eq!(gateway.owner_key(), key, "the key is kept");
    assert!(!gateway.banner().contains(&key), "and is shown only once");
}

#[tokio::test]
async fn every_answer_carries_an_id_and_says_what_took_how_long() {
    let gateway = TestGateway::start().await;
    let asked = http().get(gateway.url("/v1/models")).header("x-request-id", "mine-42").send().await.unwrap();
    let asked = Answer::read(asked).await;
    assert_eq!(asked.header("x-request-id"), "mine-42");
    assert!(asked.header("server-timing").contains("dur="), "{:?}", asked.headers);
    let first = get(&gateway.url("/livez")).await;
    let second = get(&gateway.url("/livez")).await;
    assert!(!first.header("x-request-id").is_empty());
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn what_happened_can_be_counted() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "one two three")).await;
    gateway.cli(&["tool", "call", "demo__echo", "text=x"]).await.ok();
    let metrics = get(&gateway.url("/metrics")).await.text;
    let counted = |start: &str, label: &str| metrics.lines().any(|line| line.starts_with(start) && line.contains(label));
    assert!(counted("gen_ai_client_token_usage", "input"), "{metrics}");
    assert!(counted("gen_ai_client_operation_duration", "echo"), "{metrics}");
    assert!(counted("mcp_client_operation_duration", "demo__echo"), "{metrics}");
}

#[tokio::test]
async fn limits_change_while_the_gateway_runs_and_what_takes_a_restart_is_said() {
    let gateway = TestGateway::with_config("limits: { tool_timeout: 60s }\n").await;
    gateway.add_demo().await;
    gateway.write_config("limits: { tool_timeout: 200ms }\nstorage: { url: 'sqlite:other.db' }\ntelemetry: { log: debug }\n");
    let client = modern(&gateway.url("/mcp"));
    let slow = json!({ "name": "demo__slow", "arguments": { "steps": 1, "delay_ms": 800 } });
    settles("the shorter limit is in use", async || client.request("tools/call", slow.clone()).await.body["error"].is_object()).await;
    for section in ["storage", "telemetry"] {
        let said = |line: &str| line.contains(&format!("`{section}` changed")) && line.contains("restart");
        assert!(gateway.log().lines().any(said), "{section}: {}", gateway.log());
    }
    assert!(!gateway.log().contains("`server.listen` changed"));
}

#[tokio::test]
async fn a_server_that_the_file_stood_before_comes_back_when_the_file_lets_go() {
    let gateway = TestGateway::with_config("{}\n").await;
    gateway.add_demo().await;
    gateway.write_config("mcp: { servers: { demo: { command: [portolan, demo-server], isolation: caller } } }\n");
    settles("the file's own is in use", async || gateway.server("demo").await["declared"] == true).await;
    gateway.write_config("{}\n");
    settles("the first one is back", async || gateway.server("demo").await["declared"] == false).await;
    gateway.wait_for_server("demo", "ready").await;
}

#[tokio::test]
async fn a_data_directory_serves_one_gateway_at_a_time() {
    let gateway = TestGateway::start().await;
    let second = gateway.cli(&["serve", "--listen", "127.0.0.1:0"]).await.failed(1);
    let dir = gateway.data_dir().display().to_string();
    assert!(second.contains(&dir) && second.contains("another gateway") && second.contains("--data-dir"), "{second}");
}

#[tokio::test]
async fn a_changed_file_that_is_refused_is_told_of_by_status() {
    let gateway = TestGateway::with_config("limits: {}\n").await;
    gateway.write_config("limitts: {}\n");
    settles("status tells of it", async || {
        let status = gateway.cli(&["status"]).await.ok();
        status.contains("problem    configuration") && status.contains("limitts")
    })
    .await;
    gateway.write_config("limits: {}\n");
    settles("status is clean again", async || !gateway.cli(&["status"]).await.ok().contains("problem")).await;
}
