//! What a provider is to the floors above.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{ChatRequest, Error};
use crate::net::Event;

/// Which of a provider's endpoints is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /chat/completions`
    Chat,
    /// `POST /embeddings`
    Embeddings,
}

/// Events that were ready together, as OpenAI's chunks; an error ends the stream. A stream that ends
/// without one has said all it had to say, `[DONE]` left out.
pub type Events = BoxStream<'static, Result<Vec<Event>, Error>>;

/// What came back.
pub enum Reply {
    /// A whole answer.
    Json(Bytes),
    /// The first events of a stream, and the rest.
    Stream(Vec<Event>, Events),
}

/// One LLM provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Sends a request for this model; the answer comes in OpenAI's words.
    async fn send(&self, model: &str, endpoint: Endpoint, request: &ChatRequest) -> Result<Reply, Error>;
    /// The models it lists.
    async fn models(&self) -> Result<Vec<String>, Error>;
}
