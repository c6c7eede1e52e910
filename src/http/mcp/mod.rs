//! `/mcp`, `/mcp/{server}`, `/mcp/{server}@{release}`, `/mcp/{toolset}` and `/mcp/portolan`, each with `/sse` for the oldest clients: decode by era, ask federation
//! or control, encode by era.

mod answer;
mod batch;
mod endpoint;
mod line;
mod listen;
mod reply;
mod session;
mod stateless;
mod visit;

use std::time::{Duration, UNIX_EPOCH};

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use httpdate::fmt_http_date;

use super::caller::{Caller, Door};
use super::error::ApiError;
use super::meters::message_of;
use super::name::Name;
use super::rates::show;
use super::state::State;
use super::timing::Elsewhere;
use super::traced::mcp_door;
use crate::domain::Principal;
use crate::federation::{Retiring, Waited};
use crate::policy::Allowance;
use crate::protocol::{Era, Incoming, Opening, Outgoing, Refusal, classify};
use crate::trace::Span;
use endpoint::Endpoint;
use reply::{id_of, json};
use visit::{Visit, accepts};

/// `/mcp`: every server the caller may use.
pub(super) async fn aggregate(Shared(state): Shared<State>, Caller(principal): Caller, request: Request) -> Result<Response, ApiError> {
    handle(state, principal, Endpoint::All, Way::Streamable, request).await
}

/// `/mcp/{server}`, `/mcp/{toolset}`, and the control server.
pub(super) async fn target(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    Name(name): Name,
    request: Request,
) -> Result<Response, ApiError> {
    let way = if name == "sse" { Way::Line } else { Way::Streamable };
    let endpoint = Endpoint::named(&state, name, request.uri().query()).map_err(absent)?;
    handle(state, principal, endpoint, way, request).await
}

/// `/mcp/{server}/sse`: the same by the transport of 2024-11-05.
pub(super) async fn line(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    Name(name): Name,
    request: Request,
) -> Result<Response, ApiError> {
    let endpoint = Endpoint::named(&state, name, request.uri().query()).map_err(absent)?;
    handle(state, principal, endpoint, Way::Line, request).await
}

/// Nothing stands at a path.
fn absent(why: String) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "server_not_found", why)
}

/// By which transport a client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// That of 2025-03-26 and later.
    Streamable,
    /// That of 2024-11-05.
    Line,
}

async fn handle(state: State, principal: Principal, endpoint: Endpoint, way: Way, request: Request) -> Result<Response, ApiError> {
    let grants = principal.grants();
    let door = || Door { state: &state, path: request.uri().path(), headers: request.headers() };
    match &endpoint {
        Endpoint::Control if !grants.admin => return Err(door().admin_needed(&principal)),
        Endpoint::All | Endpoint::One(_) | Endpoint::At(_) | Endpoint::Set(_) if !grants.mcp => {
            return Err(door().missing("mcp", &principal));
        }
        _ => {}
    }
    endpoint.ready(&state, &principal).await.map_err(absent)?;
    endpoint.enter(&state, &principal).map_err(absent)?;
    let retiring = endpoint.retiring(&state);
    let visit = Visit { state, principal, endpoint, headers: HeaderMap::new(), waited: Waited::default(), span: Span::default() };
    let mut response = respond(visit, way, request).await?;
    if let Some(retiring) = retiring {
        tell_of_the_end(retiring, response.headers_mut());
    }
    Ok(response)
}

/// Tells a client that what it uses ends (RFC 9745, RFC 8594).
fn tell_of_the_end(retiring: Retiring, headers: &mut HeaderMap) {
    let at = |ms: i64| UNIX_EPOCH + Duration::from_millis(ms.try_into().unwrap_or_default());
    let lines = [("deprecation", format!("@{}", retiring.since_ms / 1000)), ("sunset", fmt_http_date(at(retiring.sunset_ms)))];
    for (name, value) in lines {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

async fn respond(mut visit: Visit, way: Way, request: Request) -> Result<Response, ApiError> {
    if request.method() == Method::POST {
        return match way {
            Way::Streamable => post(visit, request).await,
            Way::Line => {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let bytes = visit.read(request).await?;
                line::post(&visit, &query, &bytes)
            }
        };
    }
    let (parts, _) = request.into_parts();
    visit.headers = parts.headers;
    match (parts.method, way) {
        (Method::GET, Way::Line) => line::open(&visit, &visit.endpoint.line(parts.uri.path())),
        (Method::GET, Way::Streamable) if !visit.is_modern() => session::listen(&visit),
        (Method::DELETE, Way::Streamable) if !visit.is_modern() => session::end(&visit),
        (method, _) => Err(super::error::no_such_method(method, parts.uri).await),
    }
}

/// Answers one message.
async fn post(mut visit: Visit, request: Request) -> Result<Response, ApiError> {
    if !accepts(request.headers(), "application/json") {
        let message = "`Accept` must list `application/json` and `text/event-stream`";
        return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message));
    }
    let began = visit.state.tracer.now();
    let bytes = visit.read(request).await?;
    if batch::is_batch(&bytes) {
        return batch::answer(visit, &bytes).await;
    }
    let message = match Incoming::parse_shallow(&bytes) {
        Ok(message) => message,
        Err(unreadable) => return Ok(json(400, Outgoing::error(unreadable.id.as_ref(), &unreadable.error))),
    };
    visit.span = mcp_door(&visit.state, &visit.principal, &visit.headers, &message, began);
    let allowance = visit.allowed(&message).inspect_err(|_| std::mem::take(&mut visit.span).refused("rate_limit_exceeded"))?;
    let opening = classify(&|name| visit.header(name), &message);
    let era = match &opening {
        Ok(Opening::Modern) | Err(_) => Era::MODERN,
        Ok(Opening::Initialize | Opening::Session) => "session",
    };
    message_of(era).increment(1);
    let waited = visit.waited.clone();
    let mut response = match opening {
        Ok(Opening::Modern) => stateless::answer(visit, message).await,
        Ok(Opening::Initialize) => session::initialize(visit, message),
        Ok(Opening::Session) => session::answer(visit, message).await,
        Err(Refusal(status, error)) => {
            visit.settle(Err(&error));
            json(status, Outgoing::error(id_of(&message), &error))
        }
    };
    response.extensions_mut().insert(Elsewhere(waited.get()));
    // Whoever calls a tool sends no tokens.
    show(&Allowance { tokens: None, ..allowance }, response.headers_mut());
    Ok(response)
}
