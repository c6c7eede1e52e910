//! What only some callers are offered: on record, and as it was listed over their own connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::definition::{Definition, Kind, Manifest};
use super::release::{Guard, Release};
use crate::domain::{Digest, ServerName};
use crate::store::ReleaseState;
use crate::upstream::Connection;

/// What callers are offered of their own, by server and by whose connection it is.
pub type Owns = BTreeMap<ServerName, BTreeMap<Box<str>, Own>>;

/// Whose lists a caller sees, by server.
pub type Whose = Vec<(ServerName, Box<str>)>;

/// What one caller is offered over a connection of its own, as long as that is open.
#[derive(Clone)]
pub struct Own {
    pub(super) connection: Weak<Connection>,
    /// All that is listed there.
    pub(super) live: Arc<Manifest>,
    /// What the caller is shown of it, where that is not what everybody gets.
    pub(super) shown: Option<(Arc<Release>, Option<Arc<Guard>>)>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").field("shown", &self.shown.as_ref().map(|(release, _)| release.label())).finish_non_exhaustive()
    }
}

/// A definition that only some callers are offered, beside a release.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its address.
    pub digest: String,
    /// Where it stands.
    pub state: ReleaseState,
    /// When it was first seen, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Whether nothing of its name is served meanwhile to those who are offered it.
    pub(super) is_blocked: bool,
    /// The definition, as a set of one.
    pub(super) manifest: Arc<Manifest>,
}

/// What tells definitions apart.
pub(super) type Id = (Kind, Digest);

pub(super) fn id(one: &Definition) -> Id {
    (one.kind, one.digest())
}

impl Variant {
    /// What it defines.
    pub(super) fn definition(&self) -> Option<&Definition> {
        self.manifest.definitions.first()
    }

    pub(super) fn id(&self) -> Option<Id> {
        self.definition().map(id)
    }

    /// Whether a set defines it, too.
    pub(super) fn is_in(&self, manifest: &Manifest) -> bool {
        self.id().is_some_and(|own| manifest.definitions.iter().any(|one| id(one) == own))
    }
}

/// The address of a variant: that of no release.
pub(super) fn address(manifest: &Manifest) -> String {
    Digest::of("portolan/variant", manifest.digest().hex().as_bytes()).to_string()
}
