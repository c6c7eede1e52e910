//! A provider that speaks OpenAI's dialect byte for byte (`anthropic.rs` adds the other), and misbehaves
//! exactly as it is told.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::exacting::complaint;
use super::prompt_cache::{Cached, PromptCache};
use super::until;

/// What a request is answered with. One for each chat or embeddings request, in order; when there is
/// none left, a plain answer that fits the request.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes of the body that are sent at all.
    most: usize,
    /// Pieces the body is sent in, and the pause after each.
    piece: usize,
    pause: Duration,
    /// How long nothing at all is said.
    first: Duration,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// In order.
    Proper,
    /// The connection closes in the middle of the body.
    Cut,
    /// The same, by a reset.
    Reset,
    /// Nothing more comes, and the connection stays.
    Stall,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub text: String,
    gone: watch::Receiver<bool>,
}

/// A provider on a port of its own.
pub struct StubProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    exacting: AtomicBool,
    cache: Mutex<Option<PromptCache>>,
}

impl StubProvider {
    /// A provider that gives these answers.
    pub async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let all = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, all.clone()));
            }
        });
        Self { address, shared }
    }

    /// The same, and it refuses what the real ones refuse.
    pub async fn exacting(script: impl IntoIterator<Item = Reply>) -> Self {
        let provider = Self::start(script).await;
        provider.shared.exacting.store(true, Ordering::Relaxed);
        provider
    }

    /// From now on it caches prompts by their beginnings, and says in its counts what it found.
    pub fn cache_prompts(&self) {
        *self.shared.cache.lock().unwrap() = Some(PromptCache::default());
    }

    /// What it found in its cache of each request since.
    pub fn cached(&self) -> Vec<Cached> {
        self.shared.cache.lock().unwrap().as_ref().map(|cache| cache.seen.clone()).unwrap_or_default()
    }

    /// Adds answers to those that are left.
    pub fn then(&self, script: impl IntoIterator<Item = Reply>) {
        self.shared.script.lock().unwrap().extend(script);
    }

    /// The `base_url` of a configuration.
    pub fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// A configuration's `providers:` section with this one as `stub`.
    pub fn section(&self) -> String {
        format!("providers:\n  stub: {{ kind: openai-compatible, base_url: '{}', api_key: sk-CANARY-7f3a9c }}\n", self.base())
    }

    /// A section with this one as `stub`, which speaks like OpenAI, and as `claude`, which speaks like Anthropic.
    pub fn both_sections(&self) -> String {
        format!("{}  claude: {{ kind: anthropic, base_url: '{}', api_key: sk-CANARY-7f3a9c }}\n", self.section(), self.base())
    }

    /// The chat and embeddings requests that came so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The bodies of those requests.
    pub fn bodies(&self) -> Vec<Value> {
        self.received().iter().map(Received::body).collect()
    }

    /// The only request.
    pub fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received[0].clone()
    }

    /// Waits for a request, counted from 0.
    pub async fn arrival(&self, at: usize) -> Received {
        until(&format!("request {at} reaches the provider"), async || self.received().get(at).cloned()).await
    }
}

impl Received {
    /// The body.
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether whoever asked has closed the connection.
    pub fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Waits until whoever asked has closed the connection.
    pub async fn gone(&self, limit: Duration) -> bool {
        let mut gone = self.gone.clone();
        tokio::time::timeout(limit, gone.wait_for(|gone| *gone)).await.is_ok()
    }
}

impl Reply {
    pub(super) fn new(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), media_type.to_owned())];
        let (most, piece) = (usize::MAX, usize::MAX);
        Self { status, headers, body: body.into(), most, piece, pause: Duration::ZERO, first: Duration::ZERO, end: End::Proper }
    }

    /// Some JSON, as it is written here.
    pub fn json(text: &str) -> Self {
        Self::new(200, "application/json", text)
    }

    /// A refusal with a JSON body.
    pub fn status(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// What a proxy in between says.
    pub fn html(status: u16) -> Self {
        Self::new(status, "text/html", "<html><body>Bad day</body></html>")
    }

    /// A whole answer with a text.
    pub fn text(text: &str) -> Self {
        let message = json!({ "role": "assistant", "content": text });
        Self::json(&completion(&message, "stop").to_string())
    }

    /// A whole answer that calls functions: id, name and arguments of each.
    pub fn calls(calls: &[(&str, &str, &str)]) -> Self {
        let call = |(id, name, arguments): &(&str, &str, &str)| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
        let calls: Vec<Value> = calls.iter().map(call).collect();
        let message = json!({ "role": "assistant", "content": null, "tool_calls": calls });
        Self::json(&completion(&message, "tool_calls").to_string())
    }

    /// A stream, as it is written here.
    pub fn stream(text: &str) -> Self {
        Self::new(200, "text/event-stream", text)
    }

    /// A streamed text, ended as it should be.
    pub fn stream_text(pieces: &[&str]) -> Self {
        let mut deltas = vec![json!({ "role": "assistant", "content": "" })];
        deltas.extend(pieces.iter().map(|piece| json!({ "content": piece })));
        Self::stream(&chunks("chatcmpl-text", &deltas, "stop"))
    }

    /// Streamed calls whose arguments come in turns, a few bytes at a time.
    pub fn stream_calls(calls: &[(&str, &str, &str)]) -> Self {
        let mut deltas = vec![json!({ "role": "assistant", "content": null })];
        for (index, (id, name, _)) in calls.iter().enumerate() {
            let call = json!({ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": "" } });
            deltas.push(json!({ "tool_calls": [call] }));
        }
        let mut rest: Vec<Vec<char>> = calls.iter().map(|(_, _, arguments)| arguments.chars().collect()).collect();
        while rest.iter().any(|left| !left.is_empty()) {
            for (index, left) in rest.iter_mut().enumerate().filter(|(_, left)| !left.is_empty()) {
                let piece: String = left.drain(..left.len().min(5)).collect();
                deltas.push(json!({ "tool_calls": [{ "index": index, "function": { "arguments": piece } }] }));
            }
        }
        Self::stream(&chunks("chatcmpl-calls", &deltas, "tool_calls"))
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Only so many bytes of the body come before the connection closes.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        (self.most, self.end) = (bytes, End::Cut);
        self
    }

    /// The same, and it closes by a reset.
    #[must_use]
    pub fn reset_after(mut self, bytes: usize) -> Self {
        (self.most, self.end) = (bytes, End::Reset);
        self
    }

    /// Only so many bytes of the body come, and then nothing.
    #[must_use]
    pub fn stalled_after(mut self, bytes: usize) -> Self {
        (self.most, self.end) = (bytes, End::Stall);
        self
    }

    /// The body comes in pieces of so many bytes, with a pause after each.
    #[must_use]
    pub fn in_pieces(mut self, piece: usize, pause: Duration) -> Self {
        (self.piece, self.pause) = (piece, pause);
        self
    }

    /// One byte of the body is another one.
    #[must_use]
    pub fn garbled(mut self, at: usize, byte: u8) -> Self {
        self.body[at] = byte;
        self
    }

    /// The body becomes what this makes of it.
    #[must_use]
    pub fn packed(mut self, encoding: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        self.body = pack(&self.body);
        self.header("content-encoding", encoding)
    }

    /// The status line itself is late.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.first = pause;
        self
    }

    /// How long the body is.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// The body as text.
    pub fn body_text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn completion(message: &Value, finish_reason: &str) -> Value {
    json!({
        "id": "chatcmpl-stub", "object": "chat.completion", "created": 1, "model": "stub-1",
        "choices": [{ "index": 0, "message": message, "finish_reason": finish_reason }],
        "usage": { "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 },
    })
}

fn chunks(id: &str, deltas: &[Value], finish_reason: &str) -> String {
    let chunk =
        |choices: Value| json!({ "id": id, "object": "chat.completion.chunk", "created": 1, "model": "stub-1", "choices": choices });
    let mut text = String::new();
    for delta in deltas {
        let event = chunk(json!([{ "index": 0, "delta": delta, "finish_reason": null }]));
        let _ = write!(text, "data: {event}\n\n");
    }
    let last = chunk(json!([{ "index": 0, "delta": {}, "finish_reason": finish_reason }]));
    let mut usage = chunk(json!([]));
    usage["usage"] = json!({ "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 });
    let _ = write!(text, "data: {last}\n\ndata: {usage}\n\ndata: [DONE]\n\n");
    text
}

/// Answers the requests of one connection.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Some((method, path, headers, body)) = read_request(&mut stream, &mut buffer).await {
        if method == "GET" {
            let reply = Reply::json(r#"{"object":"list","data":[{"id":"stub-1","object":"model"},{"id":"embed-1","object":"model"}]}"#);
            if !answer(&mut stream, &reply).await {
                return;
            }
            continue;
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        let reply = shared.reply(&path, &text);
        let (gone, is_gone) = watch::channel(false);
        shared.received.lock().unwrap().push(Received { path, headers, text, gone: is_gone });
        let (mut read, mut write) = stream.split();
        let mut more = [0; 1024];
        let answered = tokio::select! {
            answered = answer(&mut write, &reply) => answered,
            // Nobody sends anything while waiting for an answer, so this is the connection's end.
            _ = read.read(&mut more) => {
                gone.send_replace(true);
                return;
            }
        };
        match reply.end {
            End::Proper if answered => {}
            End::Stall => {
                while matches!(stream.read(&mut more).await, Ok(1..)) {}
                gone.send_replace(true);
                return;
            }
            End::Reset => {
                // Closing with unread time to linger of zero is what makes it a reset.
                let _ = stream.set_zero_linger();
                return;
            }
            End::Proper | End::Cut => return,
        }
    }
}

impl Shared {
    fn reply(&self, path: &str, text: &str) -> Reply {
        if let Some(why) = complaint(path, text).filter(|_| self.exacting.load(Ordering::Relaxed)) {
            return Reply::refusal(400, "invalid_request_error", &why);
        }
        let mut reply = self.script.lock().unwrap().pop_front().unwrap_or_else(|| fitting(path, text));
        if let Some(cache) = self.cache.lock().unwrap().as_mut() {
            reply.body = cache.count(path, text, &reply.body);
        }
        reply
    }
}

/// What fits a request when the script has nothing left.
fn fitting(path: &str, text: &str) -> Reply {
    if path.ends_with("/count_tokens") {
        return Reply::json(r#"{"input_tokens":42}"#);
    }
    let streams = serde_json::from_str::<Value>(text).is_ok_and(|body| body["stream"] == json!(true));
    if path.ends_with("/messages") {
        let said = [json!({ "type": "text", "text": "stub answer" })];
        return if streams { Reply::stream_message(&said, "end_turn") } else { Reply::message(&said, "end_turn") };
    }
    match (path.ends_with("/embeddings"), streams) {
        (true, _) => Reply::json(
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,-2e-3]}],"model":"embed-1","usage":{"prompt_tokens":3,"total_tokens":3}}"#,
        ),
        (false, true) => Reply::stream_text(&["stub ", "answer"]),
        (false, false) => Reply::text("stub answer"),
    }
}

/// Writes an answer in chunks; whether the connection can be used again.
async fn answer(stream: &mut (impl tokio::io::AsyncWrite + Unpin), reply: &Reply) -> bool {
    tokio::time::sleep(reply.first).await;
    let mut head = format!("HTTP/1.1 {} Stub\r\ntransfer-encoding: chunked\r\n", reply.status);
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    let sent = &reply.body[..reply.most.min(reply.body.len())];
    if stream.write_all(head.as_bytes()).await.is_err() {
        return false;
    }
    for piece in sent.chunks(reply.piece.min(sent.len().max(1))) {
        let size = format!("{:x}\r\n", piece.len());
        let chunk = [size.as_bytes(), piece, b"\r\n"].concat();
        if stream.write_all(&chunk).await.is_err() {
            return false;
        }
        let _ = stream.flush().await;
        if !reply.pause.is_zero() {
            tokio::time::sleep(reply.pause).await;
        }
    }
    reply.end == End::Proper && stream.write_all(b"0\r\n\r\n").await.is_ok()
}

type Request = (String, String, Vec<(String, String)>, Vec<u8>);

/// Reads one request with a body of known length.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let mut chunk = vec![0; 16 << 10];
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut chunk).await {
            Ok(read @ 1..) => buffer.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let length = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case("content-length")).map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < end + 4 + length {
        match stream.read(&mut chunk).await {
            Ok(read @ 1..) => buffer.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
    let body = buffer[end + 4..end + 4 + length].to_vec();
    buffer.drain(..end + 4 + length);
    Some((method, path, headers, body))
}
