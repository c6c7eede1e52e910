//! What a web page on another site could send is refused at every door.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestGateway, chat, http, initialize};

/// Every route with a method it answers to.
const ROUTES: [(Method, &str); 11] = [
    (Method::POST, "/mcp"),
    (Method::GET, "/mcp"),
    (Method::DELETE, "/mcp"),
    (Method::POST, "/mcp/demo"),
    (Method::POST, "/mcp/portolan"),
    (Method::POST, "/v1/chat/completions"),
    (Method::POST, "/v1/embeddings"),
    (Method::GET, "/v1/models"),
    (Method::GET, "/v1/models/portolan/echo"),
    (Method::GET, "/metrics"),
    (Method::GET, "/"),
];

async fn ask(gateway: &TestGateway, method: &Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = http().request(method.clone(), gateway.url(path));
    if method == Method::POST {
        let body = if path.starts_with("/mcp") { initialize("2025-11-25") } else { chat("portolan/echo", "x") };
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // With the owner key, so that nothing but the guard can be what refuses.
    Answer::read(request.bearer_auth(gateway.owner_key()).send().await.unwrap()).await
}

#[tokio::test]
async fn a_foreign_host_name_is_refused_on_every_route_and_the_setting_is_named() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for (method, path) in &ROUTES {
        for host in ["evil.example.com", "127.0.0.1.evil.test", "localhost.evil.test:80", ""] {
            let answer = ask(&gateway, method, path, &[("host", host)]).await;
            assert_eq!(answer.status, 403, "{method} {path} with Host `{host}`: {}", answer.text);
            assert!(answer.text.contains("server.hosts"), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn our_own_names_and_address_literals_are_welcome_on_every_route() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for (method, path) in &ROUTES {
        for host in ["localhost", "LocalHost:1234", "127.0.0.1", "[::1]:8484", "10.0.0.7"] {
            let answer = ask(&gateway, method, path, &[("host", host)]).await;
            assert_ne!(answer.status, 403, "{method} {path} with Host `{host}`: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_foreign_origin_is_refused_on_every_route() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for (method, path) in &ROUTES {
        for origin in
            ["null", "https://evil.example.com", "http://127.0.0.1.evil.test", "http://localhost:1", "file://", "http://127.0.0.1"]
        {
            let answer = ask(&gateway, method, path, &[("origin", origin)]).await;
            assert_eq!(answer.status, 403, "{method} {path} with Origin `{origin}`: {}", answer.text);
            assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {path} {origin}");
        }
    }
}

#[tokio::test]
async fn a_preflight_of_a_foreign_origin_is_refused() {
    let gateway = TestGateway::start().await;
    let headers = [("origin", "https://evil.example.com"), ("access-control-request-method", "POST")];
    let answer = ask(&gateway, &Method::OPTIONS, "/mcp", &headers).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, ""));
}

#[tokio::test]
async fn our_own_origin_and_a_configured_one_are_welcome() {
    let gateway = TestGateway::with_config("server: { hosts: [gw.test], origins: ['https://chat.example.com'] }\n").await;
    let own = format!("http://{}", gateway.authority());
    for origin in [own.as_str(), "https://chat.example.com"] {
        let answer = ask(&gateway, &Method::GET, "/v1/models", &[("origin", origin)]).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
    }
    assert_eq!(ask(&gateway, &Method::GET, "/v1/models", &[("host", "gw.test")]).await.status, 200);
    assert_eq!(ask(&gateway, &Method::GET, "/v1/models", &[("host", "other.test")]).await.status, 403);
    let wished = "content-type,mcp-session-id,mcp-param-region";
    let preflight =
        [("origin", "https://chat.example.com"), ("access-control-request-method", "POST"), ("access-control-request-headers", wished)];
    let answer = ask(&gateway, &Method::OPTIONS, "/mcp", &preflight).await;
    assert!((200..300).contains(&answer.status));
    assert_eq!(answer.header("access-control-allow-headers"), wished, "{:?}", answer.headers);
}

#[tokio::test]
async fn only_json_is_taken_on_every_route_that_takes_a_body() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for (_, path) in ROUTES.iter().filter(|(method, _)| method == Method::POST) {
        let body = if path.starts_with("/mcp") { initialize("2025-11-25") } else { chat("portolan/echo", "x") };
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json-seq"] {
            let request = http().post(gateway.url(path)).bearer_auth(gateway.owner_key());
            let answer = Answer::read(request.header("content-type", media_type).body(body.to_string()).send().await.unwrap()).await;
            assert_eq!(answer.status, 415, "{path} as {media_type}: {}", answer.text);
        }
        let bare = http().post(gateway.url(path)).bearer_auth(gateway.owner_key()).body(body.to_string()).send().await.unwrap();
        assert_eq!(bare.status(), 415, "{path} without a content type");
        let good =
            http().post(gateway.url(path)).bearer_auth(gateway.owner_key()).header("content-type", "application/json; charset=utf-8");
        assert_ne!(good.body(body.to_string()).send().await.unwrap().status(), 415, "{path}");
    }
}

#[tokio::test]
async fn probes_answer_any_host() {
    let gateway = TestGateway::start().await;
    for path in ["/livez", "/readyz"] {
        let answer = ask(&gateway, &Method::GET, path, &[("host", "balancer.example.com")]).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn where_every_caller_needs_a_key_any_host_name_will_do() {
    let gateway = TestGateway::with_config("auth:\n  keys:\n    a: { key: 0123456789abcdef, grants: [models] }\n").await;
    let answer = ask(&gateway, &Method::GET, "/v1/models", &[("host", "gw.example.com")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = ask(&gateway, &Method::GET, "/v1/models", &[("origin", "https://evil.example.com")]).await;
    assert_eq!(answer.status, 403, "a foreign origin is refused all the same");
}

#[tokio::test]
async fn what_is_not_there_has_an_error_that_fits_its_door() {
    let gateway = TestGateway::start().await;
    let nothing = ask(&gateway, &Method::GET, "/nothing", &[]).await;
    assert_eq!((nothing.status, nothing.header("content-type")), (404, "application/problem+json"));
    let openai = ask(&gateway, &Method::GET, "/v1/nothing", &[]).await;
    assert_eq!(openai.status, 404);
    assert!(openai.body["error"]["message"].is_string(), "{}", openai.text);
    let wrong = ask(&gateway, &Method::GET, "/v1/chat/completions", &[]).await;
    assert_eq!(wrong.status, 405);
    let server = ask(&gateway, &Method::POST, "/mcp/nobody", &[]).await;
    assert_eq!((server.status, &server.body["jsonrpc"]), (404, &json!("2.0")));
}

#[tokio::test]
async fn a_path_is_found_however_it_is_written_and_nothing_near_it_is() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for path in ["/mcp/demo", "/mcp/d%65mo", "/mcp/demo?x=/y", "/mcp?x=1"] {
        let answer = ask(&gateway, &Method::POST, path, &[]).await;
        assert_eq!((answer.status, &answer.body["result"]["protocolVersion"]), (200, &json!("2025-11-25")), "{path}: {}", answer.text);
    }
    for path in ["/mcp/", "/mcp/demo/", "/mcp/demo/x", "/mcp/d%2Femo", "/mcp/%ff", "/v1/chat/completions/", "/V1/chat/completions", "//mcp"]
    {
        let answer = ask(&gateway, &Method::POST, path, &[]).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
    }
    for path in ["/v1/messages", "/v1/responses", "/v1/embeddings"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            assert_eq!(ask(&gateway, &method, path, &[]).await.status, 405, "{method} {path}");
        }
    }
}
