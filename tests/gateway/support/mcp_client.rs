//! An MCP client for both eras that hides nothing: status, headers and every byte are the test's to look at.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use eventsource_stream::{Event, Eventsource as _};
use futures::{Stream, StreamExt as _};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{PATIENCE, official, within};

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

    /// Holds its messages against the official schema of a revision.
    fn check(&self, revision: &str, method: &str) {
        for message in self.notes.iter().chain([&self.body]) {
            official::check(revision, method, message);
        }
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
pub struct Events {
    coming: Pin<Box<dyn Stream<Item = Option<Event>> + Send>>,
    /// The revision that its messages are of, and the method that they answer.
    official: Option<(String, String)>,
    /// The id of the last event that was read.
    pub last: String,
}

impl Events {
    pub fn new(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        Self { coming: Box::pin(response.bytes_stream().eventsource().map(Result::ok)), official: None, last: String::new() }
    }

    /// The messages of MCP that an answer consists of, on a stream or as one body.
    pub fn of(response: reqwest::Response, revision: &str, method: &str) -> Self {
        let official = Some((revision.to_owned(), method.to_owned()));
        if response.headers()["content-type"] == "application/json" {
            let whole = async { Some(Event { data: response.text().await.ok()?, ..Event::default() }) };
            return Self { coming: Box::pin(futures::stream::once(whole)), official, last: String::new() };
        }
        Self { official, ..Self::new(response) }
    }

    /// The next event; none when the stream has ended or broke off.
    pub async fn next(&mut self) -> Option<Event> {
        let event = within(PATIENCE, "an event", self.coming.next()).await.flatten()?;
        if !event.id.is_empty() {
            event.id.clone_into(&mut self.last);
        }
        Some(event)
    }

    /// The next event's JSON. Events without a message are passed over.
    pub async fn next_json(&mut self) -> Option<Value> {
        loop {
            let event = self.next().await?;
            if event.data.is_empty() {
                continue;
            }
            let message = serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {}", event.data));
            if let Some((revision, method)) = &self.official {
                official::check(revision, method, &message);
            }
            return Some(message);
        }
    }

    /// Reads on until the answer, and gives its result.
    pub async fn result(&mut self) -> Value {
        let answer = self.answer().await;
        answer.get("result").cloned().unwrap_or_else(|| panic!("no result: {answer}"))
    }

    /// Reads on until the answer.
    pub async fn answer(&mut self) -> Value {
        loop {
            let message = self.next_json().await.expect("the stream ended before the answer");
            if message.get("method").is_none() {
                return message;
            }
        }
    }

    /// Everything that comes within a time.
    pub async fn for_a_while(&mut self, time: std::time::Duration) -> Vec<Value> {
        let mut heard = Vec::new();
        while let Ok(Some(message)) = tokio::time::timeout(time, self.next_json()).await {
            heard.push(message);
        }
        heard
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
    /// Whether answers are held against the official schema; not where a test's server breaks it on purpose.
    pub strict: bool,
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
        Self::able(url, revision, key, json!({})).await
    }

    /// The same for a client that can be asked something.
    pub async fn able(url: &str, revision: &str, key: Option<&str>, capabilities: Value) -> Self {
        let mut session = Self {
            http: http(),
            url: url.to_owned(),
            id: String::new(),
            revision: revision.to_owned(),
            greeting: Value::Null,
            strict: true,
            key: key.map(str::to_owned),
            next: AtomicU64::new(1),
        };
        let mut greeting = initialize(revision);
        greeting["params"]["capabilities"] = capabilities;
        let answer = session.send(&greeting).await;
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
        let answer = Answer::read(within(PATIENCE, "an answer", sent).await.unwrap()).await;
        if self.strict {
            answer.check(&self.revision, message["method"].as_str().unwrap_or_default());
        }
        answer
    }

    /// Sends a request, and gives what comes of it as it comes.
    pub async fn start(&self, method: &str, params: Value) -> Events {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let sent = self.prepare(reqwest::Method::POST).json(&message).send();
        Events::of(within(PATIENCE, "a stream", sent).await.unwrap(), &self.revision, method)
    }

    /// The same in the background, for what says nothing before somebody else acts.
    pub fn starting(self: &std::sync::Arc<Self>, tool: &str, arguments: Value) -> tokio::task::JoinHandle<Events> {
        let (session, tool) = (self.clone(), tool.to_owned());
        tokio::spawn(async move { session.start("tools/call", json!({ "name": tool, "arguments": arguments })).await })
    }

    /// Answers a question.
    pub async fn reply(&self, question: &Value, result: Value) {
        let answer = self.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }

    /// Goes on with a stream behind the event of that id.
    pub async fn resume(&self, last: &str) -> Events {
        let request = self.prepare(reqwest::Method::GET).header("last-event-id", last);
        Events::of(within(PATIENCE, "a stream", request.send()).await.unwrap(), &self.revision, "tools/call")
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
        Events::of(within(PATIENCE, "a stream", sent).await.unwrap(), &self.revision, "")
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
    capabilities: Value,
    next: AtomicU64,
}

/// A stateless client.
pub fn modern(url: &str) -> Modern {
    Modern::new(url)
}

impl Modern {
    pub fn new(url: &str) -> Self {
        Self { http: http(), url: url.to_owned(), key: None, capabilities: json!({}), next: AtomicU64::new(1) }
    }

    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The same for a client that can be asked something.
    #[must_use]
    pub fn able(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// A whole request: the stamp in `_meta`, and the headers that repeat it.
    pub fn prepare(&self, method: &str, params: Value) -> (u64, reqwest::RequestBuilder) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = stamped(id, method, params, &self.capabilities);
        let mut request = self.http.post(&self.url).header("accept", BOTH).json(&message);
        request = request.header("mcp-protocol-version", REVISION_MODERN).header("mcp-method", method);
        let named = match method {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
            _ => "",
        };
        if let Some(name) = message["params"][named].as_str() {
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
        answer.check(REVISION_MODERN, method);
        assert!(answer.body["id"] == id || answer.status >= 400, "the answer's id is the request's: {}", answer.text);
        answer
    }

    /// Sends a request, and gives what comes of it as it comes.
    pub async fn start(&self, method: &str, params: Value) -> Events {
        let (_, request) = self.prepare(method, params);
        Events::of(within(PATIENCE, "a stream", request.send()).await.unwrap(), REVISION_MODERN, method)
    }

    /// The same in the background, for what says nothing before somebody else acts.
    pub fn starting(self: &std::sync::Arc<Self>, method: &str, params: Value) -> tokio::task::JoinHandle<Events> {
        let (client, method) = (self.clone(), method.to_owned());
        tokio::spawn(async move { client.start(&method, params).await })
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
        (id, Events::of(within(PATIENCE, "a stream", request.send()).await.unwrap(), REVISION_MODERN, "subscriptions/listen"))
    }
}

/// A message of the stateless revision.
fn stamped(id: u64, method: &str, params: Value, capabilities: &Value) -> Value {
    let mut params = params;
    if params["_meta"].is_null() {
        params["_meta"] = json!({});
    }
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = REVISION_MODERN.into();
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
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
