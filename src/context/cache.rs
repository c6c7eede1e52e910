//! Texts that were fetched: while they hold, and for a while longer in case no newer one can be had.
//!
//! A key is of a source, of what was asked, and of who may see the answer. So a text of one caller is never found
//! by another, and a text that depends on the request is found only by one that asks the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use serde_json::{Value, json};

use super::outcome::Fetched;
use crate::config::Sharing;
use crate::domain::Digest;

/// Most bytes of texts that are kept.
const CAPACITY: u64 = 64 << 20;
/// For how many of its lifetimes a text can stand in for a newer one.
const STAND_IN: u32 = 10;
/// The longest it can.
const LONGEST: Duration = Duration::from_hours(24);
/// How long a text that stands in does so before a newer one is asked for again.
const PAUSE: Duration = Duration::from_secs(5);

/// Who may see what was asked of which source.
pub(super) type Key = Digest;

/// A text that is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) fetched: Arc<Fetched>,
    pub(super) at: Instant,
    pub(super) ttl: Duration,
    /// Whether it stands in for a newer one.
    pub(super) stale: bool,
    /// The one caller it is for, when its server said so of a text that was to be shared.
    pub(super) only_for: Option<String>,
}

/// Why there is no text.
#[derive(Clone, Debug)]
pub(super) enum Missed {
    /// It was to be shared, and is for one caller alone: each asks for their own.
    Narrowed,
    /// It could not be had, and why.
    Failed(String),
}

impl From<String> for Missed {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// The key of a question.
pub(super) fn key(source: &str, sharing: Sharing, caller: &str, question: &Value) -> Key {
    let partition = match sharing {
        Sharing::Shared => json!(["shared"]),
        Sharing::Caller => json!(["caller", caller]),
    };
    Digest::of("portolan/context-key", json!([source, partition, question]).to_string().as_bytes())
}

/// All kept texts.
pub(super) struct Texts {
    fresh: Cache<Key, Arc<Kept>>,
    older: Cache<Key, Arc<Kept>>,
    /// How often all were forgotten.
    epoch: AtomicU64,
}

/// An entry lives as long as its source and its server say; the second one, for some of the source's lifetimes.
struct Lifetime;

impl Expiry<Key, Arc<Kept>> for Lifetime {
    fn expire_after_create(&self, _: &Key, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(&self, _: &Key, kept: &Arc<Kept>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(kept.ttl)
    }
}

impl Default for Texts {
    fn default() -> Self {
        let weigh = |_: &Key, kept: &Arc<Kept>| u32::try_from(kept.fetched.weight() + 256).unwrap_or(u32::MAX);
        let cache = || Cache::builder().max_capacity(CAPACITY).weigher(weigh).expire_after(Lifetime).build();
        Self { fresh: cache(), older: cache(), epoch: AtomicU64::new(0) }
    }
}

impl Texts {
    /// Forgets all texts, those that are being fetched as well.
    pub(super) fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.fresh.invalidate_all();
        self.older.invalidate_all();
    }

    /// A text that holds, or that is fetched now: by one for all who come meanwhile.
    pub(super) async fn get(&self, key: Key, fetch: impl Future<Output = Result<Kept, Missed>>) -> Result<Arc<Kept>, Missed> {
        self.fresh.try_get_with(key, async { fetch.await.map(Arc::new) }).await.map_err(|why| (*why).clone())
    }

    /// How often all texts were forgotten.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// A text that holds.
    pub(super) async fn held(&self, key: &Key) -> Option<Arc<Kept>> {
        self.fresh.get(key).await
    }

    /// Keeps a text; `lifetime` is its source's own, whatever the server said.
    pub(super) async fn keep(&self, key: Key, kept: &Kept, lifetime: Duration) {
        let older = Kept { ttl: lifetime.saturating_mul(STAND_IN).min(LONGEST), stale: true, ..kept.clone() };
        self.older.insert(key, Arc::new(older)).await;
    }

    /// Puts a text where only one caller finds it.
    pub(super) async fn put(&self, key: Key, kept: Kept) {
        self.fresh.insert(key, Arc::new(kept)).await;
    }

    /// An older text in place of one that could not be had. It then stands in for some seconds, so that
    /// a server in trouble is not asked on every request.
    pub(super) async fn stand_in(&self, key: Key, lifetime: Duration) -> Option<Arc<Kept>> {
        let older = self.older.get(&key).await?;
        let kept = Arc::new(Kept { ttl: PAUSE.min(lifetime), ..(*older).clone() });
        Some(self.fresh.entry(key).or_insert(kept).await.into_value())
    }
}
