//! Looks at what callers' own connections list.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::Notify;
use tracing::warn;

use super::intake;
use super::keeper::{BURST, Keeper};
use super::variants::Listed;
use crate::domain::lock;

/// So many connections of a server are read at the same time.
const AT_A_TIME: usize = 8;
/// The longest that all of them may take: what the server offers everybody must not wait for them.
const PATIENCE: Duration = Duration::from_secs(30);

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

    fn take(&self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut *lock(&self.wanted))
    }
}

impl Keeper {
    /// Looks at the lists that were asked for. Where there is something new in one, it may be new for everybody: then the server is looked at
    /// first.
    pub(super) async fn look_at_own(&self) {
        let name = &self.spec.name;
        let wanted = self.own.take();
        let read = async |whose: Box<str>| {
            let connection = self.upstreams.own(name, &whose)?;
            match intake::read(&connection, &self.validators).await {
                Ok(manifest) => Some(Listed { whose, connection: Arc::downgrade(&connection), manifest: Arc::new(manifest) }),
                Err(why) => {
                    warn!(server.name = %name, "what `{name}` offers one of its callers is not known: {why}");
                    None
                }
            }
        };
        let mut reading = futures::stream::iter(wanted.into_iter().map(read)).buffer_unordered(AT_A_TIME);
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut lists = Vec::new();
        while let Ok(Some(list)) = tokio::time::timeout_at(end, reading.next()).await {
            lists.extend(list);
        }
        drop(reading);
        if lists.iter().any(|list| self.records.is_unjudged(name, &list.manifest)) {
            match self.look(None, true).await {
                Ok((look, _)) => self.tell(&look),
                Err(why) => return warn!(server.name = %name, "`{name}` cannot be used: {why}"),
            }
        }
        if let Err(why) = self.records.saw_own(&self.spec, &lists).await {
            warn!(server.name = %name, "what `{name}` offers some of its callers could not be recorded: {why}");
        }
    }

    /// Has all lists of callers looked at soon, for what the server offers everybody is another thing.
    pub(super) fn ask_for_own(&self) {
        let owners = self.upstreams.owners(&self.spec.name);
        if !owners.is_empty() {
            self.own.ask(owners);
        }
    }
}
