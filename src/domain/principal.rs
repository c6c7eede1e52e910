//! Who is calling.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::grants::Grants;

/// A caller whose credential has been checked, and what it may do.
#[derive(Clone, Debug)]
pub struct Principal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    grants: Grants,
    tags: BTreeMap<String, String>,
    owner: bool,
}

impl Principal {
    /// The owner of the gateway: all grants, and the acts that weaken its defences.
    pub fn owner() -> Self {
        Self::build("owner", Grants::all(), BTreeMap::new(), true)
    }

    /// A process on this machine, met through an open loopback door.
    pub fn local() -> Self {
        Self::build("local", Grants::local(), BTreeMap::new(), false)
    }

    /// The holder of an API key.
    pub fn key(id: &str, grants: Grants, tags: BTreeMap<String, String>) -> Self {
        Self::build(&format!("key:{id}"), grants, tags, false)
    }

    /// The same caller with other grants.
    pub fn with_grants(&self, grants: Grants) -> Self {
        Self::build(self.id(), grants, self.tags().clone(), self.is_owner())
    }

    fn build(id: &str, grants: Grants, tags: BTreeMap<String, String>, owner: bool) -> Self {
        Self(Arc::new(Inner { id: id.to_owned(), grants, tags, owner }))
    }

    /// A stable name for logs, sessions and cache partitions; never a secret.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// What this caller may do.
    pub fn grants(&self) -> &Grants {
        &self.0.grants
    }

    /// Tags that the operator put on this caller.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.0.tags
    }

    /// Whether this is the owner, who alone may do what weakens the gateway.
    pub fn is_owner(&self) -> bool {
        self.0.owner
    }
}
