//! Requests that wait for their answer, and what arrives meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::inquiry::{Inquiry, nobody};
use crate::domain::ServerName;
use crate::protocol::{Id, Incoming, Level, Outgoing, Params, Question};
use crate::upstream::patience::Pause;
use crate::upstream::{Change, Error, Listener, Note};

/// How long a server counts as at work for a request that nobody waits for any more. It was told, and who heeds that stops at once;
/// who does not may go on for any time, and none would be long enough.
const STILL_AT_WORK: Duration = Duration::from_secs(5);
/// Most questions of one server that are open at the same time.
const MOST_ASKED: usize = 128;
/// Most of those that are remembered.
const MOST_ABANDONED: usize = 64;

/// What a message came on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// One stream for everything.
    All,
    /// The answer to one request, and what belongs to it.
    Of(u64),
    /// What belongs to no request.
    Notices,
}

/// What a reader must do with a message.
pub(super) enum Arrival {
    /// It was an answer or a notification, and is dealt with.
    Done,
    /// Something changed.
    Changed(Change),
    /// The server asked something; this is the answer to send back.
    Reply(String),
    /// The server asked something that a caller must answer first.
    Asked(Inquiry),
}

type Answer = Result<Box<RawValue>, Error>;

/// The waiting requests of one connection, by our own ids.
pub(in crate::upstream) struct Pending {
    waiting: Mutex<Waiting>,
    /// Requests under way whose callers hear of nothing.
    silent: AtomicUsize,
    /// What was given up lately.
    abandoned: Mutex<Vec<Abandoned>>,
    /// The questions that callers are asked at this moment, by the server's ids: for which request, and what takes them back.
    asked: Mutex<HashMap<String, Open>>,
    /// The server, for the log.
    server: ServerName,
    /// Whether all requests are of one caller, who may then be told from: what a server keeps of a session is that caller's alone.
    own: bool,
    /// Whether the log has said that a question could not be placed.
    told: AtomicBool,
    /// The level of log messages that the server was asked for, and one more; none at 0.
    level: AtomicU8,
    /// The resources of which a stateless server said that it will tell.
    standing: watch::Sender<BTreeSet<String>>,
}

type Waiting = HashMap<u64, Wait>;

/// A question that a caller is asked at this moment.
struct Open {
    /// The request for whose sake it is asked.
    of: u64,
    taken_back: CancellationToken,
    over: CancellationToken,
}

/// A request that nobody waits for any more, while the server may still work for it: since when, and who heard of it.
struct Abandoned {
    id: u64,
    since: Instant,
    listener: Option<Listener>,
}

/// A request that waits.
struct Wait {
    /// Where the answer goes.
    out: oneshot::Sender<Answer>,
    /// Who hears of what comes before it.
    listener: Option<Listener>,
    /// Whether a server does no work for it for whose sake it would ask a caller.
    aside: bool,
}

impl Pending {
    /// Nothing waits yet; `own` says that all requests to the server are of one caller.
    pub(in crate::upstream) fn new(server: ServerName, own: bool) -> Self {
        let (silent, level) = (AtomicUsize::new(0), AtomicU8::new(0));
        let standing = watch::Sender::default();
        let (waiting, abandoned, asked) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { waiting, silent, abandoned, asked, server, own, told: AtomicBool::new(false), level, standing }
    }

    /// Waits until the server has said that it tells of all these, or until it is clear that it does not say so.
    pub(super) async fn stands(&self, uris: &BTreeSet<String>) {
        /// How long a server may take to acknowledge.
        const PATIENCE: Duration = Duration::from_secs(5);
        let mut standing = self.standing.subscribe();
        let _ = tokio::time::timeout(PATIENCE, standing.wait_for(|standing| standing.is_superset(uris))).await;
    }

    /// Waits for the answer to a request of this method with the number `id`.
    pub(super) fn add(&self, id: u64, method: &str, listener: Option<Listener>) -> oneshot::Receiver<Answer> {
        let (out, answer) = oneshot::channel();
        let aside = is_aside(method, listener.as_ref());
        self.lock().insert(id, Wait { out, listener, aside });
        answer
    }

    /// Notes a request of this method that is under way elsewhere, and of which nobody hears; over when the guard is dropped.
    pub(super) fn silent(&self, method: &str) -> Option<impl Drop> {
        if is_aside(method, None) {
            return None;
        }
        self.silent.fetch_add(1, Ordering::Relaxed);
        Some(Silent(&self.silent))
    }

    /// Stops waiting; true when the answer had not come.
    pub(super) fn forget(&self, id: u64) -> bool {
        let worked_for = match self.lock().get(&id) {
            None => return false,
            Some(wait) => (!wait.aside).then(|| wait.listener.clone()),
        };
        // First this and then that: at no time does it look as if the server worked for nobody.
        if let Some(listener) = worked_for {
            self.abandon(id, listener);
        }
        self.take(id).is_some()
    }

    /// Stops waiting for a request with which the server is done.
    pub(super) fn settle(&self, id: u64) {
        self.take(id);
    }

    /// Notes that nobody waits for a request any more, while the server may still be at work for it.
    pub(super) fn abandon(&self, id: u64, listener: Option<Listener>) {
        let mut abandoned = self.abandoned();
        abandoned.push(Abandoned { id, since: Instant::now(), listener });
        let excess = abandoned.len().saturating_sub(MOST_ABANDONED);
        abandoned.drain(..excess);
    }

    fn abandoned(&self) -> MutexGuard<'_, Vec<Abandoned>> {
        let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        abandoned.retain(|one| one.since.elapsed() < STILL_AT_WORK);
        abandoned
    }

    /// Takes a request out. What was asked for its sake is taken back: its answer is nobody's business any more.
    fn take(&self, id: u64) -> Option<Wait> {
        self.asked_lock().retain(|_, open| {
            let over = open.of == id;
            if over {
                open.over.cancel();
            }
            !over
        });
        self.lock().remove(&id)
    }

    /// Fails one request.
    pub(super) fn fail(&self, id: u64, error: Error) {
        if let Some(wait) = self.take(id) {
            let _ = wait.out.send(Err(error));
        }
    }

    /// Fails all that wait.
    pub(super) fn fail_all(&self, error: impl Fn() -> Error) {
        for (_, wait) in self.lock().drain() {
            let _ = wait.out.send(Err(error()));
        }
    }

    /// Raises the level of log messages that the server is asked for; true where it must be told.
    pub(super) fn raise(&self, level: Level) -> bool {
        let wanted = level.number() + 1;
        let raised = |now: u8| (now == 0 || wanted < now).then_some(wanted);
        self.level.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raised).is_ok()
    }

    /// The most that the server was asked to log.
    fn level(&self) -> Option<Level> {
        Level::numbered(self.level.load(Ordering::Relaxed).checked_sub(1)?)
    }

    /// Takes a message from the server to whom it concerns.
    pub(super) fn arrive(&self, message: Incoming, stream: Stream) -> Arrival {
        match message {
            Incoming::Response { id, outcome } => {
                let id = id.and_then(|id| id.as_raw().get().parse::<u64>().ok());
                // An answer on somebody else's stream is none.
                let id = id.filter(|id| match stream {
                    Stream::All => true,
                    Stream::Of(own) => own == *id,
                    Stream::Notices => false,
                });
                if let Some(wait) = id.and_then(|id| self.take(id)) {
                    let _ = wait.out.send(outcome.map_err(Error::Rpc));
                } else {
                    self.abandoned().retain(|one| Some(one.id) != id);
                }
                Arrival::Done
            }
            Incoming::Notification { method, params } => self.note(method, params, stream),
            Incoming::Request { id, method, params } => self.asked(id, &method, params, stream),
        }
    }

    fn note(&self, method: String, params: Params, stream: Stream) -> Arrival {
        // Where everything comes on one stream, what a stateless client listens to names the request.
        let stream = params.subscription().filter(|_| matches!(stream, Stream::All)).map_or(stream, Stream::Of);
        match method.as_str() {
            "notifications/tools/list_changed" | "notifications/prompts/list_changed" => return Arrival::Changed(Change::Definitions),
            "notifications/resources/list_changed" => return Arrival::Changed(Change::Resources),
            "notifications/resources/updated" => {
                return params.string("uri").map_or(Arrival::Done, |uri| Arrival::Changed(Change::Updated(uri.into())));
            }
            "notifications/subscriptions/acknowledged" => {
                let said: serde_json::Value = params.read_member("notifications").unwrap_or_default();
                let uris = said.get("resourceSubscriptions").and_then(serde_json::Value::as_array);
                let uris = uris.into_iter().flatten().filter_map(serde_json::Value::as_str).map(str::to_owned);
                self.standing.send_replace(uris.collect());
            }
            "notifications/progress" => {
                let token: Option<u64> = params.read_member("progressToken");
                let token = token.filter(|token| !matches!(stream, Stream::Of(own) if own != *token));
                if let Some(listener) = token.and_then(|token| self.listener(token)).filter(Listener::wants_progress) {
                    listener.tell(Note { method, params });
                }
            }
            "notifications/message" => {
                let level = params.string("level").and_then(|level| level.parse().ok());
                if let Some((_, listener)) = self.concerned(stream).filter(|(_, listener)| listener.logs().hear(level, self.level())) {
                    listener.tell(Note { method, params });
                }
            }
            "notifications/cancelled" => {
                let asked = params.get("requestId").and_then(|id| self.asked_lock().remove(id.get()));
                if let Some(open) = asked {
                    open.taken_back.cancel();
                }
            }
            "notifications/elicitation/complete" => {
                if let Some((_, listener)) = self.concerned(stream) {
                    listener.tell(Note { method, params });
                }
            }
            // What only an extension knows, for those who speak it.
            _ => {
                let extended = |(_, listener): &(u64, Listener)| listener.capabilities().is_extended();
                if let Some((_, listener)) = self.concerned(stream).filter(extended) {
                    listener.tell(Note { method, params });
                }
            }
        }
        Arrival::Done
    }

    fn asked(&self, id: Id, method: &str, params: Params, stream: Stream) -> Arrival {
        if method == "ping" {
            return Arrival::Reply(Outgoing::result(&id, "{}"));
        }
        let Some(question) = Question::read(method, params) else { return Arrival::Reply(nobody(&id, method, None)) };
        let foreign = question.is_of_session() && !self.own;
        if foreign || self.asked_lock().len() >= MOST_ASKED {
            return Arrival::Reply(nobody(&id, method, Some(&question)));
        }
        let Some((of, listener)) = self.concerned(stream) else {
            if !matches!(stream, Stream::Of(_)) && self.is_at_work() {
                self.misplaced(method);
            }
            return Arrival::Reply(nobody(&id, method, Some(&question)));
        };
        let (taken_back, over) = (CancellationToken::new(), CancellationToken::new());
        self.asked_lock().insert(id.to_string(), Open { of, taken_back: taken_back.clone(), over: over.clone() });
        let pauses = self.pauses(stream);
        Arrival::Asked(Inquiry { id, question, listener, pauses, taken_back, over })
    }

    /// Whether a request is under way that somebody hears of.
    fn is_at_work(&self) -> bool {
        self.lock().values().any(|wait| !wait.aside && wait.listener.is_some())
    }

    /// Says, once, that a question could be of several requests, and how that is mended.
    fn misplaced(&self, method: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let server = &self.server;
            warn!(
                server.name = %server,
                "`{server}` asked `{method}` while several clients were served, or one had just left, and did not say for whom; nobody was asked. \
                 With `isolation: session` it is clear whose each question is"
            );
        }
    }

    /// Stops the clocks of all that a server may be asking for, where what it asks names no request.
    fn pauses(&self, stream: Stream) -> Vec<Pause> {
        let waiting = self.lock();
        let asking = |id: &u64| !matches!(stream, Stream::Of(own) if own != *id);
        let listeners = waiting.iter().filter(|(id, wait)| asking(id) && !wait.aside).filter_map(|(_, wait)| wait.listener.as_ref());
        listeners.map(|listener| listener.pauses().begin()).collect()
    }

    /// Forgets a question that was answered.
    pub(super) fn answered(&self, id: &Id) {
        self.asked_lock().remove(&id.to_string());
    }

    /// Whom a message concerns that names no request: whoever the stream is for, or the one caller for whom the server works. Where it
    /// works for several, nobody: what is asked or told for one must not reach another. With it comes the request.
    fn concerned(&self, stream: Stream) -> Option<(u64, Listener)> {
        let waiting = self.lock();
        if let Stream::Of(own) = stream {
            return Some((own, waiting.get(&own)?.listener.clone()?));
        }
        if self.silent.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let worked_for = || waiting.iter().filter(|(_, wait)| !wait.aside);
        let (id, newest) = worked_for().max_by_key(|(id, _)| **id).and_then(|(id, wait)| Some((*id, wait.listener.as_ref()?)))?;
        let all = worked_for().all(|(_, wait)| wait.listener.as_ref().is_some_and(|listener| listener.is_of(newest)));
        // What a server asks may also be for the sake of somebody who has left.
        let left = || self.abandoned().iter().all(|one| one.listener.as_ref().is_some_and(|listener| listener.is_of(newest)));
        (all && left()).then(|| (id, newest.clone()))
    }

    fn listener(&self, id: u64) -> Option<Listener> {
        self.lock().get(&id)?.listener.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked_lock(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a server does no work for a request for whose sake it would ask a caller: it only listens, or the gateway sends it for itself,
/// which it does at any time, beside the calls of clients. Methods that are also sent for a client, as `resources/list`, are none of these.
pub(super) fn is_aside(method: &str, listener: Option<&Listener>) -> bool {
    const OWN: [&str; 6] = ["initialize", "ping", "prompts/list", "resources/templates/list", "server/discover", "tools/list"];
    method == "subscriptions/listen" || (listener.is_none() && OWN.contains(&method))
}

/// Counts down when a request is over.
struct Silent<'a>(&'a AtomicUsize);

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The params of a `subscriptions/listen` that wants to hear of every change of a list, and of these resources.
pub(super) fn every_change<'a>(uris: impl Iterator<Item = &'a str>) -> Params {
    let uris: Vec<&str> = uris.collect();
    let lists = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true });
    let mut wanted: serde_json::Map<_, _> = serde_json::from_value(lists).unwrap_or_default();
    if !uris.is_empty() {
        wanted.insert("resourceSubscriptions".to_owned(), uris.into());
    }
    Params::default().with("notifications", &wanted)
}

/// The params of the notification that nobody waits for a request any more.
pub(super) fn cancelled(id: u64) -> Params {
    Params::default().with("requestId", &id).with("reason", "the caller left or the time was up")
}
