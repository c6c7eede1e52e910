//! The catalog as callers see it: public names, and bodies with the name put in. Made once per catalog.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use super::calls::Calls;
use super::name::{public, public_uri};
use super::offered::OfferedTool;
use super::page::page;
use crate::domain::{Globs, Principal, RawObject, raw};
use crate::policy::Blocked;
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

/// One definition under its public name.
pub(super) struct Shown {
    server: String,
    pub(super) own: String,
    pub(super) public: String,
    body: Box<str>,
    public_body: Box<str>,
    /// Tells two bodies apart.
    mark: u64,
    /// What is counted of its calls.
    pub(super) calls: OnceLock<Calls>,
    /// What it is called in the journal: with its release, and the beginning of its digest.
    pub(super) record: Arc<str>,
}

/// A list of tools as a result, once it was asked for.
type Listed = OnceLock<Result<Box<RawValue>, RpcError>>;

/// A catalog made ready for callers.
pub(super) struct View {
    catalog: Arc<Catalog>,
    tools: Vec<Shown>,
    prompts: Vec<Shown>,
    templates: Vec<Shown>,
    tool_names: Names,
    prompt_names: Names,
    /// The whole tool lists for callers who see everything: of all servers, and of each.
    all_tools: Listed,
    tools_of: HashMap<String, Listed>,
}

/// Where a definition stands in its list, by its public name, and by its own at its server.
struct Names {
    public: HashMap<String, usize>,
    own: HashMap<String, HashMap<String, usize>>,
}

impl Names {
    fn of(list: &[Shown]) -> Self {
        let mut names = Self { public: HashMap::new(), own: HashMap::new() };
        for (at, shown) in list.iter().enumerate() {
            names.public.insert(shown.public.clone(), at);
            names.own.entry(shown.server.clone()).or_default().insert(shown.own.clone(), at);
        }
        names
    }

    fn at(&self, scope: Scope<'_>, name: &str) -> Option<usize> {
        match scope {
            Scope::All => self.public.get(name).copied(),
            Scope::One(server) => self.own.get(server)?.get(name).copied(),
        }
    }
}

impl View {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        let shown = |kind: Kind| -> Vec<Shown> {
            let of = |release: &Arc<Release>| {
                let server = release.server.to_string();
                let shown = release.manifest.of(kind).map(|definition| Shown::new(&server, release, definition));
                shown.filter(|shown| kind != Kind::Tool || catalog.blocks.of_tool(&shown.public).is_none()).collect::<Vec<_>>()
            };
            catalog.serving().flat_map(|(_, release)| of(release)).collect()
        };
        let (tools, prompts, templates) = (shown(Kind::Tool), shown(Kind::Prompt), shown(Kind::Template));
        let (tool_names, prompt_names) = (Names::of(&tools), Names::of(&prompts));
        let tools_of = tool_names.own.keys().map(|server| (server.clone(), Listed::new())).collect();
        Self { catalog, tools, prompts, templates, tool_names, prompt_names, all_tools: Listed::new(), tools_of }
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
        let kept = match scope {
            Scope::All => Some(&self.all_tools),
            Scope::One(server) => self.tools_of.get(server),
        };
        if let Some(kept) = kept.filter(|_| params.get("cursor").is_none() && grants.sees_everything()) {
            return kept.get_or_init(|| page("tools", &bodies(self.tools.iter(), scope), params, None)).clone();
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

    /// What a caller sees at a scope, in a form that tells whether it is still the same.
    pub(super) fn sight(&self, principal: &Principal, scope: Scope<'_>) -> Sight {
        let grants = principal.grants();
        let within = |shown: &&Shown| match scope {
            Scope::All => true,
            Scope::One(server) => shown.server == server,
        };
        let marks = |list: &[Shown], may: &dyn Fn(&Shown) -> bool| {
            hash(list.iter().filter(within).filter(|shown| may(shown)).map(|shown| (&shown.public, shown.mark)).collect::<Vec<_>>())
        };
        let server = |shown: &Shown| grants.server(&shown.server);
        Sight {
            tools: marks(&self.tools, &|shown| grants.tool(&shown.server, &shown.public)),
            prompts: marks(&self.prompts, &server),
            templates: marks(&self.templates, &server),
        }
    }

    /// A tool and its release, by its name at a scope.
    pub(super) fn tool(&self, scope: Scope<'_>, name: &str) -> Option<(&Arc<Release>, &Shown)> {
        self.released(self.tools.get(self.tool_names.at(scope, name)?)?)
    }

    /// Why a tool of that name is shown to nobody, where it is blocked; those who may not use it are not told.
    pub(super) fn blocked(&self, principal: &Principal, scope: Scope<'_>, name: &str) -> Option<Blocked> {
        let blocks = &self.catalog.blocks;
        let public = match scope {
            Scope::All => name.to_owned(),
            Scope::One(server) => public(server, name),
        };
        let (server, _) = public.split_once("__")?;
        if !principal.grants().tool(server, &public) {
            return None;
        }
        blocks.of_tool(&public).or_else(|| blocks.of_server(server))
    }

    /// The entry of a release's server, for a caller who may see it.
    pub(super) fn entry(&self, principal: &Principal, release: &Release) -> Option<&Entry> {
        self.catalog.usable(release.server.as_str()).filter(|entry| principal.grants().server(entry.spec.name.as_str()))
    }

    /// A prompt and its release, by its name at a scope.
    pub(super) fn prompt(&self, scope: Scope<'_>, name: &str) -> Option<(&Arc<Release>, &Shown)> {
        self.released(self.prompts.get(self.prompt_names.at(scope, name)?)?)
    }

    fn released<'v>(&'v self, shown: &'v Shown) -> Option<(&'v Arc<Release>, &'v Shown)> {
        Some((self.catalog.usable(&shown.server)?.release.as_ref()?, shown))
    }

    pub(super) fn tool_names<'v>(&'v self, principal: &'v Principal) -> impl Iterator<Item = &'v str> {
        let grants = principal.grants();
        self.tools.iter().filter(|shown| grants.tool(&shown.server, &shown.public)).map(|shown| shown.public.as_str())
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
    fn new(server: &str, release: &Release, definition: &Definition) -> Self {
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
        let mark = hash(&*body);
        let record = format!("{server}/{own}@{}#{}", release.version, definition.digest().short()).into();
        Self { server: server.to_owned(), own, public, body, public_body, mark, calls: OnceLock::new(), record }
    }

    /// Whether its definition says that it only reads.
    pub(super) fn reads_only(&self) -> bool {
        let annotations = RawObject::parse(&self.body).ok().and_then(|body| body.read::<serde_json::Value>("annotations"));
        annotations.is_some_and(|annotations| annotations.get("readOnlyHint") == Some(&true.into()))
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
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
