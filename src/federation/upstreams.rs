//! The road to the servers: a caller, the right connection, one retry where nothing was done yet.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::caller::Caller;
use super::sampling::{Samples, stood_in};
use super::scope::Scope;
use crate::domain::Adjustable;
use crate::journal::Journal;
use crate::policy::{Act, Blocked, Blocks};
use crate::protocol::{Params, RpcError, is_tool_error};
use crate::registry::{Entry, Registry};
use crate::store::Handles;
use crate::trace::{McpCall, Span, Trace, attribute};
use crate::upstream::{Call, Connection, Error, Identity, Listener, Upstreams};

/// What is asked of a server.
#[derive(Clone)]
pub(super) struct Errand<'a> {
    pub(super) method: &'a str,
    pub(super) params: &'a Params,
    /// The tool, by its public name, where one is called.
    pub(super) tool: Option<&'a str>,
    /// The same, as its release defines it.
    pub(super) definition: Option<&'a str>,
    pub(super) headers: Vec<(String, String)>,
    /// Whether the endpoint is the server's own, where nothing is renamed.
    pub(super) alone: bool,
}

impl<'a> Errand<'a> {
    /// A request of which the server needs to know nothing beside it.
    pub(super) fn new(method: &'a str, params: &'a Params, scope: Scope<'_>) -> Self {
        Self { method, params, tool: None, definition: None, headers: Vec::new(), alone: !scope.is_joined() }
    }

    /// The span of one attempt at it.
    fn span(&self, trace: &Trace, entry: &Entry) -> Span {
        if !trace.is_on() {
            return Span::default();
        }
        let name = if matches!(self.method, "tools/call" | "prompts/get") { self.params.string("name") } else { None };
        let (server, transport) = (entry.spec.name.as_str(), &entry.spec.transport);
        let definition = self.definition;
        trace.mcp(&McpCall { method: self.method, name: name.as_deref(), server, transport, definition })
    }
}

/// What every call needs.
#[derive(Clone)]
pub(super) struct Road {
    pub(super) registry: Registry,
    pub(super) upstreams: Upstreams,
    pub(super) blocks: Blocks,
    pub(super) journal: Journal,
    pub(super) handles: Handles,
    pub(super) tool_timeout: Adjustable,
    pub(super) sampler: Arc<OnceLock<Arc<dyn Samples>>>,
}

impl Road {
    /// Sends one request to a server. It is sent again only when it certainly did nothing, and ends when it is blocked.
    pub(super) async fn send(&self, entry: &Entry, caller: &Caller<'_>, errand: Errand<'_>) -> Result<Box<RawValue>, RpcError> {
        let adapted = stood_in(self.sampler.get(), entry, caller);
        let caller = adapted.as_ref().unwrap_or(caller);
        let sent = pin!(async {
            // What continues an earlier request is looked at, whatever its client says that it can do now.
            if caller.capabilities.is_some() || ["requestState", "inputResponses"].iter().any(|key| errand.params.get(key).is_some()) {
                return self.rounds(entry, caller, &errand).await;
            }
            self.attempts(entry, caller, &errand).await?.map_err(|error| public(entry, &error))
        });
        let act = Act { server: Some(entry.spec.name.as_str()), tool: errand.tool, ..Act::of(caller.principal) };
        self.blocks.guard(&act, sent).await.unwrap_or_else(|blocked| Err(refusal(&blocked)))
    }

    /// One attempt, and one more where that certainly did nothing: what came of it, or why there is no connection.
    pub(super) async fn attempts(
        &self,
        entry: &Entry,
        caller: &Caller<'_>,
        errand: &Errand<'_>,
    ) -> Result<Result<Box<RawValue>, Error>, RpcError> {
        let start = Instant::now();
        let outcome = match self.once(entry, caller, errand).await {
            Ok(Err(error)) if error.is_unprocessed() => Box::pin(self.once(entry, caller, errand)).await,
            outcome => outcome,
        };
        caller.waited.add(start);
        outcome
    }

    /// One attempt: what came of it, or why there is no connection.
    async fn once(&self, entry: &Entry, caller: &Caller<'_>, errand: &Errand<'_>) -> Result<Result<Box<RawValue>, Error>, RpcError> {
        let (span, connection) = self.begin(entry, caller, errand).await?;
        let Errand { method, params, headers, alone, .. } = errand;
        let named = |listener: &Listener| if *alone { listener.clone() } else { listener.asked_by(entry.spec.name.as_str()) };
        let call = Call {
            method,
            params,
            listener: caller.listener.as_ref().map(named),
            capabilities: caller.capabilities.clone(),
            whole: *alone,
            headers: headers.clone(),
            timeout: self.tool_timeout.get(),
            carrier: span.carrier(),
        };
        let outcome = connection.call(call).await;
        settle(span, outcome.as_ref().err(), || outcome.as_deref().is_ok_and(is_tool_error));
        Ok(outcome)
    }

    /// The span of one attempt, and the connection to make it on.
    async fn begin(&self, entry: &Entry, caller: &Caller<'_>, errand: &Errand<'_>) -> Result<(Span, Arc<Connection>), RpcError> {
        let mut span = errand.span(&caller.trace, entry);
        match self.connection(entry, caller).await {
            Ok(connection) => {
                span.set(attribute::MCP_VERSION, connection.peer().era.as_str());
                Ok((span, connection))
            }
            Err(error) => {
                span.failed("unavailable");
                Err(error)
            }
        }
    }

    /// All items of a list of a server's, asked for once more where nothing was done yet.
    pub(super) async fn list(
        &self,
        entry: &Entry,
        caller: &Caller<'_>,
        method: &str,
        member: &str,
        patience: Duration,
    ) -> Result<Vec<Box<RawValue>>, RpcError> {
        let params = &Params::default();
        let listed = pin!(async {
            let errand = Errand::new(method, params, Scope::One(entry.spec.name.as_str()));
            let once = async || {
                let (span, connection) = self.begin(entry, caller, &errand).await?;
                let outcome = connection.list(method, member, patience, span.carrier()).await;
                settle(span, outcome.as_ref().err(), || false);
                Ok(outcome)
            };
            let outcome = match once().await? {
                Err(error) if error.is_unprocessed() => once().await?,
                outcome => outcome,
            };
            outcome.map_err(|error| public(entry, &error))
        });
        let act = Act { server: Some(entry.spec.name.as_str()), ..Act::of(caller.principal) };
        self.blocks.guard(&act, listed).await.unwrap_or_else(|blocked| Err(refusal(&blocked)))
    }

    async fn connection(&self, entry: &Entry, caller: &Caller<'_>) -> Result<Arc<Connection>, RpcError> {
        let identity = Identity { principal: caller.principal.id(), session: caller.session };
        if let Some(live) = self.upstreams.live(&entry.runs, identity) {
            return Ok(live);
        }
        Box::pin(self.opened(entry, identity)).await
    }

    async fn opened(&self, entry: &Entry, identity: Identity<'_>) -> Result<Arc<Connection>, RpcError> {
        let opening = self.upstreams.connection(&entry.runs, identity, entry.era);
        let patience = self.tool_timeout.get();
        match tokio::time::timeout(patience, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(public(entry, &error)),
            Err(_) => Err(public(entry, &Error::Timeout(patience))),
        }
    }
}

/// Ends the span of a request by what came of it.
fn settle(mut span: Span, error: Option<&Error>, tool_failed: impl FnOnce() -> bool) {
    match error {
        None if span.is_recording() && tool_failed() => span.failed("tool_error"),
        None => span.done(),
        Some(error) => {
            if let Error::Rpc(error) = error {
                span.set(attribute::RPC_STATUS, error.code.to_string());
            }
            span.failed(error.word());
        }
    }
}

/// The refusal of what the operator has blocked.
pub(super) fn refusal(blocked: &Blocked) -> RpcError {
    RpcError::new(RpcError::FORBIDDEN, blocked.to_string())
}

/// An error as callers may hear it: with the server's name, and nothing of what lies behind it.
pub(super) fn public(entry: &Entry, error: &Error) -> RpcError {
    if !matches!(error, Error::Rpc(_)) {
        tracing::warn!(server.name = %entry.spec.name, "`{}` failed: {error}", entry.spec.name);
    }
    let mut public = error.public();
    if public.code == RpcError::UPSTREAM {
        public.message = format!("{}: {}", entry.spec.name, public.message);
    }
    public
}
