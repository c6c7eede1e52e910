//! One request to an HTTP server, and what comes on the stream of its answer.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use rmcp::transport::auth::WWWAuthenticateParams;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::super::pending::{Arrival, Pending, Stream};
use super::agreed::Agreed;
use crate::domain::clip;
use crate::net::{self, Destination, Event, Reply, Splitter};
use crate::protocol::{Era, HEADER_METHOD, HEADER_NAME, HEADER_PARAM, HEADER_SESSION, Incoming, Outgoing, RpcError, encoded, named_by};
use crate::trace::Carrier;
use crate::upstream::credentials::{AtHand, Holder};
use crate::upstream::{Call, Change, Error};

/// Largest answer in one piece, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// How often the stream of one answer is taken up again where it broke off.
const RESUMPTIONS: usize = 20;
/// How long to wait before that, where the server does not say.
const PAUSE: Duration = Duration::from_secs(1);
/// The shortest and the longest that a server may have us wait.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Shared {
    pub(super) destination: Destination,
    /// What its headers say that an error must not repeat.
    pub(super) secrets: Vec<String>,
    /// The gateway's own login, where the server takes one.
    pub(super) login: Option<Arc<Holder>>,
    /// The headers of a message before anything is agreed on.
    pub(super) first: HeaderMap,
    pub(super) agreed: ArcSwap<Agreed>,
    /// The requests that wait, and the questions that came of them.
    pub(super) pending: Pending,
    /// The resources that are followed.
    pub(super) followed: watch::Sender<BTreeSet<String>>,
    /// Where messages are sent to, where the server named an address for them.
    pub(super) posting: OnceLock<Destination>,
    /// The address that it named.
    pub(super) named: watch::Sender<Option<String>>,
    /// Whether the server was asked for its stream of notices, and has said yes or no.
    pub(super) listens: watch::Sender<bool>,
    pub(super) lost: AtomicBool,
    /// Whether it wants a login that there is none for.
    pub(super) refused: AtomicBool,
    pub(super) closed: AtomicBool,
    pub(super) next_id: AtomicU64,
}

/// Where a stream can be taken up again (2025-11-25 §basic/transports: resumability).
#[derive(Clone, Default)]
pub(super) struct Place {
    last: Option<HeaderValue>,
    pause: Option<Duration>,
}

impl Place {
    fn note(&mut self, event: &Event) {
        if let Some(id) = event.id.as_deref().and_then(|id| HeaderValue::try_from(id).ok()) {
            self.last = Some(id);
        }
        if let Some(retry) = event.retry {
            self.pause = Some(Duration::from_millis(retry).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        }
    }

    /// How long to wait before coming back.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// The headers that say where to go on.
    pub(super) fn headers(&self, agreed: &Agreed) -> HeaderMap {
        let mut headers = agreed.get("text/event-stream");
        if let Some(last) = &self.last {
            headers.insert("last-event-id", last.clone());
        }
        headers
    }
}

impl Shared {
    pub(super) fn era(&self) -> Era {
        self.agreed.load().era
    }

    fn has_session(&self) -> bool {
        self.agreed.load().session.is_some()
    }

    /// Sends what is not a call, within a time.
    pub(super) async fn tell(&self, body: String, within: Duration) -> Result<Reply, Error> {
        let agreed = self.agreed.load_full();
        let sent = self.send(Method::POST, &agreed.post, body.into());
        tokio::time::timeout(within, sent).await.unwrap_or(Err(Error::Net(net::Error::Timeout)))
    }

    /// Where a request goes: messages to an address of their own, where the server named one.
    fn destination(&self, method: &Method) -> &Destination {
        self.posting.get().filter(|_| method == Method::POST).unwrap_or(&self.destination)
    }

    /// Sends a request with the gateway's own token, where it has one.
    pub(super) async fn send(&self, method: Method, headers: &HeaderMap, body: Bytes) -> Result<Reply, Error> {
        match &self.login {
            None => Ok(self.destination(&method).send(method, headers, body).await?),
            Some(login) => match login.at_hand() {
                AtHand::Nothing => Ok(self.destination(&method).send(method, headers, body).await?),
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
        let Some(token) = token else { return Ok(self.destination(&method).send(method, headers, body).await?) };
        let with = |token: HeaderValue| {
            let mut headers = headers.clone();
            headers.insert(AUTHORIZATION, token);
            headers
        };
        let reply = self.destination(&method).send(method.clone(), &with(token.clone()), body.clone()).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        // It may have been taken back before its time. What was refused so was not done.
        let newer = login.renewed(Some(&token)).await?;
        // The server may have been removed while that was waited for.
        here()?;
        Ok(self.destination(&method).send(method, &with(newer), body).await?)
    }

    pub(super) async fn call(self: &Arc<Self>, id: u64, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error> {
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

    async fn ask(self: &Arc<Self>, id: u64, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error> {
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
        // Who can be asked is found by what comes on other streams as well, and by whether the server works for anybody else.
        let _silent = if call.listener.is_none() { self.pending.silent(call.method) } else { None };
        let wait = |listener| Waiting { answer: self.pending.add(id, call.method, listener), pending: &self.pending, id };
        let mut waiting = call.listener.map(|listener| wait(Some(listener)));
        if self.posting.get().is_some() {
            let waiting = waiting.get_or_insert_with(|| wait(None));
            let reply = self.send(Method::POST, &headers, body.into()).await?;
            Box::pin(self.accepted(reply)).await?;
            return (&mut waiting.answer).await.unwrap_or(Err(Error::Interrupted));
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
                self.whole(id, &body)
            }
            "text/event-stream" => {
                let waiting = waiting.get_or_insert_with(|| wait(None));
                // In a box, since it is long and others have no need of it.
                Box::pin(self.streamed(id, reply, waiting)).await
            }
            other => Err(Error::NotMcp(format!("it answered with `{}` instead of JSON", clip(other, 60)))),
        }
    }

    /// The answer among the messages of a whole body: one, or a batch as 2025-03-26 allows it.
    fn whole(&self, id: u64, body: &[u8]) -> Result<Box<RawValue>, Error> {
        let mut other = None;
        for message in Incoming::parse_all(body) {
            match message {
                Ok(Incoming::Response { id: Some(said), outcome }) if said.is(id) => return outcome.map_err(Error::Rpc),
                // A server that could not read a request does not know its id.
                Ok(Incoming::Response { id: None, outcome: Err(error) }) => return Err(Error::Rpc(error)),
                Ok(message) => {
                    // Whoever answers at once has nothing left to ask.
                    if let Arrival::Asked(inquiry) = self.pending.arrive(message, Stream::Of(id)) {
                        self.pending.answered(&inquiry.id);
                    }
                    other.get_or_insert_with(|| "it answered with something else than an answer to what it was asked".to_owned());
                }
                Err(unreadable) => other = Some(unreadable.error.message),
            }
        }
        Err(Error::NotMcp(other.unwrap_or_else(|| "it answered with nothing".to_owned())))
    }

    /// The answer at the end of a stream, which is taken up again where it breaks off before that.
    async fn streamed(self: &Arc<Self>, id: u64, reply: Reply, waiting: &mut Waiting<'_>) -> Result<Box<RawValue>, Error> {
        let (mut reply, mut place) = (reply, Place::default());
        for _ in 0..RESUMPTIONS {
            let outcome = self.events(reply, Stream::Of(id), &mut place, &|_| {}, &mut || waiting.answer.try_recv().ok()).await;
            let broke = match outcome {
                Ok(Some(found)) => return found,
                Ok(None) => net::Error::Failed("the stream ended before the answer".into()),
                Err(Error::Net(error @ net::Error::Failed(_))) => error,
                Err(error) => return Err(error),
            };
            if self.era() == Era::Modern || place.last.is_none() {
                return Err(Error::Net(broke));
            }
            tokio::time::sleep(place.pause().unwrap_or(PAUSE)).await;
            let agreed = self.agreed.load_full();
            // What was sent has reached the server, so whatever goes wrong now says nothing of whether it was done.
            let Ok(next) = self.send(Method::GET, &place.headers(&agreed), Bytes::new()).await else { return Err(Error::Net(broke)) };
            reply = next;
            if !reply.status.is_success() || media_type(&reply) != "text/event-stream" {
                return Err(Error::Net(broke));
            }
        }
        Err(Error::NotMcp("its answer does not come to an end".into()))
    }

    /// Reads events until `done` has something, or the stream ends.
    pub(super) async fn events<T>(
        self: &Arc<Self>,
        mut reply: Reply,
        stream: Stream,
        place: &mut Place,
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
                place.note(&event);
                let Some(data) = event.data.filter(|data| !data.trim().is_empty()) else { continue };
                if matches!(stream, Stream::All) && event.name.as_deref() == Some("endpoint") {
                    self.named.send_replace(Some(data.to_string()));
                    continue;
                }
                for message in Incoming::parse_all(data.as_bytes()) {
                    match message.map(|message| self.pending.arrive(message, stream)) {
                        Ok(Arrival::Changed(change)) => changed(change),
                        Ok(Arrival::Reply(reply)) => {
                            // Before the next message is read: nobody makes us answer more than is taken.
                            let _ = self.tell(reply, Duration::from_secs(10)).await;
                        }
                        Ok(Arrival::Asked(inquiry)) => {
                            let this = self.clone();
                            tokio::spawn(async move {
                                let id = inquiry.id.clone();
                                let reply = inquiry.reply().await;
                                this.pending.answered(&id);
                                if let Some(reply) = reply {
                                    let _ = this.tell(reply, Duration::from_secs(30)).await;
                                }
                            });
                        }
                        Ok(Arrival::Done) | Err(_) => {}
                    }
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
    pub(super) async fn accepted(&self, reply: Reply) -> Result<Reply, Error> {
        let status = reply.status;
        if status.is_success() {
            return Ok(reply);
        }
        if status == StatusCode::NOT_FOUND && (self.has_session() || self.posting.get().is_some()) {
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
}

/// A request that waits for its answer; forgotten when dropped.
struct Waiting<'p> {
    answer: tokio::sync::oneshot::Receiver<Result<Box<RawValue>, Error>>,
    pending: &'p Pending,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pending.settle(self.id);
    }
}

/// Puts a header in place; one that cannot be sent is left out.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

pub(super) fn media_type(reply: &Reply) -> &'static str {
    match reply.media_type() {
        "application/json" => "application/json",
        "text/event-stream" => "text/event-stream",
        "text/html" => "text/html",
        "" => "(nothing)",
        _ => "another content type",
    }
}
