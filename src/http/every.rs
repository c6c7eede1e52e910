//! What every request passes, whatever its path: id, Host, Origin, time, panics, and the body of an error.
//!
//! It stands around the router and not inside it: a layer of the router costs each request a boxed service
//! and a boxed future, and this is on the way of all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use hyper::body::Incoming;
use metrics::{Counter, counter};
use tracing::Instrument as _;

use super::browser;
use super::doors::answering;
use super::error::{ApiError, panicked};
use super::paths;
use super::state::{Settings, State};
use super::timing::{Elsewhere, timing};
use crate::domain::clip;
use crate::net::{Passed, having_passed, passed};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Answers a request.
pub(super) async fn answer(state: &State, router: &Router, mut request: Request<Incoming>) -> Response {
    let start = Instant::now();
    let id = request_id(request.headers());
    // Whoever puts the request on record finds it there.
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let (path, route) = (uri.path(), paths::route(uri.path()));
    let span = tracing::info_span!("request", request.id = id.to_str().unwrap_or_default(), http.method = %method, http.route = route);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let wished = origin.as_ref().and_then(|_| request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned());
    let probe = matches!(path, paths::LIVE | paths::READY);
    let guarded = if probe {
        Ok(())
    } else {
        // Where nothing but the address says who may enter, or a cookie does, the address must be ours.
        let ambient = state.is_open() || browser::is_of_page(request.headers());
        guard(request.headers(), &uri, &state.settings.load(), ambient)
    };
    let welcome = guarded.is_ok();
    let before = passed(request.headers());
    let mut response = match guarded {
        Err(error) => error.into_response(),
        Ok(()) if before == Passed::Us => came_back().into_response(),
        Ok(()) if method == Method::OPTIONS && origin.is_some() => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => {
            // A handler that panics fails its own request and no other; what others could see half done is behind locks.
            let handled = async { answering(state, router, request.map(Body::new)).await };
            let handled = AssertUnwindSafe(handled).catch_unwind().instrument(span.clone());
            let handled = match before {
                // In a box: what comes from another gateway is rare.
                Passed::Others(others) => Box::pin(having_passed(others, handled)).await,
                Passed::Nobody | Passed::Us => handled.await,
            };
            handled.map_or_else(panicked, IntoResponse::into_response)
        }
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let allowed = response.headers_mut().remove(header::ALLOW);
        response = error.render(path);
        // RFC 9110 §15.5.6.
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, allowed.unwrap_or_else(|| paths::methods(path)));
        }
    }
    let took = start.elapsed();
    let elsewhere = response.extensions().get::<Elsewhere>().map_or(Duration::ZERO, |elsewhere| elsewhere.0);
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(SERVER_TIMING, timing(took.saturating_sub(elsewhere), elsewhere));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = origin.filter(|_| welcome) {
        allow(headers, origin, wished);
    }
    count(route, status);
    let _entered = span.enter();
    if status.is_server_error() {
        tracing::warn!("{method} {} answered {status} in {took:?}", clip(path, 200));
    } else {
        tracing::debug!("{method} {} answered {status} in {took:?}", clip(path, 200));
    }
    response
}

/// Counts an answer. Handles are made once: routes and statuses are few, and looking one up by its labels is not free.
fn count(route: &'static str, status: StatusCode) {
    type Counted = HashMap<(&'static str, StatusCode), Counter>;
    static COUNTED: LazyLock<Mutex<Counted>> = LazyLock::new(Mutex::default);
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    let counter = || counter!("portolan_http_requests_total", "route" => route, "status" => status.as_u16().to_string());
    counted.entry((route, status)).or_insert_with(counter).increment(1);
}

/// The caller's own id where it is fit to be written into logs, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fit = |id: &&HeaderValue| {
        let id = id.as_bytes();
        !id.is_empty() && id.len() <= 128 && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
    };
    let new = || {
        let mut text = uuid::Uuid::encode_buffer();
        HeaderValue::from_str(uuid::Uuid::now_v7().hyphenated().encode_lower(&mut text)).unwrap_or(HeaderValue::from_static("-"))
    };
    headers.get(&REQUEST_ID).filter(fit).cloned().unwrap_or_else(new)
}

/// Refuses what a web page on another site could send (DNS rebinding, cross-site requests), and secrets in an address.
fn guard(headers: &HeaderMap, uri: &Uri, settings: &Settings, ambient: bool) -> Result<(), ApiError> {
    let forbidden = |code: &str, message: String| Err(ApiError::new(StatusCode::FORBIDDEN, code, message));
    let host = match uri.host() {
        Some(host) => Some(host.to_owned()),
        None => headers.get(header::HOST).and_then(|value| value.to_str().ok()).map(str::to_owned),
    };
    let name = host.as_deref().map(without_port).unwrap_or_default();
    if ambient && !is_own(name, settings) {
        let message = format!("the host name `{}` is not served here; add it to `server.hosts` if it should be", clip(name, 80));
        return forbidden("host_not_allowed", message);
    }
    if uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("access_token="))) {
        // RFC 6750 §2.3 knows it; addresses are written into logs and histories.
        let message = "an access token in the address is not accepted; send it in the header `Authorization`";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let own = url::Url::parse(origin).is_ok_and(|url| {
        let same = host.as_deref().is_some_and(|host| origin.split_once("://").is_some_and(|(_, rest)| rest == host));
        same && matches!(url.scheme(), "http" | "https")
    });
    if own || settings.origins.contains(origin) {
        return Ok(());
    }
    let message = format!("the origin `{}` may not call this gateway; add it to `server.origins` if it may", clip(origin, 120));
    forbidden("origin_not_allowed", message)
}

/// The refusal of what we sent ourselves.
fn came_back() -> ApiError {
    let message =
        "this request comes from this very gateway, by itself or by way of others: it cannot be a server or a provider of its own";
    ApiError::new(StatusCode::LOOP_DETECTED, "loop_detected", message)
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn is_own(name: &str, settings: &Settings) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok() || settings.hosts.contains(&name.to_ascii_lowercase())
}

/// Tells the browser that an accepted origin may read the answer, and send the headers it wishes to:
/// SDKs and tools with `x-mcp-header` make up names that no list of ours would hold.
fn allow(headers: &mut HeaderMap, origin: HeaderValue, wished: Option<HeaderValue>) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    if let Some(wished) = wished {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wished);
    }
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "www-authenticate, mcp-session-id, mcp-protocol-version, x-request-id, retry-after, x-portolan-model, x-portolan-context, x-portolan-cache, \
             x-portolan-dropped, server-timing",
        ),
    );
}
