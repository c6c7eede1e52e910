//! Methods of which only an extension knows.

use serde_json::value::RawValue;

use super::ask::Ask;
use super::upstreams::{Errand, Road};
use crate::protocol::{Params, RpcError};

impl Road {
    /// A method that only an extension knows: it is the business of a server's own clients, and of those who may use all of it.
    pub(super) async fn unknown(&self, ask: Ask<'_>, method: &str, params: Params) -> Result<Box<RawValue>, RpcError> {
        /// What sessions and streams consist of, and what servers ask.
        const OURS: [&str; 9] = [
            "initialize",
            "server/discover",
            "subscriptions/listen",
            "logging/setLevel",
            "resources/subscribe",
            "resources/unsubscribe",
            "roots/list",
            "sampling/createMessage",
            "elicitation/create",
        ];
        let Ask { view, caller, scope } = ask;
        let absent = || RpcError::method(method);
        let Some(server) = scope.server() else { return Err(absent()) };
        let grants = caller.principal.grants();
        // A task's id says nothing of whose it is, in any revision.
        let ours = OURS.contains(&method) || ["notifications/", "tasks/"].iter().any(|ours| method.starts_with(ours));
        if ours || !grants.server(server) || !grants.tools.is_all() {
            return Err(absent());
        }
        let entry = view.catalog().usable(server).filter(|entry| entry.release.is_some()).ok_or_else(absent)?;
        self.send(entry, caller, Errand::new(method, &params, scope)).await
    }
}
