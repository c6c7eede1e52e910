//! For those who run the gateway: liveness, readiness, metrics, and a first page.

use std::fmt::Write as _;

use axum::extract::{RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;

use super::caller::Caller;
use super::error::ApiError;
use super::state::State;

/// The process runs.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// The gateway serves. It does not wait for upstream servers, whose tools appear as they connect; `?verbose` says how many there are.
pub(super) async fn ready(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let (status, mut text) =
        if state.is_ready() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()) };
    if query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose"))) {
        let (served, failed, held) = state.federation.tally();
        let _ = write!(text, "servers served: {served}\nservers failed: {failed}\nservers with held changes: {held}\n");
    }
    (status, text)
}

/// Prometheus: for keys of any grant, and for whoever may come in without one. It names servers, tools and models, so a token
/// needs the grant `admin`: tokens are many people's.
pub(super) async fn metrics(Shared(state): Shared<State>, Caller(principal): Caller) -> Result<impl IntoResponse, ApiError> {
    let grants = principal.grants();
    let enough = if principal.is_of_token() { grants.admin } else { !grants.names().is_empty() };
    if !enough {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "missing_grant", "this credential lacks the grant `admin`, which metrics need"));
    }
    let mut text = state.metrics.render();
    text.push_str(&definitions(&state));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

/// Which definition stands behind each tool that was called. It is written for each reading, so that releases that are gone leave nothing.
fn definitions(state: &State) -> String {
    let mut called = state.federation.called();
    called.sort_unstable();
    called.dedup();
    let mut text = String::new();
    if !called.is_empty() {
        text.push_str("# TYPE portolan_tool_definition_info gauge\n");
    }
    let label = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    for [server, tool, definition] in called {
        let (tool, definition) = (label(&tool), label(&definition));
        let _ = writeln!(text, "portolan_tool_definition_info{{server=\"{server}\",tool=\"{tool}\",definition=\"{definition}\"}} 1");
    }
    text
}

/// What there is here, for whoever asks without a browser.
pub(super) fn home(headers: &HeaderMap) -> impl IntoResponse {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("127.0.0.1:8484");
    let text = format!(
        "Portolan {}\n\nMCP, all servers       http://{host}/mcp\nMCP, one server        http://{host}/mcp/NAME\n\
         OpenAI-compatible      http://{host}/v1\nAnthropic-compatible   http://{host}\nMetrics                http://{host}/metrics\nHealth                 http://{host}/readyz\n\n\
         `portolan --help` shows what can be done from the command line.\n",
        env!("CARGO_PKG_VERSION")
    );
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
}
