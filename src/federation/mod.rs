//! Many servers seen as one, and each of them by itself.
//!
//! Lists come from the registry's approved releases and cost no upstream call. Every tool call, from
//! an MCP client or from an agent loop, goes through `tools.rs`: every guard stands there once.

mod ask;
mod caller;
mod calls;
mod compat;
mod completions;
mod extensions;
mod kept;
mod listing;
mod made;
mod name;
mod offer;
mod offered;
mod outcome;
mod page;
mod prompts;
mod resources;
mod rounds;
mod sampling;
mod scope;
mod sets;
mod shapes;
mod shown;
mod subscriptions;
mod tasks;
mod tools;
mod upstreams;
mod view;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

pub use caller::{Caller, Waited};
pub use name::{SetNames, public as public_name};
pub use offered::OfferedTool;
pub use page::Pager;
pub use sampling::Samples;
pub use scope::{At, Scope};
pub use subscriptions::Followed;
pub use view::Sight;

pub use crate::registry::Retiring;

use crate::domain::{Adjustable, Given, Isolation, Principal, RawObject, ReleasePin, Selection, ServerName, lock, raw};
use crate::journal::Journal;
use crate::policy::Blocks;
use crate::protocol::{ClientCapabilities, KNOWN_EXTENSIONS, Params, RpcError};
use crate::registry::{self, Catalog, Changes, Entry, Kind, Published, Registry};
use crate::store::Handles;
use crate::upstream::{Identity, Upstreams};
use ask::Ask;
use kept::Kept;
use listing::Listing;
use resources::Resources;
use shown::Shown;
use upstreams::Road;
use view::View;

/// The servers as callers see them. Cheap to clone.
#[derive(Clone)]
pub struct Federation(Arc<Inner>);

struct Inner {
    road: Road,
    resources: Resources,
    kept: Kept,
    view: ArcSwap<View>,
    /// Held by who makes a view, so that each is made once.
    making: Mutex<()>,
    pager: Pager,
    /// The names that several wanted in a toolset, as far as the log has said so.
    told: Mutex<BTreeSet<(String, String)>>,
}

impl Federation {
    /// Serves what `registry` approves, in pages of `pager`; no tool call may take longer than `tool_timeout`.
    pub fn new(
        registry: Registry,
        upstreams: Upstreams,
        blocks: Blocks,
        journal: Journal,
        handles: Handles,
        tool_timeout: Adjustable,
        pager: Pager,
    ) -> Self {
        let view = ArcSwap::from_pointee(View::new(registry.catalog(), None));
        let road = Road { registry, upstreams, blocks, journal, handles, tool_timeout, sampler: Arc::default() };
        let federation = Self(Arc::new(Inner {
            road,
            resources: Resources::default(),
            kept: Kept::default(),
            view,
            making: Mutex::default(),
            pager,
            told: Mutex::default(),
        }));
        federation.tell_of_doubles(&federation.0.view.load());
        federation
    }

    /// Has somebody answer what servers ask of models, where their policy and no client does.
    pub fn sample_with(&self, sampler: Arc<dyn Samples>) {
        let _ = self.0.road.sampler.set(sampler);
    }

    /// Counts up whenever callers may see something else than before.
    pub fn changes(&self) -> watch::Receiver<Changes> {
        self.0.road.registry.changes()
    }

    /// Counts up whenever a server of the scope, which this caller may see, tells that its resources are others now.
    pub fn resource_changes(&self, principal: &Principal, scope: Scope<'_>) -> u64 {
        let view = self.view();
        let changes = self.0.road.registry.changes();
        let changes = changes.borrow();
        let visible = view.releases(scope).map(|(entry, _)| &entry.spec.name).filter(|name| principal.grants().server(name.as_str()));
        visible.filter_map(|name| changes.resources.get(name)).sum()
    }

    /// What this caller sees at a scope, in a form that tells whether it is still the same.
    pub fn sight(&self, principal: &Principal, session: Option<&str>, scope: Scope<'_>) -> Sight {
        self.view_for(principal, session).sight(principal, scope)
    }

    /// Forgets the lists and resources that were read lately.
    pub fn forget(&self) {
        self.0.resources.forget();
        self.0.kept.forget();
    }

    /// Closes what was open for a client's session alone.
    pub fn end_session(&self, session: &str) {
        self.0.road.upstreams.end_session(session);
    }

    /// The view of this moment; built anew only when the catalog changed.
    fn view(&self) -> Arc<View> {
        self.view_of(&self.0.road.registry.catalog())
    }

    /// The same as a caller sees it who is offered something of its own.
    fn view_for(&self, principal: &Principal, session: Option<&str>) -> Arc<View> {
        self.view().seen_by(Identity { principal: principal.id(), session })
    }

    fn view_of(&self, catalog: &Arc<Catalog>) -> Arc<View> {
        let view = self.0.view.load_full();
        if view.is_of(catalog) {
            return view;
        }
        let _making = lock(&self.0.making);
        let before = self.0.view.load_full();
        if before.is_of(catalog) {
            return before;
        }
        let view = Arc::new(View::new(catalog.clone(), Some(&before)));
        self.0.view.store(view.clone());
        self.tell_of_doubles(&view);
        view
    }

    /// Says once of each bare name that several tools of a toolset have, so that none has it.
    fn tell_of_doubles(&self, view: &View) {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        for set in view.sets() {
            for (bare, by) in &set.members(Kind::Tool).doubles {
                let name = &set.toolset().name;
                if told.insert((name.to_string(), bare.clone())) {
                    let by = by.iter().map(|public| format!("`{public}`")).collect::<Vec<_>>().join(", ");
                    tracing::warn!(toolset = %name, "in the toolset `{name}` nothing is called `{bare}`, for it could be another tool's name too: {by}");
                }
            }
        }
    }

    /// Whether there is a toolset of that name.
    pub fn is_toolset(&self, name: &str) -> bool {
        self.0.road.registry.catalog().toolsets.contains_key(name)
    }

    /// Has a release of a server at hand for a caller who may see it; an error says which ones there are.
    pub async fn pin(&self, principal: &Principal, server: &str, pin: &ReleasePin) -> Result<(), String> {
        // Of a server that is not there for this caller, `enter` says so.
        if !principal.grants().server(server) || self.0.road.registry.catalog().usable(server).is_none() {
            return Ok(());
        }
        self.0.road.registry.pin(server, pin).await.map_err(|error| error.to_string())
    }

    /// Until when what is looked at is served, where it ends.
    pub fn retiring(&self, scope: Scope<'_>) -> Option<Retiring> {
        let Scope::At(at) = scope else { return None };
        self.0.road.registry.catalog().servers.get(at.server)?.pins.get(at.release)?.retiring
    }

    /// Whether there is anything at this scope for this caller; an error that says what is wrong otherwise.
    pub fn enter(&self, principal: &Principal, scope: Scope<'_>) -> Result<(), String> {
        let name = match scope {
            Scope::All => return Ok(()),
            Scope::Set(name) if self.is_toolset(name) => return Ok(()),
            Scope::One(name) | Scope::At(At { server: name, .. }) | Scope::Set(name) => name,
        };
        let catalog = self.0.road.registry.catalog();
        let Some(entry) = catalog.servers.get(name).filter(|_| principal.grants().server(name)) else {
            return Err(format!("there is no server `{}` here", crate::domain::clip(name, 64)));
        };
        if let Some(blocked) = catalog.blocks.of_server(name) {
            return Err(blocked.to_string());
        }
        if let Scope::At(at) = scope
            && entry.enabled
            && entry.pins.get(at.release).is_none_or(|pinned| pinned.retiring.is_some_and(|retiring| retiring.is_over()))
        {
            return Err(format!("the server `{name}` has no release `{}` that can be pinned", at.release));
        }
        match (entry.enabled, &entry.release, &entry.held) {
            (false, ..) => Err(format!("the server `{name}` is disabled")),
            (true, None, Some(_)) => Err(format!("the server `{name}` waits for approval")),
            _ => Ok(()),
        }
    }

    /// Whether servers of a scope may log to a client while they work for it.
    pub fn logs(&self, scope: Scope<'_>) -> bool {
        self.view().logs(scope)
    }

    /// What the endpoint can do, in the words of `initialize` and `server/discover`.
    pub fn capabilities(&self, scope: Scope<'_>) -> serde_json::Value {
        let view = self.view();
        let offers = |capability: &str| view.releases(scope).any(|(_, release)| release.manifest.has(capability));
        // Servers come and go where several are joined.
        let all = match scope {
            Scope::All => true,
            Scope::One(_) | Scope::At(_) => false,
            Scope::Set(name) => view.set(name).is_some_and(|set| set.toolset().takes_servers()),
        };
        let mut capabilities = serde_json::Map::new();
        if scope.is_joined() || offers("tools") {
            capabilities.insert("tools".into(), json!({ "listChanged": true }));
        }
        if all || offers("prompts") {
            capabilities.insert("prompts".into(), json!({ "listChanged": true }));
        }
        if all || offers("resources") {
            let subscribe = view.releases(scope).any(|(_, release)| release.manifest.has_in("resources", "subscribe"));
            let resources = if subscribe { json!({ "subscribe": true, "listChanged": true }) } else { json!({ "listChanged": true }) };
            capabilities.insert("resources".into(), resources);
        }
        for capability in ["completions", "logging"] {
            if all || offers(capability) {
                capabilities.insert(capability.into(), json!({}));
            }
        }
        let extensions = view.releases(scope).flat_map(|(_, release)| release.manifest.extensions());
        // What only one server knows is its own clients' business.
        let extensions: serde_json::Map<_, _> = extensions.filter(|(name, _)| !all || KNOWN_EXTENSIONS.contains(&name.as_str())).collect();
        if !extensions.is_empty() {
            capabilities.insert("extensions".into(), extensions.into());
        }
        serde_json::Value::Object(capabilities)
    }

    /// The approved instructions; on the aggregate, each under its server's name.
    pub fn instructions(&self, principal: &Principal, scope: Scope<'_>) -> Option<String> {
        let view = self.view();
        let visible = view.releases(scope).filter(|(entry, _)| principal.grants().server(entry.spec.name.as_str()));
        let texts: Vec<String> = visible
            .filter_map(|(entry, release)| {
                let text = release.manifest.instructions()?;
                Some(if scope.is_joined() { format!("## {}\n{text}", entry.spec.name) } else { text })
            })
            .collect();
        (!texts.is_empty()).then(|| texts.join("\n\n"))
    }

    /// How a single server presents itself; the gateway itself on the aggregate.
    pub fn server_info(&self, scope: Scope<'_>) -> Box<RawValue> {
        let own = || raw(&json!({ "name": "portolan", "title": "Portolan", "version": env!("CARGO_PKG_VERSION") }));
        match scope {
            Scope::All => own(),
            Scope::Set(name) => raw(&json!({ "name": name, "title": format!("Portolan: {name}"), "version": env!("CARGO_PKG_VERSION") })),
            Scope::One(_) | Scope::At(_) => {
                let view = self.view();
                let info = view.releases(scope).next().map(|(_, release)| release.manifest.info.clone());
                info.filter(|info| RawObject::parse(info.get()).is_ok_and(|info| info.has("name") && info.has("version")))
                    .unwrap_or_else(own)
            }
        }
    }

    /// The servers that may be used, in the order of their names.
    pub fn names(&self) -> Vec<ServerName> {
        let catalog = self.0.road.registry.catalog();
        catalog.serving().map(|(entry, _)| entry.spec.name.clone()).collect()
    }

    /// The releases of a server that are or were served, the latest decided first.
    pub async fn published(&self, server: &ServerName) -> Result<Vec<Published>, registry::Error> {
        self.0.road.registry.published(server).await
    }

    /// How many servers are served, cannot be used, and have changes that are held.
    pub fn tally(&self) -> (usize, usize, usize) {
        let catalog = self.0.road.registry.catalog();
        let count = |fits: fn(&Entry) -> bool| catalog.servers.values().filter(|entry| entry.enabled && fits(entry)).count();
        (
            count(|entry| entry.release.is_some() && entry.problem.is_none()),
            count(|entry| entry.problem.is_some()),
            count(|entry| entry.held_count().is_some()),
        )
    }

    /// Answers one MCP request, whatever era it came in.
    pub async fn request(&self, caller: &Caller<'_>, scope: Scope<'_>, method: &str, params: Params) -> Result<Given, RpcError> {
        let catalog = self.0.road.registry.catalog();
        let view = self.view_of(&catalog).seen_by(Identity { principal: caller.principal.id(), session: caller.session });
        let ask = Ask { view: &view, caller, scope };
        let listing = Listing::of(caller, scope, &catalog, &self.0.pager, &params);
        let list = |kind, capability| {
            let meta = outcome::meta(&self.0.road.absent(&view, &listing, capability), &outcome::ending(&view, &listing));
            view.list(kind, &listing, meta.as_ref())
        };
        let own = match method {
            "tools/list" => return list(Kind::Tool, "tools"),
            "prompts/list" => return list(Kind::Prompt, "prompts"),
            "resources/templates/list" => return list(Kind::Template, "resources"),
            "tools/call" => self.0.road.call(ask, params).await,
            // In boxes: calls, which most requests are, need no room for what the others carry from step to step.
            "prompts/get" => Box::pin(self.0.road.prompt(ask, params)).await,
            "resources/list" => Box::pin(self.0.resources.list(&self.0.road, ask, listing)).await,
            "resources/read" => Box::pin(self.0.road.read(&self.0.kept, ask, params)).await,
            "completion/complete" => Box::pin(self.0.road.complete(ask, params)).await,
            "tasks/get" | "tasks/update" | "tasks/cancel" if caller.in_rounds => Box::pin(self.0.road.of_task(ask, method, params)).await,
            "ping" => Ok(raw(&json!({}))),
            other => Box::pin(self.0.road.unknown(ask, other, params)).await,
        };
        own.map(Given::from)
    }

    /// Follows a resource for a client, until what comes back is dropped; `told` hears of the URI of what changed, each time.
    pub async fn follow(
        &self,
        principal: &Principal,
        session: Option<&str>,
        scope: Scope<'_>,
        uri: &str,
        told: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Followed, RpcError> {
        self.0.road.follow(&self.view_for(principal, session), principal, session, (scope, uri), told).await
    }

    /// Hears of a stateless client's tasks until what comes back is dropped; `told` gets the params of each notification. With it come
    /// the ids that are followed.
    pub fn follow_tasks(
        &self,
        principal: &Principal,
        scope: Scope<'_>,
        capabilities: &Arc<ClientCapabilities>,
        ids: &[&str],
        told: impl Fn(Params) + Send + Sync + Clone + 'static,
    ) -> (Vec<String>, Vec<AbortOnDropHandle<()>>) {
        self.0.road.follow_tasks(&self.view(), (principal, scope), capabilities, ids, told)
    }

    /// The header of an argument of a `tools/call` that is missing or contradicts it (2026-07-28).
    pub fn header_contradiction<'h>(
        &self,
        principal: &Principal,
        scope: Scope<'_>,
        params: &Params,
        header: &dyn Fn(&str) -> Option<&'h str>,
    ) -> Option<String> {
        let view = self.view_for(principal, None);
        let name = params.string("name")?;
        let found = view.find(Kind::Tool, scope, &name)?;
        let rules = found.release.tool(&found.shown.own)?.headers();
        if rules.is_empty() {
            return None;
        }
        let arguments = params.read_member("arguments").unwrap_or(serde_json::Value::Null);
        rules.contradiction(header, &arguments)
    }

    /// Who shares a server's connection; none when there is no such server.
    pub fn isolation(&self, server: &str) -> Option<Isolation> {
        self.0.road.registry.catalog().servers.get(server).map(|entry| entry.spec.isolation)
    }

    /// Whether the approved release says of a tool that it only reads; none when there is no such tool.
    pub fn tool_reads_only(&self, server: &str, tool: &str) -> Option<bool> {
        self.view().find(Kind::Tool, Scope::One(server), tool).map(|found| found.shown.reads_only())
    }

    /// Whether this caller may call a tool, by its own name at its server.
    pub fn may_call(&self, principal: &Principal, server: &str, tool: &str) -> bool {
        let view = self.view_for(principal, None);
        let may = |found: view::Found<'_>| principal.grants().tool(server, &found.shown.public);
        view.find(Kind::Tool, Scope::One(server), tool).map_or_else(|| principal.grants().server(server), may)
    }

    /// The tools that were called, each with its server and as the release defines it that was called: for metrics.
    pub fn called(&self) -> Vec<[String; 3]> {
        let view = self.view();
        let views = std::iter::once(view.clone()).chain(view.own_views());
        let called = |shown: &&Shown| shown.calls.get().is_some();
        let named = |shown: &Shown| [shown.server.clone(), shown.public.clone(), shown.record.to_string()];
        let called: BTreeSet<_> = views.flat_map(|view| view.shown_tools().filter(called).map(named).collect::<Vec<_>>()).collect();
        called.into_iter().collect()
    }

    /// The tools an agent loop may offer: those of the selected servers or globs that this caller may use.
    pub fn offered(&self, principal: &Principal, selected: &Selection) -> Vec<OfferedTool> {
        self.view_for(principal, None).offered(principal, selected)
    }

    /// The public names of all tools this caller may use.
    pub fn tool_names(&self, principal: &Principal) -> Vec<String> {
        self.view_for(principal, None).tool_names(principal).map(str::to_owned).collect()
    }

    /// The public names of all resources' and tools' servers this caller may see.
    pub fn servers(&self, principal: &Principal) -> Vec<String> {
        let view = self.view();
        let names = view.catalog().serving().map(|(entry, _)| entry.spec.name.to_string());
        names.filter(|name| principal.grants().server(name)).collect()
    }
}
