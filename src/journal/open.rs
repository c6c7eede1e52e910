//! An entry that is not closed yet.

use std::time::Instant;

use tokio::sync::mpsc::Sender;

use super::entry::{Entry, Outcome};

/// The entry of something under way. It is noted once, when it is closed, or as cancelled when it is dropped before.
pub struct Open {
    entry: Option<(Sender<Entry>, Entry)>,
    since: Instant,
}

impl Open {
    pub(super) fn new(entry: Option<(Sender<Entry>, Entry)>) -> Self {
        Self { entry, since: Instant::now() }
    }

    /// Adds to what is known of it.
    pub fn add(&mut self, add: impl FnOnce(&mut Entry)) {
        if let Some((_, entry)) = &mut self.entry {
            add(entry);
        }
    }

    /// Closes it.
    pub fn close(mut self, outcome: Outcome) {
        self.add(|entry| entry.outcome = outcome);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some((queue, mut entry)) = self.entry.take() else { return };
        if entry.outcome == Outcome::Begun {
            entry.outcome = Outcome::Cancelled;
        }
        entry.ms = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        if queue.try_send(entry).is_err() {
            metrics::counter!("portolan_journal_lost_total").increment(1);
        }
    }
}
