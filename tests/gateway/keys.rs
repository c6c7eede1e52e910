//! Keys: what each may do, and that nothing is allowed which was not granted.

use serde_json::{Value, json};

use crate::support::{Answer, DEMO, McpUpstream, Modern, Speaks, TestGateway, chat, http, initialize, names, tool};

async fn with(key: &str, method: reqwest::Method, url: &str, body: Option<&Value>) -> Answer {
    let request = http().request(method, url).bearer_auth(key);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    Answer::read(request.send().await.unwrap()).await
}

async fn models(gateway: &TestGateway, key: &str) -> Answer {
    with(key, reqwest::Method::GET, &gateway.url("/v1/models"), None).await
}

async fn complete(gateway: &TestGateway, key: &str, model: &str) -> Answer {
    with(key, reqwest::Method::POST, &gateway.url("/v1/chat/completions"), Some(&chat(model, "x"))).await
}

#[tokio::test]
async fn a_key_made_on_the_command_line_opens_what_it_was_made_for() {
    let gateway = TestGateway::start().await;
    let made = gateway.cli(&["key", "create", "--grant", "models", "--name", "ci", "--json"]).await.json();
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("ptl_") && key.contains(made["id"].as_str().unwrap()));
    assert_eq!(models(&gateway, key).await.status, 200);

    let listed = gateway.cli(&["key", "list", "--json"]).await.ok();
    assert!(listed.contains("ci") && listed.contains(made["id"].as_str().unwrap()) && !listed.contains(key), "{listed}");
    gateway.cli(&["key", "revoke", made["id"].as_str().unwrap()]).await.ok();
    assert_eq!(models(&gateway, key).await.status, 401, "a revoked key is refused, also where none is needed");
}

#[tokio::test]
async fn each_grant_opens_its_own_doors_and_no_other() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for (grant, llm, mcp) in [("models", 200, 403), ("mcp", 403, 200), ("registry", 403, 403)] {
        let (key, _) = gateway.key(json!({ "grants": [grant] })).await;
        assert_eq!(models(&gateway, &key).await.status, llm, "{grant}");
        assert_eq!(complete(&gateway, &key, "portolan/echo").await.status, llm, "{grant}");
        for path in ["/mcp", "/mcp/demo"] {
            let opened = with(&key, reqwest::Method::POST, &gateway.url(path), Some(&initialize("2025-11-25"))).await;
            assert_eq!(opened.status, mcp, "{grant} at {path}: {}", opened.text);
        }
        let control = with(&key, reqwest::Method::POST, &gateway.url("/mcp/portolan"), Some(&initialize("2025-11-25"))).await;
        assert_eq!(control.status, 403, "{grant}: {}", control.text);
    }
}

#[tokio::test]
async fn no_control_tool_is_for_those_without_the_grant() {
    let gateway = TestGateway::start().await;
    let owner = Modern::new(&gateway.url("/mcp/portolan")).with_key(&gateway.owner_key());
    let tools = owner.tools().await;
    assert!(tools.len() >= 15, "{:?}", names(&tools));
    let (key, _) = gateway.key(json!({ "grants": ["mcp", "models", "registry"] })).await;
    let stranger = Modern::new(&gateway.url("/mcp/portolan"));
    for name in names(&tools).into_iter().chain(["nothing_of_the_kind"]) {
        let refused = gateway.control_as(&key, name, json!({})).await;
        assert_eq!(refused.status, 403, "{name}: {}", refused.text);
        assert!(refused.body.get("result").is_none(), "{name}");
        let anonymous = stranger.request("tools/call", json!({ "name": name, "arguments": {} })).await;
        assert_eq!(anonymous.status, 401, "also on loopback: {name}");
    }
    assert!(
        !names(&Modern::new(&gateway.url("/mcp")).tools().await).iter().any(|name| name.contains("servers_add")),
        "the control server is not part of the aggregate"
    );
}

#[tokio::test]
async fn an_administrator_who_is_not_the_owner_reads_and_adds_but_weakens_nothing() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let (key, id) = gateway.key(json!({ "grants": ["admin"] })).await;
    let listed = gateway.control_as(&key, "servers_list", json!({})).await;
    assert_eq!(listed.result()["structuredContent"]["servers"][0]["name"], "demo");
    for (name, arguments) in [
        ("servers_add", json!({ "name": "cmd", "command": ["portolan", "demo-server"] })),
        ("servers_add", json!({ "name": "git", "curated": "git" })),
        ("servers_add", json!({ "name": "near", "url": upstream.url(), "allow_private": true })),
        ("servers_remove", json!({ "name": "demo" })),
        ("servers_disable", json!({ "name": "demo" })),
        ("servers_enable", json!({ "name": "demo" })),
        ("releases_approve", json!({ "server": "demo" })),
        ("keys_create", json!({ "grants": ["admin"] })),
        ("keys_revoke", json!({ "id": id })),
    ] {
        let refused = gateway.control_as(&key, name, arguments.clone()).await;
        assert_eq!(refused.result()["isError"], true, "{name} {arguments}: {}", refused.text);
        assert_eq!(refused.result()["structuredContent"]["error"]["code"], "owner_only", "{name}: {}", refused.text);
    }
    assert_eq!(gateway.control("servers_list", json!({})).await["servers"].as_array().unwrap().len(), 1);
    assert!(upstream.recorded("initialize").is_empty());
}

#[tokio::test]
async fn globs_narrow_servers_and_tools_in_lists_and_in_calls() {
    let upstream = McpUpstream::start(
        Speaks::Sessions,
        [tool("get_a", "A.", json!({ "type": "object" })), tool("set_a", "A.", json!({ "type": "object" }))],
    )
    .await;
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    gateway.add_url("git-hub", &upstream.url()).await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "servers": ["git-*"], "tools": ["*__get_*"] })).await;

    let all = Modern::new(&gateway.url("/mcp")).with_key(&key);
    assert_eq!(names(&all.tools().await), ["git-hub__get_a"]);
    assert_eq!(all.request("tools/call", json!({ "name": "git-hub__get_a", "arguments": {} })).await.status, 200);
    for hidden in ["git-hub__set_a", "demo__echo"] {
        let answer = all.request("tools/call", json!({ "name": hidden, "arguments": { "text": "x" } })).await;
        assert_eq!(answer.code(), -32602, "what is hidden is as if it were not there: {hidden} {}", answer.text);
    }
    assert_eq!(all.request("resources/read", json!({ "uri": "demo+demo://notes" })).await.code(), -32602);
    assert_eq!(all.request("prompts/get", json!({ "name": "demo__greeting", "arguments": { "name": "x" } })).await.code(), -32602);
    for (method, member) in
        [("resources/list", "resources"), ("prompts/list", "prompts"), ("resources/templates/list", "resourceTemplates")]
    {
        let listed = all.request(method, json!({})).await;
        assert!(!listed.result()[member].to_string().contains("demo"), "{method}: {}", listed.text);
    }

    let one = Modern::new(&gateway.url("/mcp/git-hub")).with_key(&key);
    assert_eq!(names(&one.tools().await), ["get_a"]);
    assert_eq!(one.request("tools/call", json!({ "name": "set_a", "arguments": {} })).await.code(), -32602);
    assert_eq!(Modern::new(&gateway.url("/mcp/demo")).with_key(&key).request("tools/list", json!({})).await.status, 404);
    assert!(upstream.recorded("tools/call").iter().all(|call| call.body["params"]["name"] == "get_a"));
}

#[tokio::test]
async fn an_agent_loop_runs_no_tool_that_its_caller_may_not_use() {
    let gateway = TestGateway::with_config(&format!(
        "models: {{ agent: {{ targets: [{{ provider: portolan, model: echo }}], tools: [demo] }} }}\nmcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}\n"
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;
    let ask = async |key: &str, body: Value| with(key, reqwest::Method::POST, &gateway.url("/v1/chat/completions"), Some(&body)).await;
    let call = |model: &str| chat(model, r#"call demo__echo {"text":"ahoy"}"#);
    let (plain, _) = gateway.key(json!({ "grants": ["models"] })).await;
    let (narrow, _) = gateway.key(json!({ "grants": ["models", "mcp"], "tools": ["demo__time"] })).await;
    assert_eq!(
        ask(&plain, call("agent")).await.body["choices"][0]["message"]["content"],
        "demo__echo answered: ahoy",
        "what is bound is the operator's choice"
    );
    assert!(ask(&narrow, call("agent")).await.text.contains("no tool"), "a narrowed key stays narrowed");
    let mut own = call("portolan/echo");
    own["tools"] = json!([{ "type": "mcp", "server_label": "demo", "require_approval": "never" }]);
    own["model"] = "agent".into();
    assert_eq!(ask(&plain, own).await.status, 403, "asking for a server takes the grant `mcp`");
}

#[tokio::test]
async fn globs_narrow_models() {
    let config =
        "models:\n  fast: { targets: [{ provider: portolan, model: echo }] }\n  deep: { targets: [{ provider: portolan, model: echo }] }\n";
    let gateway = TestGateway::with_config(config).await;
    let (named, _) = gateway.key(json!({ "grants": ["models"] })).await;
    let (narrow, _) = gateway.key(json!({ "grants": ["models"], "models": ["fa*"] })).await;
    let (wide, _) = gateway.key(json!({ "grants": ["models"], "models": ["*"] })).await;
    let seen = async |key: &str| {
        let listed = models(&gateway, key).await;
        let mut ids: Vec<String> =
            listed.body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(seen(&named).await, ["deep", "fast"], "once models are named, keys see those alone");
    assert_eq!(seen(&narrow).await, ["fast"]);
    assert_eq!(seen(&wide).await, ["deep", "fast", "portolan/echo"]);
    assert_eq!(complete(&gateway, &narrow, "fast").await.status, 200);
    for (key, model) in [(&narrow, "deep"), (&named, "portolan/echo")] {
        let answer = complete(&gateway, key, model).await;
        assert_eq!((answer.status, answer.word()), (404, "model_not_found"), "{model}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_key_is_taken_from_every_header_that_clients_use() {
    let gateway = TestGateway::launch(None, "0.0.0.0:0", &[]).await;
    let (key, _) = gateway.key(json!({ "grants": ["models"] })).await;
    for name in ["authorization", "x-api-key", "x-goog-api-key", "x-portolan-key"] {
        let value = if name == "authorization" { format!("Bearer {key}") } else { key.clone() };
        let answer = http().get(gateway.url("/v1/models")).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
    }
    let both = http().get(gateway.url("/v1/models")).bearer_auth("sk-the-providers-own").header("x-portolan-key", &key);
    assert_eq!(both.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_is_almost_a_key_is_none() {
    let gateway = TestGateway::launch(None, "0.0.0.0:0", &[]).await;
    let (key, id) = gateway.key(json!({ "grants": ["models"] })).await;
    let mut typo = key.clone();
    typo.pop();
    let owner = gateway.owner_key();
    for wrong in [
        typo.as_str(),
        &format!("{key}x"),
        &key[..20],
        &format!("ptl_{id}"),
        &key.to_uppercase(),
        "ptl_",
        "x",
        &"k".repeat(5000),
        &owner[..owner.len() - 1],
    ] {
        let answer = models(&gateway, wrong).await;
        assert_eq!((answer.status, answer.word()), (401, "invalid_api_key"), "{wrong}");
        assert!(!answer.text.contains(wrong), "it is not repeated");
    }
    for value in ["", "Bearer", "Bearer ", "Basic dTpw"] {
        let answer = http().get(gateway.url("/v1/models")).header("authorization", value).send().await.unwrap();
        assert_eq!(answer.status(), 401, "`{value}`");
    }
    let twice = http().get(gateway.url("/v1/models")).header("authorization", format!("Bearer {key}")).header("authorization", "Bearer x");
    assert!(matches!(twice.send().await.unwrap().status().as_u16(), 400 | 401));
}

#[tokio::test]
async fn declared_keys_close_the_open_doors() {
    let gateway = TestGateway::with_config("auth:\n  keys:\n    ci: { key: 0123456789abcdef, grants: [models] }\n").await;
    assert_eq!(http().get(gateway.url("/v1/models")).send().await.unwrap().status(), 401);
    assert_eq!(models(&gateway, "sk-foreign").await.status, 401);
    assert_eq!(models(&gateway, "0123456789abcdef").await.status, 200);
    assert_eq!(models(&gateway, &gateway.owner_key()).await.status, 200);
}

#[tokio::test]
async fn on_loopback_a_foreign_key_is_ignored_and_a_wrong_one_of_ours_is_not() {
    let gateway = TestGateway::start().await;
    assert_eq!(models(&gateway, "sk-of-somebody-else").await.status, 200);
    assert_eq!(models(&gateway, "ptl_000000000000_wrong").await.status, 401);
}

#[tokio::test]
async fn a_revoked_key_ends_what_it_had_open() {
    let gateway = TestGateway::start().await;
    let (key, id) = gateway.key(json!({ "grants": ["mcp"] })).await;
    let session = crate::support::Session::open(&gateway.url("/mcp"), "2025-11-25", Some(&key)).await;
    gateway.control("keys_revoke", json!({ "id": id })).await;
    assert_eq!(session.request("tools/list", json!({})).await.status, 401);
    let again = gateway.try_control("keys_revoke", json!({ "id": id })).await.unwrap_err();
    assert_eq!(again, json!({ "code": "not_found", "message": format!("there is no valid key `{id}`") }));
    let (_, other) = gateway.key(json!({ "grants": ["mcp"], "name": "laptop" })).await;
    let named = gateway.try_control("keys_revoke", json!({ "id": "laptop" })).await.unwrap_err();
    assert_eq!(named["message"], format!("there is no valid key `laptop`; that is the name of `{other}`: revoke it by its id"));
}

#[tokio::test]
async fn keys_that_make_no_sense_are_not_made() {
    let gateway = TestGateway::start().await;
    for arguments in [
        json!({ "grants": [] }),
        json!({ "grants": ["everything"] }),
        json!({ "grants": ["mcp"], "tools": ["[a"] }),
        json!({ "grants": ["mcp"], "nonsense": 1 }),
        json!({ "grants": "mcp" }),
    ] {
        let refused = gateway.try_control("keys_create", arguments.clone()).await.unwrap_err();
        assert_eq!(refused["code"], "invalid_arguments", "{arguments}: {refused}");
    }
    assert_eq!(gateway.control("keys_list", json!({})).await["keys"], json!([]));
    gateway.cli(&["key", "create"]).await.failed(2);
}

#[tokio::test]
async fn no_key_is_found_in_the_data_directory() {
    let mut gateway = TestGateway::start().await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    gateway.stop().await;
    let secret = key.rsplit('_').next().unwrap();
    for entry in std::fs::read_dir(gateway.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", path.display());
    }
    assert!(!gateway.log().contains(secret));
}

/// Every path of the route table, with something in its places.
pub fn paths() -> Vec<String> {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/paths.rs")).unwrap();
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub(super) const ")?.split_once(": &str = \""));
    let paths: Vec<String> = constants
        .filter(|(name, _)| *name != "BELOW_AGGREGATE")
        .map(|(_, rest)| rest.split('"').next().unwrap().replace("{target}", "demo").replace("{tool}", "servers_list"))
        .map(|path| {
            path.replace("{*path}", "mcp")
                .replace("{*id}", "a/b")
                .replace("{id}", "a")
                .replace("{name}", "localhost%2Fdemo")
                .replace("{version}", "latest")
        })
        .collect();
    assert!(paths.len() >= 15 && paths.iter().all(|path| path.starts_with('/') && !path.contains('{')), "{paths:?}");
    paths
}

#[tokio::test]
async fn every_path_is_closed_to_those_without_a_credential_and_to_those_without_its_grant() {
    let gateway = TestGateway::with_config(
        "auth: { keys: { none: { key: 0123456789abcdef, grants: [registry] } } }\nmcp: { servers: { demo: { command: [portolan, demo-server] } } }\n",
    )
    .await;
    // For whoever looks whether it runs, and for whoever looks for the issuer of tokens; no issuer is declared here.
    let public = ["/livez", "/readyz", "/", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"];
    // The console's files; and what is opened by a link or a state that nobody can guess, as `console.rs` and `logins.rs` try.
    let guarded_otherwise = ["/console/mcp", "/console/login", "/oauth/callback", "/oauth/client.json"];
    let open = [public.as_slice(), &guarded_otherwise].concat();
    for path in paths().iter().chain([&"/mcp/portolan".to_owned()]).filter(|path| !open.contains(&path.as_str())) {
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"] {
            let ask = async |key: Option<&str>| {
                let request =
                    http().request(method.parse().unwrap(), gateway.url(path)).header("accept", "application/json, text/event-stream");
                let request = key.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
                request.header("content-type", "application/json").body("{}").send().await.unwrap().status().as_u16()
            };
            let bare = ask(None).await;
            assert!(matches!(bare, 401 | 405), "{method} {path} without a credential: {bare}");
            let poor = ask(Some("0123456789abcdef")).await;
            // Metrics are for every key that has a grant.
            let fits = matches!(poor, 403 | 405) || (path == "/metrics" && poor == 200) || (path.starts_with("/console/") && poor == 401);
            // The one grant that it has.
            let fits = fits || (path.starts_with("/v0.1/") && matches!(poor, 200 | 404));
            assert!(fits, "{method} {path} without its grant: {poor}");
            assert_eq!(ask(Some("0123456789abcdeX")).await, bare, "{method} {path} with a wrong key");
        }
    }
    for odd in ["//v1/models", "/v1/../metrics", "/V1/models", "/mcp/%2e%2e/metrics", "/v1/models/", "/api/v1/..%2fmetrics"] {
        let status = http().get(gateway.url(odd)).send().await.unwrap().status().as_u16();
        assert!(matches!(status, 401 | 404 | 405), "{odd}: {status}");
    }
}
