//! Secrets: wherever the gateway writes or answers, none of them is found, neither plain nor in another spelling.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::support::{Answer, Issuer, McpUpstream, Reply, Speaks, StubProvider, TestGateway, chat, http, modern, post, streamed, tool};

/// The spellings in which a secret could be found. In base64 the first characters depend on what stands before them, so
/// only what lies in the middle is looked for.
fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned(), hex::encode(secret), hex::encode_upper(secret)];
    for skipped in 0..3 {
        let part = &secret.as_bytes()[skipped..];
        let whole = &part[..part.len() / 3 * 3];
        all.extend([STANDARD_NO_PAD.encode(whole), URL_SAFE_NO_PAD.encode(whole)]);
    }
    all
}

#[tokio::test]
async fn no_secret_is_found_in_the_database_the_log_the_metrics_or_any_answer() {
    let issuer = Issuer::start().await;
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("go", "Goes.", json!({ "type": "object" }))]).await;
    let echoed = Reply::status(401, &json!({ "error": { "message": "bad key sk-CANARY-7f3a9c", "code": "invalid_api_key" } }));
    let provider = StubProvider::start([Reply::text("x"), Reply::stream_text(&["y"]), echoed]).await;
    let declared = "  keys: { declared: { key: CANARY-declared-0123456789, grants: [mcp, models], models: [\"*\"] } }\n";
    let config = format!("{}{}telemetry: {{ log: trace }}\n", issuer.config(declared), provider.section());
    let gateway = TestGateway::with_config(&config).await;
    let url = upstream.url();
    gateway
        .control(
            "servers_add",
            json!({ "name": "up", "url": url, "allow_private": true, "headers": { "Authorization": "Bearer CANARY-header-0123456789" } }),
        )
        .await;
    gateway
        .control(
            "servers_add",
            json!({ "name": "demo", "command": ["portolan", "demo-server"], "env": { "SECRET": "CANARY-environment-0123456789" } }),
        )
        .await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp", "models"], "models": ["*"] })).await;
    let token = issuer.token("https://gw.test/mcp");
    let mut answers = Vec::new();
    for (credential, body) in [
        (key.as_str(), chat("stub/stub-1", "x")),
        ("CANARY-declared-0123456789", streamed("stub/stub-1", "x")),
        (&key, chat("stub/stub-1", "x")),
    ] {
        let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(credential).json(&body);
        answers.push(Answer::read(request.send().await.unwrap()).await.text);
    }
    for credential in [key.as_str(), &token, "sk-CANARY-stranger-0123456789"] {
        let client = modern(&gateway.url("/mcp")).with_key(credential);
        answers.push(client.request("tools/call", json!({ "name": "up__go", "arguments": {} })).await.text);
        answers.push(client.request("tools/call", json!({ "name": "up__gone", "arguments": {} })).await.text);
    }
    answers.push(post(&gateway.url(&format!("/mcp?access_token={token}")), &json!({})).await.text);
    let owner = gateway.owner_key();
    for (tool, arguments) in [
        ("servers_list", json!({})),
        ("servers_show", json!({ "server": "up" })),
        ("servers_show", json!({ "server": "demo" })),
        ("keys_list", json!({})),
        ("journal_query", json!({})),
        ("status_show", json!({})),
        ("models_list", json!({})),
        ("releases_list", json!({ "server": "up" })),
    ] {
        let request = http().post(gateway.url(&format!("/api/v1/{tool}"))).bearer_auth(&owner).json(&arguments);
        answers.push(format!("{tool}: {}", request.send().await.unwrap().text().await.unwrap()));
    }
    answers.push(http().get(gateway.url("/metrics")).bearer_auth(&owner).send().await.unwrap().text().await.unwrap());
    assert!(upstream.recorded("tools/call")[0].headers["authorization"] == "Bearer CANARY-header-0123456789", "it is used");

    let mut gateway = gateway;
    gateway.stop().await;
    let mut places = vec![("the log".to_owned(), gateway.log().into_bytes()), ("what was printed".to_owned(), Vec::new())];
    places.extend(answers.into_iter().map(|answer| (format!("the answer {}", &answer[..answer.len().min(60)]), answer.into_bytes())));
    for file in std::fs::read_dir(gateway.data_dir()).unwrap() {
        let path = file.unwrap().path();
        // These hold nothing but a secret, for their owner alone.
        if !["owner.key", "pepper", "seal.key"].contains(&path.file_name().unwrap().to_str().unwrap()) {
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    assert!(places.len() > 15 && places[0].1.len() > 10_000, "there is something to be searched");
    let secret_key = key.rsplit('_').next().unwrap();
    let signature = token.rsplit('.').next().unwrap();
    for secret in [
        "sk-CANARY-7f3a9c",
        "CANARY-declared-0123456789",
        "CANARY-header-0123456789",
        "CANARY-environment-0123456789",
        "sk-CANARY-stranger-0123456789",
        secret_key,
        signature,
        owner.rsplit('_').next().unwrap(),
    ] {
        for spelling in spellings(secret) {
            for (place, bytes) in &places {
                let found = memchr::memmem::find(bytes, spelling.as_bytes());
                let around =
                    found.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(200)..(at + 80).min(bytes.len())]).into_owned());
                assert!(around.is_none(), "`{secret}` stands in {place} as `{spelling}`: {}", around.unwrap_or_default());
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_whose_key_file_cannot_be_used_does_not_start_and_says_which() {
    for file in ["seal.key", "pepper", "owner.key"] {
        let mut gateway = TestGateway::start().await;
        gateway.add_demo().await;
        gateway.stop().await;
        std::fs::write(gateway.data_dir().join(file), "short\n").unwrap();
        let data = gateway.data_dir();
        let said = TestGateway::plain_cli(&[], &["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]).await.failed(1);
        assert!(said.contains(file), "{file}: {said}");
    }
    // Another key than the database was sealed with.
    let mut gateway = TestGateway::start().await;
    gateway.add_demo().await;
    gateway.stop().await;
    std::fs::write(gateway.data_dir().join("seal.key"), "ab".repeat(32)).unwrap();
    let data = gateway.data_dir();
    let said = TestGateway::plain_cli(&[], &["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]).await.failed(1);
    assert!(said.contains("seal.key") && said.contains("demo"), "{said}");
}
