//! The snapshot that requests read: every server with the release that is served.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::definition::Manifest;
use super::error::Error;
use super::pins::{Known, Pinned};
use super::release::{Guard, Held, Release};
use super::variant::{Owns, Variant};
use crate::domain::{ReleasePin, ServerName, ServerSpec, Toolsets, clip, meant};
use crate::policy::List;

/// One server in the snapshot.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How it is reached, as the operator said.
    pub spec: Arc<ServerSpec>,
    /// The same, with the version of its code that belongs to the release.
    pub runs: Arc<ServerSpec>,
    /// Whether it is used at all.
    pub enabled: bool,
    /// What callers see of it; nothing until a release was approved.
    pub release: Option<Arc<Release>>,
    /// A change that waits for approval.
    pub held: Option<Held>,
    /// What the server offers now, where that is not the release: a change that is held, or was rejected.
    pub live: Option<Arc<Manifest>>,
    /// What the server takes now, where that is not what the release says.
    pub guard: Option<Arc<Guard>>,
    /// Every release that is or was served, as far as it was not taken back.
    pub known: Arc<[Known]>,
    /// The releases that callers or the configuration have pinned.
    pub pins: Arc<BTreeMap<ReleasePin, Pinned>>,
    /// What only some callers are offered, beside the release.
    pub variants: Arc<[Variant]>,
    /// The era it was last found to speak.
    pub era: Option<crate::protocol::Era>,
    /// Why it could not be looked at the last time, for administrators.
    pub problem: Option<Arc<str>>,
    /// Why the version of its code is not known, where a runner fetches it.
    pub unpinned: Option<Arc<str>>,
}

impl Entry {
    /// A server of which nothing is known yet.
    pub fn new(spec: Arc<ServerSpec>, enabled: bool) -> Self {
        let (known, pins, variants) = (Arc::default(), Arc::default(), Arc::default());
        let (runs, release, held, live, guard) = (spec.clone(), None, None, None, None);
        Self { spec, runs, enabled, release, held, live, guard, known, pins, variants, era: None, problem: None, unpinned: None }
    }

    /// How many definitions wait for a person; none where nothing does.
    pub fn held_count(&self) -> Option<usize> {
        let counts = self.held.iter().map(|held| held.count).chain(self.held_variants().map(|_| 1));
        counts.reduce(|a, b| a + b)
    }

    /// Serves a release, whose code is run from then on.
    pub(super) fn serve(&mut self, release: Arc<Release>) {
        let pinned = release.manifest.code().and_then(|code| code.run_by(&self.spec));
        self.runs = pinned.map_or_else(|| self.spec.clone(), Arc::new);
        self.release = Some(release);
    }
}

/// All servers at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By name.
    pub servers: BTreeMap<ServerName, Entry>,
    /// The toolsets of the configuration.
    pub toolsets: Toolsets,
    /// What is blocked, and so is shown to nobody.
    pub blocks: Arc<List>,
    /// What callers are offered over connections of their own, where that is something else.
    pub owns: Arc<Owns>,
    /// Counts up whenever callers may see other definitions than before.
    pub edition: u64,
}

impl Catalog {
    /// A server by its name, whether or not it may be used.
    pub fn server(&self, name: &str) -> Result<&Entry, Error> {
        let missing = || Error::NoServer { name: clip(name, 64), meant: meant(name, self.servers.keys().map(ServerName::as_str)) };
        self.servers.get(name).ok_or_else(missing)
    }

    /// A server that may be used.
    pub fn usable(&self, name: &str) -> Option<&Entry> {
        self.servers.get(name).filter(|entry| self.shows(entry))
    }

    fn shows(&self, entry: &Entry) -> bool {
        entry.enabled && self.blocks.of_server(entry.spec.name.as_str()).is_none()
    }

    /// All servers that have something to serve, in the order of their names.
    pub fn serving(&self) -> impl Iterator<Item = (&Entry, &Arc<Release>)> {
        self.servers.values().filter(|entry| self.shows(entry)).filter_map(|entry| Some((entry, entry.release.as_ref()?)))
    }
}

/// How often something changed that callers may see.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The catalog's edition.
    pub edition: u64,
    /// How often each server told that its resources are others now.
    pub resources: BTreeMap<ServerName, u64>,
}
