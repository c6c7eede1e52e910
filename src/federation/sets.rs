//! Toolsets of a view: which of its things belong to each, and what they are called there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::compat;
use super::name::{SetNames, public};
use super::offer::{Offer, Offers};
use super::shown::{Body, Shown};
use crate::domain::{Form, RawObject, ReleasePin, Toolset, raw};
use crate::registry::{Catalog, Kind};

/// A toolset, made ready for callers.
pub(super) struct Set {
    toolset: Arc<Toolset>,
    tools: Members,
    prompts: Members,
    templates: Members,
    /// The pages of its tools, which can be read although the rest of their server cannot.
    pages: HashSet<String>,
}

/// The things of one kind.
#[derive(Default)]
pub(super) struct Members {
    pub(super) list: Vec<Member>,
    by_name: HashMap<String, usize>,
    /// The public name of every name, of those too that are blocked or whose server is disabled.
    public: BTreeMap<String, String>,
    /// The bare names that several wanted.
    pub(super) doubles: BTreeMap<String, BTreeSet<String>>,
}

/// One thing of a set.
pub(super) struct Member {
    /// The release that it is of.
    pub(super) offer: Arc<Offer>,
    /// How that release is pinned, where it is not the one that is served.
    pub(super) pin: Option<ReleasePin>,
    /// Where it stands in the release.
    at: usize,
    /// What it is called in the set.
    pub(super) name: String,
    /// Its definition, where that is another than at `/mcp`.
    pub(super) body: Option<Body>,
}

impl Member {
    /// Its definition, which is of a kind.
    pub(super) fn shown(&self, kind: Kind) -> Option<&Shown> {
        self.offer.things(kind).list.get(self.at)
    }
}

impl Members {
    /// The one of a name in the set.
    pub(super) fn by_name(&self, name: &str) -> Option<&Member> {
        self.list.get(*self.by_name.get(name)?)
    }

    /// The public name of what has a name in the set, also where it is shown to nobody now.
    pub(super) fn public(&self, name: &str) -> Option<&str> {
        self.public.get(name).map(String::as_str)
    }

    fn push(&mut self, member: Member) {
        self.by_name.insert(member.name.clone(), self.list.len());
        self.list.push(member);
    }
}

impl Set {
    /// A toolset of what there is of a catalog.
    pub(super) fn new(toolset: &Arc<Toolset>, catalog: &Catalog, offers: &Offers) -> Self {
        let members = |kind| members(toolset, catalog, offers, kind);
        let (tools, prompts, templates) = (members(Kind::Tool), members(Kind::Prompt), members(Kind::Template));
        let page = |member: &Member| page_of(&member.shown(Kind::Tool)?.public_body.whole());
        let pages = tools.list.iter().filter_map(page).collect();
        Self { toolset: toolset.clone(), tools, prompts, templates, pages }
    }

    pub(super) fn toolset(&self) -> &Toolset {
        &self.toolset
    }

    /// Its things of a kind.
    pub(super) fn members(&self, kind: Kind) -> &Members {
        match kind {
            Kind::Prompt => &self.prompts,
            Kind::Template => &self.templates,
            Kind::Tool | Kind::Instructions | Kind::Code => &self.tools,
        }
    }

    /// Whether results are shown in the plainer form.
    pub(super) fn is_compat(&self) -> bool {
        self.toolset.form == Form::Compat
    }

    /// Whether a resource can be read here: all of whole servers', and pages of its tools.
    pub(super) fn reads(&self, server: &str, uri: &str) -> bool {
        self.toolset.takes_server(server) || self.pages.contains(uri)
    }
}

/// The members of one kind, of what there is.
fn members(toolset: &Toolset, catalog: &Catalog, offers: &Offers, kind: Kind) -> Members {
    let is_ours = |at: Option<&ReleasePin>, server: &str, public: &str| match kind {
        Kind::Tool => toolset.takes_tool(server, public) && toolset.pin_of_tool(server, public) == at,
        _ => toolset.takes_server(server) && toolset.pin_of_server(server) == at,
    };
    // Names come from all that is registered: a block, or a server that is disabled, must not change those of others.
    let releases = catalog.servers.values().flat_map(|entry| {
        let served = entry.release.iter().map(|release| (None, release));
        served.chain(entry.pins.iter().map(|(pin, pinned)| (Some(pin), &pinned.release)))
    });
    let things =
        releases.flat_map(|(at, release)| release.manifest.of(kind).map(move |one| (at, release.server.as_str(), one.name.as_str())));
    let ours = things.filter(|(at, server, own)| is_ours(*at, server, &public(server, own))).map(|(_, server, own)| (server, own));
    let none = BTreeMap::new();
    let rename = if kind == Kind::Tool { &toolset.rename } else { &none };
    // Templates are told apart by their addresses, which are nobody's to choose.
    let names = if kind == Kind::Template { SetNames::default() } else { SetNames::of(toolset.naming, rename, ours) };
    let compat = kind == Kind::Tool && toolset.form == Form::Compat;
    let mut members = Members::default();
    for (server, served) in offers.served() {
        for (pin, offer) in std::iter::once((None, served)).chain(offers.pinned(server)) {
            for (at, shown) in offer.things(kind).list.iter().enumerate() {
                if !is_ours(pin, &shown.server, &public(&shown.server, &shown.own)) {
                    continue;
                }
                let name = if kind == Kind::Template { Some(&shown.public) } else { names.names.get(&shown.public) };
                let Some(name) = name.cloned() else { continue };
                let body = (compat || name != shown.public).then(|| body(shown, &name, compat));
                members.push(Member { offer: offer.clone(), pin: pin.cloned(), at, name, body });
            }
        }
    }
    members.public = names.names.into_iter().map(|(public, name)| (name, public)).collect();
    members.doubles = names.doubles;
    members
}

/// A definition under another name, and in the plainer form where that is wanted.
fn body(shown: &Shown, name: &str, compat: bool) -> Body {
    shown.public_body.map(|text| {
        let Ok(mut object) = RawObject::parse(text) else { return text.into() };
        object.set("name", raw(name));
        if compat {
            compat::definition(&mut object);
        }
        object.to_text().into()
    })
}

/// The page that a tool's definition names, by the URI by which it is read here.
fn page_of(body: &str) -> Option<String> {
    if !body.contains("ui://") {
        return None;
    }
    let meta = RawObject::parse(body).ok()?.read::<serde_json::Value>("_meta")?;
    meta.pointer("/ui/resourceUri")?.as_str().map(str::to_owned)
}
