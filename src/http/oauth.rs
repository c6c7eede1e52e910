//! The gateway as an OAuth client of upstream servers: where browsers come back to, and what it says of itself.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::state::State;
use crate::upstream::Returned;

/// Nothing but text, and nowhere but here.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /oauth/callback`: what an authorization server sends back. It counts only with what we gave it to bring back, once.
pub(super) async fn callback(Shared(state): Shared<State>, returned: Result<Query<Returned>, QueryRejection>) -> Response {
    let Ok(Query(returned)) = returned else {
        return page(StatusCode::BAD_REQUEST, "Not logged in", "This address is for authorization servers to send browsers back to.");
    };
    match state.control.logged_in(returned).await {
        Ok(server) => page(StatusCode::OK, "Logged in", &format!("The gateway is logged in at {server}. This page can be closed.")),
        // A page that is loaded again, mostly, after all went well.
        Err(refusal) if refusal.code == "login_unknown" => {
            page(StatusCode::BAD_REQUEST, "Nothing to do", &format!("Why: {}.", refusal.message))
        }
        Err(refusal) => page(StatusCode::BAD_REQUEST, "Not logged in", &format!("What is wrong: {}.", refusal.message)),
    }
}

/// `GET /oauth/client.json`: what authorization servers may know of us.
pub(super) async fn document(Shared(state): Shared<State>) -> Result<impl IntoResponse, ApiError> {
    let why = "there is no client metadata document: authorization servers reach it only where `server.public_url` is an https address";
    state.control.client_document().map(Json).ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "not_found", why))
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title} · Portolan</title>\n<link rel=\"stylesheet\" href=\"/console/style.css\">\n<div id=\"app\">\n<main class=\"login\">\n<img src=\"/console/icon.svg\" alt=\"\" width=\"44\" height=\"44\">\n<h1>{title}</h1>\n<p>{text}</p>\n</main>\n</div>\n</html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, body).into_response()
}
