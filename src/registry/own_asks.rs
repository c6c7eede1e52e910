//! Whose lists a server's keeper is asked to look at.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::lock;

/// Changes that come in bursts are looked at once.
pub(super) const BURST: Duration = Duration::from_millis(100);

/// Whose lists are to be looked at.
#[derive(Default)]
pub(super) struct OwnAsks {
    wanted: Mutex<BTreeSet<Box<str>>>,
    asked: Notify,
}

impl OwnAsks {
    /// Has lists looked at soon.
    pub(super) fn ask(&self, whose: impl IntoIterator<Item = Box<str>>) {
        lock(&self.wanted).extend(whose);
        self.asked.notify_one();
    }

    /// Returns when there are some, and bursts are over.
    pub(super) async fn asked(&self) {
        while lock(&self.wanted).is_empty() {
            self.asked.notified().await;
        }
        tokio::time::sleep(BURST).await;
    }

    /// Those that are asked for.
    pub(super) fn take(&self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut *lock(&self.wanted))
    }
}
