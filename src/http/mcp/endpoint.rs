//! What stands behind a path: all servers, one server perhaps at a release, a toolset, or the control server.

use std::borrow::Cow;
use std::time::Instant;

use serde_json::value::RawValue;

use crate::control::Control;
use crate::domain::{Given, Principal, ReleasePin, clip};
use crate::federation::{At, Caller, Retiring, Scope, Sight};
use crate::http::meters::operation_of;
use crate::http::paths::BELOW_AGGREGATE;
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
    /// `/mcp/{server}@{release}`
    At(Release),
    /// `/mcp/{toolset}`
    Set(String),
    /// `/mcp/portolan`
    Control,
}

/// One server as it was at a release.
#[derive(Clone, Debug)]
pub(super) struct Release {
    /// `{server}@{release}`
    name: String,
    server: String,
    pin: ReleasePin,
}

impl Release {
    fn scope(&self) -> Scope<'_> {
        Scope::At(At { server: &self.server, release: &self.pin, joined: false })
    }
}

impl Endpoint {
    /// What stands at `/mcp/{name}`, or at the release of it that a query pins. No server has the name of a toolset.
    pub(super) fn named(state: &State, name: String, query: Option<&str>) -> Result<Self, String> {
        let of_query = || url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(key, _)| key == "release");
        let pinned = match name.split_once('@') {
            Some((server, pin)) => Some((server.to_owned(), pin.to_owned())),
            None if query.is_some() => of_query().map(|(_, pin)| (name.clone(), pin.into_owned())),
            None => None,
        };
        let Some((server, pin)) = pinned else {
            return Ok(match name.as_str() {
                "portolan" => Self::Control,
                // `/mcp/sse` is the aggregate's: nothing can be called so.
                "sse" => Self::All,
                _ if state.federation.is_toolset(&name) => Self::Set(name),
                _ => Self::One(name),
            });
        };
        if server == "portolan" || server == "sse" || state.federation.is_toolset(&server) {
            return Err(format!("`{server}` is no server, and has no releases; leave out `{}`", clip(&pin, 80)));
        }
        let pin: ReleasePin = pin.parse()?;
        Ok(Self::At(Release { name: format!("{server}@{pin}"), server, pin }))
    }

    /// Has at hand what stands here.
    pub(super) async fn ready(&self, state: &State, principal: &Principal) -> Result<(), String> {
        match self {
            Self::At(at) => state.federation.pin(principal, &at.server, &at.pin).await,
            Self::All | Self::One(_) | Self::Set(_) | Self::Control => Ok(()),
        }
    }

    /// Until when what stands here is served, where it ends.
    pub(super) fn retiring(&self, state: &State) -> Option<Retiring> {
        match self {
            Self::At(at) => state.federation.retiring(at.scope()),
            Self::All | Self::One(_) | Self::Set(_) | Self::Control => None,
        }
    }

    /// Its path, to which sessions are bound.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::All => "",
            Self::One(name) | Self::Set(name) | Self::At(Release { name, .. }) => name,
            Self::Control => "portolan",
        }
    }

    /// The path of its messages by the transport of 2024-11-05, where a stream was opened at one: a release that a query pinned is part of it.
    pub(super) fn line<'p>(&self, opened_at: &'p str) -> Cow<'p, str> {
        match self {
            Self::At(Release { name, .. }) => Cow::Owned(format!("{BELOW_AGGREGATE}{name}/sse")),
            Self::All | Self::One(_) | Self::Set(_) | Self::Control => Cow::Borrowed(opened_at),
        }
    }

    /// The server that it is all about.
    pub(super) fn server(&self) -> Option<&str> {
        match self {
            Self::One(server) | Self::At(Release { server, .. }) => Some(server),
            Self::All | Self::Set(_) | Self::Control => None,
        }
    }

    /// Which servers stand behind it; none behind the control server's.
    pub(super) fn servers(&self) -> Option<Scope<'_>> {
        (!matches!(self, Self::Control)).then(|| self.scope())
    }

    fn scope(&self) -> Scope<'_> {
        match self {
            Self::One(name) => Scope::One(name),
            Self::At(at) => at.scope(),
            Self::Set(name) => Scope::Set(name),
            Self::All | Self::Control => Scope::All,
        }
    }

    /// Whether there is something here for this caller.
    pub(super) fn enter(&self, state: &State, principal: &Principal) -> Result<(), String> {
        match self {
            Self::Control => Ok(()),
            // What is asked of a blocked server is refused by itself, with the request's own id.
            Self::One(name) | Self::At(Release { server: name, .. })
                if principal.grants().server(name) && state.blocks.list().of_server(name).is_some() =>
            {
                Ok(())
            }
            Self::All | Self::One(_) | Self::At(_) | Self::Set(_) => state.federation.enter(principal, self.scope()),
        }
    }

    /// Counts up whenever resources changed that this caller may see.
    pub(super) fn resource_changes(&self, state: &State, principal: &Principal) -> u64 {
        match self {
            Self::Control => 0,
            Self::All | Self::One(_) | Self::At(_) | Self::Set(_) => state.federation.resource_changes(principal, self.scope()),
        }
    }

    /// What this caller sees here; the tools of the control server never change.
    pub(super) fn sight(&self, state: &State, principal: &Principal, session: Option<&str>) -> Sight {
        match self {
            Self::Control => Sight::default(),
            Self::All | Self::One(_) | Self::At(_) | Self::Set(_) => state.federation.sight(principal, session, self.scope()),
        }
    }

    pub(super) fn capabilities(&self, state: &State) -> serde_json::Value {
        match self {
            Self::Control => Control::capabilities(),
            Self::All | Self::One(_) | Self::At(_) | Self::Set(_) => state.federation.capabilities(self.scope()),
        }
    }

    pub(super) fn server_info(&self, state: &State) -> Box<RawValue> {
        match self {
            Self::Control => state.federation.server_info(Scope::All),
            Self::All | Self::One(_) | Self::At(_) | Self::Set(_) => state.federation.server_info(self.scope()),
        }
    }

    pub(super) fn instructions(&self, state: &State, principal: &Principal) -> Option<String> {
        match self {
            Self::Control => {
                Some("Administers this Portolan gateway: servers, releases of their definitions, API keys, context.".to_owned())
            }
            Self::All | Self::One(_) | Self::At(_) | Self::Set(_) => state.federation.instructions(principal, self.scope()),
        }
    }

    /// Answers a request.
    pub(super) async fn request(&self, state: &State, caller: &Caller<'_>, method: &str, params: Params) -> Result<Given, RpcError> {
        let start = Instant::now();
        let outcome = match self {
            Self::Control => state.control.request(caller.principal, method, &params).await.map(Given::from),
            Self::All | Self::One(_) | Self::At(_) | Self::Set(_) => state.federation.request(caller, self.scope(), method, params).await,
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
        principal: &Principal,
        params: &Params,
        header: &dyn Fn(&str) -> Option<&'h str>,
    ) -> Option<String> {
        match self {
            Self::Control => None,
            Self::All | Self::One(_) | Self::At(_) | Self::Set(_) => {
                state.federation.header_contradiction(principal, self.scope(), params, header)
            }
        }
    }
}
