//! What handlers share.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use super::parks::Parks;
use super::resources::Resources;
use super::sessions::Sessions;
use crate::auth::Auth;
use crate::completion::Completions;
use crate::control::Control;
use crate::federation::Federation;
use crate::journal::Journal;
use crate::policy::{Blocks, Rates};
use crate::store::Handles;
use crate::trace::Tracer;

/// What a configuration says of the wire.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Host names accepted beside loopback and IP literals.
    pub hosts: BTreeSet<String>,
    /// Browser origins accepted beside our own.
    pub origins: BTreeSet<String>,
    /// Largest body on `/v1`, in bytes.
    pub body: usize,
    /// What access tokens must be for.
    pub resources: Resources,
    /// Whether the listener is on loopback.
    pub loopback: bool,
    /// How long requests in flight may still run once the gateway was told to stop.
    pub drain: Duration,
}

/// The parts behind the wire. Cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Parts>);

impl Deref for State {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts behind the wire.
pub struct Parts {
    /// Credentials.
    pub auth: Auth,
    /// The kill switch.
    pub blocks: Blocks,
    /// How much callers may do in a minute.
    pub rates: Rates,
    /// What is on record.
    pub journal: Journal,
    /// Servers.
    pub federation: Federation,
    /// Administration.
    pub control: Control,
    /// Completions, as the configuration of this moment has them.
    pub completions: Arc<ArcSwap<Completions>>,
    /// The wire's own settings.
    pub settings: Arc<ArcSwap<Settings>>,
    /// Prometheus.
    pub metrics: PrometheusHandle,
    /// What begins the spans of requests.
    pub tracer: Tracer,
    /// Set once the gateway serves, cleared when it drains.
    pub ready: Arc<AtomicBool>,
    /// Cancelled when long streams shall end.
    pub closing: CancellationToken,
    pub(super) sessions: Sessions,
    /// Requests that wait for an answer of their client's.
    pub(super) parks: Parks,
}

impl State {
    /// The shared state of a gateway that is not ready yet.
    #[allow(clippy::too_many_arguments)] // Each is a part of its own, and they are joined here.
    pub fn new(
        auth: Auth,
        blocks: Blocks,
        rates: Rates,
        journal: Journal,
        handles: Handles,
        federation: Federation,
        control: Control,
        completions: Arc<ArcSwap<Completions>>,
        settings: Settings,
        metrics: PrometheusHandle,
        tracer: Tracer,
    ) -> Self {
        let upstream = federation.clone();
        Self(Arc::new(Parts {
            auth,
            blocks,
            rates,
            journal,
            federation,
            control,
            completions,
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            metrics,
            tracer,
            ready: Arc::default(),
            closing: CancellationToken::new(),
            sessions: Sessions::new(handles.clone(), move |id| upstream.end_session(id)),
            parks: Parks::new(handles),
        }))
    }

    /// Whether processes on this machine may use MCP and models without a key.
    pub(super) fn is_open(&self) -> bool {
        self.settings.load().loopback && !self.auth.is_declared()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}
