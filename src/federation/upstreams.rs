//! The road to the servers: a caller, the right connection, one retry where nothing was done yet.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::ask::Ask;
use super::sampling::Samples;
use super::view::Scope;
use crate::domain::{Adjustable, Principal};
use crate::journal::Journal;
use crate::policy::{Act, Blocked, Blocks};
use crate::protocol::{ClientCapabilities, Params, RpcError, is_tool_error};
use crate::registry::{Entry, Registry};
use crate::store::Handles;
use crate::trace::{McpCall, Span, Trace, attribute};
use crate::upstream::{Call, Connection, Error, Identity, Listener, Upstreams};

/// Who asks, and who hears of it meanwhile.
#[derive(Clone, Debug)]
pub struct Caller<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The client's session, if it has one.
    pub session: Option<&'a str>,
    /// Who hears of it while it is under way.
    pub listener: Option<Listener>,
    /// What can be asked of the client while it is under way.
    pub capabilities: Option<Arc<ClientCapabilities>>,
    /// Whether the client is asked in round trips, and not on a stream.
    pub in_rounds: bool,
    /// Whether somebody answers for the client what that cannot.
    pub stood_in: bool,
    /// The id of the request that it is asked for, for the journal.
    pub request: Option<Arc<str>>,
    /// Adds up how long servers took.
    pub waited: Waited,
    /// Where in a trace it is asked.
    pub trace: Trace,
}

/// How long servers took to answer, added up over the calls of one request. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Waited(Arc<AtomicU64>);

impl Waited {
    /// The time so far, to the microsecond.
    pub fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, since: Instant) {
        self.0.fetch_add(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl<'a> Caller<'a> {
    /// A caller who hears of nothing meanwhile.
    pub fn new(principal: &'a Principal, session: Option<&'a str>) -> Self {
        let (waited, trace) = (Waited::default(), Trace::default());
        Self { principal, session, listener: None, capabilities: None, in_rounds: false, stood_in: false, request: None, waited, trace }
    }
}

impl Caller<'_> {
    /// The same caller, who is asked in round trips what it can be asked.
    #[must_use]
    pub fn in_rounds(self, capabilities: Option<Arc<ClientCapabilities>>) -> Self {
        Self { capabilities, in_rounds: true, ..self }
    }

    /// Whether it declared, with the request, that it knows something that came after the sessions.
    pub(super) fn knows(&self, what: impl Fn(&ClientCapabilities) -> bool) -> bool {
        self.in_rounds && self.capabilities.as_deref().is_some_and(what)
    }
}

/// What is asked of a server.
#[derive(Clone)]
pub(super) struct Errand<'a> {
    pub(super) method: &'a str,
    pub(super) params: &'a Params,
    /// The tool, by its public name, where one is called.
    pub(super) tool: Option<&'a str>,
    pub(super) headers: Vec<(String, String)>,
    /// Whether the endpoint is the server's own, where nothing is renamed.
    pub(super) alone: bool,
}

impl<'a> Errand<'a> {
    /// A request of which the server needs to know nothing beside it.
    pub(super) fn new(method: &'a str, params: &'a Params, scope: Scope<'_>) -> Self {
        Self { method, params, tool: None, headers: Vec::new(), alone: matches!(scope, Scope::One(_)) }
    }

    /// The span of one attempt at it.
    fn span(&self, trace: &Trace, entry: &Entry) -> Span {
        if !trace.is_on() {
            return Span::default();
        }
        let name = if matches!(self.method, "tools/call" | "prompts/get") { self.params.string("name") } else { None };
        let (server, transport) = (entry.spec.name.as_str(), &entry.spec.transport);
        trace.mcp(&McpCall { method: self.method, name: name.as_deref(), server, transport })
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
        let stood_in = entry.spec.sampling.as_ref().and_then(|_| self.stood_in(entry, caller));
        let caller = stood_in.as_ref().unwrap_or(caller);
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
        let Scope::One(server) = scope else { return Err(absent()) };
        let grants = caller.principal.grants();
        // A task's id says nothing of whose it is, in any revision.
        let ours = OURS.contains(&method) || ["notifications/", "tasks/"].iter().any(|ours| method.starts_with(ours));
        if ours || !grants.server(server) || !grants.tools.is_all() {
            return Err(absent());
        }
        let entry = view.catalog().usable(server).filter(|entry| entry.release.is_some()).ok_or_else(absent)?;
        self.send(entry, caller, Errand::new(method, &params, scope)).await
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
        if let Some(live) = self.upstreams.live(&entry.spec, identity) {
            return Ok(live);
        }
        Box::pin(self.opened(entry, identity)).await
    }

    async fn opened(&self, entry: &Entry, identity: Identity<'_>) -> Result<Arc<Connection>, RpcError> {
        let opening = self.upstreams.connection(&entry.spec, identity, entry.era);
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
