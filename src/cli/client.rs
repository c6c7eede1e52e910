//! One request to the gateway, in the stateless era of MCP.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use url::Url;

use super::connection::Connection;
use crate::config::data_dir;
use crate::domain::Secret;
use crate::net::{self, Net, Reach};
use crate::protocol::{Dress, Era, HEADER_METHOD, HEADER_NAME, HEADER_VERSION, Incoming, Outgoing, Params, RpcError, encoded, named_by};

/// Registering may fetch a package first.
const PATIENCE: Duration = Duration::from_secs(300);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no gateway answers at {0}; start one with `portolan serve`, or name it by PORTOLAN_URL or by --url before the command")]
    Unreachable(String),
    #[error("the gateway refused the key; set PORTOLAN_KEY, or name the gateway's data directory with --data-dir")]
    Unauthorized,
    #[error("{message}")]
    Failed { code: String, message: String },
    #[error("{0}")]
    Usage(String),
    /// What was asked has its answer, and the answer is no.
    #[error("no")]
    Told,
}

impl Error {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { code: "failed".to_owned(), message: message.into() }
    }

    pub(super) fn code(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::Failed { code, .. } => code,
            Self::Usage(_) => "usage",
            Self::Told => "no",
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreachable(_) => ExitCode::from(3),
            Self::Usage(_) => ExitCode::from(2),
            Self::Unauthorized | Self::Failed { .. } | Self::Told => ExitCode::FAILURE,
        }
    }
}

pub(super) type Result<T = ()> = std::result::Result<T, Error>;

/// A gateway and the key to it.
pub(super) struct Client {
    net: Net,
    base: Url,
    key: Option<Secret>,
    next_id: AtomicU64,
    pub(super) json: bool,
}

impl Client {
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let base = Url::parse(&connection.url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| {
            Error::Usage(format!("`{}` is not the URL of a gateway; write it like `http://127.0.0.1:8484`", connection.url))
        })?;
        let net = Net::new().map_err(|error| Error::failed(error.to_string()))?;
        let key = key(connection, &base);
        Ok(Self { net, base, key, next_id: AtomicU64::new(1), json: connection.json })
    }

    /// A request to a path of the gateway, with the key.
    pub(super) fn request(&self, method: reqwest::Method, path: &str) -> Result<reqwest::RequestBuilder> {
        let mut url = self.base.clone();
        url.set_path(path);
        let client = self.net.client(&url, Reach::Operator).map_err(|error| Error::failed(error.to_string()))?;
        let request = client.request(method, url);
        Ok(match &self.key {
            Some(key) => request.header(AUTHORIZATION, format!("Bearer {}", key.reveal())),
            None => request,
        })
    }

    /// The console's address, at a place in it.
    pub(super) fn page(&self, place: &str) -> String {
        let mut url = self.base.clone();
        url.set_path("/");
        url.set_fragment(Some(place));
        url.to_string()
    }

    /// Sends a request; a gateway that is not there is an error of its own.
    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        request.send().await.map_err(|error| match net::Error::from(error) {
            net::Error::Refused | net::Error::Unresolved => Error::Unreachable(self.base.to_string()),
            error => Error::failed(error.to_string()),
        })
    }

    /// One MCP request at a path.
    pub(super) async fn mcp(&self, path: &str, method: &str, params: &Params) -> Result<Value> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = Outgoing::request(id, method, &params.dressed(Era::Modern, &Dress::default()));
        let mut request = self
            .request(reqwest::Method::POST, path)?
            .timeout(PATIENCE)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header(HEADER_VERSION, Era::MODERN)
            .header(HEADER_METHOD, method)
            .body(body);
        if let Some(name) = named_by(method).and_then(|key| params.string(key)) {
            request = request.header(HEADER_NAME, encoded(&name));
        }
        let response = self.send(request).await?;
        let status = response.status();
        let bytes = net::read(response, MAX_ANSWER).await.map_err(|error| Error::failed(error.to_string()))?;
        match Incoming::parse(&bytes) {
            Ok(Incoming::Response { outcome: Ok(result), .. }) => {
                serde_json::from_str(result.get()).map_err(|error| Error::failed(format!("the gateway's answer cannot be read: {error}")))
            }
            Ok(Incoming::Response { outcome: Err(_), .. }) if status == reqwest::StatusCode::UNAUTHORIZED => Err(Error::Unauthorized),
            Ok(Incoming::Response { outcome: Err(error), .. }) => Err(Error::Failed { code: word(error.code), message: error.message }),
            _ => Err(Error::failed(format!("what answers at {} is not a Portolan gateway (HTTP {status})", self.base))),
        }
    }

    /// One tool of the control server; the result is its structured content.
    pub(super) async fn control(&self, tool: &str, arguments: Value) -> Result<Value> {
        let mut result =
            self.mcp("/mcp/portolan", "tools/call", &Params::default().with("name", tool).with("arguments", &arguments)).await?;
        let value = result.get_mut("structuredContent").map(Value::take).unwrap_or_default();
        if result.get("isError").and_then(Value::as_bool) != Some(true) {
            return Ok(value);
        }
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(Error::Failed { code: text("/error/code"), message: text("/error/message") })
    }
}

/// A code of JSON-RPC as a word, as the control server has them.
fn word(code: i64) -> String {
    match code {
        RpcError::INVALID_PARAMS => "invalid_arguments".to_owned(),
        RpcError::METHOD_NOT_FOUND | RpcError::NO_SERVER | RpcError::RESOURCE_NOT_FOUND => "not_found".to_owned(),
        RpcError::FORBIDDEN => "forbidden".to_owned(),
        RpcError::UPSTREAM => "server_unusable".to_owned(),
        RpcError::INTERNAL => "internal_error".to_owned(),
        other => other.to_string(),
    }
}

/// `PORTOLAN_KEY`, else the owner key of the data directory. That file is only used for a gateway on
/// this machine: the key of one gateway must not be sent to another.
fn key(connection: &Connection, base: &Url) -> Option<Secret> {
    if let Some(key) = std::env::var("PORTOLAN_KEY").ok().filter(|key| !key.is_empty()) {
        return Some(Secret::new(key));
    }
    let local = match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let file = data_dir(connection.data_dir.as_deref())?.join("owner.key");
    let text = local.then(|| std::fs::read_to_string(file).ok()).flatten()?;
    Some(Secret::new(text.trim()))
}
