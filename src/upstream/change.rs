//! Servers tell when their lists changed.

use std::sync::Arc;

use crate::domain::ServerName;

/// What a server said happened to its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Tools, prompts or templates may be others now.
    Definitions,
    /// The resources may be others now.
    Resources,
}

/// Told of every change, with the server it happened to.
pub type OnChange = Arc<dyn Fn(&ServerName, Change) + Send + Sync>;
