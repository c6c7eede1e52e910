//! The road to the servers: a caller, the right connection, one retry where nothing was done yet.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::domain::Principal;
use crate::protocol::{Params, RpcError};
use crate::registry::{Entry, Registry};
use crate::upstream::{Call, Connection, Error, Identity, Listener, Upstreams};

/// Who asks, and who hears of progress.
#[derive(Clone, Debug)]
pub struct Caller<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The client's session, if it has one.
    pub session: Option<&'a str>,
    /// Who hears of progress.
    pub listener: Option<Listener>,
}

impl<'a> Caller<'a> {
    /// A caller who wants no progress.
    pub fn new(principal: &'a Principal, session: Option<&'a str>) -> Self {
        Self { principal, session, listener: None }
    }
}

/// What every call needs.
#[derive(Clone)]
pub(super) struct Road {
    pub(super) registry: Registry,
    pub(super) upstreams: Upstreams,
    pub(super) tool_timeout: Duration,
}

impl Road {
    /// Sends one request to a server. It is sent again only when it certainly did nothing.
    pub(super) async fn send(
        &self,
        entry: &Entry,
        caller: &Caller<'_>,
        method: &str,
        params: &Params,
        headers: Vec<(String, String)>,
    ) -> Result<Box<RawValue>, RpcError> {
        let call = || Call { method, params, listener: caller.listener.clone(), headers: headers.clone(), timeout: self.tool_timeout };
        let connection = self.connection(entry, caller).await?;
        let outcome = match connection.call(call()).await {
            Err(error) if error.is_unprocessed() => self.connection(entry, caller).await?.call(call()).await,
            outcome => outcome,
        };
        outcome.map_err(|error| public(entry, &error))
    }

    async fn connection(&self, entry: &Entry, caller: &Caller<'_>) -> Result<Arc<Connection>, RpcError> {
        let identity = Identity { principal: caller.principal.id(), session: caller.session };
        let opening = self.upstreams.connection(&entry.spec, identity, entry.era);
        match tokio::time::timeout(self.tool_timeout, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(public(entry, &error)),
            Err(_) => Err(public(entry, &Error::Timeout(self.tool_timeout))),
        }
    }
}

/// An error as callers may hear it: with the server's name, and nothing of what lies behind it.
fn public(entry: &Entry, error: &Error) -> RpcError {
    if !matches!(error, Error::Rpc(_)) {
        tracing::warn!(server.name = %entry.spec.name, "`{}` failed: {error}", entry.spec.name);
    }
    let mut public = error.public();
    if public.code == RpcError::UPSTREAM {
        public.message = format!("{}: {}", entry.spec.name, public.message);
    }
    public
}
