//! Releases as callers see them: their definitions with public names put in. Made once for each release.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::name::public;
use super::shown::Shown;
use crate::domain::{ReleasePin, ServerName};
use crate::policy::List;
use crate::registry::{Catalog, Entry, Kind, Pinned, Release};

/// What of a release is not shown, by kind and own name.
type Hidden = BTreeSet<(Kind, String)>;

/// The releases at hand, as callers see them.
#[derive(Default)]
pub(super) struct Offers {
    served: BTreeMap<ServerName, Arc<Offer>>,
    pinned: BTreeMap<ServerName, BTreeMap<ReleasePin, Arc<Offer>>>,
}

impl Offers {
    /// What a catalog offers. What is as it was before is not made anew.
    pub(super) fn of(catalog: &Catalog, before: Option<&Self>) -> Self {
        let mut offers = Self::default();
        for (entry, release) in catalog.serving() {
            let name = &entry.spec.name;
            let known = before.and_then(|before| before.served.get(name));
            let served = Offer::of(entry, release, &catalog.blocks, known);
            let mut pinned: BTreeMap<ReleasePin, Arc<Offer>> = BTreeMap::new();
            for (pin, Pinned { release, .. }) in entry.pins.iter() {
                let is_it = |offer: &&Arc<Offer>| Arc::ptr_eq(&offer.release, release);
                let known = before.and_then(|before| before.pinned.get(name)?.values().find(is_it));
                let known = known.or_else(|| pinned.values().find(is_it)).or_else(|| Some(&served).filter(is_it));
                let offer = Offer::of(entry, release, &catalog.blocks, known);
                pinned.insert(pin.clone(), offer);
            }
            if !pinned.is_empty() {
                offers.pinned.insert(name.clone(), pinned);
            }
            offers.served.insert(name.clone(), served);
        }
        offers
    }

    /// The release of a server that everybody gets, or the one that a pin means.
    pub(super) fn at(&self, server: &str, pin: Option<&ReleasePin>) -> Option<&Arc<Offer>> {
        match pin {
            None => self.served.get(server),
            Some(pin) => self.pinned.get(server)?.get(pin),
        }
    }

    /// The releases of a server that are pinned.
    pub(super) fn pinned(&self, server: &ServerName) -> impl Iterator<Item = (Option<&ReleasePin>, &Arc<Offer>)> {
        self.pinned.get(server).into_iter().flatten().map(|(pin, offer)| (Some(pin), offer))
    }

    /// The releases that everybody gets, in the order of their servers' names.
    pub(super) fn served(&self) -> impl Iterator<Item = (&ServerName, &Arc<Offer>)> {
        self.served.iter()
    }
}

/// One release of a server as callers see it.
pub(super) struct Offer {
    pub(super) release: Arc<Release>,
    hidden: Hidden,
    tools: Things,
    prompts: Things,
    templates: Things,
}

/// The definitions of one kind.
#[derive(Default)]
pub(super) struct Things {
    pub(super) list: Vec<Shown>,
    own: HashMap<String, usize>,
    public: HashMap<String, usize>,
}

impl Offer {
    /// What callers see of a release of a server; the same as before where nothing of it changed.
    pub(super) fn of(entry: &Entry, release: &Arc<Release>, blocks: &List, before: Option<&Arc<Self>>) -> Arc<Self> {
        let hidden = hidden(entry, release, blocks);
        match before {
            Some(before) if Arc::ptr_eq(&before.release, release) && before.hidden == hidden => before.clone(),
            _ => Arc::new(Self::new(release.clone(), hidden)),
        }
    }

    fn new(release: Arc<Release>, hidden: Hidden) -> Self {
        let server = release.server.as_str();
        let shown = |kind: Kind| {
            let all = release.manifest.of(kind).filter(|definition| !hidden.contains(&(kind, definition.name.clone())));
            Things::of(all.map(|definition| Shown::new(server, &release, definition)).collect())
        };
        let (tools, prompts, templates) = (shown(Kind::Tool), shown(Kind::Prompt), shown(Kind::Template));
        Self { release, hidden, tools, prompts, templates }
    }

    /// Its definitions of a kind.
    pub(super) fn things(&self, kind: Kind) -> &Things {
        match kind {
            Kind::Prompt => &self.prompts,
            Kind::Template => &self.templates,
            Kind::Tool | Kind::Instructions | Kind::Code => &self.tools,
        }
    }
}

impl Things {
    fn of(list: Vec<Shown>) -> Self {
        let own = list.iter().enumerate().map(|(at, shown)| (shown.own.clone(), at)).collect();
        let public = list.iter().enumerate().map(|(at, shown)| (shown.public.clone(), at)).collect();
        Self { list, own, public }
    }

    /// The one that its server calls so.
    pub(super) fn by_own(&self, name: &str) -> Option<&Shown> {
        self.list.get(*self.own.get(name)?)
    }

    /// The one of a public name.
    pub(super) fn by_public(&self, name: &str) -> Option<&Shown> {
        self.list.get(*self.public.get(name)?)
    }
}

fn hidden(entry: &Entry, release: &Release, blocks: &List) -> Hidden {
    let mut hidden = entry.held.as_ref().map(|held| held.blocked().clone()).unwrap_or_default();
    if !blocks.all().is_empty() {
        let server = release.server.as_str();
        let tools = release.manifest.of(Kind::Tool).filter(|tool| blocks.of_tool(&public(server, &tool.name)).is_some());
        hidden.extend(tools.map(|tool| (Kind::Tool, tool.name.clone())));
    }
    hidden
}
