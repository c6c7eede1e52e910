//! The paths of the gateway.

use axum::http::HeaderValue;

pub(super) use crate::upstream::{CALLBACK, DOCUMENT};

pub(super) const AGGREGATE: &str = "/mcp";
pub(super) const BELOW_AGGREGATE: &str = "/mcp/";
pub(super) const TARGET: &str = "/mcp/{target}";
pub(super) const TARGET_LINE: &str = "/mcp/{target}/sse";
pub(super) const CHAT: &str = "/v1/chat/completions";
pub(super) const RESPONSES: &str = "/v1/responses";
pub(super) const RESPONSE: &str = "/v1/responses/{id}";
pub(super) const EMBEDDINGS: &str = "/v1/embeddings";
pub(super) const MODELS: &str = "/v1/models";
pub(super) const MODEL: &str = "/v1/models/{*id}";
pub(super) const MESSAGES: &str = "/v1/messages";
pub(super) const COUNT_TOKENS: &str = "/v1/messages/count_tokens";
pub(super) const PROTECTED: &str = "/.well-known/oauth-protected-resource";
pub(super) const PROTECTED_BELOW: &str = "/.well-known/oauth-protected-resource/{*path}";
pub(super) const API: &str = "/api/v1/{tool}";
pub(super) const OPENAPI: &str = "/api/v1/openapi.json";
pub(super) const SERVERS: &str = "/v0.1/servers";
pub(super) const VERSIONS: &str = "/v0.1/servers/{name}/versions";
pub(super) const VERSION: &str = "/v0.1/servers/{name}/versions/{version}";
pub(super) const LOGIN: &str = "/console/login";
pub(super) const SESSION: &str = "/console/session";
pub(super) const LOGOUT: &str = "/console/logout";
pub(super) const FILE: &str = "/console/{*path}";
pub(super) const LIVE: &str = "/livez";
pub(super) const READY: &str = "/readyz";
pub(super) const METRICS: &str = "/metrics";
pub(super) const HOME: &str = "/";

/// The route that a path takes, by the name it has in metrics and logs.
pub(super) fn route(path: &str) -> &'static str {
    const WHOLE: [&str; 19] = [
        SERVERS,
        CHAT,
        AGGREGATE,
        MESSAGES,
        RESPONSES,
        EMBEDDINGS,
        MODELS,
        COUNT_TOKENS,
        OPENAPI,
        PROTECTED,
        LIVE,
        READY,
        METRICS,
        HOME,
        LOGIN,
        SESSION,
        LOGOUT,
        CALLBACK,
        DOCUMENT,
    ];
    const BELOW: [(&str, &str); 7] = [
        ("/v0.1/servers/", VERSIONS),
        (BELOW_AGGREGATE, TARGET),
        ("/v1/models/", MODEL),
        ("/v1/responses/", RESPONSE),
        ("/api/v1/", API),
        (PROTECTED, PROTECTED_BELOW),
        ("/console/", FILE),
    ];
    if path.starts_with(BELOW_AGGREGATE) && path.ends_with("/sse") {
        return TARGET_LINE;
    }
    let whole = WHOLE.into_iter().find(|whole| *whole == path);
    whole.or_else(|| BELOW.into_iter().find(|(start, _)| path.starts_with(start)).map(|(_, route)| route)).unwrap_or("none")
}

/// The methods of a path whose handler takes all and tells them apart itself.
pub(super) fn methods(path: &str) -> HeaderValue {
    HeaderValue::from_static(if path == AGGREGATE || path.starts_with(BELOW_AGGREGATE) { "GET, POST, DELETE" } else { "GET, POST" })
}
