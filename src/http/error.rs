//! One error, four bodies: OpenAI's and Anthropic's shapes on `/v1`, JSON-RPC on `/mcp`, a problem document (RFC 9457) elsewhere.

use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::rates::show;
use crate::policy::{Allowance, Exceeded};
use crate::protocol::{Outgoing, RpcError};
use crate::{completion, context, llm};

/// The code of a provider that has too much to do.
const OVERLOADED: &str = "upstream_overloaded";

/// Why a request was refused or failed, before a body is chosen.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) retry_after: Option<Box<str>>,
    /// What a client without the credential it needs is told of how to get one (RFC 9110 §11.6.1).
    pub(super) challenge: Option<Box<str>>,
    /// What is left of the caller's rates.
    pub(super) allowance: Option<Box<Allowance>>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), param: None, retry_after: None, challenge: None, allowance: None }
    }

    pub(super) fn about(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// OpenAI's error object.
    pub(super) fn openai(&self) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "message": self.message, "type": kind, "code": self.code, "param": self.param })
    }

    /// Anthropic's error object.
    fn anthropic(&self) -> Value {
        let kind = match self.status.as_u16() {
            _ if self.code == OVERLOADED => "overloaded_error",
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            408 | 504 => "timeout_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        json!({ "type": "error", "error": { "type": kind, "message": self.message, "code": self.code, "param": self.param } })
    }

    /// The body that fits the path.
    pub(super) fn render(&self, path: &str) -> Response {
        let mut status = self.status;
        let (media_type, body) = if path == "/v1/messages" || path.starts_with("/v1/messages/") {
            if self.code == OVERLOADED {
                status = StatusCode::from_u16(529).unwrap_or(status);
            }
            ("application/json", self.anthropic().to_string())
        } else if path.starts_with("/v1/") {
            ("application/json", json!({ "error": self.openai() }).to_string())
        } else if path == "/mcp" || path.starts_with("/mcp/") {
            let code = match self.status.as_u16() {
                401 | 403 => RpcError::FORBIDDEN,
                404 => RpcError::NO_SERVER,
                _ => RpcError::INVALID_REQUEST,
            };
            ("application/json", Outgoing::error(None, &RpcError::new(code, &self.message)))
        } else {
            let problem = json!({ "type": "about:blank", "title": self.status.canonical_reason(), "status": self.status.as_u16(),
                "detail": self.message, "code": self.code });
            ("application/problem+json", problem.to_string())
        };
        let mut response = (status, [(header::CONTENT_TYPE, media_type)], body).into_response();
        let headers = response.headers_mut();
        let challenge = self.challenge.as_ref().and_then(|text| HeaderValue::from_str(text).ok());
        let plain = || (self.status == StatusCode::UNAUTHORIZED).then(|| HeaderValue::from_static("Bearer"));
        if let Some(value) = challenge.or_else(plain) {
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        if let Some(value) = self.retry_after.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
        if let Some(allowance) = &self.allowance {
            show(allowance, headers);
        }
        response
    }
}

/// The dialect of a stream whose last event is an error.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Chat,
    Messages,
    Responses,
}

impl Shape {
    /// An error as a stream's last event; `place` is the answer's id and the event's number, where events have one.
    pub(super) fn last_event(self, error: &ApiError, place: Option<(String, u64)>) -> String {
        match self {
            Self::Chat => format!("data: {}\n\n", json!({ "error": error.openai() })),
            Self::Messages => format!("event: error\ndata: {}\n\n", error.anthropic()),
            Self::Responses => {
                let failure = json!({ "code": error.code, "message": error.message });
                let (id, number) = place.unwrap_or_default();
                let response = json!({ "id": id, "object": "response", "status": "failed", "output": [], "error": failure });
                let event = json!({ "type": "response.failed", "sequence_number": number, "response": response });
                format!("event: response.failed\ndata: {event}\n\n")
            }
        }
    }
}

impl IntoResponse for ApiError {
    /// Leaves the body to the layer that knows the path.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Exceeded> for ApiError {
    fn from(exceeded: Exceeded) -> Self {
        let left = Some(exceeded.left);
        let allowance = match exceeded.what {
            "tokens" => Allowance { tokens: left, ..Allowance::default() },
            _ => Allowance { requests: left, ..Allowance::default() },
        };
        let refused = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", exceeded.to_string());
        Self { retry_after: Some(seconds(exceeded.wait).into()), allowance: Some(allowance.into()), ..refused }
    }
}

impl From<completion::Error> for ApiError {
    fn from(error: completion::Error) -> Self {
        use completion::Error::{
            Blocked, Context, Deadline, Invalid, Model, NoMcp, Previous, Provider, Response, Server, Store, Tool, Turns, Unanswered,
        };
        let message = error.to_string();
        let (status, code, param) = match &error {
            Invalid { param, .. } => (StatusCode::BAD_REQUEST, "invalid_request", param.as_deref()),
            Previous(_) => (StatusCode::BAD_REQUEST, "previous_response_not_found", Some("previous_response_id")),
            Response(_) => (StatusCode::NOT_FOUND, "response_not_found", Some("id")),
            Model(_) => (StatusCode::NOT_FOUND, "model_not_found", Some("model")),
            Server(.., param) => (StatusCode::NOT_FOUND, "server_not_found", Some(*param)),
            Tool(..) => (StatusCode::NOT_FOUND, "tool_not_found", Some("tools")),
            Blocked(_) | Context(context::Error::Blocked(_)) => (StatusCode::FORBIDDEN, "blocked", None),
            NoMcp => (StatusCode::FORBIDDEN, "missing_grant", Some("tools")),
            Context(context::Error::Unknown { .. }) => (StatusCode::NOT_FOUND, "context_not_found", Some("portolan.context")),
            Context(context::Error::Forbidden(_)) => (StatusCode::FORBIDDEN, "context_forbidden", Some("portolan.context")),
            Context(context::Error::Failed { .. }) => (StatusCode::BAD_GATEWAY, "context_failed", None),
            // Who else failed is more than the last one can say.
            Unanswered(why) if why.others > 0 => return ApiError { message: message.clone(), ..provider(&why.error, message) },
            Unanswered(why) => return provider(&why.error, message),
            Provider(error) => return provider(error, message),
            Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", None),
            Turns(_) => (StatusCode::BAD_GATEWAY, "tool_turns_exceeded", None),
            Deadline(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout", None),
        };
        Self { param: param.map(str::to_owned), ..Self::new(status, code, message) }
    }
}

fn provider(error: &llm::Error, message: String) -> ApiError {
    use llm::Error::{
        Credential, Failed, Idle, InStream, Missing, NotOffered, Protocol, RateLimited, Refused, TooLarge, Truncated, Unfit, Unreachable,
    };
    let gateway = |code| ApiError::new(StatusCode::BAD_GATEWAY, code, message.clone());
    match error {
        Credential(_) => gateway("upstream_auth"),
        RateLimited { retry_after } => {
            let limited = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
            ApiError { retry_after: retry_after.map(|length| seconds(length).into()), ..limited }
        }
        Refused(status, refusal) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
            let code = refusal.code.clone().unwrap_or_else(|| "upstream_refused".to_owned());
            ApiError { param: refusal.param.clone(), ..ApiError::new(status, &code, refusal.message.clone()) }
        }
        Unfit(wrong) => ApiError { param: wrong.param.clone(), ..ApiError::new(StatusCode::BAD_REQUEST, "unsupported", message) },
        // Clients wait longer for one who has too much to do than for one who is broken.
        Failed(529, _) => overloaded(message),
        InStream(refusal) if refusal.code.as_deref() == Some("overloaded_error") => overloaded(message),
        Failed(..) | InStream(_) => gateway("upstream_error"),
        Unreachable | Missing(_) => gateway("upstream_unreachable"),
        Protocol(_) => gateway("upstream_protocol"),
        TooLarge => gateway("upstream_too_large"),
        Truncated => gateway("upstream_truncated"),
        Idle(_) => ApiError::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", message),
        NotOffered(_) => ApiError::new(StatusCode::BAD_REQUEST, "endpoint_not_offered", message).about("model"),
    }
}

/// Anthropic's status for it, which is 503 to everyone else.
fn overloaded(message: String) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, message)
}

/// A length of time as `Retry-After` has it: never too short.
fn seconds(length: Duration) -> String {
    (length.as_secs() + u64::from(length.subsec_nanos() > 0)).to_string()
}

/// A path that is not there.
pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at `{}`", crate::domain::clip(uri.path(), 120)))
}

/// A path that is there, but not for this method.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("`{}` does not answer {method}", crate::domain::clip(uri.path(), 120));
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

#[allow(clippy::needless_pass_by_value)] // The layer's signature.
/// A handler that panicked: this request fails, and no other.
pub(super) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let what = panic.downcast_ref::<&str>().copied().map(str::to_owned).or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!("a handler panicked: {}", what.unwrap_or_default());
    metrics::counter!("portolan_panics_total").increment(1);
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the gateway failed on this request").into_response()
}
