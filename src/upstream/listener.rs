//! Who hears of a request while it is under way: of progress, of what the server logs, of what it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::patience::Pauses;
use crate::protocol::{ClientCapabilities, Level, Params, Question, RpcError};

/// How long somebody may take for one answer. People are asked; a server's own time stands still meanwhile.
const ANSWER: Duration = Duration::from_secs(600);
/// Most questions of one request.
const MOST: u32 = 64;

/// A notification on its way to the caller.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its method.
    pub method: String,
    /// Its params; a progress token is left to whoever knows the caller's.
    pub params: Params,
}

/// What is heard of a request before its answer.
#[derive(Debug)]
pub enum Heard {
    /// Something to take note of.
    Note(Note),
    /// Something to answer.
    Asked(Asked),
}

/// A server's question, and where its answer goes. Dropped without one, nobody answers.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    answer: oneshot::Sender<Result<Box<RawValue>, RpcError>>,
}

impl Asked {
    /// Hands the answer on.
    pub fn answer(self, answer: Result<Box<RawValue>, RpcError>) {
        let _ = self.answer.send(answer);
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_over(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Which of a server's log messages a caller hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    /// None: a stateless client that did not ask for them (2026-07-28 §server/utilities/logging).
    None,
    /// What the server thinks fit: a session that named no level.
    Some,
    /// Those from a level on.
    From(Level),
}

impl Logs {
    /// Whether a message is heard; `most` is the level that the server was asked for, if any.
    pub(super) fn hear(self, level: Option<Level>, most: Option<Level>) -> bool {
        match self {
            Self::None => false,
            // Somebody else may have asked for more than the server thinks fit.
            Self::Some => most.is_none() || level.is_none_or(|level| level >= Level::INFO),
            Self::From(least) => level.is_none_or(|level| level >= least),
        }
    }
}

/// Answers a question that the caller cannot be asked; none where it is no question for it.
pub type StandIn = Arc<dyn Fn(&Question) -> Option<BoxFuture<'static, Result<Box<RawValue>, RpcError>>> + Send + Sync>;

/// Who hears of a request while it is under way.
#[derive(Clone)]
pub struct Listener {
    inner: Arc<Inner>,
    /// The server whose questions are to say that they are its; none where there is only one that could ask.
    asked_by: Option<Arc<str>>,
    stand_in: Option<StandIn>,
}

struct Inner {
    progress: bool,
    logs: Logs,
    capabilities: Arc<ClientCapabilities>,
    whose: Box<str>,
    out: mpsc::Sender<Heard>,
    pauses: Pauses,
    asked: AtomicU32,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("whose", &self.inner.whose).finish_non_exhaustive()
    }
}

impl Listener {
    /// Somebody who hears on `out`. Two listeners of the same `whose` are the same caller's.
    pub fn new(whose: &str, progress: bool, logs: Logs, capabilities: Arc<ClientCapabilities>, out: mpsc::Sender<Heard>) -> Self {
        let (whose, pauses, asked) = (whose.into(), Pauses::default(), AtomicU32::new(0));
        let inner = Arc::new(Inner { progress, logs, capabilities, whose, out, pauses, asked });
        Self { inner, asked_by: None, stand_in: None }
    }

    /// Nobody who hears of anything; a caller for whom somebody stands in.
    pub fn deaf(whose: &str, capabilities: Arc<ClientCapabilities>) -> Self {
        Self::new(whose, false, Logs::None, capabilities, mpsc::channel(1).0)
    }

    /// The same, where somebody answers what the caller cannot be asked.
    #[must_use]
    pub fn with_stand_in(self, stand_in: StandIn) -> Self {
        Self { stand_in: Some(stand_in), ..self }
    }

    /// The same listener, whom a server asks that is one of many: each question says whose it is (2026-07-28 §client/elicitation).
    #[must_use]
    pub fn asked_by(&self, server: &str) -> Self {
        Self { asked_by: Some(server.into()), ..self.clone() }
    }

    /// Whether progress is wanted.
    pub(super) fn wants_progress(&self) -> bool {
        self.inner.progress
    }

    /// Which log messages are wanted.
    pub(super) fn logs(&self) -> Logs {
        self.inner.logs
    }

    /// What can be asked.
    pub fn capabilities(&self) -> &Arc<ClientCapabilities> {
        &self.inner.capabilities
    }

    /// When a server's time stands still.
    pub(super) fn pauses(&self) -> &Pauses {
        &self.inner.pauses
    }

    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.inner.whose == other.inner.whose
    }

    /// Says something. A full queue drops it: what is only told must never hold up a result.
    pub(super) fn tell(&self, note: Note) {
        let _ = self.inner.out.try_send(Heard::Note(note));
    }

    /// Asks, and waits for the answer. What the caller cannot be asked is refused at once.
    pub async fn ask(&self, question: Question) -> Result<Box<RawValue>, RpcError> {
        if self.inner.asked.fetch_add(1, Ordering::Relaxed) >= MOST {
            return Err(RpcError::new(RpcError::INVALID_REQUEST, "the client was asked too often for one request"));
        }
        // For as long as it takes, and no longer: whoever holds the question may hold it on.
        let _pause = self.inner.pauses.begin();
        if !self.inner.capabilities.allow(&question) {
            if let Some(answer) = self.stand_in.as_ref().and_then(|stand_in| stand_in(&question)) {
                return answer.await;
            }
            let needed = serde_json::json!({ "requiredCapabilities": ClientCapabilities::required(&question) });
            return Err(RpcError::new(RpcError::MISSING_CAPABILITY, "the client cannot be asked this").with_data(&needed));
        }
        let question = match &self.asked_by {
            Some(server) => question.asked_by(server),
            None => question,
        };
        let (answer, answered) = oneshot::channel();
        let asked = Asked { question, answer };
        let left = || RpcError::new(RpcError::INTERNAL, "the client left without an answer");
        self.inner.out.send(Heard::Asked(asked)).await.map_err(|_| left())?;
        match tokio::time::timeout(ANSWER, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(left()),
            Err(_) => Err(RpcError::new(RpcError::INTERNAL, "the client did not answer in time")),
        }
    }
}
