//! The wire: every path of the gateway on one page.

mod body;
mod caller;
mod completions;
mod embeddings;
mod error;
mod health;
mod layers;
mod mcp;
mod meters;
mod models;
mod pace;
mod responses;
mod serve;
mod sessions;
mod sse;
mod state;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};

pub use serve::serve;
pub use state::{Settings, State};

/// All routes, behind the one filter that every request passes.
pub fn router(state: State) -> Router {
    Router::new()
        // MCP: every server as one; one server by itself; the control server as `portolan`.
        .route("/mcp", any(mcp::aggregate))
        .route("/mcp/{target}", any(mcp::target))
        // OpenAI-compatible.
        .route("/v1/chat/completions", post(completions::chat))
        .route("/v1/responses", post(completions::responses))
        .route("/v1/responses/{id}", get(responses::show).delete(responses::remove))
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::show))
        // Anthropic-compatible.
        .route("/v1/messages", post(completions::messages))
        .route("/v1/messages/count_tokens", post(completions::count_tokens))
        // For those who run it.
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/", get(health::home))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(state.clone(), layers::every_request))
        .with_state(state)
}
