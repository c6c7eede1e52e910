//! Streamable HTTP (specification: basic/transports/streamable-http), in sessions or stateless.

mod agreed;
mod exchange;
mod line;
mod notices;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use super::pending::{Pending, cancelled, is_aside};
use crate::domain::clip;
use crate::net::{self, Net, Reach};
use crate::protocol::{Era, Level, Outgoing, Params};
use crate::upstream::connection::Wire;
use crate::upstream::credentials::Holder;
use crate::upstream::patience::within;
use crate::upstream::{Call, Change, Error, Listener};
use agreed::Agreed;
use exchange::Shared;

/// What a message may be answered with.
const ANSWERS: &str = "application/json, text/event-stream";
/// How long a first call waits for the stream of notices. A server that leaves the question open is called all the same.
const LISTENS: Duration = Duration::from_secs(1);

/// An HTTP server, as far as we have got with it.
pub(in crate::upstream) struct Http {
    shared: Arc<Shared>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

/// A header's value, and the last word of it: what says who we are, without what kind of proof it is.
fn parts(value: &str) -> Vec<String> {
    let last = value.rsplit(' ').next().unwrap_or_default();
    // Shorter ones are no secrets, and stand in many texts.
    [value, last].into_iter().filter(|part| part.len() >= 12).map(str::to_owned).collect()
}

impl Http {
    /// Checks address and headers; nothing is sent yet. `own` says that all that is asked of the server is one caller's.
    pub(in crate::upstream) fn new<'a>(
        net: &Net,
        url: &str,
        headers: impl Iterator<Item = (&'a String, &'a String)>,
        reach: Reach,
        login: Option<Arc<Holder>>,
        pending: Pending,
    ) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|error| Error::Net(net::Error::NotAllowed(format!("not a URL: {error}"))))?;
        let destination = net.to(url, reach)?;
        let (mut map, mut secrets) = (HeaderMap::new(), Vec::new());
        for (name, value) in headers {
            let parsed = (HeaderName::try_from(name.as_str()).ok(), HeaderValue::try_from(value.as_str()).ok());
            let (Some(name), Some(mut value)) = parsed else {
                return Err(Error::Net(net::Error::NotAllowed(format!("`{}` is not a valid header", clip(name, 60)))));
            };
            value.set_sensitive(true);
            secrets.extend(parts(value.to_str().unwrap_or_default()));
            map.append(name, value);
        }
        let mut first = net::dressed(&map);
        first.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        first.insert(ACCEPT, HeaderValue::from_static(ANSWERS));
        let shared = Shared {
            destination,
            secrets,
            login,
            agreed: ArcSwap::from_pointee(Agreed::on(&first, Era::Modern, None)),
            first,
            pending,
            followed: watch::Sender::default(),
            posting: OnceLock::new(),
            named: watch::Sender::default(),
            listens: watch::Sender::default(),
            lost: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
        };
        Ok(Self { shared: Arc::new(shared), listener: Mutex::default() })
    }

    /// Listens for changes that the server tells of, as far as it offers that.
    pub(in crate::upstream) fn listen(&self, changed: impl Fn(Change) + Send + Sync + 'static) {
        if self.shared.posting.get().is_some() {
            // All that it says is heard already.
            return;
        }
        let task = tokio::spawn(self.shared.clone().listen(changed));
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Waits until the server was asked for its stream of notices. Some servers ask their questions there, and nobody hears
    /// one that is asked before.
    pub(in crate::upstream) async fn listening(&self) {
        if self.shared.posting.get().is_none() {
            let mut listens = self.shared.listens.subscribe();
            let _ = tokio::time::timeout(LISTENS, listens.wait_for(|listens| *listens)).await;
        }
    }

    /// Opens the one stream of the transport of 2024-11-05, on which the server says everything, also where to send messages to.
    pub(in crate::upstream) async fn open_line(
        &self,
        net: &Net,
        reach: Reach,
        within: Duration,
        changed: impl Fn(Change) + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let mut named = self.shared.named.subscribe();
        let reply = tokio::time::timeout(within, self.shared.line()).await.unwrap_or(Err(Error::Timeout(within)))?;
        let task = tokio::spawn(self.shared.clone().read_line(reply, changed));
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        let address = match tokio::time::timeout(within, named.wait_for(Option::is_some)).await {
            Ok(Ok(address)) => address.clone().unwrap_or_default(),
            _ => return Err(Error::NotMcp("its stream does not say where to send messages to".into())),
        };
        let address = self.shared.address(&address)?;
        let _ = self.shared.posting.set(net.to(address, reach)?);
        Ok(())
    }
}

#[async_trait]
impl Wire for Http {
    async fn call(&self, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error> {
        let timeout = call.timeout;
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        // `initialize` cannot be cancelled (2025-11-25 §basic/utilities/cancellation).
        let cancelled = Some(id).filter(|_| call.method != "initialize");
        let listener = call.listener.clone();
        let aside = is_aside(call.method, listener.as_ref());
        let mut cancel = CancelOnDrop { shared: self.shared.clone(), id: cancelled, aside, listener: listener.clone() };
        let outcome = within(timeout, listener.as_ref().map(Listener::pauses), self.shared.call(id, era, call)).await;
        let over = match &outcome {
            // With its one stream ends all that the server did on it.
            Some(Ok(_) | Err(Error::Rpc(_) | Error::QuotesUs | Error::Interrupted)) => true,
            // Of what else goes wrong the server may know nothing, and be still at work.
            Some(Err(error)) => error.is_unprocessed(),
            None => false,
        };
        if over {
            cancel.id = None;
        }
        // Nothing can be done with it until somebody logs in; whoever looks at the server is to see that.
        if matches!(outcome, Some(Err(Error::LoginNeeded))) {
            self.shared.refused.store(true, Ordering::Relaxed);
        }
        outcome.unwrap_or(Err(Error::Timeout(timeout)))
    }

    fn speak(&self, era: Era) {
        let session = self.shared.agreed.load().session.clone();
        self.shared.agreed.store(Arc::new(Agreed::on(&self.shared.first, era, session)));
    }

    async fn notify(&self, method: &str) -> Result<(), Error> {
        let reply = self.shared.tell(Outgoing::notification(method, &Params::default()), Duration::from_secs(10)).await?;
        self.shared.accepted(reply).await.map(drop)
    }

    fn raise(&self, level: Level) -> bool {
        self.shared.pending.raise(level)
    }

    async fn follow(&self, uris: BTreeSet<String>) {
        self.shared.followed.send_replace(uris.clone());
        self.shared.pending.stands(&uris).await;
    }

    fn broken(&self) -> Option<Error> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Some(Error::Closed);
        }
        if self.shared.refused.load(Ordering::Relaxed) {
            return Some(Error::LoginNeeded);
        }
        self.shared.lost.load(Ordering::Relaxed).then_some(Error::SessionLost)
    }

    async fn ended(&self) {
        // Nothing tells that an HTTP server is gone; a request that fails does.
        std::future::pending::<()>().await;
    }

    fn stderr(&self) -> Option<String> {
        None
    }

    async fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            listener.abort();
        }
        self.shared.pending.fail_all(|| Error::Interrupted);
        let agreed = self.shared.agreed.load_full();
        if agreed.session.is_some() {
            let headers = agreed.get(ANSWERS);
            let end = self.shared.send(Method::DELETE, &headers, Bytes::new());
            let _ = tokio::time::timeout(Duration::from_secs(1), end).await;
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take() {
            listener.abort();
        }
    }
}

/// In a session, leaving does not cancel, so it must be said; a stateless server sees the stream close.
struct CancelOnDrop {
    shared: Arc<Shared>,
    id: Option<u64>,
    /// Whether the server did no work for it for whose sake it would ask a caller.
    aside: bool,
    /// Who heard of it.
    listener: Option<Listener>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some(id) = self.id.filter(|_| self.shared.era() != Era::Modern) else { return };
        if !self.aside {
            self.shared.pending.abandon(id, self.listener.take());
        }
        let body = Outgoing::notification("notifications/cancelled", &cancelled(id));
        let shared = self.shared.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { shared.tell(body, Duration::from_secs(5)).await.map(drop) });
        }
    }
}
