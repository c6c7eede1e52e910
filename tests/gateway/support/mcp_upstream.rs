//! An MCP server over HTTP whose every answer a test can choose, of either era.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::until;

/// How the server talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// In sessions, by 2025-06-18.
    Sessions,
    /// Statelessly, by 2026-07-28.
    Stateless,
}

/// A message as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    pub headers: HeaderMap,
    pub body: Value,
}

/// A tool with a description and a schema.
pub fn tool(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "description": description, "inputSchema": schema })
}

/// A scripted MCP server.
#[derive(Clone)]
pub struct McpUpstream(Arc<Inner>);

struct Inner {
    speaks: Speaks,
    url: Mutex<String>,
    /// Each tool's own bytes.
    tools: Mutex<Vec<String>>,
    /// What is listed in a session in which `unlock` was called, and these sessions.
    unlocked: Mutex<(Vec<String>, Vec<String>)>,
    /// Whether the list fails in all other sessions.
    broken: AtomicBool,
    /// Tools on a page of the list.
    page: AtomicUsize,
    /// What a tool answers; others say what they were given.
    answers: Mutex<HashMap<String, Value>>,
    /// What a resource answers beside its contents; none when it is to fail.
    resource: Mutex<Option<Value>>,
    /// How long the list of tools takes.
    listing: Mutex<Duration>,
    /// Whether the next `server/discover` is refused, as of no revision that it knows.
    hesitating: AtomicBool,
    /// Tools that never answer.
    hanging: Mutex<Vec<String>>,
    /// Tools that answer with a stream, in one piece: three steps of progress and the result.
    telling: Mutex<Vec<String>>,
    sessions: Mutex<Vec<String>>,
    recorded: Mutex<Vec<Recorded>>,
    /// Calls of a hanging tool whose connection was closed by the caller.
    left: AtomicUsize,
    /// Whose list changed last.
    changes: watch::Sender<&'static str>,
    /// The task that accepts connections.
    accepting: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl McpUpstream {
    /// A server with these tools.
    pub async fn start(speaks: Speaks, tools: impl IntoIterator<Item = Value>) -> Self {
        let server = Self(Arc::new(Inner {
            speaks,
            url: Mutex::default(),
            tools: Mutex::new(tools.into_iter().map(|tool| tool.to_string()).collect()),
            unlocked: Mutex::default(),
            broken: AtomicBool::default(),
            page: AtomicUsize::new(usize::MAX),
            answers: Mutex::default(),
            resource: Mutex::new(Some(json!({}))),
            listing: Mutex::default(),
            hesitating: AtomicBool::new(false),
            hanging: Mutex::default(),
            telling: Mutex::default(),
            sessions: Mutex::default(),
            recorded: Mutex::default(),
            left: AtomicUsize::new(0),
            changes: watch::channel("tools").0,
            accepting: Mutex::default(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *server.0.url.lock().unwrap() = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new().route("/mcp", any(handle)).with_state(server.clone());
        let accepting = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        *server.0.accepting.lock().unwrap() = Some(accepting);
        server
    }

    pub fn url(&self) -> String {
        self.0.url.lock().unwrap().clone()
    }

    /// Other tools from now on; nobody is told.
    pub fn set_tools(&self, tools: impl IntoIterator<Item = Value>) {
        self.set_raw_tools(tools.into_iter().map(|tool| tool.to_string()));
    }

    /// The same, each as it is written.
    pub fn set_raw_tools(&self, tools: impl IntoIterator<Item = String>) {
        *self.0.tools.lock().unwrap() = tools.into_iter().collect();
    }

    /// Lists other tools in sessions in which the tool `unlock` was called.
    pub fn unlocks(&self, tools: impl IntoIterator<Item = Value>) {
        self.0.unlocked.lock().unwrap().0 = tools.into_iter().map(|tool| tool.to_string()).collect();
    }

    /// Tells whoever listens that the tools changed.
    pub fn tell(&self) {
        self.0.changes.send_replace("tools");
    }

    /// Tells whoever listens that the resources changed.
    pub fn tell_of_resources(&self) {
        self.0.changes.send_replace("resources");
    }

    /// Accepts no more connections.
    pub fn leave(&self) {
        self.0.accepting.lock().unwrap().take().expect("it is there").abort();
    }

    /// How many streams wait to be told.
    pub fn listeners(&self) -> usize {
        self.0.changes.receiver_count()
    }

    /// Whether the list of tools fails from now on, but in sessions in which `unlock` was called.
    pub fn breaks(&self, broken: bool) {
        self.0.broken.store(broken, Ordering::Relaxed);
    }

    /// Hands out the list in pages.
    pub fn paged(&self, page: usize) {
        self.0.page.store(page, Ordering::Relaxed);
    }

    /// What a tool answers from now on.
    pub fn answers(&self, tool: &str, result: Value) {
        self.0.answers.lock().unwrap().insert(tool.to_owned(), result);
    }

    /// What every resource says beside its contents from now on, such as hints for caches; without a word it fails.
    pub fn resources_say(&self, members: Option<Value>) {
        *self.0.resource.lock().unwrap() = members;
    }

    /// Takes its time over the list of tools.
    pub fn lists_after(&self, pause: Duration) {
        *self.0.listing.lock().unwrap() = pause;
    }

    /// Refuses its own revision, once.
    pub fn hesitates(&self) {
        self.0.hesitating.store(true, Ordering::Relaxed);
    }

    /// This tool never answers.
    pub fn hangs(&self, tool: &str) {
        self.0.hanging.lock().unwrap().push(tool.to_owned());
    }

    /// This tool tells of its progress and of its result in one breath.
    pub fn tells_at_once(&self, tool: &str) {
        self.0.telling.lock().unwrap().push(tool.to_owned());
    }

    /// Calls of hanging tools whose caller closed the connection.
    pub fn left(&self) -> usize {
        self.0.left.load(Ordering::Relaxed)
    }

    /// Forgets all sessions, as a restart would.
    pub fn forget_sessions(&self) {
        self.0.sessions.lock().unwrap().clear();
    }

    /// Messages of a method that came so far.
    pub fn recorded(&self, method: &str) -> Vec<Recorded> {
        self.0.recorded.lock().unwrap().iter().filter(|recorded| recorded.method == method).cloned().collect()
    }

    /// Waits for a message of a method.
    pub async fn arrival(&self, method: &str) -> Recorded {
        until(&format!("`{method}` reaches the server"), async || self.recorded(method).pop()).await
    }

    fn session_is_open(&self, headers: &HeaderMap) -> bool {
        let id = headers.get("mcp-session-id").and_then(|value| value.to_str().ok());
        id.is_some_and(|id| self.0.sessions.lock().unwrap().iter().any(|known| known == id))
    }

    fn capabilities() -> Value {
        json!({ "tools": { "listChanged": true }, "resources": {}, "prompts": {} })
    }

    fn info() -> Value {
        json!({ "name": "scripted", "version": "7.1.0", "x-vendor": true })
    }

    fn tools_page(&self, params: &Value, session: &str) -> Result<String, (i64, String)> {
        let (own, unlocked) = &*self.0.unlocked.lock().unwrap();
        let all = self.0.tools.lock().unwrap();
        let is_unlocked = unlocked.iter().any(|known| known == session);
        if self.0.broken.load(Ordering::Relaxed) && !is_unlocked {
            return Err((-32603, "out of order".to_owned()));
        }
        let tools = if is_unlocked { own } else { &*all };
        let page = self.0.page.load(Ordering::Relaxed);
        let from: usize = params["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
        let to = from.saturating_add(page).min(tools.len());
        let next = if to < tools.len() { format!(r#","nextCursor":"{to}""#) } else { String::new() };
        let modern = if self.0.speaks == Speaks::Stateless { r#","resultType":"complete","ttlMs":0,"cacheScope":"private""# } else { "" };
        Ok(format!(r#"{{"tools":[{}]{next}{modern}}}"#, tools[from..to].join(",")))
    }

    fn result(&self, method: &str, params: &Value, session: &str) -> Result<String, (i64, String)> {
        let mut result = match method {
            "initialize" => json!({ "protocolVersion": "2025-06-18", "capabilities": Self::capabilities(), "serverInfo": Self::info() }),
            "server/discover" => json!({
                "supportedVersions": ["2026-07-28"], "capabilities": Self::capabilities(), "ttlMs": 0, "cacheScope": "private",
                "_meta": { "io.modelcontextprotocol/serverInfo": Self::info() },
            }),
            "tools/list" => return self.tools_page(params, session),
            "tools/call" => {
                let name = params["name"].as_str().unwrap_or_default();
                if name == "unlock" {
                    self.0.unlocked.lock().unwrap().1.push(session.to_owned());
                }
                let text = format!("{name} was given {}", params["arguments"]);
                let answers = self.0.answers.lock().unwrap();
                answers.get(name).cloned().unwrap_or_else(|| json!({ "content": [{ "type": "text", "text": text }] }))
            }
            "resources/list" => json!({ "resources": [{ "uri": "file:///a.txt", "name": "a" }] }),
            "resources/templates/list" => json!({ "resourceTemplates": [] }),
            "resources/read" if self.0.resource.lock().unwrap().is_none() => return Err((-32603, "out of order".to_owned())),
            "resources/read" => json!({ "contents": [{ "uri": params["uri"], "text": format!("the text of {}", params["uri"]) }] }),
            "prompts/list" => json!({ "prompts": [{ "name": "ask", "arguments": [{ "name": "what" }] }] }),
            "prompts/get" => {
                let text = format!("Tell me about {}.", params["arguments"]["what"].as_str().unwrap_or_default());
                json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": text } }] })
            }
            "ping" => json!({}),
            other => return Err((-32601, format!("no {other}"))),
        };
        if self.0.speaks == Speaks::Stateless {
            if result["resultType"].is_null() {
                result["resultType"] = "complete".into();
            }
            if method.starts_with("resources/") || method == "prompts/list" {
                result["ttlMs"] = 0.into();
                result["cacheScope"] = "private".into();
            }
        }
        if let (true, Some(Value::Object(members))) = (method == "resources/read", &*self.0.resource.lock().unwrap()) {
            result.as_object_mut().unwrap().extend(members.clone());
        }
        Ok(result.to_string())
    }

    /// The notifications of changes, behind what must come first.
    fn stream(&self, first: String, params: Option<Value>) -> Response {
        let mut changes = self.0.changes.subscribe();
        let body = async_stream::stream! {
            yield Ok::<_, std::convert::Infallible>(Bytes::from(first));
            while changes.changed().await.is_ok() {
                let what = *changes.borrow_and_update();
                let mut note = json!({ "jsonrpc": "2.0", "method": format!("notifications/{what}/list_changed") });
                if let Some(params) = &params {
                    note["params"] = params.clone();
                }
                yield Ok(Bytes::from(format!("data: {note}\n\n")));
            }
        };
        ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response()
    }
}

async fn handle(State(server): State<McpUpstream>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    let sessions = server.0.speaks == Speaks::Sessions;
    match method {
        Method::GET if sessions && server.session_is_open(&headers) => return server.stream(": hello\n\n".to_owned(), None),
        Method::DELETE if sessions => return StatusCode::OK.into_response(),
        Method::POST => {}
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
    let message: Value = serde_json::from_slice(&body).expect("the gateway sends JSON");
    let rpc = message["method"].as_str().unwrap_or_default().to_owned();
    server.0.recorded.lock().unwrap().push(Recorded { method: rpc.clone(), headers: headers.clone(), body: message.clone() });
    let (id, params) = (message["id"].clone(), message["params"].clone());
    if id.is_null() {
        return StatusCode::ACCEPTED.into_response();
    }
    let refused = if sessions { refuse_session(&server, &rpc, &headers) } else { refuse_stateless(&rpc, &headers, &params) };
    if let Some((status, code)) = refused {
        return reply(status, &error(&id, code, "refused"));
    }
    if rpc == "server/discover" && server.0.hesitating.swap(false, Ordering::Relaxed) {
        let data = json!({ "supported": ["2026-07-28"], "requested": "2026-07-28" });
        let error = json!({ "code": -32022, "message": "not now", "data": data });
        return reply(400, &json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string());
    }
    if rpc == "subscriptions/listen" {
        let meta = json!({ "_meta": { "io.modelcontextprotocol/subscriptionId": id } });
        let acknowledged = json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": { "_meta": meta["_meta"], "notifications": params["notifications"] } });
        return server.stream(format!("data: {acknowledged}\n\n"), Some(meta));
    }
    if rpc == "tools/list" {
        let pause = *server.0.listing.lock().unwrap();
        tokio::time::sleep(pause).await;
    }
    if rpc == "tools/call" && server.0.hanging.lock().unwrap().iter().any(|name| params["name"] == name.as_str()) {
        let _leaving = Leaving(server.clone());
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let tells = rpc == "tools/call" && server.0.telling.lock().unwrap().iter().any(|name| params["name"] == name.as_str());
    let session = headers.get("mcp-session-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut answer = match server.result(&rpc, &params, session) {
        Ok(result) if tells => told(&params["_meta"]["progressToken"], &success(&id, result)),
        Ok(result) => reply(200, &success(&id, result)),
        Err((code, why)) => reply(if sessions { 200 } else { 404 }, &error(&id, code, &why)),
    };
    if rpc == "initialize" {
        let mut open = server.0.sessions.lock().unwrap();
        let session = format!("session-{}-{}", open.len(), server.0.recorded.lock().unwrap().len());
        answer.headers_mut().insert("mcp-session-id", session.parse().unwrap());
        open.push(session);
    }
    answer
}

/// What a server with sessions says to a request that is in none.
fn refuse_session(server: &McpUpstream, rpc: &str, headers: &HeaderMap) -> Option<(u16, i64)> {
    match (rpc, headers.contains_key("mcp-session-id")) {
        ("initialize", _) => None,
        (_, false) => Some((400, -32000)),
        (_, true) => (!server.session_is_open(headers)).then_some((404, -32001)),
    }
}

/// What a stateless server says to a request whose headers or stamp are wrong.
fn refuse_stateless(rpc: &str, headers: &HeaderMap, params: &Value) -> Option<(u16, i64)> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if rpc == "initialize" || header("mcp-protocol-version") != Some("2026-07-28") {
        return Some((400, -32022));
    }
    let meta = &params["_meta"];
    if meta["io.modelcontextprotocol/protocolVersion"] != "2026-07-28" || !meta["io.modelcontextprotocol/clientCapabilities"].is_object() {
        return Some((400, -32602));
    }
    let named = match rpc {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "resources/read" => params["uri"].as_str(),
        _ => None,
    };
    let agrees = header("mcp-method") == Some(rpc) && named.is_none_or(|name| header("mcp-name") == Some(name));
    (!agrees).then_some((400, -32020))
}

/// Counts when a request is dropped because its caller left.
struct Leaving(McpUpstream);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.0.left.fetch_add(1, Ordering::Relaxed);
    }
}

fn reply(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body.to_owned()).into_response()
}

/// An answer behind three steps of progress, in one piece.
fn told(token: &Value, answer: &str) -> Response {
    let step = |step| {
        json!({ "jsonrpc": "2.0", "method": "notifications/progress",
        "params": { "progressToken": token, "progress": step, "total": 3 } })
    };
    let events: String = (1..=3).map(|number| format!("data: {}\n\n", step(number))).collect();
    ([("content-type", "text/event-stream")], format!("{events}data: {answer}\n\n")).into_response()
}

fn success(id: &Value, result: String) -> String {
    let result = RawValue::from_string(result).expect("a result is JSON");
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn error(id: &Value, code: i64, why: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": why } }).to_string()
}
