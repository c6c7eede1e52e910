//! Headers become a [`Principal`], and the grant a door asks for becomes a type, so that no handler can forget it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::error::ApiError;
use super::state::State;
use crate::auth::Denied;
use crate::domain::Principal;

/// Any caller whose credential is good, or who needs none.
pub(super) struct Caller(pub(super) Principal);

/// A caller who may use models.
pub(super) struct ModelCaller(pub(super) Principal);

impl Caller {
    /// Who sends a request.
    pub(super) fn of(headers: &HeaderMap, state: &State) -> Result<Self, ApiError> {
        identify(headers, state).map(Self)
    }
}

impl ModelCaller {
    /// Who sends a request, if models may be used with that credential.
    pub(super) fn of(headers: &HeaderMap, state: &State) -> Result<Self, ApiError> {
        let principal = identify(headers, state)?;
        if principal.grants().models { Ok(Self(principal)) } else { Err(missing("models")) }
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        Self::of(&parts.headers, state)
    }
}

impl FromRequestParts<State> for ModelCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        Self::of(&parts.headers, state)
    }
}

/// The refusal of a caller who lacks a grant.
pub(super) fn missing(grant: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "missing_grant", format!("this key lacks the grant `{grant}`"))
}

/// Who calls. A key of ours is always judged; another gateway's or provider's key is ignored where
/// the door is open, and refused where it is not.
fn identify(headers: &HeaderMap, state: &State) -> Result<Principal, ApiError> {
    let open = state.is_open();
    let Some(credential) = credential(headers)? else {
        return if open { Ok(Principal::local()) } else { Err(denied(Denied::Missing)) };
    };
    match state.auth.identify(credential) {
        Ok(principal) => Ok(principal),
        Err(_) if open && !credential.starts_with("ptl_") => Ok(Principal::local()),
        Err(reason) => Err(denied(reason)),
    }
}

fn denied(reason: Denied) -> ApiError {
    let message = match reason {
        Denied::Missing => "a key is needed: send it as `Authorization: Bearer ptl_…`; `portolan key create` makes one",
        Denied::Invalid => "the key is not valid, or was revoked",
    };
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
}

/// Where clients put their credential, the first that is there being meant.
const CREDENTIALS: [HeaderName; 4] = [
    HeaderName::from_static("x-portolan-key"),
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The one credential of a request, from the first of the headers that clients use for it.
fn credential(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    for name in &CREDENTIALS {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        let bad = |why: &str| ApiError::new(StatusCode::BAD_REQUEST, "invalid_credential", format!("the header `{name}` {why}"));
        if values.next().is_some() {
            return Err(bad("came twice"));
        }
        let text = value.to_str().map_err(|_| bad("holds characters that no key has"))?;
        let text = match name {
            &header::AUTHORIZATION => text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key),
            _ => Some(text),
        };
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { continue };
        return if text.len() > 8_192 { Err(bad("is too long")) } else { Ok(Some(text)) };
    }
    Ok(None)
}
