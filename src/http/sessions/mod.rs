//! Sessions of clients that open with `initialize`. A session belongs to one principal and one endpoint.
//!
//! Its id says all that must be known to go on with it, sealed. So a restart of the gateway ends no session: most clients never
//! recover from that. What is lost with the process is what was under way, and what was followed.

mod changes;
mod outbox;
mod session;
mod streams;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::domain::{lock, now_ms, raw_string};
use crate::protocol::{ClientCapabilities, Era, Revision};
use crate::store::Handles;
pub(super) use changes::Seen;
pub(super) use outbox::Outbox;
pub(super) use session::{Greeting, Session};

/// Most sessions at one time; the longest unused one makes room.
const MOST: u64 = 100_000;
/// Most sessions of one principal; a newer one closes the longest unused, so many at a time, so that nobody crowds out the others.
const MOST_OF_ONE: usize = 10_000;
const AT_A_TIME: usize = 100;
/// A session is closed after this much silence; who comes back after that finds it as after a restart.
const SILENCE: Duration = Duration::from_secs(24 * 3600);
/// How long a session's id is good for, in milliseconds.
const LASTS: i64 = 30 * 24 * 3_600_000;
/// The longest text of capabilities that an id carries, in bytes.
const LONGEST: usize = 1 << 10;
/// The kind of handle that a session's id is.
const HANDLE: &str = "session";

/// What a session's id says.
#[derive(Serialize, Deserialize)]
struct Carried {
    principal: String,
    endpoint: String,
    revision: String,
    /// What the client can be asked, as it said it.
    capabilities: Option<Box<RawValue>>,
    /// When it was opened, in milliseconds since the Unix epoch.
    opened: i64,
    /// Tells it from all others.
    number: u64,
}

/// All sessions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sessions {
    open: Cache<Arc<str>, Arc<Session>>,
    /// The open sessions of each principal.
    owned: Arc<Mutex<Owned>>,
    /// The numbers of those that their clients have ended, as far as this process knows.
    over: Cache<u64, ()>,
    /// The bytes that are kept of streams.
    kept: Arc<AtomicUsize>,
    handles: Handles,
}

type Owned = HashMap<String, HashMap<Arc<str>, Arc<Session>>>;

impl Sessions {
    /// No sessions yet; `ended` is told of each that is closed, however that comes.
    pub(super) fn new(handles: Handles, ended: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let owned: Arc<Mutex<Owned>> = Arc::default();
        let of_all = owned.clone();
        let end = move |_: Arc<Arc<str>>, session: Arc<Session>, _| {
            session.end();
            disown(&of_all, &session);
            ended(&session.id);
        };
        let open = Cache::builder().eviction_policy(EvictionPolicy::lru()).max_capacity(MOST).time_to_idle(SILENCE).eviction_listener(end);
        let lasts = Duration::from_millis(LASTS.unsigned_abs());
        Self {
            open: open.build(),
            owned,
            over: Cache::builder().eviction_policy(EvictionPolicy::lru()).max_capacity(MOST).time_to_live(lasts).build(),
            kept: Arc::default(),
            handles,
        }
    }

    /// A new session of a client that said this of itself.
    pub(super) fn open(&self, principal: &str, endpoint: &str, revision: Revision, declared: Option<&RawValue>) -> Arc<Session> {
        let capabilities = Arc::new(ClientCapabilities::read(declared, Era::Legacy(revision)));
        // Of what is long, as much as we know.
        let known = || raw_string(capabilities.declared().to_owned()).ok();
        let short = |declared: &RawValue| declared.get().len() <= LONGEST;
        let declared = declared.filter(|declared| short(declared)).map(ToOwned::to_owned);
        let declared = declared.or_else(|| known().filter(|known| short(known)));
        let carried = Carried {
            principal: principal.to_owned(),
            endpoint: endpoint.to_owned(),
            revision: revision.as_str().to_owned(),
            capabilities: declared,
            opened: now_ms(),
            number: rand::random(),
        };
        // One that cannot be sealed is known here alone.
        let id: Arc<str> = self.handles.give(HANDLE, &carried).unwrap_or_else(|| uuid::Uuid::new_v4().to_string()).into();
        let session =
            Arc::new(Session::new(id.clone(), (principal, endpoint), Some(Greeting { revision, capabilities }), self.kept.clone()));
        self.open.insert(id, session.clone());
        self.own(&session);
        session
    }

    /// A new session that is said on one stream, as in 2024-11-05; it ends with that.
    pub(super) fn open_line(&self, principal: &str, endpoint: &str, line: mpsc::Sender<Bytes>) -> Arc<Session> {
        let id: Arc<str> = uuid::Uuid::new_v4().to_string().into();
        let session = Arc::new(Session::new(id.clone(), (principal, endpoint), None, self.kept.clone()).on_line(line));
        self.open.insert(id, session.clone());
        self.own(&session);
        session
    }

    /// Notes whose it is, and closes the longest unused ones of whoever has too many.
    fn own(&self, session: &Arc<Session>) {
        let mut unused = Vec::new();
        {
            let mut owned = lock(&self.owned);
            let of_one = owned.entry(session.principal.clone()).or_default();
            if of_one.len() >= MOST_OF_ONE {
                // Some at a time, for all of them are looked at.
                let mut all: Vec<_> = of_one.values().map(|session| (session.last_used(), session.id.clone())).collect();
                all.select_nth_unstable(AT_A_TIME);
                all.truncate(AT_A_TIME);
                for (_, id) in &all {
                    of_one.remove(id);
                }
                unused = all;
            }
            of_one.insert(session.id.clone(), session.clone());
        }
        // One that was ended meanwhile was not there yet to be let go.
        if session.ended.is_cancelled() {
            disown(&self.owned, session);
        }
        for (_, id) in unused {
            self.open.invalidate(&*id);
        }
    }

    /// The session of that id, if it is this principal's at this endpoint.
    pub(super) fn get(&self, id: &str, principal: &str, endpoint: &str) -> Option<Arc<Session>> {
        let session = self.open.get(id).or_else(|| self.restored(id))?;
        if session.principal != principal || session.endpoint != endpoint {
            return None;
        }
        *lock(&session.used) = Instant::now();
        Some(session)
    }

    /// A session of which only the id is left.
    fn restored(&self, id: &str) -> Option<Arc<Session>> {
        let carried: Carried = self.handles.take(HANDLE, id)?;
        let revision: Revision = carried.revision.parse().ok()?;
        if now_ms() > carried.opened.saturating_add(LASTS) || self.over.contains_key(&carried.number) {
            return None;
        }
        let capabilities = Arc::new(ClientCapabilities::read(carried.capabilities.as_deref(), Era::Legacy(revision)));
        let greeting = Greeting { revision, capabilities };
        let session = Session::new(id.into(), (&carried.principal, &carried.endpoint), Some(greeting), self.kept.clone());
        // Nobody knows what its client has seen; it is told that everything may be another.
        session.changes.saw(Seen::default());
        // Two requests may come for it at the same time.
        let entry = self.open.entry(session.id.clone()).or_insert(Arc::new(session));
        let (fresh, session) = (entry.is_fresh(), entry.into_value());
        if fresh {
            self.own(&session);
        }
        Some(session)
    }

    /// Ends a session for good.
    pub(super) fn end(&self, id: &str) {
        if let Some(carried) = self.handles.take::<Carried>(HANDLE, id) {
            self.over.insert(carried.number, ());
        }
        self.open.invalidate(id);
    }
}

/// Lets go of a session that has ended.
fn disown(owned: &Mutex<Owned>, session: &Session) {
    let mut owned = lock(owned);
    if let Some(of_one) = owned.get_mut(&session.principal) {
        of_one.remove(&session.id);
        if of_one.is_empty() {
            owned.remove(&session.principal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::Seal;

    fn handles() -> Handles {
        Handles::new(&Seal::open(tempfile::tempdir().unwrap().path()).unwrap()).unwrap()
    }

    #[test]
    fn one_principal_crowds_out_only_its_own_longest_unused_session() {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = ended.clone();
        let sessions = Sessions::new(handles(), move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let open = |principal: &str| sessions.open(principal, "", Revision::LATEST, None);
        let (other, first, second) = (open("other"), open("one"), open("one"));
        // Sessions that were ended make room by themselves.
        for _ in 0..MOST_OF_ONE {
            sessions.end(&open("one").id);
        }
        assert!(sessions.get(&first.id, "one", "").is_some());
        for _ in 0..MOST_OF_ONE - 2 {
            open("one");
        }
        assert!(!second.ended.is_cancelled());
        assert!(sessions.get(&first.id, "one", "").is_some());
        open("one");
        assert!(second.ended.is_cancelled(), "it was not used for the longest time");
        assert!(!first.ended.is_cancelled() && !other.ended.is_cancelled());
        assert_eq!(ended.load(Ordering::Relaxed), MOST_OF_ONE + AT_A_TIME);
    }

    #[test]
    fn a_session_outlives_the_process_that_opened_it_and_is_nobody_elses() {
        let handles = handles();
        let before = Sessions::new(handles.clone(), |_| {});
        let declared = crate::domain::raw(&serde_json::json!({ "elicitation": {} }));
        let id = before.open("one", "wiki", Revision::V2025_06_18, Some(&declared)).id.clone();
        let after = Sessions::new(handles, |_| {});
        assert!(after.get(&id, "two", "wiki").is_none());
        assert!(after.get(&id, "one", "time").is_none());
        let session = after.get(&id, "one", "wiki").unwrap();
        assert_eq!(session.revision(), Revision::V2025_06_18);
        assert!(session.capabilities().is_some_and(|capabilities| capabilities.can_be_asked()));
        assert!(Arc::ptr_eq(&session, &after.get(&id, "one", "wiki").unwrap()));
        after.end(&id);
        assert!(session.ended.is_cancelled() && after.get(&id, "one", "wiki").is_none(), "what its client ended is over");
        assert!(Sessions::new(self::handles(), |_| {}).get(&id, "one", "wiki").is_none(), "another gateway's key");
    }
}
