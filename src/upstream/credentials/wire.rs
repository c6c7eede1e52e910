//! How the OAuth client calls out: through the gateway's own door, within a time and a size.

use std::time::Duration;

use oauth2::{HttpRequest, HttpResponse};
use reqwest::{Method, StatusCode};
use rmcp::transport::auth::{OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRedirectPolicy, OAuthHttpRequest};
use serde::Deserialize;
use url::Url;

use crate::net::{self, Net, Reach};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Calls authorization servers.
pub(super) struct Wire {
    pub(super) net: Net,
    /// How far the addresses are trusted that a server's metadata names.
    pub(super) reach: Reach,
}

impl Wire {
    async fn answer(&self, request: HttpRequest, moves: OAuthHttpRedirectPolicy) -> Result<HttpResponse, OAuthHttpClientError> {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string())?;
        let (asked, head_is_get) = (url.clone(), head.method == Method::GET);
        let client = match moves {
            OAuthHttpRedirectPolicy::Follow => self.net.client(&url, self.reach)?,
            // Also what may come later: a secret is sent to one address alone.
            _ => self.net.still(&url, self.reach)?,
        };
        let request = client.request(head.method, url).headers(net::dressed(&head.headers)).body(body).timeout(PATIENCE);
        let response = request.send().await.map_err(net::Error::from)?;
        let mut answer = HttpResponse::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        *answer.body_mut() = net::read(response, MAX_ANSWER).await?.to_vec();
        if head_is_get && speaks_for_another(&asked, answer.body()) {
            // As if it were not there: whoever looks for it goes on looking.
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer.body_mut().clear();
        }
        Ok(answer)
    }
}

/// Whether this is an authorization server's metadata, and of another one than its address is of: nobody may say of another where
/// secrets are to be sent (RFC 8414 §3.3).
fn speaks_for_another(address: &Url, body: &[u8]) -> bool {
    let Ok(said) = serde_json::from_slice::<Said>(body) else { return false };
    if said.token_endpoint.is_none() {
        return false;
    }
    let issuer = said.issuer.as_ref().and_then(|issuer| Url::parse(issuer).ok());
    issuer.is_none_or(|issuer| !places(&issuer).iter().any(|place| *place == address.path()) || issuer.origin() != address.origin())
}

/// Where an issuer's metadata lies: RFC 8414 §3.1, and OpenID Connect Discovery §4 with its path in either place.
fn places(issuer: &Url) -> [String; 3] {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let path = issuer.path().trim_end_matches('/');
    [format!("{OAUTH}{path}"), format!("{OPENID}{path}"), format!("{path}{OPENID}")]
}

/// What of a document tells whether it is an authorization server's.
#[derive(Deserialize)]
struct Said {
    issuer: Option<String>,
    token_endpoint: Option<serde::de::IgnoredAny>,
}

impl OAuthHttpClient for Wire {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(self.answer(request.request, request.redirect_policy))
    }
}
