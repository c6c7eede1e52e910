//! A list that is asked for, and how a page of it is written.

use serde_json::Value;
use serde_json::value::RawValue;

use super::caller::Caller;
use super::page::{Item, List, Pager};
use super::scope::Scope;
use crate::domain::Principal;
use crate::protocol::{Params, RpcError};
use crate::registry::Catalog;

/// A list that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Listing<'a> {
    pub(super) principal: &'a Principal,
    /// Whether it is for a session, whose revisions know less of schemas.
    pub(super) in_session: bool,
    pub(super) scope: Scope<'a>,
    /// The servers with what is wrong with them now.
    pub(super) catalog: &'a Catalog,
    pub(super) pager: &'a Pager,
    pub(super) params: &'a Params,
}

impl<'a> Listing<'a> {
    /// What a caller asks for.
    pub(super) fn of(caller: &'a Caller<'_>, scope: Scope<'a>, catalog: &'a Catalog, pager: &'a Pager, params: &'a Params) -> Self {
        Self { principal: caller.principal, in_session: caller.session.is_some(), scope, catalog, pager, params }
    }
}

impl Listing<'_> {
    /// One page of it.
    pub(super) fn page<T: Item>(&self, member: &str, items: &[T], meta: Option<&Value>) -> Result<Box<RawValue>, RpcError> {
        let (endpoint, principal) = (self.scope.to_string(), self.principal.id());
        self.pager.page(&List { member, endpoint: &endpoint, principal }, items, self.params, meta)
    }
}
