//! How the OAuth client calls out: through the gateway's own door, within a time and a size.

use std::time::Duration;

use oauth2::{HttpRequest, HttpResponse};
use rmcp::transport::auth::{OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRedirectPolicy, OAuthHttpRequest};
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
        Ok(answer)
    }
}

impl OAuthHttpClient for Wire {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(self.answer(request.request, request.redirect_policy))
    }
}
