//! `/mcp`, `/mcp/{server}` and `/mcp/portolan`: decode by era, ask federation or control, encode by era.

mod answer;
mod endpoint;
mod listen;
mod session;
mod stateless;

use axum::body::Body;
use axum::extract::{Path, Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::body::read_json;
use super::caller::{Caller, missing};
use super::error::ApiError;
use super::state::State;
use crate::domain::Principal;
use crate::protocol::{Era, HEADER_VERSION, Incoming, Opening, Outgoing, Refusal, Revision, RpcError, classify};
use endpoint::Endpoint;

/// Largest message from a client, in bytes.
const MAX_BODY: usize = 4 << 20;

/// `/mcp`: every server the caller may use.
pub(super) async fn aggregate(Shared(state): Shared<State>, Caller(principal): Caller, request: Request) -> Result<Response, ApiError> {
    handle(state, principal, Endpoint::All, request).await
}

/// `/mcp/{server}`, and the control server.
pub(super) async fn target(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let endpoint = if name == "portolan" { Endpoint::Control } else { Endpoint::One(name) };
    handle(state, principal, endpoint, request).await
}

async fn handle(state: State, principal: Principal, endpoint: Endpoint, request: Request) -> Result<Response, ApiError> {
    let grants = principal.grants();
    match &endpoint {
        Endpoint::Control if !grants.admin => return Err(admin_needed(&state, &principal)),
        Endpoint::All | Endpoint::One(_) if !grants.mcp => return Err(missing("mcp")),
        _ => {}
    }
    endpoint.enter(&state, &principal).map_err(|why| ApiError::new(StatusCode::NOT_FOUND, "server_not_found", why))?;
    let (parts, body) = request.into_parts();
    let visit = Visit { state, principal, endpoint, headers: parts.headers };
    match parts.method {
        Method::POST => visit.post(body).await,
        Method::GET if !visit.is_modern() => session::listen(&visit).await,
        Method::DELETE if !visit.is_modern() => session::end(&visit),
        method => Err(super::error::no_such_method(method, parts.uri).await),
    }
}

/// Without a credential the answer is that one is needed; with one, that it is not enough.
fn admin_needed(state: &State, principal: &Principal) -> ApiError {
    if principal.id() == Principal::local().id() {
        let file = state.auth.owner_file().display().to_string();
        let message = format!("the control server needs a key with the grant `admin`, also on this machine; the owner key is in {file}");
        ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    } else {
        missing("admin")
    }
}

/// One request at an MCP endpoint.
struct Visit {
    state: State,
    principal: Principal,
    endpoint: Endpoint,
    headers: HeaderMap,
}

impl Visit {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the headers alone say that the request is stateless.
    fn is_modern(&self) -> bool {
        self.header(HEADER_VERSION).is_some_and(|version| version > Revision::LATEST.as_str() && version.starts_with("20"))
    }

    fn accepts(&self, media_type: &str) -> bool {
        let Some(accept) = self.header(header::ACCEPT.as_str()) else { return true };
        let family = media_type.split('/').next().unwrap_or_default();
        accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim()).any(|part| {
            part.eq_ignore_ascii_case(media_type) || part == "*/*" || part.strip_suffix("/*").is_some_and(|part| part == family)
        })
    }

    async fn post(self, body: Body) -> Result<Response, ApiError> {
        if !self.accepts("application/json") {
            let message = "`Accept` must list `application/json` and `text/event-stream`";
            return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message));
        }
        let limit = self.state.settings.load().body.min(MAX_BODY);
        let bytes = read_json(&self.headers, body, limit).await?;
        let message = match Incoming::parse_shallow(&bytes) {
            Ok(message) => message,
            Err(error) => return Ok(json(400, Outgoing::error(None, &error))),
        };
        let opening = classify(&|name| self.header(name), &message);
        metrics::counter!("portolan_mcp_messages_total", "era" => match &opening {
            Ok(Opening::Modern) | Err(_) => Era::MODERN,
            Ok(Opening::Initialize | Opening::Session) => "session",
        })
        .increment(1);
        match opening {
            Ok(Opening::Modern) => Ok(stateless::answer(self, message).await),
            Ok(Opening::Initialize) => Ok(session::initialize(&self, message)),
            Ok(Opening::Session) => Ok(session::answer(self, message).await),
            Err(Refusal(status, error)) => Ok(json(status, Outgoing::error(id_of(&message), &error))),
        }
    }
}

fn id_of(message: &Incoming) -> Option<&crate::protocol::Id> {
    match message {
        Incoming::Request { id, .. } => Some(id),
        Incoming::Notification { .. } | Incoming::Response { .. } => None,
    }
}

/// A JSON-RPC message as a whole response.
fn json(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// An error as a whole response, in the words of an era.
fn refusal(era: Era, id: Option<&crate::protocol::Id>, error: RpcError) -> Response {
    let dialect = era.dialect();
    let status = dialect.status(&error);
    json(status, Outgoing::error(id, &dialect.error(error)))
}
