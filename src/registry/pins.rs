//! What is known of releases that can be pinned, and which are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use semver::Version;

use super::release::{Guard, Release};
use crate::domain::{ReleasePin, ServerName, now_ms};
use crate::store::{ReleaseHead, ReleaseState};

/// Pins of one server that are remembered because a caller asked for them.
const MOST: usize = 16;

/// A release that is or was served, as far as it was not taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its version.
    pub version: Version,
    /// The address of the set.
    pub digest: String,
    /// Until when it can be pinned, where it is deprecated.
    pub retiring: Option<Retiring>,
}

impl Known {
    /// What is known of a release that is served.
    pub(super) fn of(release: &Arc<Release>) -> Self {
        Self { version: release.version.clone(), digest: release.digest.to_string(), retiring: None }
    }
}

/// A release that those who pin it should leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retiring {
    /// Since when they are told so, in milliseconds since the epoch.
    pub since_ms: i64,
    /// When it ends.
    pub sunset_ms: i64,
}

impl Retiring {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        now_ms() >= self.sunset_ms
    }
}

/// A release that is served to those who pin it.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The release.
    pub release: Arc<Release>,
    /// What the server takes now, where that is not what the release says.
    pub guard: Option<Arc<Guard>>,
    /// Until when it is served, where it is deprecated.
    pub retiring: Option<Retiring>,
}

/// What is pinned, whether or not there is such a release.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// By the configuration.
    pub(super) declared: BTreeMap<ServerName, BTreeSet<ReleasePin>>,
    /// By callers, the last one that came first.
    asked: BTreeMap<ServerName, VecDeque<ReleasePin>>,
}

impl Wanted {
    pub(super) fn ask(&mut self, server: &ServerName, pin: &ReleasePin) {
        let asked = self.asked.entry(server.clone()).or_default();
        asked.push_front(pin.clone());
        asked.truncate(MOST);
    }

    pub(super) fn of(&self, server: &ServerName) -> BTreeSet<ReleasePin> {
        let declared = self.declared.get(server).into_iter().flatten();
        declared.chain(self.asked.get(server).into_iter().flatten()).cloned().collect()
    }

    pub(super) fn forget(&mut self, server: &ServerName) {
        self.asked.remove(server);
    }
}

/// The releases that can be pinned, by what is known of all.
pub(super) fn known(heads: &[ReleaseHead]) -> Arc<[Known]> {
    let known = heads.iter().filter(|head| head.state == ReleaseState::Approved).filter_map(|head| {
        let retiring = head.deprecated_ms.zip(head.sunset_ms).map(|(since_ms, sunset_ms)| Retiring { since_ms, sunset_ms });
        Some(Known { version: Version::parse(&head.version).ok()?, digest: head.digest.clone(), retiring })
    });
    known.collect()
}
