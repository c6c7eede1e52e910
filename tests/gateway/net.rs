//! Addresses that somebody else chose: none leads to where it should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{McpUpstream, Reply, Speaks, StubProvider, TestGateway, post, tool};

/// A listener on every address of this machine that counts who calls.
async fn trap(answer: String) -> (u16, Arc<AtomicUsize>) {
    let listener = match TcpListener::bind("[::]:0").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
    };
    let port = listener.local_addr().unwrap().port();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 << 10];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (port, calls)
}

#[tokio::test]
async fn no_hostile_address_is_dialled() {
    let (port, calls) = trap(String::new()).await;
    let gateway = TestGateway::start().await;
    let hostile = [
        format!("https://127.0.0.1:{port}/mcp"),
        format!("http://127.0.0.1:{port}/mcp"),
        format!("https://localhost:{port}/mcp"),
        format!("https://LOCALHOST.:{port}/mcp"),
        format!("https://x.localhost:{port}/mcp"),
        format!("https://2130706433:{port}/mcp"),
        format!("https://0x7f000001:{port}/mcp"),
        format!("https://0177.0.0.1:{port}/mcp"),
        format!("https://127.1:{port}/mcp"),
        format!("https://0:{port}/mcp"),
        format!("https://0.0.0.0:{port}/mcp"),
        format!("https://[::1]:{port}/mcp"),
        format!("https://[::]:{port}/mcp"),
        format!("https://[::ffff:127.0.0.1]:{port}/mcp"),
        format!("https://[::127.0.0.1]:{port}/mcp"),
        format!("https://[64:ff9b::7f00:1]:{port}/mcp"),
        format!("https://[2002:7f00:1::]:{port}/mcp"),
        format!("https://user:secret@127.0.0.1:{port}/mcp"),
        format!("https://example.com@127.0.0.1:{port}/mcp"),
        format!("https://①②⑦.⓪.⓪.①:{port}/mcp"),
        "https://10.0.0.1/mcp".to_owned(),
        "https://172.16.0.1/mcp".to_owned(),
        "https://192.168.1.1/mcp".to_owned(),
        "https://100.64.0.1/mcp".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://metadata.google.internal/".to_owned(),
        "https://[fd00:ec2::254]/".to_owned(),
        "https://[fe80::1]/".to_owned(),
        "https://224.0.0.1/".to_owned(),
        "http://example.com/mcp".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
        "ftp://127.0.0.1/".to_owned(),
        "not a url".to_owned(),
        "https://".to_owned(),
    ];
    for url in hostile {
        let refused = gateway.try_control("servers_add", json!({ "name": "evil", "url": url })).await.unwrap_err();
        assert_eq!(refused["code"], "url_not_allowed", "{url}: {refused}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0, "nothing was dialled");
    assert_eq!(gateway.control("servers_list", json!({})).await["servers"], json!([]), "and nothing kept");
}

#[tokio::test]
async fn the_command_line_says_what_is_not_allowed() {
    let gateway = TestGateway::start().await;
    let complaint = gateway.cli(&["server", "add", "near", "--url", "http://127.0.0.1:1/mcp"]).await.failed(1);
    assert!(complaint.contains("--allow-private"), "{complaint}");
    let cli = gateway.cli(&["--json", "server", "add", "near", "--url", "https://10.0.0.1/mcp"]).await;
    assert!(cli.code == 1 && cli.stdout.contains("url_not_allowed"), "{cli:?}");
}

#[tokio::test]
async fn the_owner_may_allow_private_addresses_but_not_those_of_metadata() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    let gateway = TestGateway::start().await;
    gateway.cli(&["server", "add", "near", "--url", &upstream.url(), "--allow-private"]).await.ok();
    assert_eq!(gateway.server("near").await["state"], "ready");
    for url in [
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://metadata.google.internal/",
        "http://[fe80::1]/",
    ] {
        let refused = gateway.try_control("servers_add", json!({ "name": "evil", "url": url, "allow_private": true })).await.unwrap_err();
        assert_eq!(refused["code"], "url_not_allowed", "{url}: {refused}");
    }
}

#[tokio::test]
async fn a_redirect_leads_nowhere_new() {
    let (target, calls) = trap(String::new()).await;
    let body = "content-length: 0\r\nconnection: close\r\n\r\n";
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let (port, asked) = trap(format!("HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:{target}/mcp\r\n{body}")).await;
        let gateway = TestGateway::start().await;
        let add = json!({ "name": "evil", "url": format!("http://127.0.0.1:{port}/mcp"), "allow_private": true, "headers": { "x-key": "secret" } });
        gateway.try_control("servers_add", add).await.unwrap_err();
        assert!(asked.load(Ordering::SeqCst) > 0, "{status}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_allowed_address_stays_allowed_and_others_stay_refused_after_a_restart() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    let mut gateway = TestGateway::start().await;
    gateway.add_url("near", &upstream.url()).await;
    gateway.stop().await;
    gateway.start_again().await;
    gateway.wait_for_server("near", "ready").await;
    let refused = gateway.try_control("servers_add", json!({ "name": "other", "url": upstream.url() })).await.unwrap_err();
    assert_eq!(refused["code"], "url_not_allowed");
}

#[tokio::test]
async fn user_and_password_of_an_address_and_a_host_of_the_operators_arrive_as_headers() {
    let provider = StubProvider::start([Reply::text("a"), Reply::text("b")]).await;
    let base = provider.base();
    let with_user = base.replace("http://", "http://bob:s%40cret@");
    let config = format!(
        "providers:\n  user: {{ kind: openai-compatible, base_url: '{with_user}' }}\n  host: {{ kind: openai-compatible, base_url: '{base}', headers: {{ Host: vhost.example }} }}\n"
    );
    let gateway = TestGateway::with_config(&config).await;
    for model in ["user/m", "host/m"] {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "x" }] });
        let answer = post(&gateway.url("/v1/chat/completions"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let received = provider.received();
    let header = |at: usize, name: &str| received[at].headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    assert_eq!(header(0, "authorization").as_deref(), Some("Basic Ym9iOnNAY3JldA=="));
    assert!(!header(0, "host").unwrap().contains("bob"), "they are no part of the address");
    assert_eq!(header(1, "host").as_deref(), Some("vhost.example"));
}
