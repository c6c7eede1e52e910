//! Live connections to upstream MCP servers: one per server and identity, opened when first needed.
//!
//! A connection that fails is tried again with a growing pause, and never harms another. To add a
//! transport: `transport/<name>.rs`, and one arm in `connect.rs`.

mod change;
mod code;
mod connect;
mod connection;
mod credentials;
mod error;
mod listener;
mod patience;
mod supervisor;
mod topics;
mod transport;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::AbortHandle;

pub use change::{Change, OnChange};
pub use code::Code;
pub use connection::{Call, Connection, Following};
pub use credentials::{CALLBACK, Credentials, DOCUMENT, LoginError, Returned};
pub use error::Error;
pub use listener::{Asked, Heard, Listener, Logs, Note, StandIn};
pub use supervisor::{SUPERVISE, supervise};

use connect::Means;

use crate::domain::{Isolation, ServerName, ServerSpec};
use crate::net::Net;
use crate::protocol::Era;

/// Who is calling, as far as connections are concerned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity<'a> {
    /// The principal; empty for the gateway itself.
    pub principal: &'a str,
    /// The client's session, if it has one.
    pub session: Option<&'a str>,
}

impl<'a> Identity<'a> {
    /// Whose connection is used where a server keeps callers apart so far.
    pub fn key(self, isolation: Isolation) -> &'a str {
        match isolation {
            Isolation::Shared => "",
            Isolation::Caller => self.principal,
            Isolation::Session => self.session.unwrap_or(self.principal),
        }
    }
}

/// All live connections.
#[derive(Clone)]
pub struct Upstreams(Arc<Inner>);

struct Inner {
    means: Means,
    on_change: OnChange,
    slots: Mutex<HashMap<ServerName, HashMap<String, Slot>>>,
    /// Numbers the ways to servers, so that one that was given up cannot end where it no longer belongs.
    ways: AtomicU64,
}

type Connecting = Shared<BoxFuture<'static, Result<Arc<Connection>, Arc<Error>>>>;

/// One connection, or the way to it.
struct Slot {
    connecting: Option<Connecting>,
    way: u64,
    task: Option<AbortHandle>,
    live: Option<Arc<Connection>>,
    failures: u32,
    retry_at: Option<Instant>,
    error: Option<Arc<Error>>,
    used: Instant,
}

/// How a server's shared connection stands, for people.
#[derive(Clone, Debug)]
pub enum State {
    /// Not tried yet, or closed for want of use.
    Idle,
    /// On the way.
    Connecting,
    /// Open.
    Ready(Arc<Connection>),
    /// The last try failed.
    Failed(Arc<Error>),
}

/// Most connections of one server, over all callers.
const MAX_PER_SERVER: usize = 64;
/// A caller's own connection is closed after this much silence.
const IDLE: Duration = Duration::from_secs(600);

impl Upstreams {
    /// No connections yet; `credentials` are the gateway's own logins, where it has any, and `on_change` is told what servers say of
    /// their lists.
    pub fn new(net: Net, credentials: Option<Credentials>, on_change: OnChange) -> Self {
        Self(Arc::new(Inner { means: Means { net, credentials }, on_change, slots: Mutex::default(), ways: AtomicU64::new(1) }))
    }

    /// The live connection for a caller, where there is one: then nothing must be waited for.
    pub fn live(&self, spec: &ServerSpec, identity: Identity<'_>) -> Option<Arc<Connection>> {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let (of_server, key) = (slots.get_mut(&spec.name)?, identity.key(spec.isolation));
        if spec.isolation != Isolation::Shared {
            retire(of_server, key);
        }
        let slot = of_server.get_mut(key)?;
        let live = slot.live.clone().filter(|live| !live.is_closed())?;
        slot.used = Instant::now();
        Some(live)
    }

    /// The connection for a caller: the live one, the one on its way, or a new one.
    ///
    /// `known` is the era the server spoke last; asking it again is then not needed.
    pub async fn connection(&self, spec: &ServerSpec, identity: Identity<'_>, known: Option<Era>) -> Result<Arc<Connection>, Arc<Error>> {
        let key = identity.key(spec.isolation).to_owned();
        let connecting = {
            let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let of_server = slots.entry(spec.name.clone()).or_default();
            retire(of_server, &key);
            if !of_server.contains_key(&key) && of_server.len() >= MAX_PER_SERVER {
                return Err(Arc::new(Error::TooMany(MAX_PER_SERVER)));
            }
            let slot = of_server.entry(key.clone()).or_insert_with(Slot::new);
            slot.used = Instant::now();
            if let Some(live) = slot.live.as_ref().filter(|live| !live.is_closed()) {
                return Ok(live.clone());
            }
            if slot.connecting.is_none() && slot.retry_at.is_some_and(|at| Instant::now() < at) {
                let died = slot.live.as_ref().map(|live| Arc::new(live.why_closed()));
                return Err(slot.error.clone().or(died).unwrap_or_else(|| Arc::new(Error::Closed)));
            }
            match &slot.connecting {
                Some(connecting) => connecting.clone(),
                None => self.start(spec.clone(), key, known, slot),
            }
        };
        connecting.await
    }

    /// Begins to connect in a task of its own, so that a caller who leaves does not stop it for the others.
    fn start(&self, spec: ServerSpec, key: String, known: Option<Era>, slot: &mut Slot) -> Connecting {
        let this = self.clone();
        let way = self.0.ways.fetch_add(1, Ordering::Relaxed);
        let told = self.told_by(&key);
        let task = tokio::spawn(async move {
            let result = connect::connect(&this.0.means, &spec, known, told).await;
            let result = result.map(Arc::new).map_err(Arc::new);
            this.settle(&spec.name, &key, way, &result);
            result
        });
        slot.way = way;
        slot.task = Some(task.abort_handle());
        let connecting = async move { task.await.unwrap_or_else(|_| Err(Arc::new(Error::Closed))) }.boxed().shared();
        slot.connecting = Some(connecting.clone());
        connecting
    }

    /// Who hears of changes that are told over somebody's connection: what is listed there is that caller's own.
    fn told_by(&self, key: &str) -> OnChange {
        let told = self.0.on_change.clone();
        if key.is_empty() {
            return told;
        }
        let key: Box<str> = key.into();
        Arc::new(move |server: &ServerName, change| match change {
            Change::Definitions => told(server, Change::Own(key.clone())),
            other => told(server, other),
        })
    }

    fn settle(&self, server: &ServerName, key: &str, way: u64, result: &Result<Arc<Connection>, Arc<Error>>) {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get_mut(server).and_then(|slots| slots.get_mut(key)).filter(|slot| slot.way == way);
        let Some(slot) = slot else {
            // The server was closed, or is another one now, while we were on the way to it.
            if let Ok(connection) = result {
                let connection = connection.clone();
                tokio::spawn(async move { connection.close().await });
            }
            return;
        };
        slot.connecting = None;
        match result {
            Ok(connection) => {
                // One that dies young counts as a failure, else a server that exits at once would be started in a loop.
                let steady = slot.live.as_ref().is_none_or(|last| last.age() > Duration::from_secs(60));
                slot.failures = if steady { 0 } else { slot.failures + 1 };
                slot.retry_at = (slot.failures > 0).then(|| Instant::now() + pause(slot.failures));
                slot.live = Some(connection.clone());
                slot.error = None;
                drop(slots);
                if !key.is_empty() {
                    (self.0.on_change)(server, Change::Own(key.into()));
                }
            }
            Err(error) => {
                slot.failures += 1;
                slot.retry_at = Some(Instant::now() + pause(slot.failures));
                slot.live = None;
                slot.error = Some(error.clone());
            }
        }
    }

    /// A connection of its own, which nobody else is given: to see what a server would offer.
    pub async fn apart(&self, spec: &ServerSpec) -> Result<Connection, Error> {
        connect::connect(&self.0.means, spec, None, Arc::new(|_, _| {})).await
    }

    /// A caller's own connection to a server, where it is open.
    pub fn own(&self, server: &ServerName, key: &str) -> Option<Arc<Connection>> {
        let slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(server)?.get(key)?.live.clone().filter(|live| !live.is_closed())
    }

    /// Whose own connections to a server are open.
    pub fn owners(&self, server: &ServerName) -> Vec<Box<str>> {
        let slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |slot: &Slot| slot.live.as_ref().is_some_and(|live| !live.is_closed());
        let own = slots.get(server).into_iter().flatten().filter(|(key, slot)| !key.is_empty() && open(slot));
        own.map(|(key, _)| key.as_str().into()).collect()
    }

    /// How the gateway's own connection to a server stands.
    pub fn state(&self, server: &ServerName) -> State {
        let slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_server) = slots.get(server) else { return State::Idle };
        let newest = of_server.values().max_by_key(|slot| (slot.live.as_ref().is_some_and(|live| !live.is_closed()), slot.used));
        match newest {
            Some(Slot { connecting: Some(_), .. }) => State::Connecting,
            Some(Slot { live: Some(live), .. }) if !live.is_closed() => State::Ready(live.clone()),
            Some(Slot { live: Some(live), .. }) => State::Failed(Arc::new(live.why_closed())),
            Some(Slot { error: Some(error), .. }) => State::Failed(error.clone()),
            _ => State::Idle,
        }
    }

    /// What a server's child wrote to its standard error lately.
    pub fn stderr(&self, server: &ServerName) -> Option<String> {
        match self.state(server) {
            State::Ready(live) => live.stderr(),
            State::Failed(error) => error.stderr().map(str::to_owned),
            State::Idle | State::Connecting => None,
        }
    }

    /// Forgets the pause after a failure: the next call tries at once.
    pub fn retry_now(&self, server: &ServerName) {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.get_mut(server).into_iter().flat_map(HashMap::values_mut) {
            slot.retry_at = None;
        }
    }

    /// Closes the connections that belonged to one session alone.
    pub fn end_session(&self, session: &str) {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Slot> = slots.values_mut().filter_map(|of_server| of_server.remove(session)).collect();
        drop(slots);
        if let (false, Ok(runtime)) = (gone.is_empty(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(close_all(gone.into_iter()));
        }
    }

    /// Closes the gateway's own connection to a server; callers' own stay.
    pub async fn close_own(&self, server: &ServerName) {
        let gone = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner).get_mut(server).and_then(|slots| slots.remove(""));
        close_all(gone.into_iter()).await;
    }

    /// Closes what is open to a server and forgets it.
    pub async fn close(&self, server: &ServerName) {
        let gone = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
        close_all(gone.into_iter().flatten().map(|(_, slot)| slot)).await;
    }

    /// Closes what is open to a server that is there no more, and forgets the gateway's login there.
    pub async fn remove(&self, server: &ServerName) {
        if let Some(credentials) = &self.0.means.credentials {
            credentials.removed(server).await;
        }
        self.close(server).await;
    }

    /// Closes everything; children have ended when this returns.
    pub async fn close_all(&self) {
        let all = std::mem::take(&mut *self.0.slots.lock().unwrap_or_else(PoisonError::into_inner));
        close_all(all.into_values().flatten().map(|(_, slot)| slot)).await;
    }
}

async fn close_all(slots: impl Iterator<Item = Slot> + Send) {
    let closing = slots.map(|slot| async move {
        if let Some(task) = slot.task {
            // Dropped half-way, a connection ends by itself.
            task.abort();
        }
        if let Some(live) = slot.live {
            live.close().await;
        }
    });
    futures::future::join_all(closing).await;
}

/// Lets go of callers' connections that nobody has used for a while.
fn retire(of_server: &mut HashMap<String, Slot>, wanted: &str) {
    // Whoever calls holds the connection as well.
    let unused = |slot: &Slot| slot.live.as_ref().is_none_or(|live| Arc::strong_count(live) == 1);
    let idle = |key: &String, slot: &mut Slot| {
        !key.is_empty() && key != wanted && slot.connecting.is_none() && slot.used.elapsed() >= IDLE && unused(slot)
    };
    let gone: Vec<Slot> = of_server.extract_if(idle).map(|(_, slot)| slot).collect();
    if !gone.is_empty() {
        tokio::spawn(close_all(gone.into_iter()));
    }
}

/// 0.1 s, doubled with each failure, at most a minute.
fn pause(failures: u32) -> Duration {
    Duration::from_millis(100).saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(10))).min(Duration::from_secs(60))
}

impl Slot {
    fn new() -> Self {
        Self { connecting: None, way: 0, task: None, live: None, failures: 0, retry_at: None, error: None, used: Instant::now() }
    }
}
