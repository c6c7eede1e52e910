//! What stands behind a path: all servers, one server, or the control server.

use std::time::Instant;

use serde_json::value::RawValue;

use crate::control::Control;
use crate::domain::Principal;
use crate::federation::{Caller, Scope, Sight};
use crate::http::meters::operation_of;
use crate::http::state::State;
use crate::protocol::{Params, RpcError};

/// The methods that are measured by name.
const METHODS: [&str; 9] = [
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "ping",
];

/// An MCP endpoint of the gateway.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    /// `/mcp`
    All,
    /// `/mcp/{server}`
    One(String),
    /// `/mcp/portolan`
    Control,
}

impl Endpoint {
    /// The one of a name in a path.
    pub(super) fn named(name: String) -> Self {
        match name.as_str() {
            "portolan" => Self::Control,
            // `/mcp/sse` is the aggregate's: no server can be called so.
            "sse" => Self::All,
            _ => Self::One(name),
        }
    }

    /// Its path, to which sessions are bound.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::All => "",
            Self::One(name) => name,
            Self::Control => "portolan",
        }
    }

    /// Which servers stand behind it; none behind the control server's.
    pub(super) fn servers(&self) -> Option<Scope<'_>> {
        (!matches!(self, Self::Control)).then(|| self.scope())
    }

    fn scope(&self) -> Scope<'_> {
        match self {
            Self::One(name) => Scope::One(name),
            Self::All | Self::Control => Scope::All,
        }
    }

    /// Whether there is something here for this caller.
    pub(super) fn enter(&self, state: &State, principal: &Principal) -> Result<(), String> {
        match self {
            Self::Control => Ok(()),
            // What is asked of a blocked server is refused by itself, with the request's own id.
            Self::One(name) if principal.grants().server(name) && state.blocks.list().of_server(name).is_some() => Ok(()),
            Self::All | Self::One(_) => state.federation.enter(principal, self.scope()),
        }
    }

    /// Counts up whenever resources changed that this caller may see.
    pub(super) fn resource_changes(&self, state: &State, principal: &Principal) -> u64 {
        match self {
            Self::Control => 0,
            Self::All | Self::One(_) => state.federation.resource_changes(principal, self.scope()),
        }
    }

    /// What this caller sees here; the tools of the control server never change.
    pub(super) fn sight(&self, state: &State, principal: &Principal) -> Sight {
        match self {
            Self::Control => Sight::default(),
            Self::All | Self::One(_) => state.federation.sight(principal, self.scope()),
        }
    }

    pub(super) fn capabilities(&self, state: &State) -> serde_json::Value {
        match self {
            Self::Control => Control::capabilities(),
            Self::All | Self::One(_) => state.federation.capabilities(self.scope()),
        }
    }

    pub(super) fn server_info(&self, state: &State) -> Box<RawValue> {
        match self {
            Self::Control => state.federation.server_info(Scope::All),
            Self::All | Self::One(_) => state.federation.server_info(self.scope()),
        }
    }

    pub(super) fn instructions(&self, state: &State, principal: &Principal) -> Option<String> {
        match self {
            Self::Control => {
                Some("Administers this Portolan gateway: servers, releases of their definitions, API keys, context.".to_owned())
            }
            Self::All | Self::One(_) => state.federation.instructions(principal, self.scope()),
        }
    }

    /// Answers a request.
    pub(super) async fn request(
        &self,
        state: &State,
        caller: &Caller<'_>,
        method: &str,
        params: Params,
    ) -> Result<Box<RawValue>, RpcError> {
        let start = Instant::now();
        let outcome = match self {
            Self::Control => state.control.request(caller.principal, method, &params).await,
            Self::All | Self::One(_) => state.federation.request(caller, self.scope(), method, params).await,
        };
        // What is not a method of ours is counted together: callers must not be able to make up labels.
        let known = METHODS.iter().find(|known| **known == method).copied().unwrap_or("other");
        operation_of(known, outcome.is_err()).record(start.elapsed().as_secs_f64());
        outcome
    }

    /// The header that contradicts an argument of a stateless `tools/call`.
    pub(super) fn header_contradiction<'h>(
        &self,
        state: &State,
        params: &Params,
        header: &dyn Fn(&str) -> Option<&'h str>,
    ) -> Option<String> {
        match self {
            Self::Control => None,
            Self::All | Self::One(_) => state.federation.header_contradiction(self.scope(), params, header),
        }
    }
}
