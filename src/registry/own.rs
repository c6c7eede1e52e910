//! What callers are offered over connections of their own, where that is not what the release says.
//!
//! A server may list other things for one caller than for another: by who they are, or by what they did in their session. Nothing is
//! wrong with what is missing in a caller's list. What is there and in no release is a variant: it is judged by the same rules as a
//! change, and shown to those who are offered it once it is approved. Instructions are those of the release: a client hears them before
//! it has a connection of its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Weak};

use semver::{BuildMetadata, Version};

use super::catalog::{Catalog, Entry};
use super::definition::{Definition, Kind, Manifest};
use super::drift::differences;
use super::release::{Guard, Release};
use super::variant::{Id, Own, Variant, Whose, id};
use crate::domain::{Isolation, ServerName};
use crate::store::ReleaseState;
use crate::upstream::{Connection, Identity};

impl Entry {
    /// The variants that wait for a person. What a release or the server itself now offers to everybody waits there, or no longer.
    pub fn held_variants(&self) -> impl Iterator<Item = &Variant> {
        let everybody = || self.release.iter().map(|release| &release.manifest).chain(self.live.as_deref());
        let waits = move |variant: &&Variant| variant.state == ReleaseState::Held && !everybody().any(|manifest| variant.is_in(manifest));
        self.variants.iter().filter(waits)
    }

    /// What is approved of what a caller is offered; of what is not, what the release says in its place, unless that is blocked.
    pub(super) fn approved_of(&self, base: &Release, live: &Manifest) -> Manifest {
        let in_state = |state| self.variants.iter().filter(move |variant| variant.state == state);
        let approved = in_state(ReleaseState::Approved).filter_map(Variant::id).chain(base.manifest.definitions.iter().map(id));
        let approved: HashSet<Id> = approved.collect();
        let blocked: HashSet<Id> = self.held_variants().filter(|variant| variant.is_blocked).filter_map(Variant::id).collect();
        let named: HashMap<(Kind, &str), &Definition> =
            base.manifest.definitions.iter().map(|known| ((known.kind, known.name.as_str()), known)).collect();
        let place = |one: &Definition| match id(one) {
            own if approved.contains(&own) => Some(one.clone()),
            own if blocked.contains(&own) => None,
            _ => named.get(&(one.kind, one.name.as_str())).map(|known| (*known).clone()),
        };
        let definitions = live.definitions.iter().filter_map(place).collect();
        Manifest { definitions, dropped: Vec::new(), info: base.manifest.info.clone(), capabilities: base.manifest.capabilities.clone() }
    }

    /// What a caller is offered that nobody has judged yet, each as a set of one. What waits with a change of the release is judged with that.
    pub(super) fn unjudged(&self, live: &Manifest) -> Vec<Manifest> {
        let Some(base) = &self.release else { return Vec::new() };
        let judged = [Some(&base.manifest), self.live.as_deref()].into_iter().flatten().flat_map(|known| &known.definitions).map(id);
        let judged: HashSet<Id> = judged.chain(self.variants.iter().filter_map(Variant::id)).collect();
        let new = live.definitions.iter().filter(|one| is_told_apart(one.kind) && !judged.contains(&id(one)));
        new.map(|one| Manifest { definitions: vec![one.clone()], dropped: Vec::new(), ..live.clone() }).collect()
    }
}

/// Whether callers may be offered different ones.
fn is_told_apart(kind: Kind) -> bool {
    matches!(kind, Kind::Tool | Kind::Prompt | Kind::Template)
}

impl Own {
    /// What a caller is offered of a server; none where that is what everybody gets.
    pub(super) fn of(entry: &Entry, connection: &Weak<Connection>, live: &Arc<Manifest>) -> Option<Self> {
        let base = entry.release.as_ref()?;
        // What is not told apart is the release's.
        let whole = |manifest: &Manifest| {
            let own = manifest.definitions.iter().filter(|one| is_told_apart(one.kind));
            let shared = base.manifest.definitions.iter().filter(|one| !is_told_apart(one.kind));
            Manifest { definitions: own.chain(shared).cloned().collect(), ..manifest.clone() }
        };
        let own = |shown| Some(Self { connection: connection.clone(), live: live.clone(), shown });
        if whole(live).digest() == base.digest {
            // The server takes from this caller what the release says, whatever it takes from others.
            return entry.guard.as_ref().and_then(|_| own(Some((base.clone(), None))));
        }
        let shown = whole(&entry.approved_of(base, live));
        let guard = Guard::new(&differences(&shown, &whole(live)));
        let digest = shown.digest();
        if digest == base.digest && guard.is_none() && entry.guard.is_none() {
            return own(None);
        }
        // Build metadata: it is neither before nor after the release that everybody gets (Semantic Versioning 2.0.0 §10).
        let build = BuildMetadata::new(&digest.short()).unwrap_or_default();
        let version = if digest == base.digest { base.version.clone() } else { Version { build, ..base.version.clone() } };
        own(Some((Arc::new(Release::new(base.server.clone(), version, shown)), guard)))
    }

    fn is_open(&self) -> bool {
        self.connection.upgrade().is_some_and(|connection| !connection.is_closed())
    }
}

impl Catalog {
    /// Takes note of what is listed over a caller's own connection.
    pub(super) fn offers_own(&mut self, name: &ServerName, key: &str, connection: &Weak<Connection>, live: &Arc<Manifest>) {
        let own = self.servers.get(name).and_then(|entry| Own::of(entry, connection, live));
        self.forget_own(|server, whose| server == name && whose == key);
        if let Some(own) = own {
            Arc::make_mut(&mut self.owns).entry(name.clone()).or_default().insert(key.into(), own);
        }
    }

    /// Forgets what some callers were offered.
    pub(super) fn forget_own(&mut self, gone: impl Fn(&ServerName, &str) -> bool) {
        if !self.owns.iter().any(|(name, owns)| owns.keys().any(|key| gone(name, key))) {
            return;
        }
        let owns = Arc::make_mut(&mut self.owns);
        for (name, owns) in owns.iter_mut() {
            owns.retain(|key, _| !gone(name, key));
        }
        owns.retain(|_, owns| !owns.is_empty());
    }

    /// Looks again at what callers of a server are offered of their own, after a change of what is approved.
    pub(super) fn settle_own(&mut self, name: &ServerName) {
        let Some((owns, entry)) = self.owns.get(name).zip(self.servers.get(name)) else { return };
        let open = owns.iter().filter(|(_, own)| own.is_open());
        let owns: BTreeMap<_, _> = open.filter_map(|(key, own)| Some((key.clone(), Own::of(entry, &own.connection, &own.live)?))).collect();
        let all = Arc::make_mut(&mut self.owns);
        if owns.is_empty() {
            all.remove(name);
        } else {
            all.insert(name.clone(), owns);
        }
    }

    /// The servers that offer this caller something of its own, with whose connection it is; none for nearly everybody.
    pub fn own_of(&self, identity: Identity<'_>) -> Whose {
        let own = |(name, owns): (&ServerName, &BTreeMap<Box<str>, Own>)| {
            let isolation = self.servers.get(name)?.spec.isolation;
            let (key, own) = owns.get_key_value(identity.key(isolation)).filter(|_| isolation != Isolation::Shared)?;
            own.shown.as_ref().filter(|_| own.is_open()).map(|_| (name.clone(), key.clone()))
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
}
