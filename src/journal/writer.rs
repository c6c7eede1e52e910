//! The task that puts entries into the store, many at a time, and takes old ones out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use crate::domain::{Adjustable, now_ms};
use crate::store::{JournalRow, Store};

/// Most entries that are written at once.
const BATCH: usize = 1_000;
/// How long the first of them waits for the others.
const GATHER: Duration = Duration::from_millis(50);
/// How long a writer that failed waits before it tries again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often old entries are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// Most entries that are kept, however young: about a gigabyte.
const MOST: i64 = 5_000_000;

pub(super) struct Writer {
    pub(super) store: Store,
    pub(super) entries: Receiver<Entry>,
    pub(super) writable: Arc<AtomicBool>,
    pub(super) keep: Adjustable,
    pub(super) closing: CancellationToken,
}

impl Writer {
    /// Runs until the journal is closed and all is written.
    pub(super) async fn run(mut self) {
        let mut swept: Option<Instant> = None;
        let mut batch = Vec::new();
        loop {
            let closed = self.entries.is_closed();
            let waiting = tokio::time::timeout(SWEEP, self.entries.recv_many(&mut batch, BATCH));
            let close = tokio::select! {
                waited = waiting => {
                    if waited == Ok(0) {
                        return;
                    }
                    false
                }
                () = self.closing.cancelled(), if !closed => true,
            };
            if close {
                self.entries.close();
            }
            if !batch.is_empty() {
                if !self.entries.is_closed() {
                    tokio::time::sleep(GATHER).await;
                }
                while batch.len() < BATCH && self.entries.try_recv().map(|entry| batch.push(entry)).is_ok() {}
                let rows: Vec<JournalRow> = batch.drain(..).map(Entry::into_row).collect();
                self.write(&rows).await;
            }
            if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                self.sweep().await;
            }
        }
    }

    /// Writes, again and again while the store cannot: entries are not given up, and the queue behind is bounded.
    async fn write(&self, rows: &[JournalRow]) {
        while let Err(why) = self.store.add_entries(rows).await {
            if self.writable.swap(false, Ordering::Relaxed) {
                tracing::error!("the journal cannot be written, and is tried again each second: {why}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        if !self.writable.swap(true, Ordering::Relaxed) {
            tracing::info!("the journal can be written again");
        }
    }

    async fn sweep(&self) {
        let keep = i64::try_from(self.keep.get().as_millis()).unwrap_or(i64::MAX);
        let before = now_ms().saturating_sub(keep);
        loop {
            match self.store.forget_entries(before, MOST).await {
                Ok(0) => return,
                Ok(_) => tokio::task::yield_now().await,
                Err(why) => {
                    tracing::warn!("old entries of the journal could not be removed: {why}");
                    return;
                }
            }
        }
    }
}
