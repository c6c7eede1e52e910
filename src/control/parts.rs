//! What the control tools work on.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::auth::Auth;
use crate::completion::Completions;
use crate::federation::Federation;
use crate::journal::Journal;
use crate::policy::Blocks;
use crate::registry::Registry;
use crate::upstream::{Credentials, Upstreams};

/// What the tools work on.
pub struct Parts {
    /// Servers and releases.
    pub registry: Registry,
    /// Live connections.
    pub upstreams: Upstreams,
    /// The gateway's own logins at servers.
    pub credentials: Credentials,
    /// Keys.
    pub auth: Auth,
    /// The kill switch.
    pub blocks: Blocks,
    /// What is on record.
    pub journal: Journal,
    /// The servers as callers see them.
    pub federation: Federation,
    /// Models and context, as the configuration of this moment has them.
    pub completions: Arc<ArcSwap<Completions>>,
    /// Why a changed configuration is not in use.
    pub refused: Arc<ArcSwapOption<String>>,
    /// When the gateway started.
    pub started: Instant,
}
