//! The console in the browser: its files, and how a browser logs in to it.
//!
//! The page does nothing but call the control tools at `/api/v1`. Instead of a key it shows the two halves of a session: the
//! cookie, and in a header of its own the token, which no other site can send.

use axum::Json;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::read_json;
use super::browser::Cookie;
use super::caller::Door;
use super::error::ApiError;
use super::health;
use super::name::Name;
use super::state::State;
use crate::domain::{Principal, clip};

/// Largest body of a login, in bytes.
const MAX_BODY: usize = 4_096;

/// What the page may do: load what is ours, and nothing of anybody else's (CSP level 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; \
    manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files, read from the disk in a debug build.
#[derive(Embed)]
#[folder = "src/http/console/"]
struct Files;

/// `GET /`: the page for a browser, a few lines for anybody else.
pub(super) async fn page(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut response = match Files::get("index.html").filter(|_| accepts.contains("text/html")) {
        Some(page) => answer("index.html", page, &headers),
        None => health::home(&headers).into_response(),
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// `GET /console/{path}`: a file of the page.
pub(super) async fn file(Name(path): Name, headers: HeaderMap) -> Result<Response, ApiError> {
    let missing = || ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("the console has no file `{}`", clip(&path, 80)));
    Files::get(&path).map(|found| answer(&path, found, &headers)).ok_or_else(missing)
}

fn answer(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash().get(..16).unwrap_or_default()));
    // Whoever compresses it on the way says `W/` (RFC 9110 §8.8.3.2).
    let wanted = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = wanted.split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, media_type(path))], file.data).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, kind)| kind) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    link: String,
}

/// `POST /console/login`: a link becomes a session. Opening the link does not use it up, for who previews addresses opens them, too.
pub(super) async fn login(Shared(state): Shared<State>, request: Request) -> Result<Response, ApiError> {
    let (headers, body) = read_json(request, MAX_BODY).await?;
    let invalid = |_| ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", "the body must be `{\"link\": \"…\"}`");
    let Login { link } = serde_json::from_slice(&body).map_err(invalid)?;
    let why = "this link was used, or is too old; run `portolan open` for a new one";
    let used = || ApiError::new(StatusCode::UNAUTHORIZED, "link_over", why);
    let (principal, session) = state.auth.enter(&link).ok_or_else(used)?;
    let cookie = Cookie::of(&headers);
    if let Some(before) = cookie.held(&headers) {
        state.auth.leave(before);
    }
    let said = described(&principal, Some(&session.token));
    let (name, more) = (cookie.name(), if cookie.secure { "; Secure" } else { "" });
    let set = format!("{name}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{more}", session.cookie, session.lasts.as_secs());
    Ok((no_store([(header::SET_COOKIE, set)]), Json(said)).into_response())
}

/// `GET /console/session`: who is logged in.
pub(super) async fn session(Shared(state): Shared<State>, headers: HeaderMap) -> Result<Response, ApiError> {
    let principal = Door { state: &state, path: super::paths::SESSION, headers: &headers }.visitor()?;
    Ok((no_store([]), Json(described(&principal, None))).into_response())
}

/// `POST /console/logout`: ends the session.
pub(super) async fn logout(Shared(state): Shared<State>, headers: HeaderMap) -> Result<Response, ApiError> {
    let door = Door { state: &state, path: super::paths::LOGOUT, headers: &headers };
    // Whoever is blocked may leave.
    if let Err(refused) = door.visitor()
        && refused.status != StatusCode::FORBIDDEN
    {
        return Err(refused);
    }
    let cookie = Cookie::of(&headers);
    if let Some(held) = cookie.held(&headers) {
        state.auth.leave(held);
    }
    let gone = format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{}", cookie.name(), if cookie.secure { "; Secure" } else { "" });
    Ok((StatusCode::NO_CONTENT, no_store([(header::SET_COOKIE, gone)])).into_response())
}

fn no_store<const N: usize>(more: [(HeaderName, String); N]) -> HeaderMap {
    let more = more.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)));
    std::iter::once((header::CACHE_CONTROL, HeaderValue::from_static("no-store"))).chain(more).collect()
}

fn described(principal: &Principal, token: Option<&str>) -> Value {
    json!({ "principal": principal.id(), "owner": principal.is_owner(), "csrf": token })
}
