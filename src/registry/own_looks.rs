//! Looks at what callers' own connections list.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tracing::warn;

use super::intake;
use super::keeper::Keeper;
use super::variants::Listed;

/// So many connections of a server are read at the same time.
const AT_A_TIME: usize = 8;
/// The longest that all of them may take: what the server offers everybody must not wait for them.
const PATIENCE: Duration = Duration::from_secs(30);

impl Keeper {
    /// Looks at the lists that were asked for. Where there is something new in one, it may be new for everybody: then the server is looked at
    /// first; false where it could not be, and the lists wait for that.
    pub(super) async fn look_at_own(&self) -> bool {
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
                Err(why) => {
                    warn!(server.name = %name, "`{name}` cannot be used: {why}");
                    return false;
                }
            }
        }
        if let Err(why) = self.records.saw_own(&self.spec, &lists).await {
            warn!(server.name = %name, "what `{name}` offers some of its callers could not be recorded: {why}");
        }
        true
    }

    /// Has all lists of callers looked at soon, for what the server offers everybody is another thing.
    pub(super) fn ask_for_own(&self) {
        let owners = self.upstreams.owners(&self.spec.name);
        if !owners.is_empty() {
            self.own.ask(owners);
        }
    }
}
