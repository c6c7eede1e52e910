//! An MCP server whose words a test says itself: calls come to the test, and what it answers them with goes out as it is written.
//!
//! Only what no test is about is answered by itself: the greeting, the lists, subscriptions.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::{TestGateway, until};

/// How the server talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// In sessions over HTTP, by 2025-11-25: each call has a stream of its own.
    Sessions,
    /// Statelessly over HTTP, by 2026-07-28.
    Stateless,
    /// By the transport of 2024-11-05: everything is said on one stream.
    Line,
    /// In a session over standard streams, by 2025-11-25.
    Pipe,
}

impl Manner {
    /// Those in which a server asks while it works.
    pub const ASKING: [Self; 3] = [Self::Sessions, Self::Line, Self::Pipe];

    fn revision(self) -> &'static str {
        match self {
            Self::Sessions | Self::Pipe => "2025-11-25",
            Self::Stateless => "2026-07-28",
            Self::Line => "2024-11-05",
        }
    }
}

type Out = mpsc::UnboundedSender<Bytes>;

/// A server in a test's hand.
#[derive(Clone)]
pub struct Puppet(Arc<Inner>);

struct Inner {
    manner: Manner,
    url: Mutex<String>,
    tools: Vec<Value>,
    /// What the test answers that is answered by itself else.
    by_hand: Mutex<Option<&'static str>>,
    /// Holds the pipes of a server over standard streams.
    home: TempDir,
    calls: mpsc::UnboundedSender<Call>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Call>>,
    /// Every message that came.
    seen: Mutex<Vec<Value>>,
    /// The last one as it was written.
    written: Mutex<String>,
    /// The streams that belong to no call, each with what its notifications carry.
    notices: Mutex<Vec<(Out, Value)>>,
}

/// A request that waits for what the test says to it.
pub struct Call {
    pub method: String,
    pub params: Value,
    pub id: Value,
    pub headers: HeaderMap,
    puppet: Puppet,
    reply: Option<oneshot::Sender<Response>>,
    stream: Option<Out>,
}

impl Puppet {
    /// A server with tools of these names, which take any arguments.
    pub async fn start(manner: Manner, tools: &[&str]) -> Self {
        let (calls, waiting) = mpsc::unbounded_channel();
        let of = |name: &&str| json!({ "name": name, "description": format!("Does {name}."), "inputSchema": { "type": "object" } });
        let puppet = Self(Arc::new(Inner {
            manner,
            url: Mutex::default(),
            tools: tools.iter().map(of).collect(),
            by_hand: Mutex::default(),
            home: TempDir::new().unwrap(),
            calls,
            waiting: waiting.into(),
            seen: Mutex::default(),
            written: Mutex::default(),
            notices: Mutex::default(),
        }));
        if manner == Manner::Pipe {
            puppet.open_pipes();
            return puppet;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *puppet.0.url.lock().unwrap() = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new().route("/mcp", any(handle)).route("/say", any(handle)).with_state(puppet.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        puppet
    }

    /// The same, registered at a gateway.
    pub async fn at(gateway: &TestGateway, name: &str, manner: Manner, tools: &[&str]) -> Self {
        let puppet = Self::start(manner, tools).await;
        puppet.join(gateway, name, "shared").await;
        puppet
    }

    /// Registers it at a gateway, with this isolation.
    pub async fn join(&self, gateway: &TestGateway, name: &str, isolation: &str) {
        let mut entry = json!({ "name": name, "isolation": isolation });
        match self.0.manner {
            Manner::Pipe => {
                let at = |end: &str| self.0.home.path().join(end).display().to_string();
                entry["command"] = json!(["/bin/sh", "-c", "cat \"$0\" & exec cat > \"$1\"", at("out"), at("in")]);
            }
            Manner::Sessions | Manner::Stateless | Manner::Line => {
                entry["url"] = self.0.url.lock().unwrap().clone().into();
                entry["allow_private"] = true.into();
            }
        }
        gateway.control("servers_add", entry).await;
        gateway.wait_for_server(name, "ready").await;
        if self.0.manner != Manner::Pipe {
            until("the gateway listens", async || (!self.0.notices.lock().unwrap().is_empty()).then_some(())).await;
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.0.url.lock().unwrap().clone()
    }

    /// The next call; what is not answered by itself.
    pub async fn call(&self) -> Call {
        let mut waiting = self.0.waiting.lock().await;
        super::within(super::PATIENCE, "a call", waiting.recv()).await.unwrap()
    }

    /// Whether a call waits that nobody has taken.
    pub async fn is_called(&self) -> bool {
        !self.0.waiting.lock().await.is_empty()
    }

    /// Says something that belongs to no call.
    pub fn notice(&self, message: &Value) {
        self.0.notices.lock().unwrap().retain(|(out, _)| !out.is_closed());
        for (out, meta) in &*self.0.notices.lock().unwrap() {
            let mut message = message.clone();
            if !meta.is_null() {
                message["params"]["_meta"] = meta.clone();
            }
            let _ = out.send(self.framed(&message));
        }
    }

    /// Says something on the newest of the streams that belong to no call.
    pub fn notice_last(&self, message: &Value) {
        let notices = self.0.notices.lock().unwrap();
        let _ = notices.last().expect("a stream is open").0.send(self.framed(message));
    }

    /// Leaves requests of a method to the test.
    pub fn answer_by_hand(&self, method: &'static str) {
        *self.0.by_hand.lock().unwrap() = Some(method);
    }

    /// Closes the streams that belong to no call.
    pub fn hang_up(&self) {
        self.0.notices.lock().unwrap().clear();
    }

    /// How many streams are open that belong to no call.
    pub fn listeners(&self) -> usize {
        self.0.notices.lock().unwrap().iter().filter(|(out, _)| !out.is_closed()).count()
    }

    /// The messages of a method that came so far.
    pub fn seen(&self, method: &str) -> Vec<Value> {
        self.0.seen.lock().unwrap().iter().filter(|message| message["method"] == method).cloned().collect()
    }

    /// Waits for a message of a method.
    pub async fn arrival(&self, method: &str) -> Value {
        until(&format!("`{method}` reaches the server"), async || self.seen(method).pop()).await
    }

    /// The answers to its own question of that id, so far.
    pub fn answers(&self, id: &str) -> Vec<Value> {
        let seen = self.0.seen.lock().unwrap();
        seen.iter().filter(|message| message["id"] == id && message.get("method").is_none()).cloned().collect()
    }

    /// Waits for the answer to its own question of that id.
    pub async fn answer_to(&self, id: &str) -> Value {
        until(&format!("the answer to `{id}`"), async || self.answers(id).pop()).await
    }

    fn framed(&self, message: &Value) -> Bytes {
        match self.0.manner {
            Manner::Pipe => format!("{message}\n").into(),
            Manner::Sessions | Manner::Stateless | Manner::Line => format!("data: {message}\n\n").into(),
        }
    }

    /// What it answers by itself.
    fn usual(&self, method: &str, params: &Value) -> Option<Value> {
        let capabilities = json!({ "tools": { "listChanged": true }, "prompts": {}, "resources": { "subscribe": true }, "logging": {} });
        let info = json!({ "name": "puppet", "version": "1" });
        let revision = self.0.manner.revision();
        let hinted = |mut result: Value| {
            if revision == "2026-07-28" {
                result["resultType"] = "complete".into();
                result["ttlMs"] = 0.into();
                result["cacheScope"] = "private".into();
            }
            result
        };
        let stateless = self.0.manner == Manner::Stateless;
        Some(hinted(match method {
            "initialize" if !stateless => json!({ "protocolVersion": revision, "capabilities": capabilities, "serverInfo": info }),
            "server/discover" if stateless => json!({ "supportedVersions": [revision], "capabilities": capabilities,
                "_meta": { "io.modelcontextprotocol/serverInfo": info } }),
            left if *self.0.by_hand.lock().unwrap() == Some(left) => return None,
            "tools/list" => json!({ "tools": self.0.tools }),
            "prompts/list" => json!({ "prompts": [{ "name": "tell" }] }),
            "resources/list" => json!({ "resources": [{ "uri": "file:///a.txt", "name": "a" }] }),
            "resources/templates/list" => json!({ "resourceTemplates": [] }),
            "resources/read" if params["uri"] == "file:///a.txt" => json!({ "contents": [{ "uri": "file:///a.txt", "text": "a" }] }),
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" if !stateless => json!({}),
            _ => return None,
        }))
    }

    /// Takes a message; what it says to a request goes to `stream` where there is one, and back as a response where not.
    async fn take(&self, message: Value, headers: HeaderMap, stream: Option<Out>) -> Option<Response> {
        self.0.seen.lock().unwrap().push(message.clone());
        let (id, method) = (message["id"].clone(), message["method"].as_str()?.to_owned());
        if id.is_null() {
            return None;
        }
        let unknown = matches!(method.as_str(), "server/discover" | "initialize");
        let answer = match self.usual(&method, &message["params"]) {
            Some(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            None if unknown => json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "unknown" } }),
            None => {
                let (reply, response) = oneshot::channel();
                let reply = stream.is_none().then_some(reply);
                let over = reply.is_none();
                let call = Call { method, params: message["params"].clone(), id, headers, puppet: self.clone(), reply, stream };
                self.0.calls.send(call).ok()?;
                return if over { None } else { response.await.ok() };
            }
        };
        if let Some(stream) = stream {
            let _ = stream.send(self.framed(&answer));
            return None;
        }
        let status = if answer["error"].is_null() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        let mut response = (status, [("content-type", "application/json")], answer.to_string()).into_response();
        if method == "initialize" && status == StatusCode::OK {
            response.headers_mut().insert("mcp-session-id", "the-session".parse().unwrap());
        }
        Some(response)
    }

    /// A stream of what belongs to no call, behind its first event.
    fn stream(&self, first: impl FnOnce(usize) -> Bytes, meta: Value) -> Response {
        let (out, response) = streamed();
        let mut notices = self.0.notices.lock().unwrap();
        let _ = out.send(first(notices.len()));
        notices.push((out, meta));
        response
    }

    /// Meets the program that the gateway starts, by way of two pipes.
    fn open_pipes(&self) {
        let at = |end: &str| self.0.home.path().join(end);
        let made = std::process::Command::new("mkfifo").args([at("in"), at("out")]).status().unwrap();
        assert!(made.success());
        let input = pipe::OpenOptions::new().read_write(true).open_receiver(at("in")).unwrap();
        let mut output = pipe::OpenOptions::new().read_write(true).open_sender(at("out")).unwrap();
        let (out, mut said) = mpsc::unbounded_channel::<Bytes>();
        self.0.notices.lock().unwrap().push((out.clone(), Value::Null));
        tokio::spawn(async move {
            while let Some(said) = said.recv().await {
                if output.write_all(&said).await.is_err() {
                    return;
                }
            }
        });
        let puppet = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(input).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let message = serde_json::from_str(&line).expect("the gateway writes JSON lines");
                puppet.0.written.lock().unwrap().clone_from(&line);
                puppet.take(message, HeaderMap::new(), Some(out.clone())).await;
            }
        });
    }
}

async fn handle(State(puppet): State<Puppet>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let manner = puppet.0.manner;
    let accepted = || StatusCode::ACCEPTED.into_response();
    match (manner, method) {
        (Manner::Line, Method::GET) => {
            return puppet.stream(|number| format!("event: endpoint\ndata: /say?of={number}\n\n").into(), Value::Null);
        }
        (Manner::Sessions, Method::GET) if headers.contains_key("last-event-id") => {
            let (reply, response) = oneshot::channel();
            let params = json!({ "last": headers["last-event-id"].to_str().unwrap() });
            let call = Call {
                method: "resume".into(),
                params,
                id: Value::Null,
                headers,
                puppet: puppet.clone(),
                reply: Some(reply),
                stream: None,
            };
            puppet.0.calls.send(call).unwrap();
            return response.await.unwrap_or_else(|_| StatusCode::NOT_FOUND.into_response());
        }
        (Manner::Sessions, Method::GET) => return puppet.stream(|_| Bytes::from_static(b": hello\n\n"), Value::Null),
        (_, Method::DELETE) => return StatusCode::OK.into_response(),
        (_, Method::POST) => {}
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
    if manner == Manner::Line && uri.path() == "/mcp" {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let message: Value = serde_json::from_slice(&body).expect("the gateway sends JSON");
    *puppet.0.written.lock().unwrap() = String::from_utf8(body.to_vec()).expect("the gateway sends text");
    if message["method"] == "subscriptions/listen" {
        puppet.0.seen.lock().unwrap().push(message.clone());
        let meta = json!({ "io.modelcontextprotocol/subscriptionId": message["id"] });
        let first = json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": { "_meta": meta, "notifications": message["params"]["notifications"] } });
        return puppet.stream(|_| format!("data: {first}\n\n").into(), meta);
    }
    let stream = (manner == Manner::Line).then(|| {
        let number: usize = uri.query().and_then(|query| query.strip_prefix("of=")).unwrap().parse().unwrap();
        puppet.0.notices.lock().unwrap()[number].0.clone()
    });
    puppet.take(message, headers, stream).await.unwrap_or_else(accepted)
}

fn streamed() -> (Out, Response) {
    let (out, mut said) = mpsc::unbounded_channel();
    let body = async_stream::stream! {
        while let Some(bytes) = said.recv().await {
            yield Ok::<_, Infallible>(bytes);
        }
    };
    (out, ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response())
}

impl Call {
    /// The stream it is answered on, which is opened now if it was not before.
    fn out(&mut self) -> &Out {
        if let Some(reply) = self.reply.take() {
            let (out, response) = streamed();
            let _ = reply.send(response);
            self.stream = Some(out);
        }
        self.stream.as_ref().expect("the call has a stream")
    }

    /// These bytes and nothing else.
    pub fn bytes(&mut self, bytes: impl Into<Bytes>) {
        let _ = self.out().send(bytes.into());
    }

    /// A message on the call's own stream, or on the one there is.
    pub fn say(&mut self, message: &Value) {
        let framed = self.puppet.framed(message);
        self.bytes(framed);
    }

    /// A message as it is written.
    pub fn say_raw(&mut self, message: &str) {
        let pipe = self.puppet.0.manner == Manner::Pipe;
        self.bytes(if pipe { format!("{message}\n") } else { format!("data: {message}\n\n") });
    }

    /// The last message that came, as it was written.
    pub fn raw(&self) -> String {
        self.puppet.0.written.lock().unwrap().clone()
    }

    /// A message with the id of an event.
    pub fn say_as(&mut self, event: &str, message: &Value) {
        self.bytes(format!("id: {event}\nretry: 10\ndata: {message}\n\n"));
    }

    /// A question of the server's own.
    pub fn ask(&mut self, id: &str, method: &str, params: Value) {
        self.say(&question(id, method, params));
    }

    /// A form that asks for a name.
    pub fn ask_name(&mut self, id: &str) {
        self.ask(id, "elicitation/create", form("What is your name?"));
    }

    /// A step of progress.
    pub fn progress(&mut self, step: u64) {
        let token = &self.params["_meta"]["progressToken"];
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": step } }));
    }

    /// The message that answers it.
    pub fn success(&self, mut result: Value) -> Value {
        if self.puppet.0.manner == Manner::Stateless && result["resultType"].is_null() {
            result["resultType"] = "complete".into();
        }
        json!({ "jsonrpc": "2.0", "id": self.id, "result": result })
    }

    /// The answer, and with it the end.
    pub fn answer(mut self, result: Value) {
        let message = self.success(result);
        self.say(&message);
    }

    /// A text for an answer.
    pub fn text(self, text: &str) {
        self.answer(saying(text));
    }

    /// A body in one piece.
    pub fn whole(&mut self, body: impl Into<Body>) {
        let response = ([("content-type", "application/json")], body.into()).into_response();
        let _ = self.reply.take().expect("nothing was said yet").send(response);
    }

    /// Waits until the caller has let go of it.
    pub async fn left(&mut self) {
        match &mut self.reply {
            Some(reply) => super::within(super::PATIENCE, "the caller's leaving", reply.closed()).await,
            None => super::within(super::PATIENCE, "the caller's leaving", self.stream.as_ref().unwrap().closed()).await,
        }
    }
}

/// A server's question.
pub fn question(id: &str, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// The params of a question for a name.
pub fn form(message: &str) -> Value {
    json!({ "message": message, "requestedSchema": { "type": "object", "properties": { "name": { "type": "string" } } } })
}

/// A form that was filled in with a name.
pub fn named(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

/// A tool's result with one text.
pub fn saying(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}
