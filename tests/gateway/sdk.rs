//! The Rust SDK at both ends: strict where our own client is not.

use std::sync::Arc;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};
use serde_json::{Value, json};

use crate::support::{TestGateway, http, modern, session, text_of};

#[derive(Clone)]
struct Tides {
    tool_router: ToolRouter<Self>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Port {
    /// Where.
    port: String,
}

#[allow(clippy::unused_self)] // The router calls methods.
#[tool_router]
impl Tides {
    fn new() -> Self {
        Self { tool_router: Self::tool_router() }
    }

    #[tool(description = "Tells when the tide turns.")]
    fn turns(&self, Parameters(Port { port }): Parameters<Port>) -> String {
        format!("at six in {port}")
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Tides {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// The SDK's own server over HTTP, which speaks both eras.
async fn tides() -> String {
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Tides::new()), sessions, StreamableHttpServerConfig::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().nest_service("/mcp", service);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn arguments(value: Value) -> rmcp::model::JsonObject {
    let Value::Object(object) = value else { panic!("arguments are an object") };
    object
}

#[tokio::test]
async fn the_sdks_client_works_in_every_mode() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let _ = http();
    let modes = [
        (ClientLifecycleMode::Initialize, "2025-11-25"),
        (ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] }, "2026-07-28"),
        (ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::LATEST], legacy_version: None }, "2026-07-28"),
    ];
    for (mode, revision) in modes {
        for (path, name) in [("/mcp", "demo__echo"), ("/mcp/demo", "echo")] {
            let transport = StreamableHttpClientTransport::from_uri(gateway.url(path));
            let client =
                ().serve_with_lifecycle(transport, mode.clone()).await.unwrap_or_else(|error| panic!("{path} {revision}: {error}"));
            let tools = client.list_all_tools().await.unwrap();
            assert!(tools.iter().any(|tool| tool.name == name), "{path} {revision}");
            let call = CallToolRequestParams::new(name).with_arguments(arguments(json!({ "text": "ahoy" })));
            let result = serde_json::to_value(client.call_tool(call).await.unwrap()).unwrap();
            assert_eq!(text_of(&result), "ahoy", "{path} {revision}");
            assert!(!client.list_all_resources().await.unwrap().is_empty(), "{path} {revision}");
            assert!(!client.list_all_prompts().await.unwrap().is_empty(), "{path} {revision}");
            client.cancel().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_sdks_server_is_met_in_the_newest_era_it_speaks() {
    let gateway = TestGateway::start().await;
    let url = tides().await;
    assert_eq!(gateway.add_url("tides", &url).await["era"], "2026-07-28");
    gateway.control("servers_add", json!({ "name": "older", "url": url, "allow_private": true, "protocol": "2025-06-18" })).await;
    assert_eq!(gateway.server("older").await["era"], "2025-06-18", "unless it is pinned");
    for name in ["tides", "older"] {
        let tool = format!("{name}__turns");
        assert_eq!(text_of(&modern(&gateway.url("/mcp")).call(&tool, json!({ "port": "Brest" })).await), "at six in Brest");
        assert_eq!(text_of(&session(&gateway.url("/mcp")).await.call(&tool, json!({ "port": "Brest" })).await), "at six in Brest");
    }
}
