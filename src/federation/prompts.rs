//! Prompts: listed from the registry, fetched from their server.

use serde_json::value::RawValue;

use super::tools::rewrite_content;
use super::upstreams::{Caller, Road};
use super::view::{Scope, View};
use crate::domain::{RawObject, clip, raw};
use crate::protocol::RpcError;

impl Road {
    /// `prompts/get`.
    pub(super) async fn prompt(
        &self,
        view: &View,
        caller: &Caller<'_>,
        scope: Scope<'_>,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, RpcError> {
        let text = params.map_or("{}", RawValue::get);
        let mut object = RawObject::parse(text).map_err(|error| RpcError::params(error.to_string()))?;
        let name = object.string("name").ok_or_else(|| RpcError::params("`params.name` must name a prompt"))?;
        let unknown = || RpcError::params(format!("there is no prompt `{}`", clip(&name, 80)));
        let (release, own) = view.prompt(scope, &name).ok_or_else(unknown)?;
        let entry = view.entry(caller.principal, release).ok_or_else(unknown)?;
        object.set("name", raw(&own));
        let forwarded = if own == name { None } else { Some(object.to_raw()) };
        let result = self.send(entry, caller, "prompts/get", forwarded.as_deref().or(params), Vec::new()).await?;
        Ok(if scope == Scope::All { rewrite_content(release.server.as_str(), result) } else { result })
    }
}
