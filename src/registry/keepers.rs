//! The keepers of all servers: who is asked to look at one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::keeper::{AT_A_TIME, Ask, First, Keeper};
use super::own_asks::OwnAsks;
use super::records::Records;
use crate::domain::{Adjustable, ServerName, ServerSpec, lock};
use crate::schema::Validators;
use crate::upstream::Upstreams;

/// How many requests to look may wait for one keeper.
const QUEUE: usize = 16;

/// The keepers, and what all of them need.
pub(super) struct Keepers {
    upstreams: Upstreams,
    records: Records,
    validators: Validators,
    refresh: Adjustable,
    /// Whose turn it is to be read.
    reading: Arc<Semaphore>,
    all: Mutex<HashMap<ServerName, Kept>>,
}

/// How one keeper is reached.
struct Kept {
    asks: mpsc::Sender<Ask>,
    own: Arc<OwnAsks>,
    stop: CancellationToken,
}

impl Keepers {
    pub(super) fn new(upstreams: Upstreams, records: Records, validators: Validators, refresh: Adjustable) -> Self {
        let reading = Arc::new(Semaphore::new(AT_A_TIME));
        Self { upstreams, records, validators, refresh, reading, all: Mutex::default() }
    }

    /// Has somebody look at a server from now on.
    pub(super) fn keep(&self, spec: Arc<ServerSpec>, first: Option<First>) {
        let (name, stop) = (spec.name.clone(), CancellationToken::new());
        let (asks, queue) = mpsc::channel(QUEUE);
        let own = Arc::<OwnAsks>::default();
        let keeper = Keeper {
            spec,
            upstreams: self.upstreams.clone(),
            records: self.records.clone(),
            validators: self.validators.clone(),
            refresh: self.refresh.clone(),
            reading: self.reading.clone(),
            own: own.clone(),
        };
        tokio::spawn(keeper.run(queue, first, stop.clone()));
        lock(&self.all).insert(name, Kept { asks, own, stop });
    }

    /// Whom to ask for a look at a server; nobody where it is not used.
    pub(super) fn of(&self, name: &ServerName) -> Option<mpsc::Sender<Ask>> {
        lock(&self.all).get(name).map(|kept| kept.asks.clone())
    }

    /// Has a server looked at soon. Where many have asked already, it is about to be.
    pub(super) fn soon(&self, name: &ServerName) {
        if let Some(asks) = self.of(name) {
            let _ = asks.try_send(Ask::Soon);
        }
    }

    /// Has a list looked at soon that a caller's own connection has.
    pub(super) fn own(&self, name: &ServerName, whose: &str) {
        if let Some(kept) = lock(&self.all).get(name) {
            kept.own.ask([whose.into()]);
        }
    }

    /// Has nobody look at a server any more.
    pub(super) fn let_go(&self, name: &ServerName) {
        if let Some(kept) = lock(&self.all).remove(name) {
            kept.stop.cancel();
        }
    }

    /// Stops looking at servers.
    pub(super) fn stop(&self) {
        for kept in lock(&self.all).values() {
            kept.stop.cancel();
        }
    }
}
