//! An MCP client for both eras that hides nothing: status, headers and every byte are the test's to look at.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use eventsource_stream::{Event, Eventsource as _};
use futures::{Stream, StreamExt as _};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{PATIENCE, within};

/// The stateless revision.
pub const REVISION_MODERN: &str = "2026-07-28";

const BOTH: &str = "application/json, text/event-stream";

/// An HTTP client that goes where it is told and keeps no connection for later.
pub fn http() -> reqwest::Client {
    // Making one takes longer than most requests; without connections of its own it fits every test.
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let make = || {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).redirect(reqwest::redirect::Policy::none());
        builder.build().unwrap()
    };
    CLIENT.get_or_init(make).clone()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body, or the last event of a stream; null when it is no JSON.
    pub body: Value,
    /// All events before the last one.
    pub notes: Vec<Value>,
}

impl Answer {
    /// Reads a response to its end.
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = within(PATIENCE, "an answer", response.text()).await.unwrap_or_else(|error| panic!("the answer broke off: {error}"));
        let is_stream =
            headers.get("content-type").is_some_and(|value| value.to_str().is_ok_and(|text| text.starts_with("text/event-stream")));
        let mut notes = Vec::new();
        let mut body = serde_json::from_str(&text).unwrap_or(Value::Null);
        if is_stream {
            // A byte order mark is no part of the events; the reader used here does not know that.
            let events = text.trim_start_matches('\u{feff}').to_owned();
            notes = futures::stream::iter([Ok::<_, std::convert::Infallible>(events)])
                .eventsource()
                .filter_map(async |event| serde_json::from_str(&event.unwrap().data).ok())
                .collect()
                .await;
            body = notes.pop().unwrap_or(Value::Null);
        }
        Self { status, headers, text, body, notes }
    }

    /// The result of a JSON-RPC answer.
    pub fn result(&self) -> &Value {
        self.body.get("result").unwrap_or_else(|| panic!("no result: {} {}", self.status, self.text))
    }

    /// The code of a JSON-RPC error.
    pub fn code(&self) -> i64 {
        self.body.pointer("/error/code").and_then(Value::as_i64).unwrap_or_else(|| panic!("no error: {} {}", self.status, self.text))
    }

    /// The message of an error, of JSON-RPC or of OpenAI.
    pub fn message(&self) -> &str {
        self.body.pointer("/error/message").and_then(Value::as_str).unwrap_or_else(|| panic!("no error: {} {}", self.status, self.text))
    }

    /// The `code` of an OpenAI error.
    pub fn word(&self) -> &str {
        self.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_else(|| panic!("no error: {} {}", self.status, self.text))
    }

    /// A header's text; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Posts JSON and reads the answer.
pub async fn post(url: &str, body: &Value) -> Answer {
    let sent = http().post(url).json(body).send();
    Answer::read(within(PATIENCE, "an answer", sent).await.unwrap()).await
}

/// The events of a stream, as they come.
pub struct Events(Pin<Box<dyn Stream<Item = Option<Event>>>>);

impl Events {
    pub fn new(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        Self(Box::pin(response.bytes_stream().eventsource().map(Result::ok)))
    }

    /// The next event; none when the stream has ended or broke off.
    pub async fn next(&mut self) -> Option<Event> {
        within(PATIENCE, "an event", self.0.next()).await.flatten()
    }

    /// The next event's JSON.
    pub async fn next_json(&mut self) -> Option<Value> {
        let event = self.next().await?;
        Some(serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {}", event.data)))
    }

    /// Reads on until a message with this method.
    pub async fn next_of(&mut self, method: &str) -> Value {
        loop {
            let message = self.next_json().await.unwrap_or_else(|| panic!("the stream ended before `{method}`"));
            if message["method"] == method {
                return message;
            }
        }
    }
}

/// A session of 2025-11-25 or before.
pub struct Session {
    pub http: reqwest::Client,
    pub url: String,
    pub id: String,
    pub revision: String,
    pub greeting: Value,
    key: Option<String>,
    next: AtomicU64,
}

/// An `initialize` as it is sent.
pub fn initialize(revision: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
    } })
}

/// Opens a session of the newest revision that has them.
pub async fn session(url: &str) -> Session {
    Session::open(url, "2025-11-25", None).await
}

impl Session {
    /// Opens a session, and says that it is open.
    pub async fn open(url: &str, revision: &str, key: Option<&str>) -> Self {
        let mut session = Self {
            http: http(),
            url: url.to_owned(),
            id: String::new(),
            revision: revision.to_owned(),
            greeting: Value::Null,
            key: key.map(str::to_owned),
            next: AtomicU64::new(1),
        };
        let answer = session.send(&initialize(revision)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.header("mcp-session-id").clone_into(&mut session.id);
        assert!(!session.id.is_empty(), "a session has an id");
        answer.result()["protocolVersion"].as_str().unwrap().clone_into(&mut session.revision);
        session.greeting = answer.result().clone();
        assert_eq!(session.notify("notifications/initialized", json!({})).await.status, 202);
        session
    }

    /// A request with the session's headers.
    pub fn prepare(&self, method: reqwest::Method) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, &self.url).header("accept", BOTH);
        if !self.id.is_empty() {
            request = request.header("mcp-session-id", &self.id).header("mcp-protocol-version", &self.revision);
        }
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends one message as it stands.
    pub async fn send(&self, message: &Value) -> Answer {
        let sent = self.prepare(reqwest::Method::POST).json(message).send();
        Answer::read(within(PATIENCE, "an answer", sent).await.unwrap()).await
    }

    /// Sends a request.
    pub async fn request(&self, method: &str, params: Value) -> Answer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let answer = self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        assert!(answer.body["id"] == id || answer.status >= 400, "the answer's id is the request's: {}", answer.text);
        answer
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) -> Answer {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params })).await
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await.result().clone()
    }

    /// All tools, over all pages.
    pub async fn tools(&self) -> Vec<Value> {
        pages("tools", async |params| self.request("tools/list", params).await).await
    }

    /// The stream on which the session hears of changes.
    pub async fn listen(&self) -> Events {
        let sent = self.prepare(reqwest::Method::GET).header("accept", "text/event-stream").send();
        Events::new(within(PATIENCE, "a stream", sent).await.unwrap())
    }

    /// Ends it.
    pub async fn end(&self) -> u16 {
        within(PATIENCE, "an answer", self.prepare(reqwest::Method::DELETE).send()).await.unwrap().status().as_u16()
    }
}

/// A client of 2026-07-28.
pub struct Modern {
    pub http: reqwest::Client,
    pub url: String,
    key: Option<String>,
    next: AtomicU64,
}

/// A stateless client.
pub fn modern(url: &str) -> Modern {
    Modern::new(url)
}

impl Modern {
    pub fn new(url: &str) -> Self {
        Self { http: http(), url: url.to_owned(), key: None, next: AtomicU64::new(1) }
    }

    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// A whole request: the stamp in `_meta`, and the headers that repeat it.
    pub fn prepare(&self, method: &str, params: Value) -> (u64, reqwest::RequestBuilder) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = stamped(id, method, params);
        let mut request = self.http.post(&self.url).header("accept", BOTH).json(&message);
        request = request.header("mcp-protocol-version", REVISION_MODERN).header("mcp-method", method);
        let name = message["params"].get(if method == "resources/read" { "uri" } else { "name" });
        if let (Some(name), "tools/call" | "prompts/get" | "resources/read") = (name.and_then(Value::as_str), method) {
            request = request.header("mcp-name", name);
        }
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        (id, request)
    }

    /// Sends a request.
    pub async fn request(&self, method: &str, params: Value) -> Answer {
        let (id, request) = self.prepare(method, params);
        let answer = Answer::read(within(PATIENCE, "an answer", request.send()).await.unwrap()).await;
        assert!(answer.body["id"] == id || answer.status >= 400, "the answer's id is the request's: {}", answer.text);
        answer
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await.result().clone()
    }

    /// All tools, over all pages.
    pub async fn tools(&self) -> Vec<Value> {
        pages("tools", async |params| self.request("tools/list", params).await).await
    }

    /// `subscriptions/listen`: the request's id, and its stream.
    pub async fn listen(&self, notifications: Value) -> (u64, Events) {
        let (id, request) = self.prepare("subscriptions/listen", json!({ "notifications": notifications }));
        (id, Events::new(within(PATIENCE, "a stream", request.send()).await.unwrap()))
    }
}

/// A message of the stateless revision.
fn stamped(id: u64, method: &str, params: Value) -> Value {
    let mut params = params;
    if params["_meta"].is_null() {
        params["_meta"] = json!({});
    }
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = REVISION_MODERN.into();
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// The items of all pages of a list.
async fn pages(member: &str, ask: impl AsyncFn(Value) -> Answer) -> Vec<Value> {
    let mut items = Vec::new();
    let mut params = json!({});
    for _ in 0..100 {
        let answer = ask(params).await;
        let result = answer.result();
        items.extend(result[member].as_array().unwrap_or_else(|| panic!("no `{member}`: {}", answer.text)).iter().cloned());
        match result["nextCursor"].as_str() {
            Some(cursor) => params = json!({ "cursor": cursor }),
            None => return items,
        }
    }
    panic!("the list has no end");
}
