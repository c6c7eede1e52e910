//! `portolan stdio`: MCP over standard streams, onto the gateway's HTTP endpoint, message by message.
//!
//! Messages go through as they come; only the headers that HTTP wants are made from them. A client
//! may open a session or be stateless.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::client::{Client, Error, Result};
use crate::net::{self, Splitter};
use crate::protocol::{
    HEADER_METHOD, HEADER_NAME, HEADER_PARAM, HEADER_SESSION, HEADER_VERSION, HeaderRules, Id, Incoming, Outgoing, Params, RpcError,
    encoded, named_by,
};

/// How long answers are waited for once the client has closed its side.
const LAST_ANSWERS: Duration = Duration::from_secs(60);
/// Largest message, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

pub(super) async fn run(client: &Client, server: Option<String>) -> Result {
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
    let bridge = Bridge { client, path, out, session: Mutex::default(), rules: Rules::default(), running: Mutex::default() };
    let outcome = bridge.run().await;
    drop(bridge);
    // The stream of notices ends with its session; a gateway that is gone must not keep us.
    let _ = tokio::time::timeout(Duration::from_secs(2), writer).await;
    outcome
}

type Rules = Arc<Mutex<HashMap<String, HeaderRules>>>;

struct Bridge<'c> {
    client: &'c Client,
    path: String,
    out: mpsc::Sender<String>,
    session: Mutex<Option<(String, String)>>,
    /// Which arguments of which tools travel in headers too.
    rules: Rules,
    running: Mutex<HashMap<String, AbortHandle>>,
}

/// What is known of a message once its headers are made.
struct Outbound {
    request: reqwest::RequestBuilder,
    id: Option<Id>,
    method: String,
}

impl Bridge<'_> {
    async fn run(&self) -> Result {
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        let mut tasks = JoinSet::new();
        while let Ok(Some(line)) = input.next_line().await {
            if line.trim().is_empty() {
                continue;
            }
            let outbound = match Incoming::parse(line.as_bytes()) {
                Ok(message) => self.outbound(line, &message)?,
                Err(unreadable) => {
                    say(&self.out, Outgoing::error(unreadable.id.as_ref(), &unreadable.error)).await;
                    continue;
                }
            };
            let Some(outbound) = outbound else { continue };
            if outbound.method == "initialize" {
                self.open(outbound).await?;
                continue;
            }
            let (id, out, rules) = (outbound.id.clone(), self.out.clone(), self.rules.clone());
            // In a task of its own, so that a slow call holds up nothing behind it.
            let handle = tasks.spawn(async move {
                match outbound.request.send().await {
                    Ok(response) if outbound.method == "tools/list" => {
                        let body = whole(response).await.unwrap_or_default();
                        learn(&rules, &body);
                        say(&out, outbound.id.map_or(body.clone(), |id| addressed(body, &id))).await;
                    }
                    Ok(response) => relay(response, &out, outbound.id.as_ref()).await,
                    Err(error) => fail(&out, outbound.id.as_ref(), &net::Error::from(error).to_string()).await,
                }
            });
            if let Some(id) = id {
                self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string(), handle);
            }
            while tasks.try_join_next().is_some() {}
            self.running.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, task| !task.is_finished());
        }
        // The client has said all it had to say; what it asked is still answered.
        let _ = tokio::time::timeout(LAST_ANSWERS, async { while tasks.join_next().await.is_some() {} }).await;
        self.close().await;
        Ok(())
    }

    /// The request for a message. A stateless cancellation has none: ending the stream is how it is said.
    fn outbound(&self, line: String, message: &Incoming) -> Result<Option<Outbound>> {
        let (id, method, params) = match message {
            Incoming::Request { id, method, params } => (Some(id.clone()), method.clone(), params),
            Incoming::Notification { method, params } => (None, method.clone(), params),
            Incoming::Response { .. } => (None, String::new(), &Params::default()),
        };
        let request = self.client.request(reqwest::Method::POST, &self.path)?;
        let mut request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "application/json, text/event-stream");
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((session, version)) = session {
            request = request.header(HEADER_SESSION, session).header(HEADER_VERSION, version);
        } else if let Some(version) = params.stamped_version() {
            request = request.header(HEADER_VERSION, version).header(HEADER_METHOD, &method);
            if let Some(name) = named_by(&method).and_then(|key| params.string(key)) {
                request = request.header(HEADER_NAME, encoded(&name));
                let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
                let arguments = params.read_member("arguments").unwrap_or(Value::Null);
                for (name, value) in rules.iter().flat_map(|rules| rules.values(&arguments)) {
                    request = request.header(format!("{HEADER_PARAM}{name}"), encoded(&value));
                }
            }
        } else if method == "notifications/cancelled" {
            let id = params.get("requestId").map(RawValue::get);
            if let Some(task) = id.and_then(|id| self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id)) {
                task.abort();
            }
            return Ok(None);
        }
        Ok(Some(Outbound { request: request.body(line), id, method }))
    }

    /// `initialize`: nothing else is sent before its answer, which names the session.
    async fn open(&self, outbound: Outbound) -> Result {
        let response = match self.client.send(outbound.request).await {
            Ok(response) => response,
            Err(error) => {
                fail(&self.out, outbound.id.as_ref(), &error.to_string()).await;
                return Err(error);
            }
        };
        let session = response.headers().get(HEADER_SESSION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = whole(response).await?;
        let version = serde_json::from_str::<Value>(&body)
            .ok()
            .and_then(|value| value.pointer("/result/protocolVersion")?.as_str().map(str::to_owned));
        if let (Some(session), Some(version)) = (session, version) {
            let listen = self.client.request(reqwest::Method::GET, &self.path)?.header(ACCEPT, "text/event-stream");
            let listen = listen.header(HEADER_SESSION, &session).header(HEADER_VERSION, &version);
            *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some((session, version));
            if let Ok(response) = self.client.send(listen).await {
                let out = self.out.clone();
                // It ends with the process, or when the session is closed.
                tokio::spawn(async move { relay(response, &out, None).await });
            }
        }
        say(&self.out, body).await;
        Ok(())
    }

    async fn close(&self) {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some((session, version)), Ok(request)) = (session, self.client.request(reqwest::Method::DELETE, &self.path)) {
            let _ = self.client.send(request.header(HEADER_SESSION, session).header(HEADER_VERSION, version)).await;
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
    let mut known = rules.lock().unwrap_or_else(PoisonError::into_inner);
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

/// A message must stand on one line; JSON never needs a line break.
fn one_line(text: String) -> String {
    if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text }
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
    let events = std::iter::from_fn(|| splitter.next_event());
    Ok(events.filter_map(|event| event.data).last().unwrap_or_default())
}

fn is_stream(response: &reqwest::Response) -> bool {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("text/event-stream"))
}

/// Writes what a response brings, a line a message.
async fn relay(mut response: reqwest::Response, out: &mpsc::Sender<String>, id: Option<&Id>) {
    if !is_stream(&response) {
        let body = whole(response).await.unwrap_or_default();
        if let Some(id) = id {
            say(out, addressed(body, id)).await;
        }
        return;
    }
    let mut splitter = Splitter::default();
    while let Ok(Some(chunk)) = response.chunk().await {
        if splitter.push(&chunk).is_err() {
            return;
        }
        while let Some(event) = splitter.next_event() {
            say(out, event.data.unwrap_or_default()).await;
        }
    }
}
