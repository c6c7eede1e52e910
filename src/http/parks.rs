//! Requests of stateless clients that wait for an answer to what a server asks in the middle of them.
//!
//! A server of a session asks while it works, and its work cannot be begun twice. So the work is parked, the client is sent the
//! question as the result of a round trip (2026-07-28 §basic/patterns/mrtr), and what it sends next goes on with the very same work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::exchange::Exchange;
use crate::domain::now_ms;
use crate::protocol::RpcError;
use crate::store::Handles;
use crate::upstream::Asked;

/// How long work is parked: as long as somebody may take for an answer.
const LASTS: Duration = Duration::from_secs(600);
/// Most that is parked for all, and for one caller.
const MOST: usize = 4_096;
const MOST_OF_ONE: usize = 64;
/// The kind of handle that a `requestState` is here.
const HANDLE: &str = "park";

/// Work that waits for answers.
pub(super) struct Parked {
    pub(super) exchange: Exchange,
    /// The questions, by the keys that the answers go under.
    pub(super) asked: Vec<(String, Asked)>,
    /// How many questions the client was asked so far.
    pub(super) count: usize,
}

impl Parked {
    /// Goes on in a task of its own, which ends when this is dropped.
    pub(super) fn apart(self) -> Self {
        Self { exchange: self.exchange.apart(), ..self }
    }
}

/// Whose request it is, and which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whose {
    pub(super) principal: String,
    pub(super) endpoint: String,
    /// The digest of the method and the params.
    pub(super) request: String,
}

/// What a `requestState` says.
#[derive(Serialize, Deserialize)]
struct State {
    park: Uuid,
    whose: Whose,
    /// When it ends, in milliseconds since the Unix epoch.
    ends: i64,
}

struct Held {
    principal: String,
    parked: Parked,
    _ends: AbortOnDropHandle<()>,
}

/// All that is parked. Cheap to clone.
#[derive(Clone)]
pub(super) struct Parks {
    held: Arc<Mutex<HashMap<Uuid, Held>>>,
    handles: Handles,
}

impl Parks {
    /// Nothing is parked yet.
    pub(super) fn new(handles: Handles) -> Self {
        Self { held: Arc::default(), handles }
    }

    /// Whether there is room for one more of this caller's.
    pub(super) fn has_room(&self, principal: &str) -> bool {
        let held = self.lock();
        held.len() < MOST && held.values().filter(|held| held.principal == principal).count() < MOST_OF_ONE
    }

    /// Parks work; the state to come back with.
    pub(super) fn put(&self, whose: Whose, parked: Parked) -> Option<String> {
        let park = Uuid::new_v4();
        let ends = now_ms().saturating_add(i64::try_from(LASTS.as_millis()).unwrap_or(i64::MAX));
        let principal = whose.principal.clone();
        let state = self.handles.give(HANDLE, &State { park, whose, ends })?;
        let all = Arc::downgrade(&self.held);
        let ending = tokio::spawn(async move {
            tokio::time::sleep(LASTS).await;
            if let Some(all) = all.upgrade() {
                let late = all.lock().unwrap_or_else(PoisonError::into_inner).remove(&park);
                drop(late);
            }
        });
        self.lock().insert(park, Held { principal, parked, _ends: AbortOnDropHandle::new(ending) });
        Some(state)
    }

    /// Takes up work again; none when the state is not one of ours.
    pub(super) fn take(&self, whose: &Whose, state: &str) -> Option<Result<Parked, RpcError>> {
        let State { park, whose: of, ends } = self.handles.take(HANDLE, state)?;
        if of != *whose {
            return Some(Err(RpcError::params("`params.requestState` was not given out for this request, or not to you")));
        }
        let lost = "the request that this `requestState` continues is not under way any more: it took too long, was answered already, or the \
                    gateway was started anew. What the server did of it is not known, so it is not sent again by itself";
        let held = if ends > now_ms() { self.lock().remove(&park) } else { None };
        Some(held.map(|held| held.parked).ok_or_else(|| RpcError::params(lost)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::raw;
    use crate::protocol::{Era, Incoming};
    use crate::store::Seal;

    fn handles() -> Handles {
        Handles::new(&Seal::open(tempfile::tempdir().unwrap().path()).unwrap()).unwrap()
    }

    fn parked() -> Parked {
        let Ok(Incoming::Request { id, method, .. }) = Incoming::parse(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#) else {
            panic!("it is a request")
        };
        let exchange = Exchange::new(Era::Modern, id, method, Box::pin(async { Ok(raw(&serde_json::json!({})).into()) }));
        Parked { exchange, asked: Vec::new(), count: 1 }
    }

    #[tokio::test]
    async fn work_is_taken_up_once_by_whose_it_is_and_before_its_time_is_over() {
        let handles = handles();
        let parks = Parks::new(handles.clone());
        let whose = Whose { principal: "ada".to_owned(), endpoint: String::new(), request: "digest".to_owned() };
        let state = parks.put(whose.clone(), parked()).unwrap();
        for other in [
            Whose { principal: "alan".to_owned(), ..whose.clone() },
            Whose { endpoint: "wiki".to_owned(), ..whose.clone() },
            Whose { request: "another".to_owned(), ..whose.clone() },
        ] {
            assert!(matches!(parks.take(&other, &state), Some(Err(_))), "{other:?}");
        }
        let said: State = handles.take(HANDLE, &state).unwrap();
        let late = handles.give(HANDLE, &State { ends: now_ms() - 1, ..said }).unwrap();
        assert!(matches!(parks.take(&whose, &late), Some(Err(_))), "its time is over");
        assert!(parks.take(&whose, "of a server").is_none(), "what is not ours is left to whose it is");
        assert!(matches!(parks.take(&whose, &state), Some(Ok(_))));
        assert!(matches!(parks.take(&whose, &state), Some(Err(_))), "it is gone on with already");
    }

    #[tokio::test]
    async fn one_caller_cannot_take_all_the_room() {
        let parks = Parks::new(handles());
        let whose = Whose { principal: "ada".to_owned(), endpoint: String::new(), request: "digest".to_owned() };
        for _ in 0..MOST_OF_ONE {
            assert!(parks.has_room("ada"));
            parks.put(whose.clone(), parked());
        }
        assert!(!parks.has_room("ada") && parks.has_room("alan"));
    }
}
