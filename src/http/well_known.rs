//! How a client without an access token finds out where to get one: challenges, and the metadata of protected resources (RFC 9728).

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;
use url::Url;

use super::error::ApiError;
use super::name::Name;
use super::paths;
use super::resources::target;
use super::state::State;
use crate::domain::Grants;

/// The challenge of a request without the credential it needs (RFC 6750 §3, RFC 9728 §5.1).
pub(super) fn challenge(state: &State, path: &str, headers: &HeaderMap, error: Option<(&str, &str)>) -> String {
    if !state.auth.has_issuers() {
        return "Bearer".to_owned();
    }
    let settings = state.settings.load();
    let scopes = state.auth.scopes(|grants| opens(grants, path)).join(" ");
    let quoted = |text: &str| text.replace(['"', '\\'], "'");
    let error = error.map(|(error, why)| format!("error=\"{error}\", error_description=\"{}\", ", quoted(why)));
    let scope = Some(scopes).filter(|scopes| !scopes.is_empty()).map(|scopes| format!("scope=\"{scopes}\", "));
    let metadata = settings.resources.metadata(path, headers);
    format!("Bearer {}{}resource_metadata=\"{metadata}\"", error.unwrap_or_default(), scope.unwrap_or_default())
}

/// What the control server is called below `/mcp`.
const CONTROL: &str = "portolan";

/// Whether grants open the door at a path.
fn opens(grants: &Grants, path: &str) -> bool {
    if path.starts_with("/v1/") {
        grants.models
    } else if path.starts_with("/api/") || target(path).is_some_and(|name| name == CONTROL) {
        grants.admin
    } else {
        grants.mcp
    }
}

/// `GET /.well-known/oauth-protected-resource`: that of all servers.
pub(super) async fn root(Shared(state): Shared<State>, headers: HeaderMap) -> Result<impl IntoResponse, ApiError> {
    metadata(&state, &headers, paths::AGGREGATE)
}

/// `GET /.well-known/oauth-protected-resource/{path}`.
pub(super) async fn below(Shared(state): Shared<State>, Name(name): Name, headers: HeaderMap) -> Result<impl IntoResponse, ApiError> {
    let settings = state.settings.load_full();
    let base = settings.resources.base(&headers).to_owned();
    let prefix = Url::parse(&base).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    let path = format!("/{name}");
    metadata(&state, &headers, path.strip_prefix(prefix.as_str()).unwrap_or(&path))
}

fn metadata(state: &State, headers: &HeaderMap, path: &str) -> Result<impl IntoResponse + use<>, ApiError> {
    let known =
        path == "/v1" || path == paths::AGGREGATE || path.strip_prefix(paths::BELOW_AGGREGATE).is_some_and(|name| !name.contains('/'));
    if !known || !state.auth.has_issuers() {
        let why = if known { "no issuer is declared, so there are no access tokens here; send a key" } else { "there is no such resource" };
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", why));
    }
    let settings = state.settings.load();
    let resource = format!("{}{}", settings.resources.base(headers), settings.resources.path(path));
    let (name, scopes) = if path == "/v1" {
        ("Portolan: models", state.auth.scopes(|grants| grants.models))
    } else {
        ("Portolan: MCP", state.auth.scopes(|grants| grants.mcp || grants.admin || grants.registry))
    };
    let body = json!({
        "resource": resource, "authorization_servers": state.auth.issuers(), "scopes_supported": scopes,
        "bearer_methods_supported": ["header"], "resource_name": name,
    });
    Ok(([(header::CACHE_CONTROL, "max-age=60")], Json(body)))
}
