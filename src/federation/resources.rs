//! Resources: they change too often to be pinned, so their lists come from the servers, and are kept for a moment.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde_json::json;
use serde_json::value::RawValue;

use super::ask::Ask;
use super::caller::Caller;
use super::kept::Kept;
use super::listing::Listing;
use super::name::public_uri;
use super::outcome::{self, said};
use super::tools::rewrite_content;
use super::upstreams::{Errand, Road, public, refusal};
use crate::domain::{Isolation, RawObject, clip, raw};
use crate::policy::Act;
use crate::protocol::{Era, Params, RpcError};
use crate::registry::Entry;
use crate::upstream::Error;

/// How long a server's list is used again.
const KEPT: Duration = Duration::from_secs(10);
/// How long one server may hold up the list of all.
const PATIENCE: Duration = Duration::from_secs(5);

type List = Arc<Vec<Box<RawValue>>>;

/// Most bytes of lists that are kept.
const CAPACITY: u64 = 64 << 20;

/// Whose list it is: the server's, the caller's, of a session where each has its own, as of a count of changes.
type Key = (String, String, Option<String>, u64);

/// The lists that were read lately.
pub(super) struct Resources(Cache<Key, List>);

impl Default for Resources {
    fn default() -> Self {
        let weigh = |key: &Key, list: &List| {
            let bytes = list.iter().map(|item| item.get().len() + 32).sum::<usize>() + key.1.len() + 256;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().weigher(weigh).max_capacity(CAPACITY).time_to_live(KEPT).build())
    }
}

impl Resources {
    pub(super) fn forget(&self) {
        self.0.invalidate_all();
    }

    /// `resources/list`. On the aggregate a server that fails costs only its own resources, and `_meta` says so.
    pub(super) async fn list(&self, road: &Road, ask: Ask<'_>, listing: Listing<'_>) -> Result<Box<RawValue>, RpcError> {
        let Ask { view, caller, scope } = ask;
        let offers = |entry: &Entry| {
            let visible = caller.principal.grants().server(entry.spec.name.as_str());
            visible && entry.release.as_ref().is_some_and(|release| release.manifest.has("resources"))
        };
        let servers: Vec<&Entry> = view.releases(scope).map(|(entry, _)| entry).filter(|entry| offers(entry)).collect();
        let lists = futures::future::join_all(servers.iter().map(|entry| self.of(road, caller, entry))).await;
        let mut items: Vec<String> = Vec::new();
        let mut absent = road.absent(view, &listing, "resources");
        for (entry, list) in servers.iter().zip(lists) {
            let name = entry.spec.name.as_str();
            match list {
                Ok(list) if scope.is_joined() => {
                    // It answered just now, whatever it did before.
                    absent.shift_remove(name);
                    items.extend(list.iter().filter_map(|item| renamed(name, item)));
                }
                Ok(list) => items.extend(list.iter().map(|item| item.get().to_owned())),
                Err(error) if scope.is_joined() => {
                    absent.insert(name.to_owned(), said("failed", &error.message));
                }
                Err(error) => return Err(error),
            }
        }
        listing.page("resources", &items, outcome::meta(&absent, &outcome::ending(view, &listing)).as_ref())
    }

    async fn of(&self, road: &Road, caller: &Caller<'_>, entry: &Entry) -> Result<List, RpcError> {
        let changes = road.registry.changes().borrow().resources.get(&entry.spec.name).copied().unwrap_or_default();
        let session = caller.session.filter(|_| entry.spec.isolation == Isolation::Session).map(str::to_owned);
        let key = (entry.spec.name.to_string(), caller.principal.id().to_owned(), session, changes);
        let read = async { road.list(entry, caller, "resources/list", "resources", PATIENCE).await.map(Arc::new) };
        match tokio::time::timeout(PATIENCE, self.0.try_get_with(key, read)).await {
            Ok(list) => list.map_err(|error| (*error).clone()),
            Err(_) => Err(public(entry, &Error::Timeout(PATIENCE))),
        }
    }
}

/// A resource by the URI by which it can be read here; none where it cannot be read.
fn renamed(server: &str, item: &RawValue) -> Option<String> {
    let mut object = RawObject::forgiving(item.get()).ok()?;
    if let Some(uri) = object.string("uri") {
        object.set("uri", raw(&public_uri(server, &uri)));
    }
    Some(object.to_text())
}

impl Road {
    /// `resources/read`.
    pub(super) async fn read(&self, kept: &Kept, ask: Ask<'_>, mut params: Params) -> Result<Box<RawValue>, RpcError> {
        let Ask { view, caller, scope } = ask;
        let uri = params.string("uri").ok_or_else(|| RpcError::params("`params.uri` must name a resource"))?;
        let unknown =
            || RpcError::new(RpcError::RESOURCE_NOT_FOUND, "there is no such resource").with_data(&json!({ "uri": clip(&uri, 500) }));
        let (server, own) = view.placed(scope, &uri).ok_or_else(unknown)?;
        let may = |_: &&Entry| caller.principal.grants().server(server);
        let entry = view.catalog().usable(server).filter(|entry| entry.release.is_some()).filter(may).ok_or_else(unknown)?;
        params.set("uri", raw(&own));
        let act = Act { server: Some(server), ..Act::of(caller.principal) };
        self.blocks.check(&act).map_err(|blocked| refusal(&blocked))?;
        let ask = self.send(entry, caller, Errand::new("resources/read", &params, scope));
        let result = kept.read(entry, caller, &params, self.registry.resource_changes(&entry.spec.name), ask).await;
        // A stateless server has no code of its own for this; the dialects give it the one each client knows.
        let result = result.map_err(|error| match error.code {
            RpcError::INVALID_PARAMS if entry.era == Some(Era::Modern) => RpcError { code: RpcError::RESOURCE_NOT_FOUND, ..error },
            _ => error,
        })?;
        Ok(if scope.is_joined() { rewrite_content(server, result)? } else { result })
    }
}
