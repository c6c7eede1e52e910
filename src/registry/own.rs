//! What callers are offered over connections of their own, where that is not what the release says.
//!
//! A server may list other things for one caller than for another: by who they are, or by what they did in their session. Nothing is
//! wrong with what is missing in a caller's list. What is there and in no release is a variant: it is judged by the same rules as a
//! change, and shown to those who are offered it once it is approved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use semver::{BuildMetadata, Version};

use super::catalog::{Catalog, Entry};
use super::definition::{Definition, Kind, Manifest};
use super::drift::{Difference, differences};
use super::release::{Guard, Release};
use crate::domain::{Digest, Isolation, ServerName};
use crate::store::ReleaseState;
use crate::upstream::Identity;

/// Most variants of a server that are on record.
pub(super) const MOST: usize = 256;

/// What one caller is offered, by server and by whose connection it is.
pub type Owns = BTreeMap<ServerName, BTreeMap<Box<str>, Own>>;

/// Whose lists a caller sees, by server.
pub type Whose = Vec<(ServerName, Box<str>)>;

/// What one caller is offered over a connection of its own.
#[derive(Clone, Debug)]
pub struct Own {
    /// All that is listed there.
    live: Arc<Manifest>,
    /// What the caller is shown of it, where that is not what everybody gets.
    shown: Option<(Arc<Release>, Option<Arc<Guard>>)>,
}

/// Definitions that only some callers are offered, beside a release.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its address.
    pub digest: String,
    /// Where it stands.
    pub state: ReleaseState,
    /// When it was first seen, in milliseconds since the epoch.
    pub since_ms: i64,
    /// The definitions.
    pub(super) manifest: Arc<Manifest>,
}

impl Variant {
    /// Whether it waits for a person.
    pub fn is_held(&self) -> bool {
        self.state == ReleaseState::Held
    }

    /// How many definitions it has.
    pub fn count(&self) -> usize {
        self.manifest.definitions.len()
    }

    /// What a release says under the same names.
    pub(super) fn beside(&self, release: Option<&Release>) -> Manifest {
        let named = |one: &Definition| self.manifest.definitions.iter().any(|new| (new.kind, &new.name) == (one.kind, &one.name));
        let of_release = release.into_iter().flat_map(|release| &release.manifest.definitions);
        Manifest { definitions: of_release.filter(|one| named(one)).cloned().collect(), ..(*self.manifest).clone() }
    }
}

/// The address of a variant: that of no release.
pub(super) fn address(manifest: &Manifest) -> String {
    Digest::of("portolan/variant", manifest.digest().hex().as_bytes()).to_string()
}

impl Own {
    /// What a caller is offered of a server; none where that is what the release says.
    pub(super) fn of(entry: &Entry, live: &Arc<Manifest>) -> Option<Self> {
        let base = entry.release.as_ref()?;
        let with_code = |manifest: &Manifest| {
            let code = base.manifest.of(Kind::Code);
            Manifest { definitions: manifest.definitions.iter().chain(code).cloned().collect(), ..manifest.clone() }
        };
        if with_code(live).digest() == base.digest {
            return None;
        }
        let shown = shown(base, &entry.variants, live);
        let guard = Guard::new(&differences(&shown, live));
        let shown = with_code(&shown);
        let digest = shown.digest();
        if digest == base.digest && guard.is_none() {
            return Some(Self { live: live.clone(), shown: None });
        }
        // Build metadata: it is neither before nor after the release that everybody gets (Semantic Versioning 2.0.0 §10).
        let build = BuildMetadata::new(&digest.short()).unwrap_or_default();
        let version = if digest == base.digest { base.version.clone() } else { Version { build, ..base.version.clone() } };
        let release = Arc::new(Release::new(base.server.clone(), version, shown));
        Some(Self { live: live.clone(), shown: Some((release, guard)) })
    }
}

/// What is approved of what a caller is offered; of what is not, what the release says in its place.
fn shown(base: &Release, variants: &[Variant], live: &Manifest) -> Manifest {
    let approved = variants.iter().filter(|variant| variant.state == ReleaseState::Approved);
    let approved = approved.flat_map(|variant| &variant.manifest.definitions).chain(&base.manifest.definitions);
    let approved: BTreeSet<(Kind, Digest)> = approved.map(|one| (one.kind, one.digest())).collect();
    let place = |one: &Definition| {
        let same = base.manifest.definitions.iter().find(|known| (known.kind, &known.name) == (one.kind, &one.name));
        if approved.contains(&(one.kind, one.digest())) { Some(one.clone()) } else { same.cloned() }
    };
    let definitions = live.definitions.iter().filter_map(place).collect();
    Manifest { definitions, dropped: Vec::new(), info: base.manifest.info.clone(), capabilities: base.manifest.capabilities.clone() }
}

/// What a caller is offered that nobody has judged yet, with how it differs from what is approved; none where there is no such thing. What
/// waits with a change of the release is judged with that.
pub(super) fn news(
    entry: &Entry,
    live: &Manifest,
    judge: impl Fn(&Manifest, &Manifest) -> Vec<Difference>,
) -> Option<(Manifest, Vec<Difference>)> {
    let base = entry.release.as_ref()?;
    let waits: BTreeSet<(Kind, Digest)> =
        entry.live.iter().flat_map(|live| &live.definitions).map(|one| (one.kind, one.digest())).collect();
    let shown = shown(base, &entry.variants, live);
    let approved: BTreeSet<(Kind, Digest)> = shown.definitions.iter().map(|one| (one.kind, one.digest())).collect();
    let is_new = |one: &&Definition| !approved.contains(&(one.kind, one.digest())) && !waits.contains(&(one.kind, one.digest()));
    let definitions: Vec<Definition> = live.definitions.iter().filter(is_new).cloned().collect();
    if definitions.is_empty() {
        return None;
    }
    let news = Manifest { definitions, dropped: Vec::new(), ..live.clone() };
    let named = |one: &Definition| news.definitions.iter().any(|new| (new.kind, &new.name) == (one.kind, &one.name));
    let before = Manifest { definitions: shown.definitions.into_iter().filter(|one| named(one)).collect(), ..news.clone() };
    let differences = judge(&before, &news);
    Some((news, differences))
}

impl Catalog {
    /// Takes note of what is listed over a caller's own connection; false where that was known.
    pub(super) fn offers_own(&mut self, name: &ServerName, key: &str, live: &Arc<Manifest>) -> bool {
        let own = self.servers.get(name).and_then(|entry| Own::of(entry, live));
        let before = self.owns.get(name).and_then(|owns| owns.get(key));
        match (before, own) {
            (None, None) => false,
            (Some(before), Some(own)) if before.live.digest() == own.live.digest() => false,
            (_, Some(own)) => {
                Arc::make_mut(&mut self.owns).entry(name.clone()).or_default().insert(key.into(), own);
                true
            }
            (Some(_), None) => {
                self.forget_own(|server, whose| server == name && whose == key);
                true
            }
        }
    }

    /// Forgets what some callers were offered; false where there is nothing.
    pub(super) fn forget_own(&mut self, gone: impl Fn(&ServerName, &str) -> bool) -> bool {
        if !self.owns.iter().any(|(name, owns)| owns.keys().any(|key| gone(name, key))) {
            return false;
        }
        let owns = Arc::make_mut(&mut self.owns);
        for (name, owns) in owns.iter_mut() {
            owns.retain(|key, _| !gone(name, key));
        }
        owns.retain(|_, owns| !owns.is_empty());
        true
    }

    /// The servers that offer this caller something of its own, with whose connection it is; none for nearly everybody.
    pub fn own_of(&self, identity: Identity<'_>) -> Whose {
        let own = |(name, owns): (&ServerName, &BTreeMap<Box<str>, Own>)| {
            let isolation = self.servers.get(name)?.spec.isolation;
            let (key, own) = owns.get_key_value(identity.key(isolation)).filter(|_| isolation != Isolation::Shared)?;
            own.shown.as_ref().map(|_| (name.clone(), key.clone()))
        };
        self.owns.iter().filter_map(own).collect()
    }

    /// The catalog as a caller sees it who is offered something of its own.
    #[must_use]
    pub fn with_own(&self, whose: &Whose) -> Self {
        let mut seen = Self { owns: Arc::default(), ..self.clone() };
        for (name, key) in whose {
            let own = self.owns.get(name).and_then(|owns| owns.get(key)?.shown.clone());
            if let Some((entry, (release, guard))) = seen.servers.get_mut(name).zip(own) {
                (entry.release, entry.guard) = (Some(release), guard);
            }
        }
        seen
    }

    /// Looks again at what callers are offered of their own, after a change of what is approved.
    pub(super) fn settle_owns(&mut self) {
        if self.owns.is_empty() {
            return;
        }
        let servers = &self.servers;
        let again = |(name, owns): (&ServerName, &BTreeMap<Box<str>, Own>)| {
            let entry = servers.get(name)?;
            let owns: BTreeMap<_, _> = owns.iter().filter_map(|(key, own)| Some((key.clone(), Own::of(entry, &own.live)?))).collect();
            (!owns.is_empty()).then(|| (name.clone(), owns))
        };
        self.owns = Arc::new(self.owns.iter().filter_map(again).collect());
    }
}
