//! The streams of a session's answers, which are kept for a while: a client whose connection breaks goes on where it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::outbox::Outbox;
use super::session::Session;
use crate::domain::lock;

/// Streams of one session that are kept, and bytes of those that have ended.
const OUTBOXES: usize = 64;
const KEPT: usize = 8 << 20;
/// The shortest and the longest time from one look at what has ended to the next.
const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(30);

impl Session {
    /// A new stream, from which the client can go on when it breaks off.
    pub(in crate::http) fn outbox(&self) -> Arc<Outbox> {
        let number = self.outboxes_made.fetch_add(1, Ordering::Relaxed);
        let outbox = Arc::new(Outbox::new(format!("{:x}-{number}", self.number), self.kept.clone()));
        let mut outboxes = lock(&self.outboxes);
        outboxes.push_back(outbox.clone());
        let mut bytes: usize = outboxes.iter().map(|outbox| outbox.state().0).sum();
        while outboxes.len() > OUTBOXES || bytes > KEPT {
            // Those that were read go first, and then the oldest.
            let at = outboxes.iter().position(|outbox| outbox.state().1).unwrap_or(0);
            bytes = bytes.saturating_sub(outboxes.remove(at).map_or(bytes, |outbox| outbox.state().0));
        }
        outbox
    }

    /// Forgets the streams that have ended, each once no client can be expected to come back for it. To be told of each end.
    pub(in crate::http) fn sweep(self: &Arc<Self>) {
        // Under the lock, so that no look is just over that did not see the end.
        let under_way = {
            let _outboxes = lock(&self.outboxes);
            self.sweeping.swap(true, Ordering::Relaxed)
        };
        if under_way {
            return;
        }
        let session = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(next) = session.upgrade().and_then(|session| session.next_sweep()) {
                tokio::time::sleep(next).await;
            }
        });
    }

    /// Forgets what has lasted long enough; when to look again, if anything is left.
    fn next_sweep(&self) -> Option<Duration> {
        let mut outboxes = lock(&self.outboxes);
        outboxes.retain(|outbox| outbox.lasts().is_none_or(|lasts| !lasts.is_zero()));
        let next = outboxes.iter().filter_map(|outbox| outbox.lasts()).min();
        self.sweeping.store(next.is_some(), Ordering::Relaxed);
        Some(next?.clamp(SOON, LATER))
    }

    /// The stream of an event, and the number of the next one.
    pub(in crate::http) fn resume(&self, last: &str) -> Option<(Arc<Outbox>, u64)> {
        lock(&self.outboxes).iter().find_map(|outbox| Some((outbox.clone(), outbox.number(last)?.checked_add(1)?)))
    }
}
