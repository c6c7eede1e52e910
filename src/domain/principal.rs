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
    /// Who it is by itself; none of a process that has not said so.
    subject: Option<String>,
    grants: Grants,
    tags: BTreeMap<String, String>,
    owner: bool,
    /// When the credential ends, in seconds since the Unix epoch.
    ends: Option<u64>,
}

impl Principal {
    /// The owner of the gateway: all grants, and the acts that weaken its defences.
    pub fn owner() -> Self {
        Self::build("owner".to_owned(), Some("owner"), Grants::all(), BTreeMap::new(), true)
    }

    /// A process on this machine, met through an open loopback door.
    pub fn local() -> Self {
        Self::build("local".to_owned(), None, Grants::local(), BTreeMap::new(), false)
    }

    /// The holder of an API key.
    pub fn key(id: &str, grants: Grants, tags: BTreeMap<String, String>) -> Self {
        Self::build(format!("key:{id}"), Some(id), grants, tags, false)
    }

    /// The subject of an issuer's access token, which ends at a time in seconds since the Unix epoch.
    pub fn token(issuer: &str, subject: &str, ends: u64, grants: Grants, tags: BTreeMap<String, String>) -> Self {
        let (id, subject) = (format!("subject:{subject}@{issuer}"), Some(subject.to_owned()));
        Self(Arc::new(Inner { id, subject, grants, tags, owner: false, ends: Some(ends) }))
    }

    /// The same caller with other grants.
    pub fn with_grants(&self, grants: Grants) -> Self {
        let Inner { id, subject, tags, owner, ends, .. } = &*self.0;
        Self(Arc::new(Inner { id: id.clone(), subject: subject.clone(), grants, tags: tags.clone(), owner: *owner, ends: *ends }))
    }

    fn build(id: String, subject: Option<&str>, grants: Grants, tags: BTreeMap<String, String>, owner: bool) -> Self {
        Self(Arc::new(Inner { id, subject: subject.map(str::to_owned), grants, tags, owner, ends: None }))
    }

    /// A stable name for logs, sessions and cache partitions; never a secret.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Who this is by itself: a token's subject, or a key's id. Another issuer may have one of the same name.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// When the credential ends, in seconds since the Unix epoch; none where it holds until it is revoked.
    pub fn ends(&self) -> Option<u64> {
        self.0.ends
    }

    /// Whether this caller came with an issuer's access token.
    pub fn is_of_token(&self) -> bool {
        self.id().starts_with("subject:")
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
