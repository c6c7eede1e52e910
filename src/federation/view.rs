//! The catalog as callers see it: which of its definitions stand at which endpoint, and under which names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::listing::Listing;
use super::made::Made;
use super::name::{parted_uri, public};
use super::offer::{Offer, Offers};
use super::offered::OfferedTool;
use super::page::{Item, tell};
use super::scope::{At, Scope};
use super::sets::{Member, Set};
use super::shown::{Body, Shown, hash};
use crate::domain::{Given, Principal, ReleasePin, Selection, ServerName, lock};
use crate::policy::Blocked;
use crate::protocol::RpcError;
use crate::registry::{Catalog, Entry, Guard, Kind, Release, Retiring, Whose};
use crate::upstream::Identity;

/// What a caller sees of each kind; two of the same catalog state are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The tools.
    pub tools: u64,
    /// The prompts.
    pub prompts: u64,
    /// The resource templates.
    pub templates: u64,
}

/// A catalog made ready for callers.
pub(super) struct View {
    catalog: Arc<Catalog>,
    offers: Offers,
    sets: HashMap<String, Set>,
    /// The lists that were made of it.
    made: Made,
    /// The same as callers see it who are offered something of their own, by whose it is.
    own: Mutex<HashMap<Whose, Arc<Self>>>,
}

/// A definition as it is seen at an endpoint: what it is called there, and its text.
struct Seen<'v> {
    shown: &'v Shown,
    name: &'v str,
    body: &'v Body,
}

/// The same in a list.
struct Listed<'v> {
    seen: Seen<'v>,
    pieces: [&'v str; 3],
}

impl Item for Listed<'_> {
    fn pieces(&self) -> [&str; 3] {
        self.pieces
    }

    fn tell(&self, mark: &mut Sha256) {
        // In place of the text, which is long, what tells it apart; and its length, as it may be in another form.
        tell(mark, &[self.seen.name]);
        mark.update(self.seen.shown.mark.to_be_bytes());
        for piece in self.pieces {
            mark.update((piece.len() as u64).to_be_bytes());
        }
    }
}

/// A definition that was found by its name, with its release and its server.
#[derive(Clone, Copy)]
pub(super) struct Found<'v> {
    pub(super) entry: &'v Entry,
    pub(super) release: &'v Release,
    pub(super) shown: &'v Shown,
    /// What the server takes now, where that is not what the release says.
    pub(super) guard: Option<&'v Guard>,
    /// Until when the release is served, where it ends.
    pub(super) retiring: Option<Retiring>,
}

impl View {
    /// What callers see of a catalog. What is as it was in the view before is not made anew.
    pub(super) fn new(catalog: Arc<Catalog>, before: Option<&Self>) -> Self {
        let offers = Offers::of(&catalog, before.map(|before| &before.offers));
        let sets = catalog.toolsets.iter().map(|(name, toolset)| (name.to_string(), Set::new(toolset, &catalog, &offers))).collect();
        Self { catalog, offers, sets, made: Made::default(), own: Mutex::default() }
    }

    /// As a caller sees it: the same for nearly everybody.
    pub(super) fn seen_by(self: Arc<Self>, identity: Identity<'_>) -> Arc<Self> {
        let whose = self.catalog.own_of(identity);
        if whose.is_empty() {
            return self;
        }
        let known = lock(&self.own).get(&whose).cloned();
        known.unwrap_or_else(|| {
            let own = Arc::new(Self::new(Arc::new(self.catalog.with_own(&whose)), Some(&self)));
            lock(&self.own).entry(whose).or_insert(own).clone()
        })
    }

    /// The views of those who are offered something of their own, as far as they have looked.
    pub(super) fn own_views(&self) -> Vec<Arc<Self>> {
        lock(&self.own).values().cloned().collect()
    }

    /// Whether what is asked at a scope may be logged to the client.
    pub(super) fn logs(&self, scope: Scope<'_>) -> bool {
        let logs = |(_, release): (&Entry, &Arc<Release>)| release.manifest.has("logging");
        match scope {
            // Of a set, single tools may be of servers that log.
            Scope::All | Scope::Set(_) => self.releases(Scope::All).any(logs),
            Scope::One(_) | Scope::At(_) => self.releases(scope).any(logs),
        }
    }

    /// Whether it shows what a catalog has to show.
    pub(super) fn is_of(&self, catalog: &Catalog) -> bool {
        self.catalog.edition == catalog.edition
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The servers of a scope that serve something, each with its release there.
    pub(super) fn releases<'v>(&'v self, scope: Scope<'v>) -> Box<dyn Iterator<Item = (&'v Entry, &'v Arc<Release>)> + 'v> {
        let served = self.offers.served();
        match scope {
            Scope::All => Box::new(served.filter_map(|(name, offer)| Some((self.catalog.servers.get(name)?, &offer.release)))),
            Scope::One(server) => Box::new(self.release(server, None).into_iter()),
            Scope::At(At { server, release, .. }) => Box::new(self.release(server, Some(release)).into_iter()),
            Scope::Set(name) => {
                let toolset = self.set(name).map(Set::toolset);
                let takes = move |name: &ServerName| toolset.is_some_and(|toolset| toolset.takes_server(name.as_str()));
                let pin = move |name: &ServerName| toolset.and_then(|toolset| toolset.pin_of_server(name.as_str()));
                Box::new(served.filter(move |(name, _)| takes(name)).filter_map(move |(name, _)| self.release(name.as_str(), pin(name))))
            }
        }
    }

    fn release<'v>(&'v self, server: &str, pin: Option<&ReleasePin>) -> Option<(&'v Entry, &'v Arc<Release>)> {
        Some((self.catalog.servers.get(server)?, &self.offers.at(server, pin)?.release))
    }

    /// A toolset by its name.
    pub(super) fn set(&self, name: &str) -> Option<&Set> {
        self.sets.get(name)
    }

    /// All toolsets.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Set> {
        self.sets.values()
    }

    /// Whether results are shown in the plainer form at a scope.
    pub(super) fn is_compat(&self, scope: Scope<'_>) -> bool {
        matches!(scope, Scope::Set(name) if self.set(name).is_some_and(Set::is_compat))
    }

    /// The server and its own URI of what a URI names at a scope; none where nothing of it can be read.
    pub(super) fn placed<'u>(&self, scope: Scope<'u>, uri: &'u str) -> Option<(&'u str, String)> {
        match (scope, scope.server()) {
            (Scope::Set(name), _) => parted_uri(uri).filter(|(server, _)| self.set(name).is_some_and(|set| set.reads(server, uri))),
            (_, Some(server)) if !scope.is_joined() => Some((server, uri.to_owned())),
            _ => parted_uri(uri),
        }
    }

    /// One page of what is defined of a kind. A list is written once for all who see the same.
    pub(super) fn list(&self, kind: Kind, listing: &Listing<'_>, meta: Option<&Value>) -> Result<Given, RpcError> {
        let member = match kind {
            Kind::Prompt => "prompts",
            Kind::Template => "resourceTemplates",
            Kind::Tool | Kind::Instructions | Kind::Code => "tools",
        };
        let write = || {
            let seen = self.seen(kind, listing.principal, listing.scope);
            let items: Vec<_> = seen.map(|seen| Listed { pieces: seen.body.at(listing.in_session), seen }).collect();
            (listing.page(member, &items, meta), items.len())
        };
        match listing.params.get("cursor") {
            Some(_) => write().0.map(Given::from),
            None => self.made.or_make(member, listing, meta, write),
        }
    }

    /// What a caller sees of a kind at a scope.
    fn seen<'v>(&'v self, kind: Kind, principal: &'v Principal, scope: Scope<'v>) -> Box<dyn Iterator<Item = Seen<'v>> + 'v> {
        let grants = principal.grants();
        let may = move |shown: &Shown| match kind {
            Kind::Tool => grants.tool(&shown.server, &shown.public),
            _ => grants.server(&shown.server),
        };
        let of = move |offer: Option<&'v Arc<Offer>>| offer.into_iter().flat_map(move |offer| &offer.things(kind).list);
        let own = |shown: &'v Shown| Seen { name: &shown.own, body: &shown.body, shown };
        let public = |shown: &'v Shown| Seen { name: &shown.public, body: &shown.public_body, shown };
        match scope {
            Scope::All => {
                Box::new(self.offers.served().flat_map(move |(_, offer)| of(Some(offer))).filter(move |shown| may(shown)).map(public))
            }
            Scope::One(server) => Box::new(of(self.offers.at(server, None)).filter(move |shown| may(shown)).map(own)),
            Scope::At(At { server, release, joined }) => {
                let seen = of(self.offers.at(server, Some(release))).filter(move |shown| may(shown));
                if joined { Box::new(seen.map(public)) } else { Box::new(seen.map(own)) }
            }
            Scope::Set(name) => {
                let members = self.set(name).map(|set| set.members(kind));
                let seen = move |member: &'v Member| {
                    let shown = member.shown(kind).filter(|shown| may(shown))?;
                    Some(Seen { shown, name: &member.name, body: member.body.as_ref().unwrap_or(&shown.public_body) })
                };
                Box::new(members.into_iter().flat_map(|members| &members.list).filter_map(seen))
            }
        }
    }

    /// What a caller sees at a scope, in a form that tells whether it is still the same.
    pub(super) fn sight(&self, principal: &Principal, scope: Scope<'_>) -> Sight {
        let seen = |kind| self.seen(kind, principal, scope).map(|seen| (seen.name, seen.shown.mark)).collect::<Vec<_>>();
        let marks = |kind| hash((self.is_compat(scope), seen(kind)));
        Sight { tools: marks(Kind::Tool), prompts: marks(Kind::Prompt), templates: marks(Kind::Template) }
    }

    /// A tool or a prompt, by its name at a scope.
    pub(super) fn find<'v>(&'v self, kind: Kind, scope: Scope<'v>, name: &str) -> Option<Found<'v>> {
        match scope {
            Scope::All => {
                // No server's name has an underscore, so that the first two part it from the tool's.
                let (server, _) = name.split_once("__")?;
                let offer = self.offers.at(server, None)?;
                self.found(offer, None, offer.things(kind).by_public(name)?)
            }
            Scope::One(server) => {
                let offer = self.offers.at(server, None)?;
                self.found(offer, None, offer.things(kind).by_own(name)?)
            }
            Scope::At(At { server, release, joined }) => {
                let offer = self.offers.at(server, Some(release))?;
                let things = offer.things(kind);
                self.found(offer, Some(release), if joined { things.by_public(name)? } else { things.by_own(name)? })
            }
            Scope::Set(set) => {
                let member = self.set(set)?.members(kind).by_name(name)?;
                self.found(&member.offer, member.pin.as_ref(), member.shown(kind)?)
            }
        }
    }

    fn found<'v>(&'v self, offer: &'v Offer, pin: Option<&ReleasePin>, shown: &'v Shown) -> Option<Found<'v>> {
        let entry = self.catalog.usable(&shown.server)?;
        let pinned = pin.and_then(|pin| entry.pins.get(pin));
        let guard = match pin {
            None => entry.guard.as_deref(),
            Some(_) => pinned.and_then(|pinned| pinned.guard.as_deref()),
        };
        Some(Found { entry, release: &offer.release, shown, guard, retiring: pinned.and_then(|pinned| pinned.retiring) })
    }

    /// Why a tool of that name is shown to nobody, where it is blocked; those who may not use it are not told.
    pub(super) fn blocked(&self, principal: &Principal, scope: Scope<'_>, name: &str) -> Option<Blocked> {
        let blocks = &self.catalog.blocks;
        let public = match (scope, scope.server()) {
            (Scope::Set(set), _) => self.set(set)?.members(Kind::Tool).public(name)?.to_owned(),
            (_, Some(server)) if !scope.is_joined() => public(server, name),
            _ => name.to_owned(),
        };
        let (server, _) = public.split_once("__")?;
        if !principal.grants().tool(server, &public) {
            return None;
        }
        blocks.of_tool(&public).or_else(|| blocks.of_server(server))
    }

    /// The tools of all releases at hand.
    pub(super) fn shown_tools(&self) -> impl Iterator<Item = &Shown> {
        let pinned = |name| self.offers.pinned(name).map(|(_, offer)| offer);
        let offers = self.offers.served().flat_map(move |(name, offer)| std::iter::once(offer).chain(pinned(name)));
        offers.flat_map(|offer| &offer.things(Kind::Tool).list)
    }

    pub(super) fn tool_names<'v>(&'v self, principal: &'v Principal) -> impl Iterator<Item = &'v str> {
        self.seen(Kind::Tool, principal, Scope::All).map(|seen| seen.name)
    }

    /// The tools that a selection means, of those that a caller may use.
    pub(super) fn offered(&self, principal: &Principal, selected: &Selection) -> Vec<OfferedTool> {
        let grants = principal.grants();
        let sets: Vec<&Set> = self.sets().filter(|set| selected.matches(set.toolset().name.as_str())).collect();
        let in_set = |shown: &Shown| sets.iter().any(|set| set.toolset().takes_tool(&shown.server, &shown.public));
        let free = |shown: &Shown| selected.matches(&shown.server) || selected.matches(&shown.public) || in_set(shown);
        let pin = |shown: &Shown| {
            let of_set = || sets.iter().find_map(|set| set.toolset().pin_of_tool(&shown.server, &shown.public));
            selected.pin_of_tool(&shown.server, &shown.public).or_else(of_set)
        };
        let mut offered = Vec::new();
        for (name, offer) in self.offers.served() {
            for (at, offer) in std::iter::once((None, offer)).chain(self.offers.pinned(name)) {
                let meant = |shown: &&Shown| pin(shown) == at && (at.is_some() || free(shown));
                let tools = offer.things(Kind::Tool).list.iter().filter(meant);
                let chosen = tools.filter(|shown| grants.tool(&shown.server, &shown.public));
                offered.extend(chosen.filter_map(|shown| OfferedTool::read(shown, at)));
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use semver::Version;
    use serde_json::json;

    use super::*;
    use crate::domain::{Form, Naming, ServerName, ServerSpec, Toolset, Transport, raw};
    use crate::registry::{Definition, Manifest};

    type Servers = BTreeMap<String, BTreeSet<String>>;

    fn entry(name: &ServerName, tools: &BTreeSet<String>) -> Entry {
        let body = |tool: &String| raw(&json!({ "name": tool, "inputSchema": { "type": "object" } }));
        let definitions = tools.iter().map(|tool| Definition::new(Kind::Tool, tool.clone(), body(tool)).unwrap()).collect();
        let empty = || raw(&json!({}));
        let manifest = Manifest { definitions, dropped: Vec::new(), info: empty(), capabilities: empty() };
        let spec =
            ServerSpec { declared: true, ..ServerSpec::new(name.clone(), Transport::Stdio { command: Vec::new(), env: BTreeMap::new() }) };
        let release = Some(Arc::new(Release::new(name.clone(), Version::new(1, 0, 0), manifest)));
        Entry { release, ..Entry::new(Arc::new(spec), true) }
    }

    /// The names of all tools at `/mcp`, and in a set that takes all of them.
    fn names(servers: &Servers, naming: Naming, disabled: Option<&str>) -> BTreeMap<(String, String), (String, String)> {
        let everything = Selection::new(vec!["*".to_owned()]).unwrap();
        let toolset = Toolset::new("set".parse().unwrap(), everything, naming, BTreeMap::new(), Form::Full).unwrap();
        let mut catalog = Catalog { toolsets: Arc::new([(toolset.name.clone(), Arc::new(toolset))].into()), ..Catalog::default() };
        for (name, tools) in servers {
            let name: ServerName = name.parse().unwrap();
            let entry = Entry { enabled: disabled != Some(name.as_str()), ..entry(&name, tools) };
            catalog.servers.insert(name, entry);
        }
        let view = View::new(Arc::new(catalog), None);
        let members = &view.set("set").unwrap().members(Kind::Tool).list;
        let named = members.iter().map(|member| {
            let shown = member.shown(Kind::Tool).unwrap();
            ((shown.server.clone(), shown.own.clone()), (shown.public.clone(), member.name.clone()))
        });
        named.collect()
    }

    /// Few servers and names, so that many are the same; some are too long or not plain.
    fn servers() -> impl Strategy<Value = Servers> {
        let tool = "(get|set|b__get|x[.]y|x/y|[a-z]{60})";
        proptest::collection::btree_map("[a-d]", proptest::collection::btree_set(tool, 0..5), 0..4)
    }

    proptest! {
        #[test]
        fn a_server_that_comes_or_goes_changes_no_public_name(before in servers(), more in servers()) {
            let mut after = before.clone();
            for (server, tools) in more {
                after.entry(server).or_default().extend(tools);
            }
            let (then, now) = (names(&before, Naming::Prefixed, None), names(&after, Naming::Prefixed, None));
            for (thing, name) in &then {
                prop_assert_eq!(now.get(thing), Some(name));
            }
            let all: BTreeSet<&String> = now.values().map(|(public, _)| public).collect();
            prop_assert_eq!(all.len(), now.len(), "no two have one");
        }

        #[test]
        fn a_server_that_is_disabled_gives_its_bare_names_to_nobody(servers in servers(), disabled in "[a-d]") {
            let (then, now) = (names(&servers, Naming::Bare, None), names(&servers, Naming::Bare, Some(&disabled)));
            for (thing, name) in &now {
                prop_assert_eq!(then.get(thing), Some(name));
            }
        }
    }
}
