//! Servers tell when something of theirs changed.

use std::sync::Arc;

use crate::domain::ServerName;

/// What a server said happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Tools, prompts or templates may be others now.
    Definitions,
    /// The resources may be others now.
    Resources,
    /// The resource of that URI may say something else now.
    Updated(Box<str>),
    /// What is listed over a caller's own connection may be something else now; whose connection it is.
    Own(Box<str>),
}

/// Told of every change, with the server it happened to.
pub type OnChange = Arc<dyn Fn(&ServerName, Change) + Send + Sync>;
