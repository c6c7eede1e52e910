//! The wire: every path of the gateway on one page.

mod api;
mod body;
mod browser;
mod caller;
mod completions;
mod console;
mod doors;
mod error;
mod every;
mod exchange;
mod health;
mod mcp;
mod meters;
mod models;
mod name;
mod oauth;
mod pace;
mod parks;
mod paths;
mod rates;
mod record;
mod resources;
mod responses;
mod serve;
mod servers;
mod sessions;
mod sse;
mod state;
mod timing;
mod traced;
mod well_known;

use axum::Router;
use axum::routing::{any, get, post};
use tower_http::compression::CompressionLayer;

pub use resources::Resources;
pub use serve::{listen, serve};
pub use state::{Settings, State};

/// All routes; `every` stands around them, and `doors` before them, which takes what is sent to `/mcp/{target}` as well.
pub fn router(state: State) -> Router {
    Router::new()
        // MCP: every server as one; one server by itself; the control server as `portolan`.
        .route(paths::AGGREGATE, any(mcp::aggregate))
        .route(paths::TARGET, any(mcp::target))
        .route(paths::TARGET_LINE, any(mcp::line))
        // OpenAI-compatible.
        .route(paths::CHAT, post(completions::chat))
        .route(paths::RESPONSES, post(completions::responses))
        .route(paths::RESPONSE, get(responses::show).delete(responses::remove))
        .route(paths::EMBEDDINGS, post(completions::embed))
        .route(paths::MODELS, get(models::list))
        .route(paths::MODEL, get(models::show))
        // Anthropic-compatible.
        .route(paths::MESSAGES, post(completions::messages))
        .route(paths::COUNT_TOKENS, post(completions::count_tokens))
        // The control tools as plain JSON.
        .route(paths::API, post(api::call))
        .route(paths::OPENAPI, get(api::describe))
        // The official registry's API, read.
        .route(paths::SERVERS, get(servers::list))
        .route(paths::VERSIONS, get(servers::versions))
        .route(paths::VERSION, get(servers::version))
        // OAuth 2.1: what tokens must be for, and who issues them.
        .route(paths::PROTECTED, get(well_known::root))
        .route(paths::PROTECTED_BELOW, get(well_known::below))
        // The console in the browser.
        .route(paths::LOGIN, post(console::login))
        .route(paths::SESSION, get(console::session))
        .route(paths::LOGOUT, post(console::logout))
        .merge(files())
        // The gateway as an OAuth client of upstream servers.
        .route(paths::CALLBACK, get(oauth::callback))
        .route(paths::DOCUMENT, get(oauth::document))
        // For those who run it.
        .route(paths::LIVE, get(health::live))
        .route(paths::READY, get(health::ready))
        .route(paths::METRICS, get(health::metrics))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .with_state(state)
}

/// The console's files, which are text: browsers take them in less than half the bytes.
fn files() -> Router<State> {
    let compressed = CompressionLayer::new().gzip(true);
    Router::new().route(paths::HOME, get(console::page)).route(paths::FILE, get(console::file)).layer(compressed)
}
