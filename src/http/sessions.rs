//! Sessions of clients that open with `initialize`. A session belongs to one principal and one endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;

use crate::protocol::Revision;

/// Most sessions at one time; the longest unused one makes room.
const MOST: u64 = 100_000;
/// Most sessions of one principal; a newer one ends the longest unused, so that nobody crowds out the others.
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
    used: Mutex<Instant>,
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

    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// The open sessions of each principal.
    owned: Arc<Mutex<Owned>>,
}

type Owned = HashMap<String, HashMap<String, Arc<Session>>>;

impl Sessions {
    /// No sessions yet; `ended` is told of each that ends, however it does.
    pub(super) fn new(ended: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let owned: Arc<Mutex<Owned>> = Arc::default();
        let of_all = owned.clone();
        let end = move |_: Arc<String>, session: Arc<Session>, _| {
            session.ended.cancel();
            let mut owned = of_all.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(of_one) = owned.get_mut(&session.principal) {
                of_one.remove(&session.id);
                if of_one.is_empty() {
                    owned.remove(&session.principal);
                }
            }
            drop(owned);
            ended(&session.id);
        };
        let open = Cache::builder().eviction_policy(EvictionPolicy::lru()).max_capacity(MOST).time_to_idle(SILENCE).eviction_listener(end);
        Self { open: open.build(), owned }
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
            used: Mutex::new(Instant::now()),
        });
        self.open.insert(session.id.clone(), session.clone());
        let unused = {
            let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
            let of_one = owned.entry(principal.to_owned()).or_default();
            let longest =
                |of_one: &HashMap<String, Arc<Session>>| of_one.values().min_by_key(|session| session.used()).map(|one| one.id.clone());
            let unused = if of_one.len() >= MOST_OF_ONE { longest(of_one) } else { None };
            of_one.insert(session.id.clone(), session.clone());
            unused
        };
        if let Some(unused) = unused {
            self.end(&unused);
        }
        session
    }

    /// The session of that id, if it is this principal's at this endpoint.
    pub(super) fn get(&self, id: &str, principal: &str, endpoint: &str) -> Option<Arc<Session>> {
        let session = self.open.get(id).filter(|session| session.principal == principal && session.endpoint == endpoint)?;
        *session.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Some(session)
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        self.open.invalidate(id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_principal_crowds_out_only_its_own_longest_unused_session() {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = ended.clone();
        let sessions = Sessions::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let other = sessions.open("other", "", Revision::LATEST);
        let first = sessions.open("one", "", Revision::LATEST);
        let second = sessions.open("one", "", Revision::LATEST);
        // Sessions that were ended make room by themselves.
        for _ in 0..MOST_OF_ONE {
            let brief = sessions.open("one", "", Revision::LATEST);
            sessions.end(&brief.id);
        }
        assert!(sessions.get(&first.id, "one", "").is_some());
        for _ in 0..MOST_OF_ONE - 1 {
            sessions.open("one", "", Revision::LATEST);
        }
        assert!(sessions.get(&second.id, "one", "").is_none(), "it was not used for the longest time");
        assert!(sessions.get(&first.id, "one", "").is_some());
        assert!(sessions.get(&other.id, "other", "").is_some());
        assert_eq!(ended.load(Ordering::Relaxed), MOST_OF_ONE + 1);
    }
}
