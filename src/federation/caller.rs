//! Who asks, and who hears of it meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::domain::Principal;
use crate::protocol::ClientCapabilities;
use crate::trace::Trace;
use crate::upstream::Listener;

/// Who asks, and who hears of it meanwhile.
#[derive(Clone, Debug)]
pub struct Caller<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The client's session, if it has one.
    pub session: Option<&'a str>,
    /// Who hears of it while it is under way.
    pub listener: Option<Listener>,
    /// What can be asked of the client while it is under way.
    pub capabilities: Option<Arc<ClientCapabilities>>,
    /// Whether the client is asked in round trips, and not on a stream.
    pub in_rounds: bool,
    /// Whether somebody answers for the client what that cannot.
    pub stood_in: bool,
    /// The id of the request that it is asked for, for the journal.
    pub request: Option<Arc<str>>,
    /// Adds up how long servers took.
    pub waited: Waited,
    /// Where in a trace it is asked.
    pub trace: Trace,
}

/// How long servers took to answer, added up over the calls of one request. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Waited(Arc<AtomicU64>);

impl Waited {
    /// The time so far, to the microsecond.
    pub fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn add(&self, since: Instant) {
        self.0.fetch_add(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl<'a> Caller<'a> {
    /// A caller who hears of nothing meanwhile.
    pub fn new(principal: &'a Principal, session: Option<&'a str>) -> Self {
        let (waited, trace) = (Waited::default(), Trace::default());
        Self { principal, session, listener: None, capabilities: None, in_rounds: false, stood_in: false, request: None, waited, trace }
    }
}

impl Caller<'_> {
    /// The same caller, who is asked in round trips what it can be asked.
    #[must_use]
    pub fn in_rounds(self, capabilities: Option<Arc<ClientCapabilities>>) -> Self {
        Self { capabilities, in_rounds: true, ..self }
    }

    /// Whether it declared, with the request, that it knows something that came after the sessions.
    pub(super) fn knows(&self, what: impl Fn(&ClientCapabilities) -> bool) -> bool {
        self.in_rounds && self.capabilities.as_deref().is_some_and(what)
    }
}
