//! Access tokens of an issuer: what they open, what is refused, and what a client without one is told.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::issuer::{now, signed_part};
use crate::support::{Answer, Issuer, Page, Session, TestGateway, chat, http, initialize, until, within};

const MCP: &str = "https://gw.test/mcp";
const MODELS: &str = "https://gw.test/v1";
const METADATA: &str = "https://gw.test/.well-known/oauth-protected-resource";

async fn gateway(issuer: &Issuer) -> TestGateway {
    TestGateway::with_config(&issuer.config("")).await
}

async fn mcp(gateway: &TestGateway, path: &str, token: &str) -> Answer {
    let request = http().post(gateway.url(path)).bearer_auth(token).header("accept", "application/json, text/event-stream");
    Answer::read(request.json(&initialize("2025-11-25")).send().await.unwrap()).await
}

async fn complete(gateway: &TestGateway, token: &str) -> Answer {
    let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(token);
    Answer::read(request.json(&chat("portolan/echo", "hi")).send().await.unwrap()).await
}

async fn get(gateway: &TestGateway, path: &str) -> Answer {
    Answer::read(http().get(gateway.url(path)).send().await.unwrap()).await
}

fn challenge(answer: &Answer) -> String {
    answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Good claims but for what is changed; `Null` takes one away.
fn changed(issuer: &Issuer, claim: &str, value: Value) -> Value {
    let mut claims = issuer.claims(MCP);
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
        value => claims[claim] = value,
    }
    claims
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_grant_at_the_resource_it_is_for() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let (at_mcp, at_models) = (issuer.token(MCP), issuer.token(MODELS));
    assert_eq!(mcp(&gateway, "/mcp", &at_mcp).await.status, 200);
    assert_eq!(complete(&gateway, &at_models).await.status, 200);
    assert_eq!(complete(&gateway, &at_mcp).await.status, 401, "a token for MCP is none for models");
    assert_eq!(mcp(&gateway, "/mcp", &at_models).await.status, 401);
    let both = issuer.with_claims(changed(&issuer, "aud", json!(["https://other.test", MCP, MODELS])));
    assert_eq!(mcp(&gateway, "/mcp", &both).await.status, 200);
    assert_eq!(complete(&gateway, &both).await.status, 200);
    assert_eq!(issuer.asked(), 1, "keys are kept");
}

#[tokio::test]
async fn a_client_without_a_token_finds_out_who_issues_them() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let bare = Answer::read(http().post(gateway.url("/mcp")).json(&initialize("2025-11-25")).send().await.unwrap()).await;
    assert_eq!(bare.status, 401);
    assert_eq!(challenge(&bare), format!("Bearer scope=\"mcp.use\", resource_metadata=\"{METADATA}/mcp\""));
    for (path, resource) in [("", MCP), ("/mcp", MCP), ("/mcp/github", MCP), ("/v1", MODELS)] {
        let metadata = get(&gateway, &format!("/.well-known/oauth-protected-resource{path}")).await;
        assert_eq!(metadata.status, 200, "{path}");
        assert_eq!(metadata.body["resource"], resource, "{path}");
        assert_eq!(metadata.body["authorization_servers"], json!([issuer.url()]), "{path}");
        assert_eq!(metadata.body["bearer_methods_supported"], json!(["header"]));
    }
    let models = Answer::read(http().post(gateway.url("/v1/chat/completions")).json(&chat("x", "x")).send().await.unwrap()).await;
    assert_eq!(challenge(&models), format!("Bearer scope=\"llm.use\", resource_metadata=\"{METADATA}/v1\""));
    assert_eq!(models.body["error"]["code"], "invalid_api_key");
    assert_eq!(get(&gateway, "/.well-known/oauth-protected-resource/nothing").await.status, 404);
}

#[tokio::test]
async fn without_issuers_there_is_no_metadata_that_would_send_a_client_anywhere() {
    let gateway = TestGateway::start().await;
    assert_eq!(get(&gateway, "/.well-known/oauth-protected-resource/mcp").await.status, 404);
}

#[tokio::test]
async fn a_token_that_lacks_a_scope_is_told_which() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let token = issuer.with_claims(changed(&issuer, "scope", json!("llm.use other")));
    let refused = mcp(&gateway, "/mcp", &token).await;
    assert_eq!(refused.status, 403);
    let said = challenge(&refused);
    assert!(said.contains("error=\"insufficient_scope\"") && said.contains("scope=\"mcp.use\"") && said.contains(METADATA), "{said}");
    let control = mcp(&gateway, "/mcp/portolan", &issuer.token(MCP)).await;
    assert_eq!(control.status, 403);
    assert!(challenge(&control).contains("scope=\"gw.admin\""), "{}", challenge(&control));
}

#[tokio::test]
async fn a_token_for_another_resource_is_refused_however_near_its_name() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    for audience in [
        json!("https://gw.test"),
        json!("https://gw.test/mcp/"),
        json!("https://gw.test/mcp2"),
        json!("https://GW.test/mcp"),
        json!("http://gw.test/mcp"),
        json!([]),
        json!(1),
        Value::Null,
    ] {
        let refused = mcp(&gateway, "/mcp", &issuer.with_claims(changed(&issuer, "aud", audience.clone()))).await;
        assert_eq!(refused.status, 401, "{audience}");
        let said = challenge(&refused);
        assert!(said.contains("error=\"invalid_token\"") && said.contains(&format!("resource_metadata=\"{METADATA}/mcp\"")), "{said}");
    }
}

#[tokio::test]
async fn a_token_that_is_signed_in_another_way_than_its_key_says_is_refused() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let claims = issuer.claims(MCP);
    let header = |alg: &str| json!({ "alg": alg, "typ": "at+jwt", "kid": "k1" });
    let x = URL_SAFE_NO_PAD.decode(issuer.jwk["x"].as_str().unwrap()).unwrap();
    let mut forged = vec![
        format!("{}.", signed_part(&header("none"), &claims)),
        format!("{}.", signed_part(&header("None"), &claims)),
        issuer.with_header(header("none"), claims.clone()),
        Issuer::with_secret(header("HS256"), claims.clone(), &x),
        Issuer::with_secret(header("HS256"), claims.clone(), issuer.jwk.to_string().as_bytes()),
        issuer.with_header(header("ES384"), claims.clone()),
    ];
    for (name, value) in [
        ("kid", json!("../../dev/null")),
        ("kid", json!("' OR 1=1--")),
        ("kid", json!("k".repeat(200))),
        ("jwk", issuer.jwk.clone()),
        ("jku", json!(issuer.web.url("/jwks"))),
        ("x5u", json!("https://evil.test")),
        ("x5c", json!([])),
        ("crit", json!(["exp"])),
        ("typ", json!("JWT")),
        ("typ", json!("dpop+jwt")),
    ] {
        let mut header = header("ES256");
        header[name] = value;
        forged.push(issuer.with_header(header, claims.clone()));
    }
    // Another key of the same name; a signature that was cut; a token of one who is nobody here.
    let (other, _) = Issuer::new_key("k1");
    let stranger = Issuer::start().await;
    forged.push(stranger.token(MCP));
    let good = issuer.token(MCP);
    forged.push(good[..good.len() - 2].to_owned());
    forged.push(format!("{good}.{good}"));
    let impostor = Issuer { web: issuer.web.clone(), key: other, jwk: Value::Null };
    forged.push(impostor.token(MCP));
    for token in forged {
        let refused = mcp(&gateway, "/mcp", &token).await;
        assert_eq!(refused.status, 401, "{token}");
        assert!(!refused.text.contains(&token), "a token is never told back");
    }
    assert_eq!(mcp(&gateway, "/mcp", &good).await.status, 200);
}

#[tokio::test]
async fn claims_must_be_there_and_of_their_type_and_of_this_time() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    for (claim, value) in [
        ("exp", json!("4102444800")),
        ("exp", json!(now() - 31)),
        ("exp", json!(1.5)),
        ("exp", json!(-1)),
        ("exp", Value::Null),
        ("nbf", json!(now() + 3_600)),
        ("nbf", json!("x")),
        ("iss", json!(format!("{}/", issuer.url()))),
        ("iss", json!(issuer.url().to_uppercase())),
        ("iss", json!([issuer.url()])),
        ("iss", Value::Null),
        ("sub", Value::Null),
        ("sub", json!(1)),
        ("sub", json!("")),
    ] {
        let refused = mcp(&gateway, "/mcp", &issuer.with_claims(changed(&issuer, claim, value.clone()))).await;
        assert_eq!(refused.status, 401, "{claim}: {value}");
    }
    for (claim, value) in [("exp", json!(now() - 20)), ("nbf", json!(now() + 20))] {
        let accepted = mcp(&gateway, "/mcp", &issuer.with_claims(changed(&issuer, claim, value.clone()))).await;
        assert_eq!(accepted.status, 200, "clocks may differ by half a minute: {claim}: {value}");
    }
    let doubled = signed_part(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k1" }), &issuer.claims(MCP));
    let (header, payload) = doubled.split_once('.').unwrap();
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap().replacen('{', "{\"sub\":\"bob\",", 1);
    let refused = mcp(&gateway, "/mcp", &format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode(text))).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn a_good_token_is_refused_once_its_time_is_over() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    // It ends within the half minute that clocks may differ by.
    let token = issuer.with_claims(changed(&issuer, "exp", json!(now() - 28)));
    assert_eq!(mcp(&gateway, "/mcp", &token).await.status, 200);
    until("the token has ended", async || (mcp(&gateway, "/mcp", &token).await.status == 401).then_some(())).await;
}

#[tokio::test]
async fn however_many_keys_strangers_name_the_issuer_is_asked_twice_at_most() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let tokens = (0..1_000).map(|n| {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": format!("k-{n}") });
        issuer.with_header(header, issuer.claims(MCP))
    });
    for chunk in tokens.collect::<Vec<_>>().chunks(50) {
        let answers = futures::future::join_all(chunk.iter().map(|token| mcp(&gateway, "/mcp", token))).await;
        assert!(answers.iter().all(|answer| answer.status == 401));
    }
    assert!(issuer.asked() <= 2, "{}", issuer.asked());
}

#[tokio::test]
async fn a_token_signed_with_the_issuers_next_key_is_accepted() {
    let mut issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    assert_eq!(mcp(&gateway, "/mcp", &issuer.token(MCP)).await.status, 200);
    let (key, jwk) = Issuer::new_key("k2");
    issuer.publish(json!([issuer.jwk, jwk, { "kty": "oct", "k": "c2VjcmV0" }, { "what": "is this" }]));
    issuer.sign_with(key);
    let token = issuer.with_header(json!({ "alg": "ES256", "typ": "application/at+jwt", "kid": "k2" }), issuer.claims(MCP));
    assert_eq!(mcp(&gateway, "/mcp", &token).await.status, 200);
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn while_an_issuer_does_not_answer_its_tokens_are_not_called_bad() {
    let issuer = Issuer::start().await;
    issuer.web.set("/jwks", Page::text("down").status(500));
    let gateway = gateway(&issuer).await;
    let refused = mcp(&gateway, "/mcp", &issuer.token(MCP)).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(!refused.text.contains("127.0.0.1"), "{}", refused.text);
    assert!(gateway.log().contains("are not to be had"), "{}", gateway.log());
}

#[tokio::test]
async fn metadata_that_names_another_issuer_is_not_believed() {
    let issuer = Issuer::start().await;
    issuer.describe("https://evil.test");
    let gateway = gateway(&issuer).await;
    assert_eq!(mcp(&gateway, "/mcp", &issuer.token(MCP)).await.status, 503);
    assert_eq!(issuer.asked(), 0, "its keys are not even asked for");
}

#[tokio::test]
async fn an_issuers_metadata_leads_nowhere_into_the_network_of_the_gateway() {
    let issuer = Issuer::start().await;
    let trap = Issuer::start().await;
    let metadata = json!({ "issuer": issuer.url(), "jwks_uri": trap.web.url("/jwks") });
    issuer.web.set("/.well-known/oauth-authorization-server", Page::json(&metadata));
    let gateway = gateway(&issuer).await;
    assert_eq!(mcp(&gateway, "/mcp", &issuer.token(MCP)).await.status, 503);
    assert!(trap.web.visits().is_empty());
}

#[tokio::test]
async fn openid_metadata_is_found_where_openid_puts_it() {
    let issuer = Issuer::start().await;
    let name = issuer.web.url("/realms/a");
    issuer
        .web
        .set("/realms/a/.well-known/openid-configuration", Page::json(&json!({ "issuer": name, "jwks_uri": issuer.web.url("/jwks") })));
    let config = issuer.config("").replace(&issuer.url(), &name);
    let gateway = TestGateway::with_config(&config).await;
    let token = issuer.with_claims(changed(&issuer, "iss", json!(name)));
    assert_eq!(mcp(&gateway, "/mcp", &token).await.status, 200);
}

#[tokio::test]
async fn a_path_may_be_a_resource_of_its_own() {
    let issuer = Issuer::start().await;
    let gateway = TestGateway::with_config(
        &issuer.config("  resource: per_path\nmcp: { servers: { demo: { command: [portolan, demo-server] } } }\n"),
    )
    .await;
    assert_eq!(mcp(&gateway, "/mcp/demo", &issuer.token(MCP)).await.status, 401, "that of all servers is not enough");
    assert_eq!(mcp(&gateway, "/mcp/demo", &issuer.token("https://gw.test/mcp/demo")).await.status, 200);
    assert_eq!(mcp(&gateway, "/mcp", &issuer.token("https://gw.test/mcp/demo")).await.status, 401);
    let metadata = get(&gateway, "/.well-known/oauth-protected-resource/mcp/demo").await;
    assert_eq!(metadata.body["resource"], "https://gw.test/mcp/demo");
}

#[tokio::test]
async fn a_token_in_the_address_is_refused() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let url = gateway.url(&format!("/mcp?access_token={}", issuer.token(MCP)));
    let refused = Answer::read(http().post(url).json(&initialize("2025-11-25")).send().await.unwrap()).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(!gateway.log().contains("eyJ"), "{}", gateway.log());
}

#[tokio::test]
async fn two_credentials_in_one_header_are_refused_and_so_is_one_that_is_too_long() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let token = issuer.token(MCP);
    let twice = http().post(gateway.url("/mcp")).bearer_auth(&token).bearer_auth(&token).json(&initialize("2025-11-25"));
    assert_eq!(twice.send().await.unwrap().status(), 400);
    assert_eq!(mcp(&gateway, "/mcp", &format!("{token}{}", "A".repeat(9_000))).await.status, 400);
}

#[tokio::test]
async fn a_claim_becomes_a_tag_that_routes_can_go_by() {
    let issuer = Issuer::start().await;
    let more = "      tags: { team: department }\nmodels:\n  ours:\n    targets: [{ provider: portolan, model: echo }]\n    when: 'caller.tags.team == \"build\"'\n";
    let gateway = TestGateway::with_config(&issuer.config(more)).await;
    for (department, status) in [(json!("build"), 200), (json!("sales"), 404), (Value::Null, 404)] {
        let mut claims = issuer.claims(MODELS);
        claims["department"] = department.clone();
        let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(issuer.with_claims(claims));
        let answer = request.json(&chat("ours", "hi")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{department}");
    }
}

#[tokio::test]
async fn keys_are_good_beside_tokens_and_nobody_comes_in_without_either() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let (key, _) = gateway.key(json!({ "grants": ["models"] })).await;
    assert_eq!(complete(&gateway, &key).await.status, 200);
    assert_eq!(complete(&gateway, "sk-foreign").await.status, 401);
    assert_eq!(get(&gateway, "/v1/models").await.status, 401, "an issuer closes the doors that are open on this machine");
}

#[tokio::test]
async fn an_issuer_that_is_taken_out_of_the_file_opens_nothing_more() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let token = issuer.token(MCP);
    assert_eq!(mcp(&gateway, "/mcp", &token).await.status, 200);
    gateway.write_config("server: { public_url: \"https://gw.test\" }\nauth: { keys: { ci: { key: 0123456789abcdef, grants: [mcp] } } }\n");
    until("the issuer is gone", async || (mcp(&gateway, "/mcp", &token).await.status == 401).then_some(())).await;
}

#[tokio::test]
async fn what_is_wrong_with_an_issuer_is_said_before_anyone_comes() {
    let with = |issuer: &str| format!("server: {{ public_url: \"https://gw.test\" }}\nauth:\n  issuers:\n    - {issuer}\n");
    for (config, named) in [
        (with("{ issuer: \"http://login.example.com\", scopes: { a: [mcp] } }"), "https://"),
        (with("{ issuer: \"https://login.example.com?x\", scopes: { a: [mcp] } }"), "query"),
        (with("{ issuer: \"https://login.example.com\", scopes: {} }"), "scopes"),
        (with("{ issuer: \"https://login.example.com\", scopes: { a: [everything] } }"), "everything"),
        (with("{ issuer: \"https://login.example.com\", scopes: { \"a b\": [mcp] } }"), "a b"),
        ("server: { public_url: \"http://gw.example.com\" }\n".to_owned(), "public_url"),
        ("server: { public_url: \"gw.example.com\" }\n".to_owned(), "public_url"),
        (
            "server: { listen: 0.0.0.0:0 }\nauth: { issuers: [{ issuer: \"https://a.test\", scopes: { a: [mcp] } }] }\n".to_owned(),
            "public_url",
        ),
    ] {
        let said = TestGateway::refused(&config).await.failed(1);
        assert!(said.contains(named), "{config}: {said}");
    }
}

#[tokio::test]
async fn check_tells_whether_an_issuer_shows_keys() {
    let issuer = Issuer::start().await;
    let gateway = TestGateway::start().await;
    let file = gateway.file("checked.yaml");
    std::fs::write(&file, format!("providers: {{}}\n{}", issuer.config(""))).unwrap();
    let path = file.to_str().unwrap();
    let said = gateway.cli(&["check", "--config", path]).await.ok();
    assert!(said.contains(&issuer.url()) && said.contains("1 key"), "{said}");
    issuer.describe("https://evil.test");
    let said = gateway.cli(&["check", "--config", path]).await;
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("FAILED") && said.stdout.contains("https://evil.test"), "{said:?}");
}

#[tokio::test]
async fn a_first_look_at_a_token_waits_for_a_slow_issuer_and_others_do_not_wait_with_it() {
    let issuer = Issuer::start().await;
    issuer.web.set("/jwks", Page::json(&json!({ "keys": [issuer.jwk] })).after(Duration::from_millis(800)));
    let gateway = gateway(&issuer).await;
    let (key, _) = gateway.key(json!({ "grants": ["models"] })).await;
    let token = issuer.token(MCP);
    let (slow, others) = tokio::join!(mcp(&gateway, "/mcp", &token), async {
        let start = std::time::Instant::now();
        let answer = complete(&gateway, &key).await;
        (answer.status, start.elapsed())
    });
    assert_eq!((slow.status, others.0), (200, 200));
    assert!(others.1 < Duration::from_millis(700), "{:?}", others.1);
}

#[tokio::test]
async fn tokens_see_the_models_that_are_named_and_no_others() {
    let issuer = Issuer::start().await;
    let gateway = TestGateway::with_config(&issuer.config("models: { cheap: { targets: [{ provider: portolan, model: echo }] } }\n")).await;
    let token = issuer.token(MODELS);
    let ask = async |model: &str| {
        let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(&token).json(&chat(model, "x"));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask("cheap").await, ask("portolan/echo").await), (200, 404));
}

#[tokio::test]
async fn every_claim_can_be_a_tag_and_conditions_know_whoever_bears_a_token() {
    let issuer = Issuer::start().await;
    let more = "      tags: { user: sub }\nmodels:\n  ours:\n    targets: [{ provider: portolan, model: echo }]\n    when: 'caller.kind == \"subject\" && caller.tags.user == \"alice\"'\n";
    let gateway = TestGateway::with_config(&issuer.config(more)).await;
    let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(issuer.token(MODELS));
    assert_eq!(request.json(&chat("ours", "hi")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn two_issuers_may_not_be_asked_for_a_bare_subject() {
    let config = "server: { public_url: \"https://gw.test\" }\nauth: { issuers: [{ issuer: \"https://a.test\", scopes: { a: [mcp] } }, { issuer: \"https://b.test\", scopes: { a: [mcp] } }] }\n\
        context: { sources: { profile: { url: \"https://crm.test/{{ caller.subject }}\" } } }\n";
    let said = TestGateway::refused(config).await.failed(1);
    assert!(said.contains("context.sources.profile") && said.contains("caller.id"), "{said}");
}

#[tokio::test]
async fn whoever_asks_and_leaves_does_not_make_the_gateway_ask_again() {
    let issuer = Issuer::start().await;
    issuer.web.set("/jwks", Page::json(&json!({ "keys": [issuer.jwk] })).after(Duration::from_millis(500)));
    let gateway = gateway(&issuer).await;
    for n in 0..20 {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": format!("k-{n}") });
        let token = issuer.with_header(header, issuer.claims(MCP));
        let _ = tokio::time::timeout(Duration::from_millis(50), mcp(&gateway, "/mcp", &token)).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(issuer.asked() <= 2, "{}", issuer.asked());
    assert_eq!(mcp(&gateway, "/mcp", &issuer.token(MCP)).await.status, 200);
}

#[tokio::test]
async fn a_page_that_may_call_can_read_where_tokens_are_issued() {
    let issuer = Issuer::start().await;
    let config = issuer.config("").replace("server: {", "server: { origins: [\"https://chat.test\"],");
    let gateway = TestGateway::with_config(&config).await;
    let token = issuer.with_claims(changed(&issuer, "scope", json!("other")));
    for (token, status) in [(None, 401), (Some(token), 403)] {
        let request = http().post(gateway.url("/mcp")).header("origin", "https://chat.test").json(&initialize("2025-11-25"));
        let request = token.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), "https://chat.test");
        assert!(answer.header("access-control-expose-headers").contains("www-authenticate"));
    }
}

#[tokio::test]
async fn metrics_are_not_for_everyone_who_has_a_token() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    let ask = async |scope: &str| {
        let token = issuer.with_claims(changed(&issuer, "scope", json!(scope)));
        http().get(gateway.url("/metrics")).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask("").await, ask("mcp.use").await, ask("gw.admin").await), (403, 403, 200));
}

#[tokio::test]
async fn a_stream_ends_with_the_token_it_was_opened_by() {
    let issuer = Issuer::start().await;
    let gateway = gateway(&issuer).await;
    // It ends within the half minute that clocks may differ by.
    let token = issuer.with_claims(changed(&issuer, "exp", json!(now() - 27)));
    let session = Session::open(&gateway.url("/mcp"), "2025-11-25", Some(&token)).await;
    let mut heard = session.listen().await;
    within(Duration::from_secs(8), "the end of the stream", async { while heard.next().await.is_some() {} }).await;
}
