//! What a provider is to the floors above.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::dialect::Dialect;
use super::error::Error;
use super::request::Request;
use crate::net::Event;
use crate::trace::Span;

/// Which of a provider's endpoints is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Completions, at the path of the request's dialect.
    Completion,
    /// `POST /embeddings`
    Embeddings,
    /// `POST /messages/count_tokens`
    CountTokens,
}

/// Events that were ready together, in the dialect the provider was spoken to; an error ends the
/// stream. A stream that ends without one has said all it had to say, `[DONE]` left out.
pub type Events = BoxStream<'static, Result<Vec<Event>, Error>>;

/// What came back.
pub enum Body {
    /// A whole answer.
    Json(Bytes),
    /// The first events of a stream, and the rest.
    Stream(Vec<Event>, Events),
}

/// An answer, or its beginning.
pub struct Reply {
    /// The dialect it is in.
    pub dialect: Dialect,
    /// What of the request this provider could not be told, by its fields' names.
    pub lost: Vec<String>,
    /// The answer.
    pub body: Body,
}

/// One LLM provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The dialect it is spoken to in when a client speaks `asked`. `relayed` says that the answer is
    /// only passed on, and so may be in any dialect the client understands.
    fn speaks(&self, asked: Dialect, relayed: bool) -> Dialect;
    /// Whether it is OpenAI itself, who refuses what it does not know.
    fn is_openai(&self) -> bool {
        false
    }
    /// Sends a request for this model. It is in a dialect that the provider speaks, and so is the answer. The span is of the attempt.
    async fn send(&self, model: &str, endpoint: Endpoint, request: &Request, span: &mut Span) -> Result<Body, Error>;
    /// The models it lists.
    async fn models(&self) -> Result<Vec<String>, Error>;
}
