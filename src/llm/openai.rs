//! OpenAI, and all who speak like it. Nothing is translated here: only the model's name changes.

use async_trait::async_trait;
use serde_json::Value;

use super::dialect::Dialect;
use super::error::Error;
use super::provider::{Body, Endpoint, Provider};
use super::request::Request;
use super::send::Remote;
use crate::trace::Span;

/// A provider that speaks OpenAI's dialects.
pub(super) struct OpenAi {
    pub(super) remote: Remote,
    /// OpenAI itself, which speaks Responses as well.
    pub(super) itself: bool,
}

#[async_trait]
impl Provider for OpenAi {
    fn speaks(&self, asked: Dialect, relayed: bool) -> Dialect {
        if self.itself && relayed && asked == Dialect::Responses { Dialect::Responses } else { Dialect::Chat }
    }

    fn is_openai(&self) -> bool {
        self.itself
    }

    async fn send(&self, model: &str, endpoint: Endpoint, request: &Request, span: &mut Span) -> Result<Body, Error> {
        let path = match endpoint {
            Endpoint::Completion => request.dialect().path(),
            Endpoint::Embeddings => "/embeddings",
            Endpoint::CountTokens => return Err(Error::NotOffered(model.to_owned())),
        };
        self.remote.ask(path, model, request, span).await
    }

    async fn models(&self) -> Result<Vec<String>, Error> {
        list(&self.remote.get("/models").await?)
    }
}

/// The ids in a list of models; Anthropic's list has the same shape.
pub(super) fn list(body: &[u8]) -> Result<Vec<String>, Error> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Error::Protocol("its list of models is not JSON"))?;
    let list = body.get("data").and_then(Value::as_array).ok_or(Error::Protocol("its list of models has no `data`"))?;
    Ok(list.iter().filter_map(|model| model.get("id")?.as_str().filter(|id| !id.is_empty()).map(str::to_owned)).take(5_000).collect())
}
