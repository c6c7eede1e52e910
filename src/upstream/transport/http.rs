//! Streamable HTTP (specification: basic/transports/streamable-http), in sessions or stateless.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use rmcp::transport::auth::WWWAuthenticateParams;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use url::Url;

use super::agreed::Agreed;
use super::pending::{Arrival, Pending, cancelled, every_change};
use crate::domain::clip;
use crate::net::{self, Destination, Net, Reach, Reply, Splitter};
use crate::protocol::{
    Era, HEADER_METHOD, HEADER_NAME, HEADER_PARAM, HEADER_SESSION, Incoming, Outgoing, Params, RpcError, encoded, named_by,
};
use crate::trace::Carrier;
use crate::upstream::connection::Wire;
use crate::upstream::credentials::{AtHand, Holder};
use crate::upstream::{Call, Change, Error};

/// Largest answer in one piece, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// What a message may be answered with.
const ANSWERS: &str = "application/json, text/event-stream";

/// An HTTP server, as far as we have got with it.
pub(in crate::upstream) struct Http {
    shared: Arc<Shared>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    destination: Destination,
    /// What its headers say that an error must not repeat.
    secrets: Vec<String>,
    /// The gateway's own login, where the server takes one.
    login: Option<Arc<Holder>>,
    /// The headers of a message before anything is agreed on.
    first: HeaderMap,
    agreed: ArcSwap<Agreed>,
    lost: AtomicBool,
    /// Whether it wants a login that there is none for.
    refused: AtomicBool,
    closed: AtomicBool,
    next_id: AtomicU64,
}

/// A header's value, and the last word of it: what says who we are, without what kind of proof it is.
fn parts(value: &str) -> Vec<String> {
    let last = value.rsplit(' ').next().unwrap_or_default();
    // Shorter ones are no secrets, and stand in many texts.
    [value, last].into_iter().filter(|part| part.len() >= 12).map(str::to_owned).collect()
}

impl Http {
    /// Checks address and headers; nothing is sent yet.
    pub(in crate::upstream) fn new<'a>(
        net: &Net,
        url: &str,
        headers: impl Iterator<Item = (&'a String, &'a String)>,
        reach: Reach,
        login: Option<Arc<Holder>>,
    ) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|error| Error::Net(net::Error::NotAllowed(format!("not a URL: {error}"))))?;
        let destination = net.to(url, reach)?;
        let (mut map, mut secrets) = (HeaderMap::new(), Vec::new());
        for (name, value) in headers {
            let parsed = (HeaderName::try_from(name.as_str()).ok(), HeaderValue::try_from(value.as_str()).ok());
            let (Some(name), Some(mut value)) = parsed else {
                return Err(Error::Net(net::Error::NotAllowed(format!("`{}` is not a valid header", clip(name, 60)))));
            };
            value.set_sensitive(true);
            secrets.extend(parts(value.to_str().unwrap_or_default()));
            map.append(name, value);
        }
        let mut first = net::dressed(&map);
        first.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        first.insert(ACCEPT, HeaderValue::from_static(ANSWERS));
        let shared = Shared {
            destination,
            secrets,
            login,
            agreed: ArcSwap::from_pointee(Agreed::on(&first, Era::Modern, None)),
            first,
            lost: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
        };
        Ok(Self { shared: Arc::new(shared), listener: Mutex::default() })
    }

    /// Listens for changes of the server's lists, as far as it offers that.
    pub(in crate::upstream) fn listen(&self, changed: impl Fn(Change) + Send + Sync + 'static) {
        let shared = self.shared.clone();
        let task = tokio::spawn(async move {
            let mut pause = Duration::from_secs(1);
            let mut again = false;
            while !shared.closed.load(Ordering::Relaxed) {
                match shared.listen_once(again, &changed).await {
                    Ok(true) => pause = Duration::from_secs(1),
                    Ok(false) => return,
                    Err(Error::SessionLost) => {
                        // The next look opens a session anew, and listens again.
                        changed(Change::Definitions);
                        return;
                    }
                    Err(_) => pause = (pause * 2).min(Duration::from_secs(60)),
                }
                again = true;
                tokio::time::sleep(pause).await;
            }
        });
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }
}

impl Shared {
    fn era(&self) -> Era {
        self.agreed.load().era
    }

    fn has_session(&self) -> bool {
        self.agreed.load().session.is_some()
    }

    /// Sends what is not a call, within a time.
    async fn tell(&self, body: String, within: Duration) -> Result<Reply, Error> {
        let agreed = self.agreed.load_full();
        let sent = self.send(Method::POST, &agreed.post, body.into());
        tokio::time::timeout(within, sent).await.unwrap_or(Err(Error::Net(net::Error::Timeout)))
    }

    /// Sends a request with the gateway's own token, where it has one.
    async fn send(&self, method: Method, headers: &HeaderMap, body: Bytes) -> Result<Reply, Error> {
        match &self.login {
            None => Ok(self.destination.send(method, headers, body).await?),
            Some(login) => match login.at_hand() {
                AtHand::Nothing => Ok(self.destination.send(method, headers, body).await?),
                // In a box: most servers take none, and their calls need no room for this.
                at_hand => Box::pin(self.send_as(login, at_hand, method, headers, body)).await,
            },
        }
    }

    async fn send_as(
        &self,
        login: &Arc<Holder>,
        at_hand: AtHand,
        method: Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Reply, Error> {
        let token = if let AtHand::Token(token) = at_hand { Some(token) } else { login.header().await? };
        let here = || if self.closed.load(Ordering::Relaxed) { Err(Error::Closed) } else { Ok(()) };
        here()?;
        let Some(token) = token else { return Ok(self.destination.send(method, headers, body).await?) };
        let with = |token: HeaderValue| {
            let mut headers = headers.clone();
            headers.insert(AUTHORIZATION, token);
            headers
        };
        let reply = self.destination.send(method.clone(), &with(token.clone()), body.clone()).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        // It may have been taken back before its time. What was refused so was not done.
        let newer = login.renewed(Some(&token)).await?;
        // The server may have been removed while that was waited for.
        here()?;
        Ok(self.destination.send(method, &with(newer), body).await?)
    }

    async fn call(&self, id: u64, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error> {
        let outcome = self.ask(id, era, call).await;
        match outcome {
            Err(Error::Rpc(error)) if self.quotes_us(&error) => Err(Error::QuotesUs),
            outcome => outcome,
        }
    }

    /// Whether an error repeats what we show to be let in.
    fn quotes_us(&self, error: &RpcError) -> bool {
        let text = [error.message.as_str(), error.data.as_deref().map(RawValue::get).unwrap_or_default()];
        let told = |secret: &str| text.iter().any(|text| text.contains(secret));
        let token = self.login.as_ref().and_then(|login| match login.at_hand() {
            AtHand::Token(token) => Some(token),
            AtHand::Nothing | AtHand::Unknown => None,
        });
        let token = token.as_ref().and_then(|token| token.to_str().ok()?.strip_prefix("Bearer "));
        self.secrets.iter().map(String::as_str).chain(token).any(told)
    }

    async fn ask(&self, id: u64, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error> {
        let body = Outgoing::request(id, call.method, &call.dressed(era, id));
        let agreed = self.agreed.load_full();
        // Nothing is agreed on yet when a session is asked for.
        let opens = call.method == "initialize";
        let mut headers = Cow::Borrowed(if opens { &self.first } else { &agreed.post });
        if era == Era::Modern {
            let headers = headers.to_mut();
            put(headers, HEADER_METHOD, call.method);
            let name = named_by(call.method).and_then(|key| call.params.string(key));
            if let Some(name) = name {
                put(headers, HEADER_NAME, &encoded(&name));
            }
            for (name, value) in &call.headers {
                put(headers, &format!("{HEADER_PARAM}{name}"), &encoded(value));
            }
        }
        for (name, value) in call.carrier.as_deref().into_iter().flat_map(Carrier::headers) {
            put(headers.to_mut(), name, value);
        }
        let mut reply = self.send(Method::POST, &headers, body.into()).await?;
        if !reply.status.is_success() {
            reply = Box::pin(self.accepted(reply)).await?;
        }
        if let Some(session) = reply.headers.get(HEADER_SESSION).filter(|_| opens) {
            self.agreed.store(Arc::new(Agreed::on(&self.first, agreed.era, Some(session.clone()))));
        }
        match media_type(&reply) {
            "application/json" => {
                let body = reply.whole(MAX_ANSWER).await?;
                match Incoming::parse(&body) {
                    Ok(Incoming::Response { outcome, .. }) => outcome.map_err(Error::Rpc),
                    Ok(_) => Err(Error::NotMcp("it answered with something else than an answer".into())),
                    Err(unreadable) => Err(Error::NotMcp(unreadable.error.message)),
                }
            }
            "text/event-stream" => {
                let pending = Pending::default();
                let mut answer = pending.add(id, call.listener);
                // In a box, since it is long and others have no need of it.
                let found = Box::pin(self.events(reply, &pending, &|_| {}, &mut || answer.try_recv().ok())).await?;
                found.unwrap_or_else(|| Err(Error::Net(net::Error::Failed("the stream ended before the answer".into()))))
            }
            other => Err(Error::NotMcp(format!("it answered with `{}` instead of JSON", clip(other, 60)))),
        }
    }

    /// Whether a server refuses a request for want of a login, or of one that is good for more (RFC 6750 §3). What it asks for is kept
    /// for whoever logs in.
    fn wants_login(&self, reply: &Reply) -> Option<Error> {
        // Who sends a credential of the operator's is told that it is not good, and not to get another.
        if self.login.is_none() && self.first.contains_key(AUTHORIZATION) {
            return None;
        }
        let of_bearers = |value: &&HeaderValue| value.as_bytes().get(..6).unwrap_or_default().eq_ignore_ascii_case(b"bearer");
        let challenge = reply.headers.get_all(WWW_AUTHENTICATE).iter().find(of_bearers)?;
        let said = WWWAuthenticateParams::parse(challenge.to_str().unwrap_or_default(), self.destination.url());
        let why = match reply.status {
            StatusCode::UNAUTHORIZED => Error::LoginNeeded,
            StatusCode::FORBIDDEN if said.is_insufficient_scope() => Error::MoreScope(said.scope.unwrap_or_default()),
            _ => return None,
        };
        if let Some(login) = &self.login {
            login.challenged(challenge);
        }
        Some(why)
    }

    /// Turns refusals into errors; an error that a stateless server put into words is taken as such.
    async fn accepted(&self, reply: Reply) -> Result<Reply, Error> {
        let status = reply.status;
        if status.is_success() {
            return Ok(reply);
        }
        if status == StatusCode::NOT_FOUND && self.has_session() {
            self.lost.store(true, Ordering::Relaxed);
            return Err(Error::SessionLost);
        }
        if let Some(why) = self.wants_login(&reply) {
            return Err(why);
        }
        let json = media_type(&reply) == "application/json";
        let body = if json { reply.whole(64 << 10).await.unwrap_or_default() } else { Bytes::new() };
        let parsed = Incoming::parse(&body);
        // Some servers do not say 404 of a session they forgot, but that the request is wrong.
        let forgotten = match &parsed {
            Ok(Incoming::Response { outcome: Err(error), .. }) => {
                matches!(error.code, -32000 | RpcError::INVALID_REQUEST | RpcError::NO_SESSION)
            }
            _ => true,
        };
        if status == StatusCode::BAD_REQUEST && self.has_session() && forgotten {
            self.lost.store(true, Ordering::Relaxed);
        }
        match (parsed, status.as_u16()) {
            (_, 508) => Err(Error::NotMcp("it is this gateway itself, or leads back to it".into())),
            // What it says of our credential is no concern of the caller's.
            (_, status @ (401 | 407)) => Err(Error::Credentials(status)),
            (Ok(Incoming::Response { outcome: Err(error), .. }), _) => Err(Error::Rpc(error)),
            (_, status @ 403) => Err(Error::Credentials(status)),
            (_, 300..=399) => Err(Error::Net(net::Error::Redirect)),
            (_, status) => Err(Error::Status(status)),
        }
    }

    /// Reads events until `done` has something, or the stream ends.
    async fn events<T>(
        &self,
        mut reply: Reply,
        pending: &Pending,
        changed: &(dyn Fn(Change) + Sync),
        done: &mut (dyn FnMut() -> Option<T> + Send),
    ) -> Result<Option<T>, Error> {
        let mut splitter = Splitter::default();
        loop {
            let chunk = reply.chunk().await?;
            let ended = chunk.is_none();
            if let Some(chunk) = chunk {
                splitter.push(&chunk).map_err(|_| Error::TooLarge)?;
            }
            while let Some(event) = splitter.next_event().or_else(|| if ended { splitter.finish() } else { None }) {
                let Some(data) = event.data.filter(|data| !data.trim().is_empty()) else { continue };
                match Incoming::parse(data.as_bytes()).map(|message| pending.arrive(message)) {
                    Ok(Arrival::Changed(change)) => changed(change),
                    Ok(Arrival::Reply(reply)) => {
                        let _ = self.tell(reply, Duration::from_secs(10)).await;
                    }
                    Ok(Arrival::Done) | Err(_) => {}
                }
                if let Some(found) = done() {
                    return Ok(Some(found));
                }
            }
            if ended {
                return Ok(None);
            }
        }
    }

    /// One stream of notices; false when the server offers none.
    async fn listen_once(&self, again: bool, changed: &(dyn Fn(Change) + Sync)) -> Result<bool, Error> {
        let agreed = self.agreed.load_full();
        let reply = if agreed.era == Era::Modern {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let body = Outgoing::request(id, "subscriptions/listen", &every_change().dressed(Era::Modern, None, None));
            let mut headers = agreed.post.clone();
            put(&mut headers, HEADER_METHOD, "subscriptions/listen");
            self.send(Method::POST, &headers, body.into()).await?
        } else {
            self.send(Method::GET, &agreed.get("text/event-stream"), Bytes::new()).await?
        };
        match reply.status {
            status if status.is_success() && media_type(&reply) == "text/event-stream" => {}
            StatusCode::NOT_FOUND if agreed.session.is_some() => {
                self.lost.store(true, Ordering::Relaxed);
                return Err(Error::SessionLost);
            }
            // What a server that is starting, busy or being replaced says need not be true for long.
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => return Err(Error::Status(status.as_u16())),
            _ => return Ok(false),
        }
        if again {
            // What changed while nobody listened was told to nobody.
            changed(Change::Definitions);
            changed(Change::Resources);
        }
        self.events::<()>(reply, &Pending::default(), changed, &mut || None).await?;
        Ok(true)
    }
}

#[async_trait]
impl Wire for Http {
    async fn call(&self, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error> {
        let timeout = call.timeout;
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        // `initialize` cannot be cancelled (2025-11-25 §basic/utilities/cancellation).
        let cancelled = Some(id).filter(|_| call.method != "initialize");
        let mut cancel = CancelOnDrop { shared: self.shared.clone(), id: cancelled };
        let outcome = tokio::time::timeout(timeout, self.shared.call(id, era, call)).await;
        if outcome.is_ok() {
            cancel.id = None;
        }
        // Nothing can be done with it until somebody logs in; whoever looks at the server is to see that.
        if matches!(outcome, Ok(Err(Error::LoginNeeded))) {
            self.shared.refused.store(true, Ordering::Relaxed);
        }
        outcome.unwrap_or(Err(Error::Timeout(timeout)))
    }

    fn speak(&self, era: Era) {
        let session = self.shared.agreed.load().session.clone();
        self.shared.agreed.store(Arc::new(Agreed::on(&self.shared.first, era, session)));
    }

    async fn notify(&self, method: &str) -> Result<(), Error> {
        let reply = self.shared.tell(Outgoing::notification(method, &Params::default()), Duration::from_secs(10)).await?;
        self.shared.accepted(reply).await.map(drop)
    }

    fn broken(&self) -> Option<Error> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Some(Error::Closed);
        }
        if self.shared.refused.load(Ordering::Relaxed) {
            return Some(Error::LoginNeeded);
        }
        self.shared.lost.load(Ordering::Relaxed).then_some(Error::SessionLost)
    }

    async fn ended(&self) {
        // Nothing tells that an HTTP server is gone; a request that fails does.
        std::future::pending::<()>().await;
    }

    fn stderr(&self) -> Option<String> {
        None
    }

    async fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            listener.abort();
        }
        let agreed = self.shared.agreed.load_full();
        if agreed.session.is_some() {
            let headers = agreed.get(ANSWERS);
            let end = self.shared.send(Method::DELETE, &headers, Bytes::new());
            let _ = tokio::time::timeout(Duration::from_secs(1), end).await;
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take() {
            listener.abort();
        }
    }
}

/// In a session, leaving does not cancel, so it must be said; a stateless server sees the stream close.
struct CancelOnDrop {
    shared: Arc<Shared>,
    id: Option<u64>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some(id) = self.id.filter(|_| self.shared.era() != Era::Modern) else { return };
        let body = Outgoing::notification("notifications/cancelled", &cancelled(id));
        let shared = self.shared.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { shared.tell(body, Duration::from_secs(5)).await.map(drop) });
        }
    }
}

/// Puts a header in place; one that cannot be sent is left out.
fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

fn media_type(reply: &Reply) -> &'static str {
    match reply.media_type() {
        "application/json" => "application/json",
        "text/event-stream" => "text/event-stream",
        "text/html" => "text/html",
        "" => "(nothing)",
        _ => "another content type",
    }
}
