//! Headers become a [`Principal`], and the grant a door asks for becomes a type, so that no handler can forget it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::browser;
use super::error::ApiError;
use super::state::State;
use super::well_known::challenge;
use crate::auth::Denied;
use crate::domain::Principal;

/// Any caller whose credential is good, or who needs none.
pub(super) struct Caller(pub(super) Principal);

/// A caller who may use models.
pub(super) struct ModelCaller(pub(super) Principal);

/// A caller who may administer.
pub(super) struct AdminCaller(pub(super) Principal);

/// Where a request came to, and what it brought: all that says who may enter.
#[derive(Clone, Copy)]
pub(super) struct Door<'d> {
    pub(super) state: &'d State,
    pub(super) path: &'d str,
    pub(super) headers: &'d HeaderMap,
}

impl Caller {
    /// Who sends a request.
    pub(super) async fn of(door: Door<'_>) -> Result<Self, ApiError> {
        door.identify().await.map(Self)
    }
}

impl ModelCaller {
    /// Who sends a request, if models may be used with that credential.
    pub(super) async fn of(door: Door<'_>) -> Result<Self, ApiError> {
        let principal = door.identify().await?;
        if principal.grants().models { Ok(Self(principal)) } else { Err(door.missing("models", &principal)) }
    }
}

impl FromRequestParts<State> for AdminCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let door = Door { state, path: parts.uri.path(), headers: &parts.headers };
        let principal = if browser::is_of_page(door.headers) { door.visitor()? } else { door.identify().await? };
        if principal.grants().admin { Ok(Self(principal)) } else { Err(door.admin_needed(&principal)) }
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        Self::of(Door { state, path: parts.uri.path(), headers: &parts.headers }).await
    }
}

impl FromRequestParts<State> for ModelCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        Self::of(Door { state, path: parts.uri.path(), headers: &parts.headers }).await
    }
}

impl Door<'_> {
    /// The refusal of a caller who lacks a grant.
    pub(super) fn missing(&self, grant: &str, principal: &Principal) -> ApiError {
        let holder = if principal.is_of_token() { "token" } else { "key" };
        let why = format!("this {holder} lacks the grant `{grant}`");
        let challenge = principal.is_of_token().then(|| self.challenge(Some(("insufficient_scope", &why))));
        ApiError { challenge, ..ApiError::new(StatusCode::FORBIDDEN, "missing_grant", why) }
    }

    /// The refusal of a caller who may not administer: without a credential, that one is needed; with one, that it is not enough.
    pub(super) fn admin_needed(&self, principal: &Principal) -> ApiError {
        if principal.id() != Principal::local().id() {
            return self.missing("admin", principal);
        }
        let file = self.state.auth.owner_file().display().to_string();
        let message = format!("administration needs a key with the grant `admin`, also on this machine; the owner key is in {file}");
        ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    }

    /// Who calls. A key of ours is always judged; another gateway's or provider's key is ignored where
    /// the door is open, and refused where it is not.
    async fn identify(&self) -> Result<Principal, ApiError> {
        let open = self.state.is_open();
        let Some(credential) = credential(self.headers)? else {
            return if open { Ok(Principal::local()) } else { Err(self.denied(Denied::Missing)) };
        };
        let auth = &self.state.auth;
        let found = if auth.is_token(credential) {
            auth.bearer(credential, &self.state.settings.load_full().resources.of(self.path)).await
        } else {
            auth.holder(credential)
        };
        match found {
            Ok(principal) => self.unblocked(principal),
            Err(_) if open && !credential.starts_with("ptl_") => Ok(Principal::local()),
            Err(reason) => Err(self.denied(reason)),
        }
    }

    /// Who shows both halves of a browser's session.
    pub(super) fn visitor(&self) -> Result<Principal, ApiError> {
        let over = || {
            let message = "nobody is logged in here, or not any more; run `portolan open` for a link to log in with";
            ApiError::new(StatusCode::UNAUTHORIZED, "session_over", message)
        };
        let halves = browser::halves(self.headers);
        let principal = halves.and_then(|(cookie, token)| self.state.auth.visitor(cookie, token)).ok_or_else(over)?;
        self.unblocked(principal)
    }

    /// A caller who may come in, unless the operator has blocked them.
    fn unblocked(&self, principal: Principal) -> Result<Principal, ApiError> {
        match self.state.blocks.list().of_caller(&principal) {
            None => Ok(principal),
            Some(blocked) => Err(ApiError::new(StatusCode::FORBIDDEN, "blocked", blocked.to_string())),
        }
    }

    fn denied(&self, reason: Denied) -> ApiError {
        let unauthorized = |code, message: &str, error| ApiError {
            challenge: Some(self.challenge(error)),
            ..ApiError::new(StatusCode::UNAUTHORIZED, code, message)
        };
        match reason {
            Denied::Missing if self.state.auth.has_issuers() => {
                let message =
                    "a key or an access token is needed: send it as `Authorization: Bearer …`; `WWW-Authenticate` says who issues tokens";
                unauthorized("invalid_api_key", message, None)
            }
            Denied::Missing => {
                let message = "a key is needed: send it as `Authorization: Bearer ptl_…`; `portolan key create` makes one";
                unauthorized("invalid_api_key", message, None)
            }
            Denied::Invalid => {
                let why = "the key is not valid, or was revoked";
                unauthorized("invalid_api_key", why, Some(("invalid_token", why)))
            }
            Denied::Token(why) => unauthorized("invalid_token", why, Some(("invalid_token", why))),
            Denied::Unjudged => {
                let message = "the issuer of this token does not answer, so nobody can say whether the token is good; try again later";
                ApiError { retry_after: Some("30".into()), ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "issuer_unavailable", message) }
            }
        }
    }

    fn challenge(&self, error: Option<(&str, &str)>) -> Box<str> {
        challenge(self.state, self.path, self.headers, error).into()
    }
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
