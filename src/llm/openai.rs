//! OpenAI's dialect, for OpenAI and all who speak like it. Nothing is translated: only the model's name changes.

use async_trait::async_trait;
use serde_json::Value;

use super::provider::{Endpoint, Provider, Reply};
use super::send::Remote;
use super::{ChatRequest, Error};

/// A provider that speaks OpenAI's dialect.
pub(super) struct OpenAi(pub(super) Remote);

#[async_trait]
impl Provider for OpenAi {
    async fn send(&self, model: &str, endpoint: Endpoint, request: &ChatRequest) -> Result<Reply, Error> {
        let path = match endpoint {
            Endpoint::Chat => "/chat/completions",
            Endpoint::Embeddings => "/embeddings",
        };
        let body = request.for_model(model);
        if request.stream() { self.0.stream(path, body).await } else { self.0.whole(path, body).await.map(Reply::Json) }
    }

    async fn models(&self) -> Result<Vec<String>, Error> {
        let body = self.0.get("/models").await?;
        let body: Value = serde_json::from_slice(&body).map_err(|_| Error::Protocol("its list of models is not JSON"))?;
        let list = body.get("data").and_then(Value::as_array).ok_or(Error::Protocol("its list of models has no `data`"))?;
        Ok(list.iter().filter_map(|model| model.get("id")?.as_str().map(str::to_owned)).take(5_000).collect())
    }
}
