//! What resources said, for as long as their server says that it holds (2026-07-28 §server/utilities/caching).
//!
//! A server of a session says nothing of that, so nothing of its is kept. Each caller has its own, also of what a server calls public:
//! only the operator can know that it does not depend on who asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::caller::Caller;
use crate::domain::{Digest, Isolation, RawObject, raw};
use crate::protocol::{Era, Params, RpcError, is_complete};
use crate::registry::Entry;

/// The longest that anything is kept: fresh, and then for when the server cannot be asked.
const FRESH: Duration = Duration::from_secs(3_600);
const STALE: Duration = Duration::from_secs(3_600);
/// How long one waits for another who asks the same.
const TOGETHER: Duration = Duration::from_secs(2);
/// How long it is remembered that something cannot be kept.
const NOT_KEPT: Duration = Duration::from_secs(60);
/// Most bytes that are kept.
const CAPACITY: u64 = 64 << 20;

/// What is asked: the server, for whom, and the request, as of a count of changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    server: String,
    /// Where that is: another one of that name is another server.
    target: String,
    /// The caller, and its session where each has its own; nobody where it is for all.
    whose: Option<(String, Option<String>)>,
    request: String,
    changes: (u64, u64),
}

/// A result, and until when it holds.
struct Answer {
    result: Box<RawValue>,
    until: Instant,
}

impl Answer {
    /// How long it still holds; none when it does not any more.
    fn left(&self) -> Option<Duration> {
        self.until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The result, which says how long it still holds.
    fn told(&self) -> Box<RawValue> {
        let left = self.left().unwrap_or_default().as_millis();
        match RawObject::parse(self.result.get()) {
            Ok(mut object) => {
                object.set("ttlMs", raw(&u64::try_from(left).unwrap_or_default()));
                object.to_raw()
            }
            Err(_) => self.result.clone(),
        }
    }
}

/// What is kept.
pub(super) struct Kept {
    answers: Cache<Key, Arc<Answer>>,
    /// One at a time asks for what can be kept.
    gates: Cache<Key, Arc<Mutex<()>>>,
    /// What turned out not to hold for any time.
    fleeting: Cache<Key, ()>,
}

impl Default for Kept {
    fn default() -> Self {
        let weigh = |key: &Key, answer: &Arc<Answer>| {
            u32::try_from(answer.result.get().len() + key.request.len() + key.server.len() + 512).unwrap_or(u32::MAX)
        };
        Self {
            answers: Cache::builder().weigher(weigh).max_capacity(CAPACITY).time_to_live(FRESH + STALE).build(),
            gates: Cache::builder().max_capacity(100_000).time_to_idle(NOT_KEPT).build(),
            fleeting: Cache::builder().max_capacity(100_000).time_to_live(NOT_KEPT).build(),
        }
    }
}

impl Kept {
    pub(super) fn forget(&self) {
        self.answers.invalidate_all();
    }

    /// What was kept of a request and still holds; else what `ask` brings, or, where that fails, what held until lately.
    pub(super) async fn read(
        &self,
        entry: &Entry,
        caller: &Caller<'_>,
        params: &Params,
        changes: (u64, u64),
        ask: impl Future<Output = Result<Box<RawValue>, RpcError>>,
    ) -> Result<Box<RawValue>, RpcError> {
        let continues = params.get("requestState").is_some() || params.get("inputResponses").is_some();
        if entry.era != Some(Era::Modern) || continues {
            return ask.await;
        }
        let session = caller.session.filter(|_| entry.spec.isolation == Isolation::Session).map(str::to_owned);
        let own = Some((caller.principal.id().to_owned(), session));
        let able = caller.capabilities.as_ref().map_or_else(|| "{}".into(), |able| able.declared().to_owned());
        let request = Digest::of("portolan/kept", format!("{able} {}", params.text_without(&[])).as_bytes()).hex();
        let key =
            |whose| Key { server: entry.spec.name.to_string(), target: entry.spec.target(), whose, request: request.clone(), changes };
        let (mine, for_all) = (key(own), entry.spec.share_public.then(|| key(None)));
        if self.fleeting.contains_key(&mine) {
            return ask.await;
        }
        let gate = for_all.as_ref().unwrap_or(&mine);
        let gate = self.gates.get_with_by_ref(gate, async { Arc::default() }).await;
        // Who waits for a slow one for too long asks by itself: else a line of them would wait for each other's patience.
        let alone = tokio::time::timeout(TOGETHER, gate.lock()).await;
        let mut late = None;
        for key in for_all.iter().chain([&mine]) {
            if let Some(answer) = self.answers.get(key).await {
                if answer.left().is_some() {
                    return Ok(answer.told());
                }
                late = Some(answer);
            }
        }
        let asked = ask.await;
        let result = match (asked, late) {
            (Ok(result), _) => result,
            // A server that cannot be reached or fails, and not one that refuses.
            (Err(error), Some(late)) if matches!(error.code, RpcError::UPSTREAM | RpcError::INTERNAL) => return Ok(late.told()),
            (Err(error), _) => return Err(error),
        };
        let (holds, public) = if is_complete(result.get()) { hints(&result) } else { (Duration::ZERO, false) };
        if holds.is_zero() {
            self.fleeting.insert(mine, ()).await;
        } else {
            let answer = Arc::new(Answer { result: result.clone(), until: Instant::now() + holds });
            self.answers.insert(for_all.filter(|_| public).unwrap_or(mine), answer).await;
        }
        drop(alone);
        Ok(result)
    }
}

/// For how long a result says that it holds, and whether for everybody.
fn hints(result: &RawValue) -> (Duration, bool) {
    let Ok(object) = RawObject::parse(result.get()) else { return (Duration::ZERO, false) };
    let holds = object.read::<u64>("ttlMs").map_or(Duration::ZERO, Duration::from_millis);
    (holds.min(FRESH), object.string("cacheScope").as_deref() == Some("public"))
}
