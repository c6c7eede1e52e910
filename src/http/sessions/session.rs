//! One session: what its client said of itself, what is under way, and what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::outbox::Outbox;
use crate::domain::lock;
use crate::protocol::{ClientCapabilities, Level, Revision, RpcError};
use crate::upstream::{Asked, Logs};

/// Requests of one session that may be under way at the same time.
const IN_FLIGHT: usize = 1_000;

/// What a client said when it opened a session.
#[derive(Clone, Debug)]
pub(in crate::http) struct Greeting {
    pub(in crate::http) revision: Revision,
    pub(in crate::http) capabilities: Arc<ClientCapabilities>,
}

/// One session.
pub(in crate::http) struct Session {
    pub(in crate::http) id: Arc<str>,
    pub(super) principal: String,
    pub(super) endpoint: String,
    /// Tells it from all others, also from the one of the same id before a restart.
    pub(in crate::http) number: u64,
    greeting: OnceLock<Greeting>,
    /// The level of log messages that the client set, and one more; none at 0.
    level: AtomicU8,
    /// Cancelled when the session ends.
    pub(in crate::http) ended: CancellationToken,
    in_flight: Mutex<HashMap<String, CancellationToken>>,
    pub(super) used: Mutex<Instant>,
    /// What the client is asked at this moment.
    asked: Mutex<HashMap<String, Asked>>,
    pub(super) outboxes: Mutex<VecDeque<Arc<Outbox>>>,
    pub(super) outboxes_made: AtomicU32,
    /// Whether those are swept that have ended.
    pub(super) sweeping: AtomicBool,
    /// The bytes that are kept in the streams of all sessions.
    pub(super) kept: Arc<AtomicUsize>,
    /// What the client is told of changes.
    pub(in crate::http) changes: Arc<Changes>,
    /// The one stream of a session of 2024-11-05, on which everything is said.
    line: Option<mpsc::Sender<Bytes>>,
}

impl Session {
    pub(super) fn new(id: Arc<str>, (principal, endpoint): (&str, &str), greeting: Option<Greeting>, kept: Arc<AtomicUsize>) -> Self {
        Self {
            id,
            principal: principal.to_owned(),
            endpoint: endpoint.to_owned(),
            number: rand::random(),
            greeting: greeting.map_or_else(OnceLock::new, OnceLock::from),
            level: AtomicU8::new(0),
            ended: CancellationToken::new(),
            in_flight: Mutex::default(),
            used: Mutex::new(Instant::now()),
            asked: Mutex::default(),
            outboxes: Mutex::default(),
            outboxes_made: AtomicU32::new(0),
            sweeping: AtomicBool::new(false),
            kept,
            changes: Arc::default(),
            line: None,
        }
    }

    /// The same, all of which is said on one stream.
    pub(super) fn on_line(self, line: mpsc::Sender<Bytes>) -> Self {
        Self { line: Some(line), ..self }
    }

    /// Notes what the client said of itself, where that came after the session was opened; false when it has said so before.
    pub(in crate::http) fn greet(&self, greeting: Greeting) -> bool {
        self.greeting.set(greeting).is_ok()
    }

    /// The revision that was agreed on.
    pub(in crate::http) fn revision(&self) -> Revision {
        self.greeting.get().map_or(Revision::V2024_11_05, |greeting| greeting.revision)
    }

    /// Whether the client has said who it is.
    pub(in crate::http) fn is_greeted(&self) -> bool {
        self.greeting.get().is_some()
    }

    /// What the client can be asked.
    pub(in crate::http) fn capabilities(&self) -> Option<&Arc<ClientCapabilities>> {
        self.greeting.get().map(|greeting| &greeting.capabilities)
    }

    /// The one stream of the session, where it has one.
    pub(in crate::http) fn line(&self) -> Option<&mpsc::Sender<Bytes>> {
        self.line.as_ref()
    }

    /// Sets from which level on the client wants to hear what servers log.
    pub(in crate::http) fn set_level(&self, level: Level) {
        self.level.store(level.number() + 1, Ordering::Relaxed);
    }

    /// From which level on that is, if it has said so.
    pub(in crate::http) fn level(&self) -> Option<Level> {
        Level::numbered(self.level.load(Ordering::Relaxed).checked_sub(1)?)
    }

    /// Which log messages the client hears.
    pub(in crate::http) fn logs(&self) -> Logs {
        self.level().map_or(Logs::Some, Logs::From)
    }

    /// Notes a request that a client may cancel; none when too many are under way or the id is in use.
    pub(in crate::http) fn begin(self: &Arc<Self>, id: &str) -> Option<InFlight> {
        let mut in_flight = lock(&self.in_flight);
        if in_flight.len() >= IN_FLIGHT || in_flight.contains_key(id) {
            return None;
        }
        let cancelled = self.ended.child_token();
        in_flight.insert(id.to_owned(), cancelled.clone());
        Some(InFlight { session: self.clone(), id: id.to_owned(), cancelled })
    }

    pub(super) fn last_used(&self) -> Instant {
        *lock(&self.used)
    }

    /// Cancels a request.
    pub(in crate::http) fn cancel(&self, id: &str) {
        if let Some(token) = lock(&self.in_flight).get(id) {
            token.cancel();
        }
    }

    /// Notes a question to the client; the id to ask it with, as JSON.
    pub(in crate::http) fn ask(&self, asked: Asked) -> String {
        let id = format!("\"ask-{}\"", uuid::Uuid::new_v4().simple());
        lock(&self.asked).insert(id.clone(), asked);
        id
    }

    /// Hands on the client's answer to a question of that id.
    pub(in crate::http) fn answered(&self, id: &str, answer: Result<Box<RawValue>, RpcError>) {
        if let Some(asked) = lock(&self.asked).remove(id) {
            asked.answer(answer);
        }
    }

    /// Forgets a question that nobody waits for any more; false when it was answered.
    pub(in crate::http) fn forget_question(&self, id: &str) -> bool {
        lock(&self.asked).remove(id).is_some()
    }

    /// Lets go of everything that was open for the session.
    pub(super) fn end(&self) {
        self.ended.cancel();
        self.changes.end();
        lock(&self.asked).clear();
    }
}

/// A request that is under way; forgotten when dropped.
pub(in crate::http) struct InFlight {
    session: Arc<Session>,
    id: String,
    pub(in crate::http) cancelled: CancellationToken,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        lock(&self.session.in_flight).remove(&self.id);
    }
}
