//! The gateway as an OAuth client of upstream servers: a person agrees once, and it stays logged in.

use serde_json::{Value, json};

use crate::support::authority::Authority;
use crate::support::{Answer, McpUpstream, Modern, Page, Speaks, TestGateway, WebServer, http, tool, until};

async fn guarded() -> (McpUpstream, Authority) {
    let server = McpUpstream::start(Speaks::Stateless, [tool("read", "Reads.", json!({ "type": "object" }))]).await;
    let authority = Authority::before(&server.url()).await;
    (server, authority)
}

/// A gateway with the guarded server as `files`, to which nobody has logged in.
async fn start(authority: &Authority) -> TestGateway {
    let gateway = TestGateway::start().await;
    let added = gateway.add_url("files", &authority.url()).await;
    assert_eq!((&added["look"]["found"], &added["state"]), (&json!("login_needed"), &json!("login_needed")), "{added}");
    gateway
}

/// Follows a person who agrees; what the gateway showed them.
async fn log_in(gateway: &TestGateway, authority: &Authority, arguments: Value) -> (u16, String) {
    let begun = gateway.control("servers_login", arguments).await;
    let back = authority.agree(begun["authorize"].as_str().unwrap()).await;
    come_back(&back).await
}

/// Somebody has logged in, and the server is served.
async fn logged_in(gateway: &TestGateway, authority: &Authority) {
    let (status, page) = log_in(gateway, authority, json!({ "server": "files" })).await;
    assert_eq!(status, 200, "{page}");
    gateway.wait_for_server("files", "ready").await;
}

async fn come_back(address: &str) -> (u16, String) {
    let page = Answer::read(http().get(address).send().await.unwrap()).await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    (page.status, page.text)
}

async fn call(gateway: &TestGateway) -> Answer {
    Modern::new(&gateway.url("/mcp/files")).request("tools/call", json!({ "name": "read", "arguments": {} })).await
}

#[tokio::test]
async fn a_server_that_wants_a_login_is_kept_and_serves_once_somebody_logged_in() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    let refused = call(&gateway).await;
    assert!(refused.status != 200 || refused.body["error"].is_object(), "{}", refused.text);
    assert!(!refused.header("www-authenticate").contains("files.read"), "what the server asks for is not for callers");
    let (status, page) = log_in(&gateway, &authority, json!({ "server": "files" })).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("logged in at files"), "{page}");
    gateway.wait_for_server("files", "ready").await;
    assert_eq!(call(&gateway).await.status, 200);
    let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
    assert_eq!((&shown["login"]["state"], &shown["login"]["by"]), (&json!("valid"), &json!("owner")), "{shown}");
    assert!(shown["login"]["scopes"].as_array().unwrap().contains(&json!("files.read")), "what the challenge named: {shown}");
    let journal = gateway.control("journal_query", json!({ "kind": "control", "subject": "servers_login files finished" })).await;
    assert_eq!(journal["entries"][0]["outcome"], "ok", "{journal}");
}

#[tokio::test]
async fn a_login_proves_itself_names_the_resource_and_says_what_the_gateway_is() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    let begun = gateway.control("servers_login", json!({ "server": "files" })).await;
    let address = url::Url::parse(begun["authorize"].as_str().unwrap()).unwrap();
    let asked: std::collections::BTreeMap<_, _> = address.query_pairs().into_owned().collect();
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["resource"], authority.url());
    assert_eq!(asked["redirect_uri"], gateway.url("/oauth/callback"));
    assert_eq!(asked["scope"], "files.read offline_access", "what is asked for, and what makes it last");
    let client = &authority.registered()[0];
    assert_eq!((&client["application_type"], &client["redirect_uris"]), (&json!("native"), &json!([gateway.url("/oauth/callback")])));
    come_back(&authority.agree(address.as_str()).await).await;
    assert_eq!(authority.asked("authorization_code")[0]["resource"], authority.url());
    // A second login is by the same client.
    log_in(&gateway, &authority, json!({ "server": "files" })).await;
    assert_eq!(authority.registered().len(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_or_that_came_before_does_nothing() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    for path in ["/oauth/callback", "/oauth/callback?code=x&state=y", "/oauth/callback?error=x", "/oauth/callback?code=x&code=y&state=z"] {
        assert_eq!(come_back(&gateway.url(path)).await.0, 400, "{path}");
    }
    assert!(authority.asked("authorization_code").is_empty(), "the token endpoint is never called");
    let begun = gateway.control("servers_login", json!({ "server": "files" })).await;
    let back = authority.agree(begun["authorize"].as_str().unwrap()).await;
    assert_eq!(come_back(&back).await.0, 200);
    let (status, page) = come_back(&back).await;
    assert_eq!(status, 400, "{page}");
    assert_eq!(authority.asked("authorization_code").len(), 1);
}

#[tokio::test]
async fn an_answer_of_another_issuer_or_of_none_where_one_was_promised_is_not_heard() {
    for says in [json!("https://evil.test"), Value::Null] {
        let (_server, authority) = guarded().await;
        let gateway = start(&authority).await;
        authority.says_it_is(says.clone());
        let begun = gateway.control("servers_login", json!({ "server": "files" })).await;
        let back = authority.agree(begun["authorize"].as_str().unwrap()).await;
        let (status, page) = come_back(&back).await;
        assert_eq!(status, 400, "{says} {page}");
        assert!(authority.asked("authorization_code").is_empty(), "{says}");
        // Also a refusal is not heard from a stranger: the login goes on waiting for the right one.
        let refusal = back.replace("code=", "error=access_denied&was=");
        assert!(come_back(&refusal).await.1.contains("not from the authorization server"), "{says}");
        let mut right = url::Url::parse(&back).unwrap();
        let answer: Vec<(String, String)> = right.query_pairs().into_owned().filter(|(key, _)| key != "iss").collect();
        right.query_pairs_mut().clear().extend_pairs(answer).append_pair("iss", &authority.issuer());
        assert_eq!(come_back(right.as_str()).await.0, 200, "{says}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_by_its_word_and_nothing_else_of_it() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    authority.refuses("access_denied");
    let (status, page) = log_in(&gateway, &authority, json!({ "server": "files" })).await;
    assert_eq!(status, 400);
    assert!(page.contains("refused: access_denied") && !page.contains("script"), "{page}");
    let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
    assert_eq!(shown["login"]["error"], "the authorization server refused: access_denied");
    authority.refuses("<b>x</b>");
    let (_, page) = log_in(&gateway, &authority, json!({ "server": "files" })).await;
    assert!(page.contains("an unknown reason") && !page.contains("<b>"), "{page}");
}

#[tokio::test]
async fn a_token_that_ends_is_renewed_once_however_many_ask_and_nothing_is_replayed() {
    let (_server, authority) = guarded().await;
    let mut gateway = start(&authority).await;
    authority.tokens_last(1);
    logged_in(&gateway, &authority).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    authority.tokens_last(3_600);
    authority.revoke_access();
    let before = authority.asked("refresh_token").len();
    let calls = futures::future::join_all((0..20).map(|_| call(&gateway))).await;
    assert!(calls.iter().all(|answer| answer.status == 200 && answer.body["result"].is_object()), "{}", calls[0].text);
    assert!(authority.asked("refresh_token").len() - before <= 1, "one renewal for all");
    assert_eq!(authority.replayed(), 0);
    let renewed = authority.asked("refresh_token");
    assert_eq!(renewed.last().unwrap()["resource"], authority.url());
    // It outlives a restart, without another login.
    gateway.stop().await;
    gateway.start_again().await;
    gateway.wait_for_server("files", "ready").await;
    assert_eq!(call(&gateway).await.status, 200);
    assert_eq!(authority.asked("authorization_code").len(), 1);
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_renewed_and_one_that_cannot_be_needs_a_login() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    logged_in(&gateway, &authority).await;
    authority.revoke_access();
    let answer = call(&gateway).await;
    assert!(answer.body["result"].is_object(), "{}", answer.text);
    authority.revoke();
    let answer = call(&gateway).await;
    assert!(answer.body["error"].is_object(), "{}", answer.text);
    for _ in 0..5 {
        call(&gateway).await;
    }
    assert!(authority.asked("refresh_token").len() <= 2, "the authorization server is not asked again and again");
    let ended = async || {
        call(&gateway).await;
        let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
        Some(()).filter(|()| shown["login"]["state"] == "ended" && shown["state"] == "login_needed")
    };
    until("the login has ended", ended).await;
    logged_in(&gateway, &authority).await;
    assert!(call(&gateway).await.body["result"].is_object());
}

#[tokio::test]
async fn an_authorization_server_in_trouble_is_an_error_of_its_own_and_costs_no_login() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    logged_in(&gateway, &authority).await;
    authority.is_sick(Some(503));
    authority.revoke_access();
    let answer = call(&gateway).await;
    assert!(answer.body["error"].is_object(), "{}", answer.text);
    assert!(!answer.text.contains("CANARY"), "{}", answer.text);
    let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
    assert_eq!(shown["login"]["state"], "valid", "the refresh token is still good: {shown}");
}

#[tokio::test]
async fn a_server_that_wants_more_is_given_more_by_the_next_login() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    logged_in(&gateway, &authority).await;
    // It names what is missing, and not what there was before.
    authority.needs(&["files.write"]);
    let answer = call(&gateway).await;
    assert!(answer.message().contains("not logged in to this server for that"), "{}", answer.text);
    logged_in(&gateway, &authority).await;
    assert!(call(&gateway).await.body["result"].is_object());
    let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
    let scopes = shown["login"]["scopes"].as_array().unwrap();
    assert!(scopes.contains(&json!("files.read")) && scopes.contains(&json!("files.write")), "{shown}");
    let registered: Vec<Value> = authority.registered().iter().map(|client| client["scope"].clone()).collect();
    assert_eq!(
        registered,
        ["files.read offline_access", "files.write offline_access files.read"],
        "a client may ask for what it was registered for"
    );
}

#[tokio::test]
async fn an_authorization_server_that_cannot_prove_who_a_code_is_for_is_not_used() {
    for methods in [Value::Null, json!(["plain"])] {
        let (_server, authority) = guarded().await;
        authority.describes(json!({ "code_challenge_methods_supported": methods }));
        let gateway = start(&authority).await;
        let refused = gateway.try_control("servers_login", json!({ "server": "files" })).await.unwrap_err();
        assert_eq!(refused["code"], "login_failed");
        assert!(refused["message"].as_str().unwrap().contains("PKCE"), "{refused}");
        assert!(authority.registered().is_empty());
    }
}

#[tokio::test]
async fn metadata_that_speaks_for_another_issuer_is_not_used() {
    let (_server, authority) = guarded().await;
    authority.describes(json!({ "issuer": "https://evil.test" }));
    let gateway = start(&authority).await;
    let refused = gateway.try_control("servers_login", json!({ "server": "files" })).await.unwrap_err();
    assert_eq!(refused["code"], "login_failed", "{refused}");
    assert!(authority.asked("authorization_code").is_empty() && authority.registered().is_empty());
}

#[tokio::test]
async fn a_browser_is_sent_to_web_addresses_alone() {
    for endpoint in ["javascript:alert(1)", "file:///etc/passwd", "vbscript://x/y", "not an address"] {
        let (_server, authority) = guarded().await;
        authority.describes(json!({ "authorization_endpoint": endpoint }));
        let gateway = start(&authority).await;
        let refused = gateway.try_control("servers_login", json!({ "server": "files" })).await.unwrap_err();
        assert_eq!(refused["code"], "login_failed", "{endpoint}: {refused}");
    }
}

/// Another server's page that says it speaks for an authorization server, and takes secrets.
async fn impostor(of: &Authority) -> WebServer {
    let web = WebServer::start().await;
    let metadata = json!({ "issuer": of.issuer(), "authorization_endpoint": format!("{}/authorize", of.issuer()),
        "token_endpoint": web.url("/token"), "registration_endpoint": web.url("/register"), "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true });
    web.set("*", Page::json(&metadata));
    web
}

#[tokio::test]
async fn nobody_may_say_of_another_authorization_server_where_secrets_are_sent() {
    for path in ["/.well-known/x", "/a/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server", ""] {
        let (_server, authority) = guarded().await;
        let gateway = start(&authority).await;
        let impostor = impostor(&authority).await;
        // At a first login there is nobody to log in at, or it is the true one.
        authority.server_names(Some(&impostor.url(path)));
        let begun = gateway.try_control("servers_login", json!({ "server": "files" })).await;
        assert!(begun.is_err(), "{path}: {begun:?}");
        authority.server_names(None);
        logged_in(&gateway, &authority).await;
        // And a renewal never goes to another than who gave the token.
        authority.server_names(Some(&impostor.url(path)));
        authority.revoke_access();
        assert!(call(&gateway).await.body["error"].is_object(), "{path}");
        let sent = impostor.visits();
        assert!(sent.iter().all(|visit| visit.method == "GET"), "{path}: {sent:?}");
        let told = gateway.log() + &call(&gateway).await.text;
        assert!(!told.contains("CANARY"), "{path}: {told}");
    }
}

#[tokio::test]
async fn a_token_that_lasts_longer_than_time_itself_is_a_token() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    authority.tokens_last(u64::MAX);
    logged_in(&gateway, &authority).await;
    assert!(call(&gateway).await.body["result"].is_object());
}

#[tokio::test]
async fn a_login_ends_with_its_server_and_another_of_its_name_begins_without_one() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    let waiting = gateway.control("servers_login", json!({ "server": "files" })).await;
    logged_in(&gateway, &authority).await;
    gateway.control("servers_remove", json!({ "server": "files" })).await;
    let added = gateway.add_url("files", &authority.url()).await;
    assert_eq!(added["state"], "login_needed", "{added}");
    // What was begun for the one that is gone is not for this one.
    let back = authority.agree(waiting["authorize"].as_str().unwrap()).await;
    assert_eq!(come_back(&back).await.0, 400);
    let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
    assert_eq!(shown["login"], Value::Null, "{shown}");
}

#[tokio::test]
async fn a_logout_ends_logins_that_wait_and_a_later_one_is_used_at_once() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    let waiting = gateway.control("servers_login", json!({ "server": "files" })).await;
    gateway.control("servers_logout", json!({ "server": "files" })).await;
    let back = authority.agree(waiting["authorize"].as_str().unwrap()).await;
    assert_eq!(come_back(&back).await.0, 400);
    logged_in(&gateway, &authority).await;
    assert!(call(&gateway).await.body["result"].is_object());
}

#[tokio::test]
async fn keys_in_a_servers_address_are_not_told_to_its_authorization_server() {
    let (_server, authority) = guarded().await;
    let gateway = TestGateway::start().await;
    gateway.add_url("files", &format!("{}?api_key=QUERY-SECRET", authority.url())).await;
    let begun = gateway.control("servers_login", json!({ "server": "files" })).await;
    assert!(!begun.to_string().contains("QUERY-SECRET"), "{begun}");
    come_back(&authority.agree(begun["authorize"].as_str().unwrap()).await).await;
    let told = format!("{:?}{:?}", authority.registered(), authority.asked("authorization_code"));
    assert!(told.contains("resource") && !told.contains("QUERY-SECRET"), "{told}");
}

#[tokio::test]
async fn a_client_that_is_known_beforehand_is_not_registered() {
    let (_server, authority) = guarded().await;
    authority.describes(json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] }));
    let config = format!(
        "mcp: {{ servers: {{ files: {{ url: \"{}\", auth: {{ client_id: known, client_secret: \"CANARY-S\", scopes: [files.write] }} }} }} }}\n",
        authority.url()
    );
    let gateway = TestGateway::with_config(&config).await;
    gateway.wait_for_server("files", "login_needed").await;
    let (status, page) = log_in(&gateway, &authority, json!({ "server": "files" })).await;
    assert_eq!(status, 200, "{page}");
    let asked = &authority.asked("authorization_code")[0];
    assert_eq!((asked["client_id"].as_str(), asked["client_secret"].as_str()), ("known", "CANARY-S"));
    assert!(authority.registered().is_empty());
    gateway.wait_for_server("files", "ready").await;
    assert!(!gateway.control("servers_show", json!({ "server": "files" })).await.to_string().contains("CANARY"));
    // Another secret counts from the next renewal on.
    gateway.write_config(&config.replace("CANARY-S", "CANARY-T"));
    let renewed = async || {
        authority.revoke_access();
        call(&gateway).await;
        authority.asked("refresh_token").last().filter(|asked| asked["client_secret"] == "CANARY-T").map(|_| ())
    };
    until("the new secret is used", renewed).await;
    // A client that is no longer named is not used any more.
    gateway.write_config(&config.replace("client_id: known, client_secret: \"CANARY-S\", ", ""));
    let begun = async || {
        // While the file is read again, it is not there for a moment.
        let begun = gateway.try_control("servers_login", json!({ "server": "files" })).await.ok()?;
        Some(()).filter(|()| !begun["authorize"].as_str().unwrap().contains("client_id=known"))
    };
    until("another client is registered", begun).await;
    assert!(!authority.registered().is_empty());
}

#[tokio::test]
async fn what_is_on_its_way_when_a_server_is_removed_is_no_login_of_the_next_one() {
    for renewal in [false, true] {
        let (_server, authority) = guarded().await;
        let mut gateway = start(&authority).await;
        let mut back = String::new();
        if renewal {
            logged_in(&gateway, &authority).await;
            authority.revoke_access();
        } else {
            let begun = gateway.control("servers_login", json!({ "server": "files" })).await;
            back = authority.agree(begun["authorize"].as_str().unwrap()).await;
        }
        authority.is_slow(std::time::Duration::from_secs(2));
        let grant = if renewal { "refresh_token" } else { "authorization_code" };
        let asked = async || authority.asked(grant).first().map(|_| ());
        let removed = async {
            until("it is on its way", asked).await;
            gateway.control("servers_remove", json!({ "server": "files" })).await;
            gateway.add_url("files", &authority.url()).await
        };
        let under_way = async { if renewal { call(&gateway).await.text } else { come_back(&back).await.1 } };
        let (_, added) = tokio::join!(under_way, removed);
        assert_eq!(added["state"], "login_needed", "{renewal}: {added}");
        authority.is_slow(std::time::Duration::ZERO);
        let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
        assert_eq!(shown["login"], Value::Null, "{renewal}: {shown}");
        gateway.stop().await;
        gateway.start_again().await;
        gateway.wait_for_server("files", "login_needed").await;
        let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
        assert_eq!(shown["login"], Value::Null, "{renewal}: {shown}");
    }
}

#[tokio::test]
async fn a_client_that_the_file_names_anew_is_not_shown_with_the_secret_of_the_old_one() {
    let (_server, authority) = guarded().await;
    authority.describes(json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] }));
    let config = |auth: &str| format!("mcp: {{ servers: {{ files: {{ url: \"{}\", auth: {auth} }} }} }}\n", authority.url());
    let gateway = TestGateway::with_config(&config("{ client_id: old, client_secret: OLD-SECRET }")).await;
    gateway.wait_for_server("files", "login_needed").await;
    logged_in(&gateway, &authority).await;
    gateway.write_config(&config("{ client_id: new, client_secret: NEW-SECRET }"));
    let ended = async || {
        authority.revoke_access();
        call(&gateway).await;
        let shown = gateway.try_control("servers_show", json!({ "server": "files" })).await.ok()?;
        Some(()).filter(|()| shown["login"]["error"].as_str().is_some_and(|error| error.contains("another client there now")))
    };
    until("the login has ended", ended).await;
    let mixed =
        |asked: &std::collections::BTreeMap<String, String>| (asked["client_id"] == "old") != (asked["client_secret"] == "OLD-SECRET");
    assert!(!authority.asked("refresh_token").iter().any(mixed));
    logged_in(&gateway, &authority).await;
    let asked = authority.asked("authorization_code");
    assert_eq!((&*asked[1]["client_id"], &*asked[1]["client_secret"]), ("new", "NEW-SECRET"));
}

#[tokio::test]
async fn nobody_logs_in_at_a_server_that_is_blocked() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    let begun = gateway.control("servers_login", json!({ "server": "files" })).await;
    gateway.control("access_block", json!({ "target": "server:files" })).await;
    let seen = authority.seen().len();
    let refused = gateway.try_control("servers_login", json!({ "server": "files" })).await.unwrap_err();
    assert_eq!(refused["code"], "blocked", "{refused}");
    let (status, page) = come_back(&authority.agree(begun["authorize"].as_str().unwrap()).await).await;
    assert_eq!(status, 400, "{page}");
    assert!(authority.asked("authorization_code").is_empty() && authority.seen().len() == seen, "{page}");
    gateway.control("access_unblock", json!({ "target": "server:files" })).await;
    logged_in(&gateway, &authority).await;
}

#[tokio::test]
async fn a_renewal_is_no_login() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    logged_in(&gateway, &authority).await;
    let at = async || gateway.control("servers_show", json!({ "server": "files" })).await["login"]["at_ms"].clone();
    let before = at().await;
    authority.revoke_access();
    assert!(call(&gateway).await.body["result"].is_object());
    assert!(!authority.asked("refresh_token").is_empty());
    assert_eq!(at().await, before, "nobody logged in meanwhile");
    logged_in(&gateway, &authority).await;
    assert_ne!(at().await, before);
}

#[tokio::test]
async fn a_server_that_is_added_begins_without_the_login_of_one_that_the_file_declared() {
    let (_server, authority) = guarded().await;
    let gateway = TestGateway::with_config(&format!("mcp: {{ servers: {{ files: {{ url: \"{}\" }} }} }}\n", authority.url())).await;
    gateway.wait_for_server("files", "login_needed").await;
    logged_in(&gateway, &authority).await;
    gateway.write_config("mcp: {}\n");
    let list = async || gateway.control("servers_list", json!({})).await["servers"].as_array().unwrap().is_empty().then_some(());
    until("the server is gone", list).await;
    let added = gateway.add_url("files", &authority.url()).await;
    assert_eq!(added["state"], "login_needed", "{added}");
}

#[tokio::test]
async fn tokens_are_sealed_on_disk_and_written_nowhere_else() {
    let (_server, authority) = guarded().await;
    let gateway = TestGateway::with_config("telemetry: { log: trace }\n").await;
    gateway.add_url("files", &authority.url()).await;
    logged_in(&gateway, &authority).await;
    authority.revoke_access();
    call(&gateway).await;
    assert!(!authority.asked("refresh_token").is_empty());
    let mut written = vec![gateway.log().into_bytes()];
    for entry in std::fs::read_dir(gateway.data_dir()).unwrap() {
        written.push(std::fs::read(entry.unwrap().path()).unwrap());
    }
    for secret in ["CANARY-ACCESS", "CANARY-REFRESH", "CODE-1"] {
        let found = written.iter().any(|bytes| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
        assert!(!found, "{secret}");
    }
}

#[tokio::test]
async fn a_callers_own_credential_never_reaches_the_server() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    logged_in(&gateway, &authority).await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    let client = Modern::new(&gateway.url("/mcp/files")).with_key(&key);
    client.call("read", json!({})).await;
    let sent = authority.seen();
    assert!(sent.iter().all(|headers| !format!("{headers:?}").contains(&key)));
    assert!(sent.last().unwrap()["authorization"].to_str().unwrap().starts_with("Bearer CANARY-ACCESS"));
}

#[tokio::test]
async fn only_the_owner_logs_in_and_a_logout_ends_it() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    let (admin, _) = gateway.key(json!({ "grants": ["admin"] })).await;
    for tool in ["servers_login", "servers_logout"] {
        let refused = gateway.control_as(&admin, tool, json!({ "server": "files" })).await;
        assert_eq!(refused.result()["structuredContent"]["error"]["code"], "owner_only", "{tool}");
        let journal = gateway.control("journal_query", json!({ "subject": format!("{tool} files"), "outcome": "refused" })).await;
        assert_eq!(journal["entries"][0]["detail"], "owner_only", "{journal}");
    }
    logged_in(&gateway, &authority).await;
    assert_eq!(gateway.control("servers_logout", json!({ "server": "files" })).await["logged_out"], true);
    gateway.wait_for_server("files", "login_needed").await;
    assert!(call(&gateway).await.body["error"].is_object());
    assert_eq!(gateway.control("servers_logout", json!({ "server": "files" })).await["logged_out"], false);
    let shown = gateway.control("servers_show", json!({ "server": "files" })).await;
    assert_eq!(shown["login"], Value::Null, "{shown}");
}

#[tokio::test]
async fn what_takes_no_login_is_told_so() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let refused = gateway.try_control("servers_login", json!({ "server": "demo" })).await.unwrap_err();
    assert_eq!(refused["code"], "no_login");
    let refused = gateway.try_control("servers_login", json!({ "server": "gone" })).await.unwrap_err();
    assert_eq!(refused["code"], "not_found");
    let refused = gateway.try_control("servers_login", json!({ "server": "demo", "scopes": ["a b"] })).await.unwrap_err();
    assert_eq!(refused["code"], "invalid_arguments");
}

#[tokio::test]
async fn whoever_looks_sees_that_a_login_is_needed() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    let status = gateway.control("status_show", json!({})).await;
    assert!(status["problems"].to_string().contains("wants a login"), "{status}");
    let config = format!("mcp: {{ servers: {{ files: {{ url: \"{}\", auth: oauth }} }} }}\n", authority.url());
    let file = gateway.file("checked.yaml");
    std::fs::write(&file, config).unwrap();
    let checked = gateway.cli(&["check", "--config", file.to_str().unwrap()]).await;
    assert!(checked.stdout.contains("wants a login") && checked.stdout.contains("portolan server login files"), "{checked:#?}");
    assert!(!checked.stdout.contains("FAILED"), "{checked:#?}");
    gateway.add_demo().await;
    // A logout where there is no login disturbs nobody.
    let live = gateway.server("demo").await;
    assert_eq!(gateway.control("servers_logout", json!({ "server": "demo" })).await["logged_out"], false);
    assert_eq!(gateway.server("demo").await["state"], live["state"]);
}

#[tokio::test]
async fn the_command_line_waits_until_the_person_agreed() {
    let (_server, authority) = guarded().await;
    let gateway = start(&authority).await;
    let cli = gateway.spawn_cli(&["--json", "server", "login", "files"]);
    let state = until("a login waits", async || {
        gateway.control("journal_query", json!({ "subject": "servers_login files" })).await["entries"][0]["id"].as_i64()
    })
    .await;
    assert!(state > 0);
    // The person agrees by the address of a login of their own; the command line sees that somebody did.
    log_in(&gateway, &authority, json!({ "server": "files" })).await;
    let done = cli.wait_with_output().await.unwrap();
    let shown: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
    assert_eq!((&shown["server"], &shown["login"]["state"]), (&json!("files"), &json!("valid")));
    let listed = gateway.cli(&["server", "show", "files"]).await.ok();
    assert!(listed.contains("login      valid at http://"), "{listed}");
}

#[tokio::test]
async fn the_document_of_the_client_is_there_where_the_world_can_read_it() {
    let gateway = TestGateway::start().await;
    assert_eq!(http().get(gateway.url("/oauth/client.json")).send().await.unwrap().status(), 404);
    let gateway = TestGateway::with_config("server: { public_url: \"https://gw.test\" }\n").await;
    let document: Value = http().get(gateway.url("/oauth/client.json")).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["client_id"], "https://gw.test/oauth/client.json");
    assert_eq!(document["redirect_uris"], json!(["https://gw.test/oauth/callback"]));
    assert_eq!(document["token_endpoint_auth_method"], "none");
}
