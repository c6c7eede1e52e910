//! The console's door: its files, and how a browser logs in.

use reqwest::header::{ACCEPT, COOKIE, HOST, ORIGIN};
use serde_json::{Value, json};

use crate::support::{Answer, TestGateway, http, until};

/// Both halves of a browser's session.
struct Browser {
    cookie: String,
    token: String,
}

async fn link(gateway: &TestGateway) -> String {
    let opened = gateway.cli(&["--json", "open"]).await.json();
    let url = opened["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&gateway.url("/#login=")), "{url}");
    url.split_once("login=").unwrap().1.to_owned()
}

async fn enter(gateway: &TestGateway, link: &str) -> Answer {
    let request = http().post(gateway.url("/console/login")).header(ORIGIN, gateway.url("")).json(&json!({ "link": link }));
    Answer::read(request.send().await.unwrap()).await
}

async fn log_in(gateway: &TestGateway, link: &str) -> Browser {
    let entered = enter(gateway, link).await;
    assert_eq!(entered.status, 200, "{}", entered.text);
    let set = entered.header("set-cookie").to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Strict") && set.contains("Path=/"), "{set}");
    Browser { cookie: set.split(';').next().unwrap().to_owned(), token: entered.body["csrf"].as_str().unwrap().to_owned() }
}

async fn call(gateway: &TestGateway, browser: &Browser, tool: &str, arguments: Value) -> Answer {
    let request = http().post(gateway.url(&format!("/api/v1/{tool}"))).header(COOKIE, &browser.cookie).json(&arguments);
    Answer::read(request.header("x-portolan-csrf", &browser.token).send().await.unwrap()).await
}

#[tokio::test]
async fn a_link_logs_in_once_and_only_by_being_sent() {
    let gateway = TestGateway::start().await;
    let link = link(&gateway).await;
    // Whoever previews an address opens it.
    assert_eq!(http().get(gateway.url("/")).header(ACCEPT, "text/html").send().await.unwrap().status(), 200);
    let browser = log_in(&gateway, &link).await;
    let shown = call(&gateway, &browser, "status_show", json!({})).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    let again = enter(&gateway, &link).await;
    assert_eq!((again.status, &again.body["code"]), (401, &json!("link_over")), "{}", again.text);
    assert_eq!(enter(&gateway, "guessed").await.status, 401);
}

#[tokio::test]
async fn neither_half_of_a_session_is_enough_without_the_other() {
    let gateway = TestGateway::start().await;
    let one = log_in(&gateway, &link(&gateway).await).await;
    let other = log_in(&gateway, &link(&gateway).await).await;
    let none = String::new();
    for (cookie, token) in [(&one.cookie, &none), (&none, &one.token), (&one.cookie, &other.token), (&other.cookie, &one.token)] {
        let browser = Browser { cookie: cookie.clone(), token: token.clone() };
        let refused = call(&gateway, &browser, "status_show", json!({})).await;
        assert_eq!((refused.status, &refused.body["code"]), (401, &json!("session_over")), "{}", refused.text);
    }
    // A cookie alone, as another site's form would bring it, is nobody.
    let bare = http().post(gateway.url("/api/v1/status_show")).header(COOKIE, &one.cookie).json(&json!({}));
    assert_eq!(bare.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_session_may_do_what_its_key_may_and_ends_with_it() {
    let gateway = TestGateway::start().await;
    let (admin, id) = gateway.key(json!({ "grants": ["admin"] })).await;
    let made = gateway.control_as(&admin, "console_open", json!({})).await;
    let link = made.result()["structuredContent"]["link"].as_str().unwrap().to_owned();
    let browser = log_in(&gateway, &link).await;
    assert_eq!(call(&gateway, &browser, "keys_list", json!({})).await.status, 200);
    let refused = call(&gateway, &browser, "keys_create", json!({ "grants": ["mcp"] })).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("owner_only")), "{}", refused.text);
    gateway.control("access_block", json!({ "target": format!("key:{id}") })).await;
    assert_eq!(call(&gateway, &browser, "keys_list", json!({})).await.status, 403, "a blocked key's session is blocked");
    gateway.control("access_unblock", json!({ "target": format!("key:{id}") })).await;
    assert_eq!(call(&gateway, &browser, "keys_list", json!({})).await.status, 200);
    gateway.control("keys_revoke", json!({ "id": id })).await;
    assert_eq!(call(&gateway, &browser, "keys_list", json!({})).await.status, 401);
}

#[tokio::test]
async fn a_key_that_is_changed_in_the_file_ends_the_sessions_of_the_old_one() {
    let config = |key: &str| format!("auth: {{ keys: {{ ops: {{ key: \"{key}\", grants: [admin] }} }} }}\n");
    let gateway = TestGateway::with_config(&config("0123456789abcdef-old")).await;
    let made = gateway.control_as("0123456789abcdef-old", "console_open", json!({})).await;
    let browser = log_in(&gateway, made.result()["structuredContent"]["link"].as_str().unwrap()).await;
    assert_eq!(call(&gateway, &browser, "keys_list", json!({})).await.status, 200);
    gateway.write_config(&config("0123456789abcdef-new"));
    until("the new key counts", async || {
        let known = gateway.control_as("0123456789abcdef-new", "keys_list", json!({})).await;
        Some(()).filter(|()| known.status == 200)
    })
    .await;
    assert_eq!(call(&gateway, &browser, "keys_list", json!({})).await.status, 401);
}

#[tokio::test]
async fn a_key_without_the_grant_is_given_no_link() {
    let gateway = TestGateway::start().await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp", "models"] })).await;
    let refused = gateway.control_as(&key, "console_open", json!({})).await;
    assert!(refused.body["error"].is_object() || refused.status == 403, "{}", refused.text);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_takes_the_cookie_back() {
    let gateway = TestGateway::start().await;
    let browser = log_in(&gateway, &link(&gateway).await).await;
    let who = http().get(gateway.url("/console/session")).header(COOKIE, &browser.cookie).header("x-portolan-csrf", &browser.token);
    let who = Answer::read(who.send().await.unwrap()).await;
    assert_eq!((&who.body["principal"], &who.body["owner"], &who.body["csrf"]), (&json!("owner"), &json!(true), &Value::Null));
    let out = http().post(gateway.url("/console/logout")).header(COOKIE, &browser.cookie).header("x-portolan-csrf", &browser.token);
    let out = out.send().await.unwrap();
    assert_eq!(out.status(), 204);
    assert!(out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(call(&gateway, &browser, "status_show", json!({})).await.status, 401);
}

#[tokio::test]
async fn whoever_is_blocked_may_log_out_and_is_logged_out_when_the_block_is_lifted() {
    let gateway = TestGateway::start().await;
    let (key, id) = gateway.key(json!({ "grants": ["admin"] })).await;
    let opened = gateway.control_as(&key, "console_open", json!({})).await;
    let browser = log_in(&gateway, opened.result()["structuredContent"]["link"].as_str().unwrap()).await;
    gateway.control("access_block", json!({ "target": format!("key:{id}") })).await;
    assert_eq!(call(&gateway, &browser, "status_show", json!({})).await.status, 403);
    let out = http().post(gateway.url("/console/logout")).header(COOKIE, &browser.cookie).header("x-portolan-csrf", &browser.token);
    assert_eq!(out.send().await.unwrap().status(), 204);
    gateway.control("access_unblock", json!({ "target": format!("key:{id}") })).await;
    assert_eq!(call(&gateway, &browser, "status_show", json!({})).await.status, 401);
}

#[tokio::test]
async fn another_sites_page_and_another_name_of_this_machine_are_refused() {
    let gateway = TestGateway::start().await;
    let browser = log_in(&gateway, &link(&gateway).await).await;
    for (name, value) in [(ORIGIN, "https://evil.test"), (ORIGIN, "null"), (HOST, "evil.test")] {
        let request = http().post(gateway.url("/api/v1/status_show")).header(COOKIE, &browser.cookie).header(&name, value);
        let refused = request.header("x-portolan-csrf", &browser.token).json(&json!({})).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{name}: {value}");
    }
    let form = http().post(gateway.url("/console/login")).header("content-type", "text/plain").body("{\"link\":\"x\"}");
    assert_eq!(form.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn by_tls_the_cookie_is_for_this_host_alone() {
    let gateway = TestGateway::with_config("server: { origins: [\"https://gw.test\"] }\n").await;
    let link = link(&gateway).await;
    let request = http().post(gateway.url("/console/login")).header(ORIGIN, "https://gw.test").json(&json!({ "link": link }));
    let entered = Answer::read(request.send().await.unwrap()).await;
    let set = entered.header("set-cookie");
    assert!(set.starts_with("__Host-portolan") && set.contains("; Secure"), "{set}");
}

#[tokio::test]
async fn the_page_is_for_browsers_and_may_load_nothing_of_anybody_elses() {
    let gateway = TestGateway::start().await;
    let page = http().get(gateway.url("/")).header(ACCEPT, "text/html,*/*").send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let tag = page.headers()["etag"].clone();
    let again = http().get(gateway.url("/")).header(ACCEPT, "text/html").header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let plain = http().get(gateway.url("/")).send().await.unwrap().text().await.unwrap();
    assert!(plain.starts_with("Portolan "), "{plain}");
    for path in ["/console/none.js", "/console/..%2f..%2fmod.rs", "/console/%2e%2e/mod.rs", "/console//etc/passwd"] {
        let answer = http().get(gateway.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
}
