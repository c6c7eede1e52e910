//! Toolsets of a view: which of its things belong to each, and what they are called there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::compat;
use super::name::{SetNames, public};
use super::shown::{Body, Shown};
use crate::domain::{Form, RawObject, Toolset, raw};
use crate::registry::{Catalog, Kind};

/// A toolset, made ready for callers.
pub(super) struct Set {
    toolset: Arc<Toolset>,
    pub(super) tools: Members,
    pub(super) prompts: Members,
    pub(super) templates: Members,
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
    /// Where it stands in the view's own list.
    pub(super) at: usize,
    /// What it is called in the set.
    pub(super) name: String,
    /// Its definition, where that is another than at `/mcp`.
    pub(super) body: Option<Body>,
}

impl Members {
    /// Where something stands in the view's list, by its name in the set.
    pub(super) fn at(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The public name of what has a name in the set, also where it is shown to nobody now.
    pub(super) fn public(&self, name: &str) -> Option<&str> {
        self.public.get(name).map(String::as_str)
    }

    fn push(&mut self, at: usize, name: String, body: Option<Body>) {
        self.by_name.insert(name.clone(), at);
        self.list.push(Member { at, name, body });
    }
}

impl Set {
    /// A toolset of what a view of a catalog shows.
    pub(super) fn new(toolset: &Arc<Toolset>, catalog: &Catalog, tools: &[Shown], prompts: &[Shown], templates: &[Shown]) -> Self {
        let compat = toolset.form == Form::Compat;
        let tools_of = members(toolset, catalog, Kind::Tool, tools, compat);
        let prompts = members(toolset, catalog, Kind::Prompt, prompts, false);
        let pages = tools_of.list.iter().filter_map(|member| page_of(tools.get(member.at)?.public_body.whole())).collect();
        let mut own = Members::default();
        for (at, shown) in templates.iter().enumerate().filter(|(_, shown)| toolset.takes_server(&shown.server)) {
            own.push(at, shown.public.clone(), None);
        }
        Self { toolset: toolset.clone(), tools: tools_of, prompts, templates: own, pages }
    }

    pub(super) fn toolset(&self) -> &Toolset {
        &self.toolset
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

/// The members of one kind, of those that a view shows.
fn members(toolset: &Toolset, catalog: &Catalog, kind: Kind, list: &[Shown], compat: bool) -> Members {
    // Names come from all that is registered: a block, or a server that is disabled, must not change those of others.
    let releases = catalog.servers.values().filter_map(|entry| entry.release.as_ref());
    let all = releases.flat_map(|release| release.manifest.of(kind).map(|definition| (release.server.as_str(), definition.name.as_str())));
    let ours = all.filter(|(server, own)| match kind {
        Kind::Tool => toolset.takes_tool(server, &public(server, own)),
        _ => toolset.takes_server(server),
    });
    let none = BTreeMap::new();
    let rename = if kind == Kind::Tool { &toolset.rename } else { &none };
    let names = SetNames::of(toolset.naming, rename, ours);
    let mut members = Members::default();
    for (at, shown) in list.iter().enumerate() {
        let Some(name) = names.names.get(&shown.public) else { continue };
        let body = (compat || *name != shown.public).then(|| body(shown, name, compat));
        members.push(at, name.clone(), body);
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
