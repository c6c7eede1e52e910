//! `portolan stdio`: MCP over standard streams, onto the gateway's HTTP endpoint, message by message.
//!
//! Messages go through as they come; only the headers that HTTP wants are made from them. A client
//! may open a session or be stateless. A gateway that restarts forgets its sessions; they are opened
//! anew here, for many clients never recover from that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::client::{Client, Error, Result};
use crate::domain::{lock, one_line};
use crate::net::{self, Splitter};
use crate::protocol::{
    HEADER_METHOD, HEADER_NAME, HEADER_PARAM, HEADER_SESSION, HEADER_VERSION, HeaderRules, Id, Incoming, Outgoing, Params, RpcError,
    encoded, named_by,
};

/// How long answers are waited for once the client has closed its side.
const LAST_ANSWERS: Duration = Duration::from_secs(60);
/// Largest message, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// How long a gateway that was there before is waited for: long enough for a restart.
const RESTART: Duration = Duration::from_secs(15);

pub(super) async fn run(client: Client, server: Option<String>) -> Result {
    let path = server.map_or_else(|| "/mcp".to_owned(), |server| format!("/mcp/{server}"));
    let (out, mut lines) = mpsc::channel::<String>(64);
    let writer = tokio::spawn(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(line) = lines.recv().await {
            if stdout.write_all(format!("{line}\n").as_bytes()).await.is_err() || stdout.flush().await.is_err() {
                return;
            }
        }
    });
    let bridge = Arc::new(Bridge {
        client,
        path,
        out,
        opening: Mutex::default(),
        session: Mutex::default(),
        reopening: tokio::sync::Mutex::default(),
        rules: Rules::default(),
        running: Mutex::default(),
        streams: Mutex::default(),
    });
    let outcome = bridge.clone().run().await;
    drop(bridge);
    // The stream of notices ends with its session; a gateway that is gone must not keep us.
    let _ = tokio::time::timeout(Duration::from_secs(2), writer).await;
    outcome
}

type Rules = Arc<Mutex<HashMap<String, HeaderRules>>>;

struct Bridge {
    client: Client,
    path: String,
    out: mpsc::Sender<String>,
    /// The client's own `initialize`, to open its session anew where the gateway has forgotten it.
    opening: Mutex<Option<String>>,
    session: Mutex<Option<Open>>,
    reopening: tokio::sync::Mutex<()>,
    /// Which arguments of which tools travel in headers too.
    rules: Rules,
    running: Mutex<HashMap<String, AbortHandle>>,
    /// Requests that have no answer of their own: they end with the client.
    streams: Mutex<Vec<AbortHandle>>,
}

/// An open session: its id and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    id: String,
    revision: String,
}

/// A message of the client's on its way.
struct Message {
    line: String,
    id: Option<Id>,
    method: String,
    /// What a stateless request says in headers too.
    headers: Vec<(String, String)>,
}

impl Bridge {
    async fn run(self: Arc<Self>) -> Result {
        let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
        let mut tasks = JoinSet::new();
        while let Ok(Some(line)) = input.next_segment().await {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let message = match Incoming::parse(&line) {
                Ok(message) => self.message(String::from_utf8_lossy(&line).into_owned(), message),
                Err(unreadable) => {
                    say(&self.out, Outgoing::error(unreadable.id.as_ref(), &unreadable.error)).await;
                    continue;
                }
            };
            let Some(message) = message else { continue };
            if message.method == "initialize" {
                self.open(&message).await?;
                continue;
            }
            let (id, this, endless) = (message.id.clone(), self.clone(), message.method == "subscriptions/listen");
            // In a task of its own, so that a slow call holds up nothing behind it.
            let handle = tasks.spawn(async move { this.exchange(&message).await });
            if endless {
                lock(&self.streams).push(handle.clone());
            }
            if let Some(id) = id {
                lock(&self.running).insert(id.to_string(), handle);
            }
            while tasks.try_join_next().is_some() {}
            lock(&self.running).retain(|_, task| !task.is_finished());
        }
        // The client has said all it had to say; what it asked is still answered.
        for task in lock(&self.streams).drain(..) {
            task.abort();
        }
        let _ = tokio::time::timeout(LAST_ANSWERS, async { while tasks.join_next().await.is_some() {} }).await;
        self.close().await;
        Ok(())
    }

    /// A message with its headers. A stateless cancellation is none: ending the request is how it is said.
    fn message(&self, line: String, message: Incoming) -> Option<Message> {
        let (id, method, params) = match message {
            Incoming::Request { id, method, params } => (Some(id), method, params),
            Incoming::Notification { method, params } => (None, method, params),
            Incoming::Response { .. } => (None, String::new(), Params::default()),
        };
        let mut headers = Vec::new();
        if self.session().is_some() {
            return Some(Message { line, id, method, headers });
        }
        if let Some(version) = params.stamped_version() {
            headers.push((HEADER_VERSION.to_owned(), version));
            headers.push((HEADER_METHOD.to_owned(), method.clone()));
            if let Some(name) = named_by(&method).and_then(|key| params.string(key)) {
                let rules = lock(&self.rules).get(&name).cloned();
                let arguments = params.read_member("arguments").unwrap_or(Value::Null);
                headers.push((HEADER_NAME.to_owned(), encoded(&name)));
                let mirrored = rules.iter().flat_map(|rules| rules.values(&arguments));
                headers.extend(mirrored.map(|(name, value)| (format!("{HEADER_PARAM}{name}"), encoded(&value))));
            }
        } else if method == "notifications/cancelled" {
            let task = params.get("requestId").and_then(|id| lock(&self.running).remove(id.get()));
            if let Some(task) = task {
                task.abort();
            }
            return None;
        }
        Some(Message { line, id, method, headers })
    }

    fn session(&self) -> Option<Open> {
        lock(&self.session).clone()
    }

    /// Sends a message and writes what comes back. A session that the gateway has forgotten is opened anew first.
    async fn exchange(self: &Arc<Self>, message: &Message) {
        let session = self.session();
        let mut response = self.send(message, session.as_ref()).await;
        if let (Ok(StatusCode::NOT_FOUND), Some(lost)) = (response.as_ref().map(reqwest::Response::status), &session) {
            response = match self.reopen(lost).await {
                Ok(()) => self.send(message, self.session().as_ref()).await,
                Err(error) => Err(error),
            };
        }
        match response {
            Ok(response) => {
                let rules = (message.method == "tools/list").then_some(&self.rules);
                if let Err(error) = relay(response, &self.out, message.id.as_ref(), rules).await {
                    fail(&self.out, message.id.as_ref(), &error.to_string()).await;
                }
            }
            Err(error) => fail(&self.out, message.id.as_ref(), &error.to_string()).await,
        }
    }

    /// Sends one message. While a gateway that was there before restarts, it is waited for: what could not be
    /// delivered has done nothing.
    async fn send(&self, message: &Message, session: Option<&Open>) -> Result<reqwest::Response> {
        let give_up = Instant::now() + RESTART;
        loop {
            let mut request = self.request(reqwest::Method::POST, session)?.header(CONTENT_TYPE, "application/json");
            for (name, value) in &message.headers {
                request = request.header(name, value);
            }
            let accept = "application/json, text/event-stream";
            match self.client.send(request.header(ACCEPT, accept).body(message.line.clone())).await {
                Err(Error::Unreachable(_)) if session.is_some() && Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                outcome => return outcome,
            }
        }
    }

    fn request(&self, method: reqwest::Method, session: Option<&Open>) -> Result<reqwest::RequestBuilder> {
        let mut request = self.client.request(method, &self.path)?;
        // A gateway that started us must not be a server of its own.
        if let Ok(gateway) = std::env::var(net::LOOP_VARIABLE) {
            request = request.header(net::LOOP, gateway);
        }
        Ok(match session {
            Some(open) => request.header(HEADER_SESSION, &open.id).header(HEADER_VERSION, &open.revision),
            None => request,
        })
    }

    /// `initialize`: nothing else is sent before its answer, which names the session.
    async fn open(self: &Arc<Self>, message: &Message) -> Result {
        match self.greet(message).await {
            Ok(body) => {
                if self.session().is_some() {
                    *lock(&self.opening) = Some(message.line.clone());
                }
                say(&self.out, message.id.as_ref().map_or(body.clone(), |id| addressed(body, id))).await;
                Ok(())
            }
            Err(error) => {
                fail(&self.out, message.id.as_ref(), &error.to_string()).await;
                Err(error)
            }
        }
    }

    /// Opens a session and listens to its notices; the result is the answer to `initialize`.
    async fn greet(self: &Arc<Self>, message: &Message) -> Result<String> {
        let response = self.send(message, None).await?;
        let session = response.headers().get(HEADER_SESSION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = whole(response).await?;
        let value: Value = serde_json::from_str(&body).unwrap_or_default();
        let revision = value.pointer("/result/protocolVersion").and_then(Value::as_str);
        if let (Some(id), Some(revision)) = (session, revision) {
            let open = Open { id, revision: revision.to_owned() };
            *lock(&self.session) = Some(open.clone());
            // It ends with the process, or when the session does.
            tokio::spawn(self.clone().listen(open));
        }
        Ok(body)
    }

    /// Opens the client's session anew, once for all who found it lost; the client need not know of it.
    ///
    /// A boxed future, for it opens a session that is listened to, and listening may lead here again.
    fn reopen<'a>(self: &'a Arc<Self>, lost: &'a Open) -> BoxFuture<'a, Result> {
        async move {
            let _one = self.reopening.lock().await;
            if self.session().as_ref() != Some(lost) {
                return Ok(());
            }
            let Some(line) = lock(&self.opening).clone() else { return Ok(()) };
            let message = |line: String| Message { line, id: None, method: String::new(), headers: Vec::new() };
            let body = self.greet(&message(line)).await?;
            let initialized = message(Outgoing::notification("notifications/initialized", &Params::default()));
            self.send(&initialized, self.session().as_ref()).await?;
            // What changed meanwhile was told to nobody.
            let value: Value = serde_json::from_str(&body).unwrap_or_default();
            for list in ["tools", "prompts", "resources"] {
                if value.pointer(&format!("/result/capabilities/{list}/listChanged")) == Some(&Value::Bool(true)) {
                    say(&self.out, Outgoing::notification(&format!("notifications/{list}/list_changed"), &Params::default())).await;
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// Writes the notices of a session until it is another one.
    async fn listen(self: Arc<Self>, open: Open) {
        let mut pause = Duration::from_millis(250);
        while self.session().as_ref() == Some(&open) {
            let Ok(request) = self.request(reqwest::Method::GET, Some(&open)) else { return };
            match self.client.send(request.header(ACCEPT, "text/event-stream")).await {
                Ok(response) if response.status() == StatusCode::NOT_FOUND => {
                    let _ = self.reopen(&open).await;
                }
                Ok(response) if response.status().is_success() => {
                    let _ = relay(response, &self.out, None, None).await;
                    pause = Duration::from_millis(250);
                }
                Ok(_) => return,
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    async fn close(&self) {
        let Some(open) = lock(&self.session).take() else { return };
        if let Ok(request) = self.request(reqwest::Method::DELETE, Some(&open)) {
            let _ = self.client.send(request).await;
        }
    }
}

/// Remembers which arguments travel in headers, from a list of tools on its way to the client.
fn learn(rules: &Rules, body: &str) {
    if !body.contains("x-mcp-header") {
        return;
    }
    let Ok(value) = serde_json::from_str::<Value>(body) else { return };
    let tools = value.pointer("/result/tools").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut known = lock(rules);
    for tool in tools {
        let rules = tool.get("inputSchema").and_then(|schema| HeaderRules::of(schema).ok());
        if let (Some(name), Some(rules)) = (tool.get("name").and_then(Value::as_str), rules) {
            known.insert(name.to_owned(), rules);
        }
    }
}

async fn fail(out: &mpsc::Sender<String>, id: Option<&Id>, why: &str) {
    if id.is_some() {
        say(out, Outgoing::error(id, &RpcError::new(RpcError::UPSTREAM, format!("the gateway: {why}")))).await;
    }
}

async fn say(out: &mpsc::Sender<String>, line: String) {
    if !line.trim().is_empty() {
        let _ = out.send(one_line(line)).await;
    }
}

/// An error that the gateway could give no id, as the answer to the request it is about.
fn addressed(body: String, id: &Id) -> String {
    match Incoming::parse(body.as_bytes()) {
        Ok(Incoming::Response { id: None, outcome: Err(error) }) => Outgoing::error(Some(id), &error),
        _ => body,
    }
}

async fn whole(response: reqwest::Response) -> Result<String> {
    let stream = is_stream(&response);
    let body = net::read(response, MAX_MESSAGE).await.map_err(|error| Error::failed(error.to_string()))?;
    let body = String::from_utf8_lossy(&body).into_owned();
    if !stream {
        return Ok(body);
    }
    let mut splitter = Splitter::default();
    let _ = splitter.push(body.as_bytes());
    let mut events: Vec<_> = std::iter::from_fn(|| splitter.next_event()).collect();
    events.extend(splitter.finish());
    Ok(events.into_iter().filter_map(|event| event.data).last().map(|data| data.to_string()).unwrap_or_default())
}

fn is_stream(response: &reqwest::Response) -> bool {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("text/event-stream"))
}

/// Writes what a response brings, a line a message. A response that ends before the answer to `id` is an error.
async fn relay(mut response: reqwest::Response, out: &mpsc::Sender<String>, id: Option<&Id>, rules: Option<&Rules>) -> Result {
    if !is_stream(&response) {
        let body = whole(response).await?;
        if let Some(rules) = rules {
            learn(rules, &body);
        }
        if let Some(id) = id {
            say(out, addressed(body, id)).await;
        }
        return Ok(());
    }
    let mut answered = id.is_none();
    let mut splitter = Splitter::default();
    loop {
        let chunk = response.chunk().await.map_err(|error| Error::failed(net::Error::from(error).to_string()))?;
        let ended = chunk.is_none();
        if let Some(chunk) = chunk {
            splitter.push(&chunk).map_err(|error| Error::failed(error.to_string()))?;
        }
        while let Some(event) = splitter.next_event().or_else(|| if ended { splitter.finish() } else { None }) {
            let Some(data) = event.data.filter(|data| !data.trim().is_empty()) else { continue };
            answered = answered || answers(&data, id);
            if let Some(rules) = rules {
                learn(rules, &data);
            }
            say(out, data.to_string()).await;
        }
        if ended {
            return if answered { Ok(()) } else { Err(Error::failed("the connection ended before the answer")) };
        }
    }
}

/// Whether a message is the answer to a request.
fn answers(data: &str, id: Option<&Id>) -> bool {
    matches!(Incoming::parse(data.as_bytes()), Ok(Incoming::Response { id: Some(of), .. }) if Some(&of) == id)
}
