//! What those who run the gateway are told: by `check`, `status`, `model explain`, `context preview` and `chat`.

use serde_json::{Value, json};

use crate::support::{Answer, DEMO, Page, Reply, StubProvider, TestGateway, WebServer, chat, http, post};

/// What `portolan check` says of a file: for people, and for scripts.
async fn checked(text: &str, more: &[&str]) -> (String, Value) {
    let gateway = TestGateway::start().await;
    let path = gateway.file("checked.yaml");
    std::fs::write(&path, text).unwrap();
    let args = [&["check", "--config", path.to_str().unwrap()], more].concat();
    let shown = gateway.cli(&args).await.stdout;
    let read = gateway.cli(&[&args[..], &["--json"]].concat()).await;
    (shown, serde_json::from_str(&read.stdout).unwrap_or_else(|error| panic!("{error}: {read:#?}")))
}

/// The entry on one thing.
fn entry<'c>(checked: &'c Value, name: &str) -> &'c Value {
    let all = checked["checked"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {checked:#}"))
}

#[tokio::test]
async fn check_warns_of_servers_that_nobody_declared_and_is_content_all_the_same() {
    let config = format!(
        "mcp: {{ servers: {{ github: {{ command: {DEMO} }} }} }}
context: {{ sources: {{ ghost: {{ server: nope, resource: 'a://b' }} }} }}
models: {{ m: {{ targets: [{{ provider: portolan, model: echo }}], tools: ['gihub__*'] }} }}\n"
    );
    for more in [&[][..], &["--offline"]] {
        let (shown, read) = checked(&config, more).await;
        assert_eq!(
            (&read["ok"], &entry(&read, "ghost")["state"], &entry(&read, "m")["state"]),
            (&json!(true), &json!("warning"), &json!("warning"))
        );
        assert!(shown.contains("no server `nope` is declared") && shown.contains("did you mean `github`?"), "{shown}");
        assert!(shown.contains("look at the warnings"), "{shown}");
    }
}

#[tokio::test]
async fn check_warns_of_a_model_that_is_to_answer_servers_and_is_not_there() {
    let config = format!(
        "mcp:
  servers:
    good: {{ command: {DEMO}, sampling: {{ model: fast }} }}
    echo: {{ command: {DEMO}, sampling: {{ model: portolan/echo }} }}
    wrong: {{ command: {DEMO}, sampling: {{ model: fsat }} }}
    direct: {{ command: {DEMO}, sampling: {{ model: nobody/x }} }}
models: {{ fast: {{ targets: [{{ provider: portolan, model: echo }}] }} }}\n"
    );
    let (shown, read) = checked(&config, &["--offline"]).await;
    let warned: Vec<&str> = read["checked"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(warned, ["direct", "wrong"], "{shown}");
    assert!(shown.contains("there is no model `fsat`; did you mean `fast`?") && shown.contains("no model `nobody/x`"), "{shown}");
}

#[tokio::test]
async fn check_compares_what_is_asked_of_a_server_with_what_it_lists() {
    let config = format!(
        "mcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}
context:
  sources:
    notes: {{ server: demo, resource: 'demo://notes' }}
    note: {{ server: demo, resource: 'demo://note' }}
    tool: {{ server: demo, tool: tme, read_only: true }}
    prompt: {{ server: demo, prompt: greetin }}
models:
  m: {{ targets: [{{ provider: portolan, model: echo }}], tools: [demo__tme, demo__echo, 'demo__*'] }}
  w: {{ targets: [{{ provider: mistral, model: x }}] }}\n"
    );
    let (shown, read) = checked(&config, &[]).await;
    let state = |name: &str| entry(&read, name)["state"].as_str().unwrap_or_default().to_owned();
    let states = ["notes", "note", "tool", "prompt", "m", "w"].map(state);
    assert_eq!(states, ["ok", "warning", "failed", "failed", "warning", "warning"], "{shown}");
    for told in [
        "mean `demo://notes`?",
        "no tool `tme`; did you mean `time`?",
        "no tool `demo__tme`; did you mean `demo__time`?",
        "MISTRAL_API_KEY",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert!(!shown.contains("`demo__echo`"), "{shown}");
}

#[tokio::test]
async fn check_does_not_say_ok_of_what_it_did_not_try() {
    let config = "context: { sources: { papers: { url: 'http://127.0.0.1:1/{{ query }}' } } }\n";
    let (shown, read) = checked(config, &[]).await;
    assert!(shown.lines().any(|line| line.contains("papers") && line.contains("skipped")), "{shown}");
    assert_eq!((&entry(&read, "papers")["state"], &entry(&read, "papers")["ok"]), (&json!("skipped"), &Value::Null));
}

#[tokio::test]
async fn check_says_of_a_database_that_cannot_be_opened_what_a_start_would() {
    let (shown, read) = checked("storage: { url: 'sqlite:/nonexistent/dir/x.db' }\n", &["--offline"]).await;
    assert_eq!((&read["ok"], &entry(&read, "url")["state"]), (&json!(false), &json!("failed")));
    assert!(shown.contains("/nonexistent/dir/x.db cannot be made"), "{shown}");
    let (shown, read) = checked("storage: { url: 'sqlite:new.db' }\n", &["--offline"]).await;
    assert!(read["ok"] == true && shown.contains("new.db will be made"), "{shown}");
}

/// Providers that list nothing, each for another reason, and one with an odd entry in its list.
async fn sick() -> (WebServer, String) {
    let web = WebServer::start().await;
    web.set("/refuses/v1/models", Page::json(&json!({})).status(401));
    web.set("/fails/v1/models", Page::json(&json!({})).status(503));
    web.set("/page/v1/models", Page::text("<html>").header("content-type", "text/html"));
    web.set("/strange/v1/models", Page::json(&json!({ "models": [] })));
    let models = json!({ "data": [{ "id": "claude-x", "type": "model", "display_name": "x" }, { "object": "model" }, 7, { "id": null }, { "id": "claude-y" }] });
    web.set("/odd/v1/models", Page::json(&models));
    let of = |name: &str, kind: &str, url: &str| format!("  {name}: {{ kind: {kind}, base_url: '{url}', api_key: sk-CANARY-7f3a9c }}\n");
    let mut config = "providers:\n".to_owned();
    for (name, kind) in [
        ("refuses", "openai-compatible"),
        ("fails", "openai-compatible"),
        ("page", "anthropic"),
        ("strange", "anthropic"),
        ("odd", "anthropic"),
    ] {
        config += &of(name, kind, &web.url(&format!("/{name}/v1")));
    }
    config += &of("nowhere", "anthropic", &web.url("/nowhere").replace("http://", "http://user:pass@"));
    config += &of("dead", "openai-compatible", "http://127.0.0.1:1/v1");
    (web, config)
}

const CAUSES: [(&str, &[&str]); 6] = [
    ("refuses", &["refuses the key", "401", "api_key"]),
    ("fails", &["fails with status 503"]),
    ("page", &["not with a list of models", "not JSON"]),
    ("strange", &["not with a list of models", "no `data`"]),
    ("nowhere", &["404", "/nowhere/models", "usually ends in `/v1`"]),
    ("dead", &["http://127.0.0.1:1/v1/models", "the connection was refused"]),
];

#[tokio::test]
async fn check_and_status_name_the_true_cause_why_a_provider_lists_nothing() {
    let (_web, config) = sick().await;
    let (shown, read) = checked(&config, &[]).await;
    let gateway = TestGateway::with_config(&config).await;
    let status = gateway.cli(&["status", "--json"]).await.json();
    let problems = status["problems"].as_array().unwrap();
    for (name, words) in CAUSES {
        let problem = problems.iter().find(|problem| problem["provider"] == name).unwrap_or_else(|| panic!("{name}: {status:#}"));
        for why in [entry(&read, name)["detail"].as_str().unwrap(), problem["error"].as_str().unwrap()] {
            assert!(words.iter().all(|word| why.contains(word)), "{name}: {why}");
        }
    }
    assert!(gateway.cli(&["status"]).await.ok().contains("provider dead: cannot be reached"));
    for said in [&shown, &status.to_string()] {
        assert!(!said.contains("pass@") && !said.contains("CANARY"), "{said}");
    }
}

#[tokio::test]
async fn an_odd_entry_in_a_list_of_models_hides_no_other() {
    let (_web, config) = sick().await;
    let (_, read) = checked(&config, &[]).await;
    assert_eq!(entry(&read, "odd")["detail"], "2 models");
}

#[tokio::test]
async fn status_tells_of_targets_that_are_left_out() {
    let provider = StubProvider::start([Reply::status(401, &json!({}))]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    assert_eq!(gateway.cli(&["status", "--json"]).await.json()["problems"], json!([]));
    post(&gateway.url("/v1/chat/completions"), &chat("stub/stub-1", "x")).await;
    let shown = gateway.cli(&["status"]).await.ok();
    assert!(shown.contains("target stub: it failed and is left out for"), "{shown}");
}

const NAMED: &str = "models:
  zebra: { targets: [{ provider: portolan, model: echo }] }
  alpha: { targets: [{ provider: portolan, model: echo }], when: 'caller.kind == \"key\"' }
  beta: { targets: [{ provider: portolan, model: echo }] }
auth: { keys: { only: { key: only-key-0123456789, grants: [models], models: [beta] } } }
";

#[tokio::test]
async fn chat_takes_the_first_model_of_the_file_and_says_so_where_it_does_not_disturb() {
    let gateway = TestGateway::with_config(&format!("providers: {{}}\n{NAMED}")).await;
    let said = gateway.cli(&["chat", "ahoy"]).await;
    assert!(said.stderr.contains("`zebra` answers"), "{said:#?}");
    assert_eq!(said.ok(), "ahoy\n");
    let quiet = gateway.cli(&["chat", "-m", "beta", "ahoy"]).await;
    assert!(quiet.stderr.is_empty(), "{quiet:#?}");
    let listed = gateway.cli(&["model", "list"]).await.ok();
    assert!(listed.find("zebra") < listed.find("alpha") && listed.find("alpha") < listed.find("beta"), "{listed}");
}

#[tokio::test]
async fn a_name_that_is_not_there_is_answered_with_what_this_caller_may_call_or_do() {
    let gateway = TestGateway::with_config(NAMED).await;
    let ask = async |key: &str, model: &str| {
        let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(key).json(&chat(model, "x"));
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!((answer.status, answer.word()), (404, "model_not_found"), "{}", answer.text);
        answer.message().to_owned()
    };
    let owner = gateway.owner_key();
    let said = ask(&owner, "openai/gpt-5-mini").await;
    assert!(said.contains("no provider `openai`") && said.contains("OPENAI_API_KEY") && !said.contains("did you mean"), "{said}");
    assert!(ask(&owner, "ollama/x").await.contains("127.0.0.1:11434"));
    assert!(ask(&owner, "nobody/x").await.ends_with("did you mean `portolan/echo`?"));
    let key = "only-key-0123456789";
    assert_eq!(ask(key, "portolan/echo").await, "there is no model `portolan/echo` here");
    assert_eq!(ask(key, "openai/gpt-5-mini").await, "there is no model `openai/gpt-5-mini` here");
    assert!(ask(key, "bet").await.ends_with("did you mean `beta`?"));
    // Hidden by its condition: told to who explains, and to nobody else.
    assert!(!ask(&owner, "alpha").await.contains("alpha?"));
    let explained = gateway.cli(&["model", "explain", "alpha"]).await;
    assert!(explained.code == 1 && explained.stdout.contains("its `when` says no") && explained.stderr.is_empty(), "{explained:#?}");
}

#[tokio::test]
async fn model_explain_ends_with_1_where_a_model_would_not_be_answered() {
    let gateway = TestGateway::with_config(NAMED).await;
    gateway.cli(&["model", "explain", "zebra"]).await.ok();
    assert!(gateway.cli(&["model", "explain", "nope"]).await.stdout.contains("is NOT answered"));
    for args in
        [&["model", "explain", "nope"][..], &["model", "explain", "nope", "--json"], &["model", "explain", "zebra", "--key", "only"]]
    {
        assert!(gateway.cli(args).await.failed(1).is_empty(), "{args:?}: the answer is all that is said");
    }
}

#[tokio::test]
async fn model_explain_warns_of_tools_that_no_server_has_here() {
    let config = "models: { m: { targets: [{ provider: portolan, model: echo }], tools: ['demmo__*', demo] } }\n";
    let gateway = TestGateway::with_config(config).await;
    gateway.add_demo().await;
    let told = gateway.cli(&["model", "explain", "m"]).await.ok();
    assert!(told.contains("match `demmo__*`; did you mean `demo`?") && !told.contains("match `demo`"), "{told}");
}

#[tokio::test]
async fn an_error_names_the_model_the_last_target_and_how_many_failed_before() {
    let a =
        StubProvider::start([Reply::status(503, &json!({})), Reply::status(404, &json!({ "error": { "message": "no such model here" } }))])
            .await;
    let refusal = || Reply::status(403, &json!({ "error": { "message": "sk-CANARY-7f3a9c" } }));
    let b = StubProvider::start([refusal(), refusal()]).await;
    let config = format!(
        "providers:
  a: {{ kind: openai-compatible, base_url: '{}' }}
  b: {{ kind: openai-compatible, base_url: '{}', api_key: sk-CANARY-7f3a9c }}
  dead: {{ kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1' }}
models: {{ all: {{ targets: [{{ provider: a, model: x }}, {{ provider: dead, model: y }}, {{ provider: b, model: z }}] }} }}
limits: {{ retries: 0 }}\n",
        a.base(),
        b.base()
    );
    let gateway = TestGateway::with_config(&config).await;
    let answer = post(&gateway.url("/v1/chat/completions"), &chat("all", "x")).await;
    assert_eq!((answer.status, answer.word()), (502, "upstream_auth"), "{}", answer.text);
    assert_eq!(
        answer.message(),
        "`all`: its target `b/z` did not answer: the provider refused the gateway's credential; 2 others failed before it"
    );
    assert!(!answer.text.contains("127.0.0.1") && !answer.text.contains("CANARY"), "{}", answer.text);
    let answer = post(&gateway.url("/v1/chat/completions"), &chat("b/z", "x")).await;
    assert_eq!(answer.message(), "`b/z` did not answer: the provider refused the gateway's credential");
    let answer = post(&gateway.url("/v1/chat/completions"), &chat("a/x", "x")).await;
    assert_eq!((answer.status, answer.message()), (404, "no such model here"), "what one alone refuses is in its own words");
}

#[tokio::test]
async fn a_preview_stands_in_for_a_key_and_says_which_option_it_lacks() {
    let config = format!(
        "mcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}
context:
  sources:
    team: {{ server: demo, tool: echo, read_only: true, arguments: {{ text: 'Team {{{{ caller.team }}}}' }} }}
    said: {{ server: demo, tool: echo, read_only: true, arguments: {{ text: '{{{{ query }}}} {{{{ tags.a }}}}' }} }}
auth: {{ keys: {{ ci: {{ key: ci-key-0123456789, grants: [models], tags: {{ team: red }} }}, boss: {{ key: boss-key-0123456789, grants: [admin] }} }} }}\n"
    );
    let gateway = TestGateway::with_config(&config).await;
    gateway.wait_for_server("demo", "ready").await;
    let lacking = gateway.cli(&["context", "preview", "team"]).await.failed(1);
    assert!(lacking.contains("caller.tags.team") && lacking.contains("add --key ID"), "{lacking}");
    assert!(gateway.cli(&["context", "preview", "team", "--key", "ci"]).await.ok().contains("Team red"));
    let lacking = gateway.cli(&["context", "preview", "said"]).await.failed(1);
    assert!(lacking.contains("add --query TEXT and --tag a=VALUE"), "{lacking}");
    gateway.cli(&["context", "preview", "team", "--key", "nobody"]).await.failed(1);
    let other = gateway.control_as("boss-key-0123456789", "context_preview", json!({ "name": "team", "key": "ci" })).await;
    assert!(other.text.contains("owner_only") && !other.text.contains("Team red"), "{}", other.text);
}

#[tokio::test]
async fn a_list_of_sources_shows_where_they_are_asked_without_what_may_be_secret() {
    let config = "context: { sources: { web: { url: 'http://me:secret@127.0.0.1:1/CANARY/{{ query }}?token=CANARY#x' } } }\n";
    let gateway = TestGateway::with_config(config).await;
    let listed = gateway.cli(&["context", "list"]).await.ok();
    assert!(listed.contains("http://127.0.0.1:1/… "), "{listed}");
    let failed = gateway.cli(&["context", "preview", "web", "--query", "x"]).await.failed(1);
    assert!(failed.contains("`web` (http://127.0.0.1:1/…) cannot be had: the connection was refused"), "{failed}");
    assert!(![listed, failed].concat().contains("CANARY") && !gateway.log().contains("CANARY"));
}

#[tokio::test]
async fn a_list_of_keys_shows_what_narrows_them() {
    let gateway = TestGateway::start().await;
    gateway.key(json!({ "name": "narrow", "grants": ["mcp"], "tools": ["demo__*", "x__y"], "servers": ["demo"] })).await;
    gateway.key(json!({ "name": "wide", "grants": ["mcp"] })).await;
    let listed = gateway.cli(&["key", "list"]).await.ok();
    assert!(listed.contains("servers demo; tools demo__*,x__y"), "{listed}");
    assert!(listed.lines().any(|line| line.contains("wide") && line.contains(" -  ")), "{listed}");
}

#[tokio::test]
async fn the_words_for_scripts_are_words_for_tools_and_servers_alike() {
    let gateway = TestGateway::start().await;
    let code = async |args: &[&str]| {
        let said = gateway.cli(args).await;
        assert_eq!(said.code, 1, "{said:#?}");
        serde_json::from_str::<Value>(&said.stdout).unwrap()["error"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(&["tool", "call", "nope", "--json"]).await, "invalid_arguments");
    assert_eq!(code(&["server", "show", "nope", "--json"]).await, "not_found");
}

#[tokio::test]
async fn adding_a_program_by_a_relative_path_says_where_it_is_looked_for() {
    let gateway = TestGateway::start().await;
    let script = gateway.file("demo.sh");
    std::fs::write(&script, "exec portolan demo-server\n").unwrap();
    let whole = script.to_str().unwrap();
    for (name, command, told) in
        [("one", ["sh", "demo.sh"], true), ("two", ["sh", whole], false), ("three", ["portolan", "demo-server"], false)]
    {
        let added = gateway.cli(&[&["server", "add", name, "--"], &command[..]].concat()).await;
        assert_eq!(added.code, 0, "{added:#?}");
        let note = format!("`demo.sh` is looked for where the gateway was started; if that is another folder, write {whole}");
        let notes: Vec<&str> = added.stderr.lines().filter(|line| line.contains("looked for")).collect();
        assert_eq!(notes, if told { vec![note.as_str()] } else { vec![] }, "{name}");
    }
    let scripted = gateway.cli(&["--json", "server", "add", "four", "--", "sh", "demo.sh"]).await;
    assert_eq!((scripted.code, scripted.stderr.as_str()), (0, ""), "{scripted:#?}");
}
