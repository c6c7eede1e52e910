//! Sessions of clients that open with `initialize`. A session belongs to one principal and one endpoint.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;

use crate::protocol::Revision;

/// Most sessions at one time; the longest unused one makes room.
const MOST: u64 = 100_000;
/// Most sessions of one principal; a newer one ends the oldest, so that nobody crowds out the others.
const MOST_OF_ONE: usize = 10_000;
/// A session ends after this much silence.
const SILENCE: Duration = Duration::from_secs(24 * 3600);
/// Requests of one session that may be under way at the same time.
const IN_FLIGHT: usize = 1_000;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) principal: String,
    pub(super) endpoint: String,
    pub(super) revision: Revision,
    /// Cancelled when the session ends.
    pub(super) ended: CancellationToken,
    in_flight: Mutex<HashMap<String, CancellationToken>>,
}

impl Session {
    /// Notes a request that a client may cancel; none when too many are under way or the id is in use.
    pub(super) fn begin(self: &Arc<Self>, id: &str) -> Option<InFlight> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if in_flight.len() >= IN_FLIGHT || in_flight.contains_key(id) {
            return None;
        }
        let cancelled = self.ended.child_token();
        in_flight.insert(id.to_owned(), cancelled.clone());
        Some(InFlight { session: self.clone(), id: id.to_owned(), cancelled })
    }

    /// Cancels a request.
    pub(super) fn cancel(&self, id: &str) {
        if let Some(token) = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            token.cancel();
        }
    }
}

/// A request that is under way; forgotten when dropped.
pub(super) struct InFlight {
    session: Arc<Session>,
    id: String,
    pub(super) cancelled: CancellationToken,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.session.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// All sessions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sessions {
    open: Cache<String, Arc<Session>>,
    /// The sessions each principal opened, the oldest first.
    opened: Arc<Mutex<HashMap<String, VecDeque<String>>>>,
}

impl Sessions {
    /// No sessions yet; `ended` is told of each that ends, however it does.
    pub(super) fn new(ended: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let end = move |_: Arc<String>, session: Arc<Session>, _| {
            session.ended.cancel();
            ended(&session.id);
        };
        let open = Cache::builder().eviction_policy(EvictionPolicy::lru()).max_capacity(MOST).time_to_idle(SILENCE).eviction_listener(end);
        Self { open: open.build(), opened: Arc::default() }
    }

    /// A new session.
    pub(super) fn open(&self, principal: &str, endpoint: &str, revision: Revision) -> Arc<Session> {
        let session = Arc::new(Session {
            id: uuid::Uuid::new_v4().to_string(),
            principal: principal.to_owned(),
            endpoint: endpoint.to_owned(),
            revision,
            ended: CancellationToken::new(),
            in_flight: Mutex::default(),
        });
        self.open.insert(session.id.clone(), session.clone());
        let oldest = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let of_one = opened.entry(principal.to_owned()).or_default();
            of_one.push_back(session.id.clone());
            if of_one.len() > MOST_OF_ONE { of_one.pop_front() } else { None }
        };
        if let Some(oldest) = oldest {
            self.end(&oldest);
        }
        session
    }

    /// The session of that id, if it is this principal's at this endpoint.
    pub(super) fn get(&self, id: &str, principal: &str, endpoint: &str) -> Option<Arc<Session>> {
        self.open.get(id).filter(|session| session.principal == principal && session.endpoint == endpoint)
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        self.open.invalidate(id);
    }
}
