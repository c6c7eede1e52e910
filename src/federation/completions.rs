//! Completion of prompt arguments and template variables (`completion/complete`).

use serde_json::value::RawValue;

use super::ask::Ask;
use super::upstreams::{Errand, Road};
use crate::domain::{RawObject, raw};
use crate::protocol::{Params, RpcError};
use crate::registry::Kind;

impl Road {
    /// `completion/complete`: asked of the server that has the prompt or the template.
    pub(super) async fn complete(&self, ask: Ask<'_>, mut params: Params) -> Result<Box<RawValue>, RpcError> {
        let Ask { view, caller, scope } = ask;
        let bad = || RpcError::params("`params.ref` must name a prompt or a resource template of this endpoint");
        let reference = params.get("ref").ok_or_else(bad)?.to_owned();
        let mut reference = RawObject::parse(reference.get()).map_err(|_| bad())?;
        let server = match (scope.server(), reference.string("type").as_deref()) {
            (Some(server), _) => server.to_owned(),
            (_, Some("ref/prompt")) => {
                let name = reference.string("name").ok_or_else(bad)?;
                let found = view.find(Kind::Prompt, scope, &name).ok_or_else(bad)?;
                reference.set("name", raw(&found.shown.own));
                found.shown.server.clone()
            }
            (_, Some("ref/resource")) => {
                let uri = reference.string("uri").ok_or_else(bad)?;
                let (server, own) = view.placed(scope, &uri).ok_or_else(bad)?;
                reference.set("uri", raw(&own));
                server.to_owned()
            }
            _ => return Err(bad()),
        };
        let entry = view.catalog().usable(&server).filter(|_| caller.principal.grants().server(&server)).ok_or_else(bad)?;
        let nothing = || raw(&serde_json::json!({ "completion": { "values": [], "hasMore": false } }));
        if !entry.release.as_ref().is_some_and(|release| release.manifest.has("completions")) {
            return Ok(nothing());
        }
        params.set("ref", reference.to_raw());
        self.send(entry, caller, Errand::new("completion/complete", &params, scope)).await
    }
}
