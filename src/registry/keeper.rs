//! The task that keeps an eye on one server.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::definition::Manifest;
use super::look::Look;
use super::own_asks::{BURST, OwnAsks};
use super::records::{Records, Sight};
use super::version::FIRST;
use super::{curated, intake};
use crate::domain::{Adjustable, ServerSpec};
use crate::protocol::Era;
use crate::schema::Validators;
use crate::upstream::{Code, Connection, Error, Identity, Upstreams};

/// Someone who waits to hear what a look found.
pub(super) type Waiter = oneshot::Sender<Result<Look, Arc<Error>>>;
/// The first look at a server that was just added: who waits for it, and who added it.
pub(super) type First = (Waiter, Option<Arc<str>>);

/// A request to look.
pub(super) enum Ask {
    /// Now, for somebody, and say what was found.
    Now(Waiter, Option<Arc<str>>),
    /// With the newest version of its code, for somebody, and say what was found.
    Upgrade(Waiter, Option<Arc<str>>),
    /// Soon: the server told of a change.
    Soon,
}

/// So many servers are read at the same time, and this long one waits for others: what hundreds offer is not to be in memory twice, nor
/// are slow ones to hold up the rest.
pub(super) const AT_A_TIME: usize = 8;
const PATIENCE: Duration = Duration::from_secs(2);
/// How soon a server is looked at again that could not be; the longer, the more often it could not.
const AGAIN: Duration = Duration::from_secs(1);

/// One server's keeper.
pub(super) struct Keeper {
    pub(super) spec: Arc<ServerSpec>,
    pub(super) upstreams: Upstreams,
    pub(super) records: Records,
    pub(super) validators: Validators,
    pub(super) refresh: Adjustable,
    /// Whose turn it is to be read.
    pub(super) reading: Arc<Semaphore>,
    /// The lists of callers that are to be looked at.
    pub(super) own: Arc<OwnAsks>,
}

impl Keeper {
    /// Looks at the server until told to stop.
    pub(super) async fn run(self, mut asks: mpsc::Receiver<Ask>, first: Option<First>, stop: CancellationToken) {
        let name = self.spec.name.clone();
        let mut failures = 0_u32;
        // Whether lists of callers wait for the server itself to be looked at.
        let mut own_wait = false;
        let (mut waiting, mut by) = first.map(|(waiter, by)| (vec![waiter], by)).unwrap_or_default();
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look(by.take(), waiting.is_empty()) => looked,
            };
            let connection = match &looked {
                Ok((look, connection)) => {
                    failures = 0;
                    self.tell(look);
                    if std::mem::take(&mut own_wait) {
                        self.ask_for_own();
                    }
                    Some(connection.clone())
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        warn!(server.name = %name, "`{name}` cannot be used: {error}");
                    }
                    None
                }
            };
            self.records.problem(&name, looked.as_ref().err().map(ToString::to_string));
            let outcome = looked.map(|(look, _)| look);
            if !waiting.is_empty() {
                self.ask_for_own();
            }
            for reply in waiting.drain(..) {
                let _ = reply.send(outcome.clone());
            }
            let pause = if outcome.is_ok() { self.refresh.get() } else { AGAIN.saturating_mul(2_u32.saturating_pow(failures.min(6) - 1)) };
            let ended = async {
                match &connection {
                    Some(connection) => connection.ended().await,
                    None => std::future::pending().await,
                }
            };
            let pause = tokio::time::sleep(pause);
            tokio::pin!(pause, ended);
            let ask = loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut pause => break None,
                    () = &mut ended => {
                        info!(server.name = %name, "the connection to `{name}` ended; it is opened again");
                        break None;
                    }
                    ask = asks.recv() => match ask {
                        None => return,
                        ask => break ask,
                    },
                    () = self.own.asked() => tokio::select! {
                        () = stop.cancelled() => return,
                        looked = self.look_at_own() => if !looked {
                            own_wait = true;
                            pause.as_mut().reset(Instant::now() + AGAIN);
                        },
                    },
                }
            };
            match ask {
                None => {}
                Some(Ask::Now(reply, who)) => {
                    self.upstreams.retry_now(&name);
                    waiting.push(reply);
                    by = who;
                }
                Some(Ask::Upgrade(reply, who)) => {
                    let _ = reply.send(self.upgrade(who).await);
                }
                Some(Ask::Soon) => tokio::time::sleep(BURST).await,
            }
            while let Ok(ask) = asks.try_recv() {
                match ask {
                    Ask::Now(reply, _) => waiting.push(reply),
                    Ask::Upgrade(reply, who) => drop(reply.send(self.upgrade(who).await)),
                    Ask::Soon => {}
                }
            }
        }
    }

    /// Tells people of what a look found, and looks again at what callers are offered of their own where that is something else than before.
    pub(super) fn tell(&self, look: &Look) {
        let name = &self.spec.name;
        match look {
            Look::Same => return,
            Look::Held => {
                warn!(server.name = %name, "what `{name}` offers now is held until somebody approves it, see `portolan registry diff {name}`");
            }
            Look::Accepted(version) if *version != FIRST => {
                info!(server.name = %name, "`{name}` changed, and {name}@{version} is served now, see `portolan registry releases {name}`");
            }
            _ => {}
        }
        self.ask_for_own();
    }

    /// Looks at the server: in its turn, unless somebody waits for it.
    pub(super) async fn look(&self, by: Option<Arc<str>>, in_turn: bool) -> Result<(Look, Arc<Connection>), Arc<Error>> {
        if let Some(blocked) = self.records.blocked(&self.spec.name) {
            return Err(Arc::new(Error::Blocked(blocked.to_string())));
        }
        let known = self.records.era(&self.spec.name).await;
        let (runs, code) = self.code().await.map_err(Arc::new)?;
        let connection = self.upstreams.connection(&runs, Identity::default(), known).await?;
        let _turn = if in_turn { timeout(PATIENCE, self.reading.acquire()).await.ok() } else { None };
        let mut manifest: Manifest = match intake::read(&connection, &self.validators).await {
            Ok(manifest) => manifest,
            Err(error) => {
                // A connection that only ever fails must not be kept.
                self.upstreams.close_own(&self.spec.name).await;
                return Err(Arc::new(error));
            }
        };
        if let Some(code) = &code {
            manifest.spoken_by(code);
        }
        let look = self.judge(connection.peer().era, manifest, by.as_deref()).await?;
        Ok((look, connection))
    }

    /// What is run for it: the version that belongs to its release, else the one that was reviewed, else the one that its runner would run
    /// now.
    async fn code(&self) -> Result<(Arc<ServerSpec>, Option<Code>), Error> {
        let catalog = self.records.catalog();
        let entry = catalog.servers.get(&self.spec.name);
        let released = entry.and_then(|entry| Some((entry.runs.clone(), entry.release.as_ref()?.manifest.code()?)));
        if let Some((runs, code)) = released.filter(|(_, code)| code.run_by(&self.spec).is_some()) {
            self.records.unpinned(&self.spec.name, None);
            return Ok((runs, Some(code)));
        }
        if self.spec.curated.is_some() {
            let (runs, code) = curated::resolve(&self.spec).await?;
            self.records.unpinned(&self.spec.name, None);
            return Ok((Arc::new(runs), Some(code)));
        }
        Ok(match Code::resolve(&self.spec).await {
            None => (self.spec.clone(), None),
            Some(Ok(code)) => {
                self.records.unpinned(&self.spec.name, None);
                (code.run_by(&self.spec).map_or_else(|| self.spec.clone(), Arc::new), Some(code))
            }
            Some(Err(why)) => {
                warn!(server.name = %self.spec.name, "the code of `{}` is not pinned: {why}", self.spec.name);
                self.records.unpinned(&self.spec.name, Some(&why));
                (self.spec.clone(), None)
            }
        })
    }

    /// Looks at what the newest version of its code offers, beside the one that runs; once that is accepted, it is run.
    async fn upgrade(&self, by: Option<Arc<str>>) -> Result<Look, Arc<Error>> {
        let code = match Code::resolve(&self.spec).await {
            None => return Err(Arc::new(Error::Unpackaged)),
            Some(code) => code.map_err(|why| Arc::new(Error::Unresolved(why)))?,
        };
        let Some(runs) = code.run_by(&self.spec) else { return Err(Arc::new(Error::Unpackaged)) };
        let connection = self.upstreams.apart(&runs).await.map_err(Arc::new)?;
        let manifest = intake::read(&connection, &self.validators).await;
        connection.close().await;
        let mut manifest = manifest.map_err(Arc::new)?;
        manifest.spoken_by(&code);
        let look = self.judge(connection.peer().era, manifest, by.as_deref()).await?;
        if let Look::Accepted(_) = look {
            self.upstreams.close(&self.spec.name).await;
        }
        Ok(look)
    }

    async fn judge(&self, era: Era, manifest: Manifest, by: Option<&str>) -> Result<Look, Arc<Error>> {
        for dropped in &manifest.dropped {
            warn!(server.name = %self.spec.name, "the {} `{}` of `{}` is left out: {}", dropped.kind.as_str(), dropped.name, self.spec.name, dropped.reason);
        }
        let look = self.records.saw(Sight { spec: &self.spec, era, manifest, by }).await;
        look.map_err(|error| Arc::new(Error::NotMcp(format!("what it offers could not be recorded: {error}"))))
    }
}
