//! Every completion, every call of a tool and every act of administration on record: who, what, what came of it.
//!
//! What is asked of models and tools is noted off the path: it goes into a bounded queue, and a writer puts it into the store
//! many at a time. An act of administration is written before it is done, and what came of it before it is answered.

mod entry;
mod open;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use entry::{Entry, Outcome};
pub use open::Open;

use crate::config;
use crate::domain::Adjustable;
use crate::store::{Error, JournalRow, JournalWish, Spent, SpentWish, Store};
use writer::Writer;

/// How many entries may wait to be written. They are a few hundred bytes each.
const QUEUE: usize = 16_384;

/// The journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    store: Store,
    queue: mpsc::Sender<Entry>,
    /// Whether traffic is noted.
    traffic: AtomicBool,
    /// Whether traffic is refused that cannot be noted.
    required: AtomicBool,
    /// Whether the last attempt to write went well.
    writable: Arc<AtomicBool>,
    keep: Adjustable,
    closing: CancellationToken,
}

/// What is asked of models and tools is to be on record, and cannot be now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this gateway answers nothing that is not on record, and its journal cannot be written now; try again later")]
pub struct Unwritable;

impl Journal {
    /// A journal in this store, and the task that writes it, which ends once the journal is [closed](Self::close).
    pub fn new(store: Store, config: &config::Journal) -> (Self, JoinHandle<()>) {
        let (queue, entries) = mpsc::channel(QUEUE);
        let (writable, keep, closing) = (Arc::new(AtomicBool::new(true)), Adjustable::new(config.keep.0), CancellationToken::new());
        let writer = Writer { store: store.clone(), entries, writable: writable.clone(), keep: keep.clone(), closing: closing.clone() };
        let inner = Inner { store, queue, traffic: AtomicBool::default(), required: AtomicBool::default(), writable, keep, closing };
        let journal = Self(Arc::new(inner));
        journal.configure(config);
        (journal, tokio::spawn(writer.run()))
    }

    /// Takes over a configuration.
    pub fn configure(&self, config: &config::Journal) {
        self.0.traffic.store(config.traffic, Ordering::Relaxed);
        self.0.required.store(config.required, Ordering::Relaxed);
        self.0.keep.set(config.keep.0);
    }

    /// Refuses traffic that must be on record while it cannot be.
    pub fn admit(&self) -> Result<(), Unwritable> {
        let bound = self.0.required.load(Ordering::Relaxed) && self.0.traffic.load(Ordering::Relaxed);
        let free = self.0.writable.load(Ordering::Relaxed) && self.0.queue.capacity() > QUEUE / 8;
        if bound && !free { Err(Unwritable) } else { Ok(()) }
    }

    /// Opens the entry of something that begins now; it is noted when it ends, however that is. Nothing where traffic is not noted.
    pub fn open(&self, entry: impl FnOnce() -> Entry) -> Open {
        let noted = self.0.traffic.load(Ordering::Relaxed);
        Open::new(noted.then(|| (self.0.queue.clone(), entry())))
    }

    /// Writes that an act of administration begins; it must not be done when this fails.
    pub async fn begin(&self, entry: &Entry) -> Result<i64, Error> {
        self.0.store.begin_entry(&entry.clone().into_row()).await
    }

    /// Writes what came of an act of administration.
    pub async fn end(&self, id: i64, entry: Entry) -> Result<(), Error> {
        self.0.store.end_entry(id, &entry.into_row()).await
    }

    /// The newest entries that are wished for, the newest first. What is still in the queue is not among them.
    pub async fn query(&self, wish: &JournalWish) -> Result<Vec<JournalRow>, Error> {
        self.0.store.entries(wish).await
    }

    /// What was spent, added up.
    pub async fn spent(&self, wish: &SpentWish) -> Result<Vec<Spent>, Error> {
        self.0.store.spent(wish).await
    }

    /// Takes no more, and lets the writer end once all is written.
    pub fn close(&self) {
        self.0.closing.cancel();
    }
}
