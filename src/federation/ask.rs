//! One request at an endpoint: who asks, through which endpoint, and what there is to see at this moment.

use serde_json::Value;
use serde_json::value::RawValue;

use super::page::{List, Pager};
use super::upstreams::Caller;
use super::view::{Scope, View};
use crate::protocol::{Params, RpcError};
use crate::registry::Catalog;

/// What every answer begins with.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) view: &'a View,
    pub(super) caller: &'a Caller<'a>,
    pub(super) scope: Scope<'a>,
}

/// A list that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Listing<'a> {
    pub(super) ask: Ask<'a>,
    /// The servers with what is wrong with them now.
    pub(super) catalog: &'a Catalog,
    pub(super) pager: &'a Pager,
    pub(super) params: &'a Params,
}

impl Listing<'_> {
    /// One page of it.
    pub(super) fn page<T: AsRef<str>>(&self, member: &str, items: &[T], meta: Option<&Value>) -> Result<Box<RawValue>, RpcError> {
        let (endpoint, principal) = (self.ask.scope.to_string(), self.ask.caller.principal.id());
        self.pager.page(&List { member, endpoint: &endpoint, principal }, items, self.params, meta)
    }
}
