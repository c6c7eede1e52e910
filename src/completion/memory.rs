//! What outlives one completion, and one configuration.

use std::sync::Arc;
use std::time::Duration;

use super::kept::Responses;
use super::memo::Memo;
use crate::store::Store;

/// What outlives a configuration: conversations, and responses that clients go on from. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    /// What was put into conversations.
    pub(super) memo: Memo,
    /// Responses by their ids.
    pub(super) responses: Arc<Responses>,
}

impl Memory {
    /// An empty memory; responses are kept in a store for a time, or not at all when that is zero.
    pub fn new(store: Store, responses: Duration) -> Self {
        Self { memo: Memo::default(), responses: Arc::new(Responses::new(store, responses)) }
    }
}
