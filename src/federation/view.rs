//! The catalog as callers see it: public names, and bodies with the name put in. Made once per catalog.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::listing::Listing;
use super::made::Made;
use super::name::{parted_uri, public};
use super::offered::OfferedTool;
use super::scope::Scope;
use super::sets::{Member, Set};
use super::shown::{Body, Shown, hash};
use crate::domain::{Globs, Principal};
use crate::policy::Blocked;
use crate::protocol::RpcError;
use crate::registry::{Catalog, Entry, Kind, Release};

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
    tools: Vec<Shown>,
    prompts: Vec<Shown>,
    templates: Vec<Shown>,
    tool_names: Names,
    prompt_names: Names,
    sets: HashMap<String, Set>,
    /// The servers that log to their clients.
    logging: BTreeSet<String>,
    /// The lists that were made of it.
    made: Made,
}

/// A definition as it is seen at an endpoint: what it is called there, and its text.
struct Seen<'v> {
    shown: &'v Shown,
    name: &'v str,
    body: &'v Body,
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
            Scope::Set(_) => None,
        }
    }
}

impl View {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        let shown = |kind: Kind| -> Vec<Shown> {
            let of = |entry: &Entry, release: &Arc<Release>| {
                let server = release.server.to_string();
                let withheld = |name: &str| entry.held.as_ref().is_some_and(|held| held.blocks(kind, name));
                let definitions = release.manifest.of(kind).filter(|definition| !withheld(&definition.name));
                let shown = definitions.map(|definition| Shown::new(&server, release, definition));
                shown.filter(|shown| kind != Kind::Tool || catalog.blocks.of_tool(&shown.public).is_none()).collect::<Vec<_>>()
            };
            catalog.serving().flat_map(|(entry, release)| of(entry, release)).collect()
        };
        let (tools, prompts, templates) = (shown(Kind::Tool), shown(Kind::Prompt), shown(Kind::Template));
        let (tool_names, prompt_names) = (Names::of(&tools), Names::of(&prompts));
        let set = |toolset| Set::new(toolset, &catalog, &tools, &prompts, &templates);
        let sets = catalog.toolsets.iter().map(|(name, toolset)| (name.to_string(), set(toolset))).collect();
        let logs = catalog.serving().filter(|(_, release)| release.manifest.has("logging"));
        let logging = logs.map(|(entry, _)| entry.spec.name.to_string()).collect();
        Self { catalog, tools, prompts, templates, tool_names, prompt_names, sets, logging, made: Made::default() }
    }

    /// Whether what is asked at a scope may be logged to the client.
    pub(super) fn logs(&self, scope: Scope<'_>) -> bool {
        match scope {
            Scope::One(server) => self.logging.contains(server),
            Scope::All | Scope::Set(_) => !self.logging.is_empty(),
        }
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
            Scope::Set(name) => self.set(name).is_some_and(|set| set.toolset().takes_server(entry.spec.name.as_str())),
        })
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
        match scope {
            Scope::One(server) => Some((server, uri.to_owned())),
            Scope::All => parted_uri(uri),
            Scope::Set(name) => parted_uri(uri).filter(|(server, _)| self.set(name).is_some_and(|set| set.reads(server, uri))),
        }
    }

    /// One page of what is defined of a kind. A list is written once for all who see the same.
    pub(super) fn list(&self, kind: Kind, listing: &Listing<'_>, meta: Option<&Value>) -> Result<Box<RawValue>, RpcError> {
        let member = match kind {
            Kind::Prompt => "prompts",
            Kind::Template => "resourceTemplates",
            Kind::Tool | Kind::Instructions => "tools",
        };
        let write = || {
            let seen = self.seen(kind, listing.principal, listing.scope);
            let bodies: Vec<&str> = seen.map(|seen| seen.body.at(listing.in_session)).collect();
            (listing.page(member, &bodies, meta), bodies.len())
        };
        if listing.params.get("cursor").is_some() { write().0 } else { self.made.or_make(member, listing, meta, write) }
    }

    /// What a caller sees of a kind at a scope.
    fn seen<'v>(&'v self, kind: Kind, principal: &'v Principal, scope: Scope<'v>) -> Box<dyn Iterator<Item = Seen<'v>> + 'v> {
        let all = match kind {
            Kind::Prompt => &self.prompts,
            Kind::Template => &self.templates,
            Kind::Tool | Kind::Instructions => &self.tools,
        };
        let grants = principal.grants();
        let may = move |shown: &Shown| match kind {
            Kind::Tool => grants.tool(&shown.server, &shown.public),
            _ => grants.server(&shown.server),
        };
        match scope {
            Scope::All => {
                let seen = |shown: &'v Shown| Seen { name: &shown.public, body: &shown.public_body, shown };
                Box::new(all.iter().filter(move |shown| may(shown)).map(seen))
            }
            Scope::One(server) => {
                let seen = |shown: &'v Shown| Seen { name: &shown.own, body: &shown.body, shown };
                Box::new(all.iter().filter(move |shown| shown.server == server && may(shown)).map(seen))
            }
            Scope::Set(name) => {
                let members = self.set(name).map(|set| match kind {
                    Kind::Prompt => &set.prompts,
                    Kind::Template => &set.templates,
                    Kind::Tool | Kind::Instructions => &set.tools,
                });
                let seen = move |member: &'v Member| {
                    let shown = all.get(member.at).filter(|shown| may(shown))?;
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

    /// A tool and its release, by its name at a scope.
    pub(super) fn tool(&self, scope: Scope<'_>, name: &str) -> Option<(&Arc<Release>, &Shown)> {
        let at = match scope {
            Scope::Set(set) => self.set(set)?.tools.at(name)?,
            _ => self.tool_names.at(scope, name)?,
        };
        self.released(self.tools.get(at)?)
    }

    /// Why a tool of that name is shown to nobody, where it is blocked; those who may not use it are not told.
    pub(super) fn blocked(&self, principal: &Principal, scope: Scope<'_>, name: &str) -> Option<Blocked> {
        let blocks = &self.catalog.blocks;
        let public = match scope {
            Scope::All => name.to_owned(),
            Scope::One(server) => public(server, name),
            Scope::Set(set) => self.set(set)?.tools.public(name)?.to_owned(),
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
        let at = match scope {
            Scope::Set(set) => self.set(set)?.prompts.at(name)?,
            _ => self.prompt_names.at(scope, name)?,
        };
        self.released(self.prompts.get(at)?)
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
        let sets: Vec<&Set> = self.sets().filter(|set| selected.matches(set.toolset().name.as_str())).collect();
        let in_set = |shown: &Shown| sets.iter().any(|set| set.toolset().takes_tool(&shown.server, &shown.public));
        let wanted = |shown: &Shown| selected.matches(&shown.server) || selected.matches(&shown.public) || in_set(shown);
        let chosen = |shown: &&Shown| wanted(shown) && grants.tool(&shown.server, &shown.public);
        self.tools
            .iter()
            .filter(chosen)
            .filter_map(|shown| OfferedTool::read(&shown.server, &shown.own, &shown.public, shown.body.whole()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use semver::Version;
    use serde_json::json;

    use super::*;
    use crate::domain::{Form, Isolation, Naming, Pin, ServerName, ServerSpec, Toolset, Transport, raw};
    use crate::registry::{Definition, Manifest};

    type Servers = BTreeMap<String, BTreeSet<String>>;

    fn entry(name: &ServerName, tools: &BTreeSet<String>) -> Entry {
        let body = |tool: &String| raw(&json!({ "name": tool, "inputSchema": { "type": "object" } }));
        let definitions = tools.iter().map(|tool| Definition::new(Kind::Tool, tool.clone(), body(tool)).unwrap()).collect();
        let empty = || raw(&json!({}));
        let manifest = Manifest { definitions, dropped: Vec::new(), info: empty(), capabilities: empty() };
        let spec = ServerSpec {
            name: name.clone(),
            transport: Transport::Stdio { command: Vec::new(), env: BTreeMap::new() },
            isolation: Isolation::Shared,
            protocol: Pin::Auto,
            allow_private: false,
            declared: true,
            starts_held: false,
            share_public: false,
            sampling: None,
            review: crate::domain::Review::default(),
        };
        let release = Some(Arc::new(Release::new(name.clone(), Version::new(1, 0, 0), manifest)));
        Entry { spec: Arc::new(spec), enabled: true, release, held: None, era: None, problem: None }
    }

    /// The names of all tools at `/mcp`, and in a set that takes all of them.
    fn names(servers: &Servers, naming: Naming, disabled: Option<&str>) -> BTreeMap<(String, String), (String, String)> {
        let everything = Globs::new(vec!["*".to_owned()]).unwrap();
        let toolset = Toolset::new("set".parse().unwrap(), everything, naming, BTreeMap::new(), Form::Full).unwrap();
        let mut catalog = Catalog { toolsets: Arc::new([(toolset.name.clone(), Arc::new(toolset))].into()), ..Catalog::default() };
        for (name, tools) in servers {
            let name: ServerName = name.parse().unwrap();
            let entry = Entry { enabled: disabled != Some(name.as_str()), ..entry(&name, tools) };
            catalog.servers.insert(name, entry);
        }
        let view = View::new(Arc::new(catalog));
        let members = &view.set("set").unwrap().tools.list;
        let named = members.iter().map(|member| {
            let shown = &view.tools[member.at];
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
