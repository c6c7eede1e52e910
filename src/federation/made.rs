//! Lists that were written already: who sees the same is given the same bytes.

use std::sync::Arc;

use moka::sync::Cache;
use serde_json::Value;
use serde_json::value::RawValue;

use super::listing::Listing;
use super::page::PAGE;
use crate::domain::Given;
use crate::protocol::RpcError;

/// Most bytes of the lists that are kept of one view.
const CAPACITY: u64 = 32 << 20;

/// The first pages of lists, by what they depend on.
pub(super) struct Made(Cache<String, Arc<RawValue>>);

impl Default for Made {
    fn default() -> Self {
        let weigh = |key: &String, list: &Arc<RawValue>| u32::try_from(key.len() + list.get().len() + 128).unwrap_or(u32::MAX);
        Self(Cache::builder().weigher(weigh).max_capacity(CAPACITY).build())
    }
}

impl Made {
    /// A list as it was written before, else as it is written now; that says how many items there are.
    pub(super) fn or_make(
        &self,
        member: &str,
        listing: &Listing<'_>,
        meta: Option<&Value>,
        write: impl FnOnce() -> (Result<Box<RawValue>, RpcError>, usize),
    ) -> Result<Given, RpcError> {
        let key = key(member, listing, meta);
        // A first page of several holds a cursor, which is for one caller.
        let own = || format!("{key} {}", listing.principal.id());
        if let Some(list) = self.0.get(&key).or_else(|| self.0.get(&own())) {
            return Ok(Given::Kept(list));
        }
        let (list, items) = write();
        let list: Arc<RawValue> = list?.into();
        self.0.insert(if items > PAGE { own() } else { key }, list.clone());
        Ok(Given::Kept(list))
    }
}

/// What a list depends on beside the catalog: the era, the endpoint, what the caller may see, and what is said of servers.
fn key(member: &str, listing: &Listing<'_>, meta: Option<&Value>) -> String {
    let grants = listing.principal.grants();
    let sees = if grants.sees_everything() {
        String::new()
    } else {
        // Quoted, so that no pattern can look like two.
        format!("{} {:?} {:?}", grants.mcp, grants.servers.patterns(), grants.tools.patterns())
    };
    let meta = meta.map(ToString::to_string).unwrap_or_default();
    let form = if listing.in_session { "session" } else { "stateless" };
    format!("{member} {form} {} [{sees}] {meta}", listing.scope)
}
