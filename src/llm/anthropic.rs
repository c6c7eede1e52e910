//! Anthropic. It speaks Messages alone; clients of other dialects are translated before they come here.

use async_trait::async_trait;

use super::dialect::Dialect;
use super::error::Error;
use super::openai::list;
use super::provider::{Body, Endpoint, Provider};
use super::request::Request;
use super::send::Remote;
use crate::trace::Span;

/// A provider that speaks Messages.
pub(super) struct Anthropic(pub(super) Remote);

#[async_trait]
impl Provider for Anthropic {
    fn speaks(&self, _: Dialect, _: bool) -> Dialect {
        Dialect::Messages
    }

    async fn send(&self, model: &str, endpoint: Endpoint, request: &Request, span: &mut Span) -> Result<Body, Error> {
        match endpoint {
            Endpoint::Completion => self.0.ask(request.dialect().path(), model, request, span).await,
            Endpoint::CountTokens => self.0.ask("/messages/count_tokens", model, request, span).await,
            Endpoint::Embeddings => Err(Error::NotOffered(model.to_owned())),
        }
    }

    async fn models(&self) -> Result<Vec<String>, Error> {
        list(&self.0.get("/models?limit=1000").await?)
    }
}
