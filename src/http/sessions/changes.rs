//! What a session is told of changes: of what it follows, from where it was told last, and on one stream at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::domain::lock;
use crate::federation::{Followed, Sight};

/// Resources that one session may follow.
const FOLLOWED: usize = 500;

/// What a client was shown the last time it was told of changes.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::http) struct Seen {
    pub(in crate::http) edition: Option<u64>,
    pub(in crate::http) sight: Sight,
    pub(in crate::http) resources: u64,
}

/// What a session follows and has been told of, and the streams on which it is told.
#[derive(Default)]
pub(in crate::http) struct Changes {
    followed: Mutex<HashMap<String, Followed>>,
    /// The resources of which the client has not been told yet that they changed.
    updated: Mutex<BTreeSet<String>>,
    /// Wakes the streams that tell of changes.
    news: watch::Sender<()>,
    /// What the client was shown when it was told last.
    seen: Mutex<Option<Seen>>,
    /// The streams that tell of changes, the newest last.
    telling: Mutex<Vec<u64>>,
}

impl Changes {
    /// Follows a resource for the client; false when it follows too many.
    pub(in crate::http) fn follow(&self, uri: &str, followed: Followed) -> bool {
        let mut all = lock(&self.followed);
        let room = all.len() < FOLLOWED || all.contains_key(uri);
        if room {
            all.insert(uri.to_owned(), followed);
        }
        room
    }

    /// Whether the client follows a resource.
    pub(in crate::http) fn follows(&self, uri: &str) -> bool {
        lock(&self.followed).get(uri).is_some_and(|followed| !followed.is_over())
    }

    /// Follows a resource no more.
    pub(in crate::http) fn unfollow(&self, uri: &str) {
        lock(&self.followed).remove(uri);
    }

    /// Notes that a resource changed which the client follows.
    pub(in crate::http) fn update(&self, uri: String) {
        let mut updated = lock(&self.updated);
        if updated.len() < FOLLOWED * 4 {
            updated.insert(uri);
        }
        drop(updated);
        self.news.send_replace(());
    }

    /// Wakes whoever tells of changes: at once, and then when a resource changed or a stream came or went.
    pub(in crate::http) fn news(&self) -> watch::Receiver<()> {
        let mut news = self.news.subscribe();
        news.mark_changed();
        news
    }

    /// What the client was shown when it was told last; none before its first stream of changes.
    pub(in crate::http) fn seen(&self) -> Option<Seen> {
        *lock(&self.seen)
    }

    /// Notes what the client has been told of.
    pub(in crate::http) fn saw(&self, seen: Seen) {
        *lock(&self.seen) = Some(seen);
    }

    /// The resources of which the client is to be told.
    pub(in crate::http) fn untold(self: &Arc<Self>) -> Untold {
        Untold { of: self.clone(), uris: std::mem::take(&mut *lock(&self.updated)) }
    }

    /// A stream that tells of changes when it is its turn.
    pub(in crate::http) fn turn(self: &Arc<Self>) -> Turn {
        let (number, news) = (rand::random(), self.news.subscribe());
        lock(&self.telling).push(number);
        self.news.send_replace(());
        Turn { of: self.clone(), number, news }
    }

    /// Follows nothing any more.
    pub(super) fn end(&self) {
        lock(&self.followed).clear();
    }
}

/// What the client is told at this moment; what is left of it when this is dropped is told later.
pub(in crate::http) struct Untold {
    of: Arc<Changes>,
    uris: BTreeSet<String>,
}

impl Untold {
    /// The next resource.
    pub(in crate::http) fn next(&self) -> Option<&str> {
        self.uris.first().map(String::as_str)
    }

    /// Notes that the client was told of it.
    pub(in crate::http) fn told(&mut self) {
        self.uris.pop_first();
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        for uri in std::mem::take(&mut self.uris) {
            self.of.update(uri);
        }
    }
}

/// One of a session's streams that tell of changes. The newest does, and those before it wait until it has ended: no message goes
/// onto two (2025-11-25 §basic/transports).
pub(in crate::http) struct Turn {
    of: Arc<Changes>,
    number: u64,
    news: watch::Receiver<()>,
}

impl Turn {
    /// Whether it is this one's.
    pub(in crate::http) fn is_here(&self) -> bool {
        lock(&self.of.telling).last() == Some(&self.number)
    }

    /// Waits until it may be another one's.
    pub(in crate::http) async fn changed(&mut self) {
        // What it is of holds the other end.
        let _ = self.news.changed().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.of.telling).retain(|number| *number != self.number);
        self.of.news.send_replace(());
    }
}
