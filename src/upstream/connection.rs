//! One open connection to a server: what it said of itself, and how it is called.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::value::RawValue;
use tokio::sync::broadcast;

use super::error::Error;
use super::listener::{Listener, Logs};
use super::topics::Topics;
use crate::domain::{RawObject, raw};
use crate::protocol::{ClientCapabilities, Dress, Era, Level, Params, ResultKind, is_complete};
use crate::trace::Carrier;

/// One request to a server.
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// Its params.
    pub params: &'a Params,
    /// Who hears of it meanwhile.
    pub listener: Option<Listener>,
    /// What the caller can be asked. Without that, nothing but a whole result is taken.
    pub capabilities: Option<Arc<ClientCapabilities>>,
    /// Whether the caller's extensions are the server's business, known or not.
    pub whole: bool,
    /// Arguments mirrored into `Mcp-Param-*` headers, for stateless HTTP servers.
    pub headers: Vec<(String, String)>,
    /// The longest it may take.
    pub timeout: Duration,
    /// Where in a trace it stands, in place of what its params say.
    pub carrier: Option<Box<Carrier>>,
}

impl<'a> Call<'a> {
    /// Its params as a server of an era is to get them; `id` is our own of the request.
    pub(super) fn dressed(&self, era: Era, id: u64) -> String {
        let token = self.listener.as_ref().filter(|listener| listener.wants_progress()).map(|_| id);
        let capabilities = self.capabilities.as_ref().map(|able| able.stamp(self.whole));
        let dress = Dress { token, carrier: self.carrier.as_deref(), capabilities: capabilities.as_deref() };
        self.params.dressed(era, &dress)
    }

    /// A request that nobody follows.
    pub fn new(method: &'a str, params: &'a Params, timeout: Duration) -> Self {
        Self { method, params, listener: None, capabilities: None, whole: false, headers: Vec::new(), timeout, carrier: None }
    }
}

/// How a server presented itself.
#[derive(Clone, Debug)]
pub struct Peer {
    /// How it talks.
    pub era: Era,
    /// Its name and version, unverified.
    pub info: Box<RawValue>,
    /// Its capabilities as it wrote them.
    pub capabilities: Box<RawValue>,
    /// Its instructions to models.
    pub instructions: Option<String>,
}

impl Peer {
    /// Reads the answer to `initialize` or `server/discover`.
    pub(super) fn read(era: Era, result: &RawValue) -> Result<Self, Error> {
        let object = RawObject::parse(result.get()).map_err(|_| Error::NotMcp("its greeting is not an object".into()))?;
        let from_meta =
            || object.get("_meta").and_then(|meta| RawObject::parse(meta.get()).ok()?.remove("io.modelcontextprotocol/serverInfo"));
        Ok(Self {
            era,
            info: object.get("serverInfo").map(ToOwned::to_owned).or_else(from_meta).unwrap_or_else(|| raw(&serde_json::json!({}))),
            capabilities: object.get("capabilities").map_or_else(|| raw(&serde_json::json!({})), ToOwned::to_owned),
            instructions: object.string("instructions"),
        })
    }

    /// Whether the server declared a capability.
    pub fn has(&self, capability: &str) -> bool {
        RawObject::parse(self.capabilities.get()).is_ok_and(|all| all.has(capability))
    }
}

/// Moves bytes to a server and back.
#[async_trait]
pub(super) trait Wire: Send + Sync {
    /// Sends a request in the words of an era, and waits for its result. Dropping the future cancels the request.
    async fn call(&self, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error>;
    /// Learns which revision was agreed on.
    fn speak(&self, _era: Era) {}
    /// Sends a notification.
    async fn notify(&self, method: &str) -> Result<(), Error>;
    /// Raises the level of log messages that a session is asked for; true where the server must be told.
    fn raise(&self, level: Level) -> bool;
    /// Has a stateless server tell of these resources from now on; returns when it does.
    async fn follow(&self, uris: BTreeSet<String>);
    /// Whether it broke.
    fn broken(&self) -> Option<Error>;
    /// Returns when it broke.
    async fn ended(&self);
    /// What the child wrote to standard error lately.
    fn stderr(&self) -> Option<String>;
    /// Ends it.
    async fn close(&self);
}

/// An open connection.
pub struct Connection {
    peer: Peer,
    wire: Arc<dyn Wire>,
    topics: Arc<Topics>,
    /// Held while a subscription is begun or ended.
    subscribing: tokio::sync::Mutex<()>,
    /// Whether the server logs to its clients.
    logs: bool,
    since: Instant,
    /// Whether it is being asked for a sign of life.
    doubted: Arc<AtomicBool>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(peer: Peer, wire: Arc<dyn Wire>, topics: Arc<Topics>) -> Self {
        let logs = peer.has("logging");
        Self { peer, wire, topics, subscribing: tokio::sync::Mutex::default(), logs, since: Instant::now(), doubted: Arc::default() }
    }

    /// How the server presented itself.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Sends a request in the server's era and waits for its result.
    pub async fn call(&self, call: Call<'_>) -> Result<Box<RawValue>, Error> {
        if let Some(Logs::From(level)) = call.listener.as_ref().map(Listener::logs).filter(|_| self.logs) {
            self.log_from(level, call.timeout).await;
        }
        let rounds = call.capabilities.is_some();
        let outcome = self.wire.call(self.peer.era, call).await;
        if let Err(Error::Timeout(_)) = outcome {
            self.doubt();
        }
        let result = outcome?;
        if !result.get().starts_with('{') {
            return Err(Error::NotMcp("its result is no object".into()));
        }
        // Where we declared no extension and no capability, nothing but a complete result means anything.
        if rounds || is_complete(result.get()) {
            return Ok(result);
        }
        Err(Error::NotMcp(match ResultKind::of(&result) {
            Some(_) => "it wants something of the client that it was not offered".into(),
            None => "its result cannot be read".into(),
        }))
    }

    /// Has a session log from a level on, if it does not yet. What each caller hears of that is another matter.
    async fn log_from(&self, level: Level, timeout: Duration) {
        let Era::Legacy(_) = self.peer.era else { return };
        if self.wire.raise(level) {
            let params = Params::default().with("level", level.as_str());
            let _ = self.wire.call(self.peer.era, Call::new("logging/setLevel", &params, timeout)).await;
        }
    }

    /// Follows a resource: the server tells when it may say something else.
    pub async fn follow(self: &Arc<Self>, uri: &str, timeout: Duration) -> Result<Following, Error> {
        // One after the other: who follows what another begins to follow waits for what comes of that.
        let _alone = self.subscribing.lock().await;
        let (updates, first) = self.topics.add(uri);
        let following = Following { connection: self.clone(), uri: uri.into(), updates };
        if first {
            self.subscribe("resources/subscribe", uri, timeout).await?;
        }
        Ok(following)
    }

    async fn subscribe(&self, method: &str, uri: &str, timeout: Duration) -> Result<(), Error> {
        if self.peer.era == Era::Modern {
            self.wire.follow(self.topics.all()).await;
            return Ok(());
        }
        let params = Params::default().with("uri", uri);
        self.wire.call(self.peer.era, Call::new(method, &params, timeout)).await.map(drop)
    }

    /// Asks a server that let a request run out of time for a sign of life. One that gives none is
    /// ended, so that whoever needs it next gets a new one instead of waiting as well.
    fn doubt(&self) {
        /// How long a living server may take to give a sign of life.
        const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
        if self.doubted.swap(true, Ordering::Relaxed) {
            return;
        }
        let (wire, era, doubted) = (self.wire.clone(), self.peer.era, self.doubted.clone());
        tokio::spawn(async move {
            let method = if era == Era::Modern { "server/discover" } else { "ping" };
            let sign = wire.call(era, Call::new(method, &Params::default(), SIGN_OF_LIFE)).await;
            if let Err(Error::Timeout(_)) = sign {
                wire.close().await;
            }
            doubted.store(false, Ordering::Relaxed);
        });
    }

    /// All items of a paginated list, in order, each with its own bytes; the pages are asked for in one place of a trace.
    pub async fn list(
        &self,
        method: &str,
        member: &str,
        timeout: Duration,
        carrier: Option<Box<Carrier>>,
    ) -> Result<Vec<Box<RawValue>>, Error> {
        /// Most pages and items that are read of one list.
        const MAX_PAGES: usize = 200;
        const MAX_ITEMS: usize = 20_000;
        /// Most bytes of one list.
        const MAX_BYTES: usize = 32 << 20;
        let mut items: Vec<Box<RawValue>> = Vec::new();
        let mut cursor: Option<Box<RawValue>> = None;
        let mut bytes = 0;
        for _ in 0..MAX_PAGES {
            let mut params = Params::default();
            if let Some(cursor) = cursor.take() {
                params.set("cursor", cursor);
            }
            let result = self.call(Call { carrier: carrier.clone(), ..Call::new(method, &params, timeout) }).await?;
            bytes += result.get().len();
            let mut page = RawObject::parse(result.get()).map_err(|error| Error::NotMcp(format!("{method}: {error}")))?;
            let more: Option<Vec<Box<RawValue>>> = page.read(member);
            items.extend(more.ok_or_else(|| Error::NotMcp(format!("its answer to {method} has no list `{member}`")))?);
            cursor = page.remove("nextCursor").filter(|cursor| cursor.get() != "null");
            if cursor.is_none() {
                return Ok(items);
            }
            if items.len() > MAX_ITEMS || bytes > MAX_BYTES {
                break;
            }
        }
        Err(Error::NotMcp(format!("its list of {member} does not end, or is far too large")))
    }

    /// Whether the connection broke.
    pub fn is_closed(&self) -> bool {
        self.wire.broken().is_some()
    }

    /// Why it broke.
    pub fn why_closed(&self) -> Error {
        self.wire.broken().unwrap_or(Error::Closed)
    }

    /// Returns when the connection broke.
    pub async fn ended(&self) {
        self.wire.ended().await;
    }

    /// How long it has been open.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// What the child wrote to standard error lately.
    pub fn stderr(&self) -> Option<String> {
        self.wire.stderr()
    }

    /// Ends it; a child has ended when this returns.
    pub async fn close(&self) {
        self.wire.close().await;
    }
}

/// A resource that is followed until this is dropped.
pub struct Following {
    connection: Arc<Connection>,
    uri: Box<str>,
    updates: broadcast::Receiver<Box<str>>,
}

impl Following {
    /// What changed next: the resource, or a part of it. None when the connection is gone, and with it the subscription.
    pub async fn next(&mut self) -> Option<Box<str>> {
        /// How often it is looked whether the connection still stands: not every kind says when it does not.
        const LOOK: Duration = Duration::from_secs(5);
        loop {
            match tokio::time::timeout(LOOK, self.updates.recv()).await {
                Ok(Ok(uri)) => return Some(uri),
                // What was missed is the same as what comes now.
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => return Some(self.uri.clone()),
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
                Err(_) if self.connection.is_closed() => return None,
                Err(_) => {}
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        /// How long a server may take to let go of a subscription.
        const PATIENCE: Duration = Duration::from_secs(10);
        if !self.connection.topics.remove(&self.uri) || self.connection.is_closed() {
            return;
        }
        let (connection, uri) = (self.connection.clone(), std::mem::take(&mut self.uri));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _alone = connection.subscribing.lock().await;
                // Somebody may follow it again by now.
                if !connection.topics.all().contains(&*uri) {
                    let _ = connection.subscribe("resources/unsubscribe", &uri, PATIENCE).await;
                }
            });
        }
    }
}
