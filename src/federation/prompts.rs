//! Prompts: listed from the registry, fetched from their server.

use serde_json::value::RawValue;

use super::ask::Ask;
use super::tools::rewrite_content;
use super::upstreams::{Errand, Road};
use super::view::Found;
use crate::domain::{clip, raw};
use crate::protocol::{Params, RpcError};
use crate::registry::Kind;

impl Road {
    /// `prompts/get`.
    pub(super) async fn prompt(&self, ask: Ask<'_>, mut params: Params) -> Result<Box<RawValue>, RpcError> {
        let Ask { view, caller, scope } = ask;
        let name = params.string("name").ok_or_else(|| RpcError::params("`params.name` must name a prompt"))?;
        let unknown = || RpcError::params(format!("there is no prompt `{}`", clip(&name, 80)));
        let found = view.find(Kind::Prompt, scope, &name).filter(|found| caller.principal.grants().server(&found.shown.server));
        let Found { entry, shown, .. } = found.ok_or_else(unknown)?;
        params.set("name", raw(&shown.own));
        let result = self.send(entry, caller, Errand::new("prompts/get", &params, scope)).await?;
        Ok(if scope.is_joined() { rewrite_content(&shown.server, result)? } else { result })
    }
}
