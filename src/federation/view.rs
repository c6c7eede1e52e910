//! The catalog as callers see it: public names, and bodies with the name put in. Made once per catalog.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use super::name::{public, public_uri};
use super::offered::OfferedTool;
use super::page::page;
use crate::domain::{Globs, Principal, RawObject, raw};
use crate::protocol::{Params, RpcError};
use crate::registry::{Catalog, Definition, Entry, Kind, Release};

/// Which endpoint is looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// `/mcp`: every server, with joined names.
    All,
    /// `/mcp/{server}`: one server, nothing renamed.
    One(&'a str),
}

/// One definition under its public name.
struct Shown {
    server: String,
    own: String,
    public: String,
    body: Box<str>,
    public_body: Box<str>,
}

/// A catalog made ready for callers.
pub(super) struct View {
    catalog: Arc<Catalog>,
    tools: Vec<Shown>,
    prompts: Vec<Shown>,
    templates: Vec<Shown>,
    tool_by_public: HashMap<String, usize>,
    prompt_by_public: HashMap<String, usize>,
    /// The whole tool list for callers who see everything.
    all_tools: OnceLock<Result<Box<RawValue>, RpcError>>,
}

impl View {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        let shown = |kind: Kind| -> Vec<Shown> {
            let of = |release: &Arc<Release>| {
                let server = release.server.to_string();
                release.manifest.of(kind).map(|definition| Shown::new(&server, definition)).collect::<Vec<_>>()
            };
            catalog.serving().flat_map(|(_, release)| of(release)).collect()
        };
        let (tools, prompts, templates) = (shown(Kind::Tool), shown(Kind::Prompt), shown(Kind::Template));
        let index = |list: &[Shown]| list.iter().enumerate().map(|(at, shown)| (shown.public.clone(), at)).collect();
        let (tool_by_public, prompt_by_public) = (index(&tools), index(&prompts));
        Self { catalog, tools, prompts, templates, tool_by_public, prompt_by_public, all_tools: OnceLock::new() }
    }

    /// Whether it shows what a catalog has to show.
    pub(super) fn is_of(&self, catalog: &Catalog) -> bool {
        self.catalog.edition == catalog.edition
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The servers of a scope that serve something.
    pub(super) fn releases<'v>(&'v self, scope: Scope<'v>) -> impl Iterator<Item = (&'v Entry, &'v Arc<Release>)> {
        self.catalog.serving().filter(move |(entry, _)| match scope {
            Scope::All => true,
            Scope::One(name) => entry.spec.name.as_str() == name,
        })
    }

    pub(super) fn tools(&self, principal: &Principal, scope: Scope<'_>, params: &Params) -> Result<Box<RawValue>, RpcError> {
        let grants = principal.grants();
        let may = |shown: &&Shown| grants.tool(&shown.server, &shown.public);
        if scope == Scope::All && params.get("cursor").is_none() && grants.sees_everything() {
            return self.all_tools.get_or_init(|| page("tools", &bodies(self.tools.iter(), scope), params, None)).clone();
        }
        page("tools", &bodies(self.tools.iter().filter(may), scope), params, None)
    }

    pub(super) fn prompts(&self, principal: &Principal, scope: Scope<'_>, params: &Params) -> Result<Box<RawValue>, RpcError> {
        page("prompts", &bodies(self.prompts.iter().filter(|shown| principal.grants().server(&shown.server)), scope), params, None)
    }

    pub(super) fn templates(&self, principal: &Principal, scope: Scope<'_>, params: &Params) -> Result<Box<RawValue>, RpcError> {
        let visible = self.templates.iter().filter(|shown| principal.grants().server(&shown.server));
        page("resourceTemplates", &bodies(visible, scope), params, None)
    }

    /// The release and own name of a tool, by its name at a scope.
    pub(super) fn tool(&self, scope: Scope<'_>, name: &str) -> Option<(&Arc<Release>, String)> {
        self.find(scope, name, &self.tools, &self.tool_by_public)
    }

    /// The entry of a release's server, for a caller who may see it.
    pub(super) fn entry(&self, principal: &Principal, release: &Release) -> Option<&Entry> {
        self.catalog.usable(release.server.as_str()).filter(|entry| principal.grants().server(entry.spec.name.as_str()))
    }

    /// The release and own name of a prompt, by its name at a scope.
    pub(super) fn prompt(&self, scope: Scope<'_>, name: &str) -> Option<(&Arc<Release>, String)> {
        self.find(scope, name, &self.prompts, &self.prompt_by_public)
    }

    fn find(&self, scope: Scope<'_>, name: &str, list: &[Shown], by_public: &HashMap<String, usize>) -> Option<(&Arc<Release>, String)> {
        let (server, own) = match scope {
            Scope::All => list.get(*by_public.get(name)?).map(|shown| (shown.server.as_str(), shown.own.clone()))?,
            Scope::One(server) => (server, name.to_owned()),
        };
        Some((self.catalog.usable(server)?.release.as_ref()?, own))
    }

    pub(super) fn offered(&self, principal: &Principal, selected: &Globs) -> Vec<OfferedTool> {
        let grants = principal.grants();
        let chosen = |shown: &&Shown| {
            (selected.matches(&shown.server) || selected.matches(&shown.public)) && grants.tool(&shown.server, &shown.public)
        };
        self.tools
            .iter()
            .filter(chosen)
            .filter_map(|shown| OfferedTool::read(&shown.server, &shown.own, &shown.public, &shown.body))
            .collect()
    }
}

impl Shown {
    fn new(server: &str, definition: &Definition) -> Self {
        let own = definition.name.clone();
        let (key, public) = match definition.kind {
            Kind::Template => ("uriTemplate", public_uri(server, &own)),
            _ => ("name", public(server, &own)),
        };
        let body: Box<str> = definition.body.get().into();
        let public_body = match RawObject::parse(&body) {
            Ok(mut object) => {
                object.set(key, raw(&public));
                rewrite_ui(server, &mut object);
                object.to_raw().get().into()
            }
            Err(_) => body.clone(),
        };
        Self { server: server.to_owned(), own, public, body, public_body }
    }
}

/// A tool's page must be found where its resource is: both are renamed together.
fn rewrite_ui(server: &str, object: &mut RawObject<'_>) {
    let Some(mut meta) = object.read::<serde_json::Value>("_meta") else { return };
    let Some(uri) = meta.pointer_mut("/ui/resourceUri") else { return };
    if let Some(own) = uri.as_str() {
        *uri = public_uri(server, own).into();
        object.set("_meta", raw(&meta));
    }
}

fn bodies<'v>(shown: impl Iterator<Item = &'v Shown>, scope: Scope<'v>) -> Vec<&'v str> {
    match scope {
        Scope::All => shown.map(|shown| &*shown.public_body).collect(),
        Scope::One(server) => shown.filter(|shown| shown.server == server).map(|shown| &*shown.body).collect(),
    }
}
