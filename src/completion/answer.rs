//! An answer on its way to the caller.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

use super::error::Error;
use crate::domain::Usage;

/// What goes into the headers of an answer.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// `provider/model` that answered.
    pub model: Arc<str>,
    /// The sources that were put in, with short digests.
    pub context: String,
    /// Whether what was put into the conversation earlier is remembered.
    pub memo: &'static str,
    /// Fields of the request that could not be told to the model.
    pub dropped: String,
    /// How long the providers took until their first byte, over all turns so far.
    pub provider: Duration,
}

/// Some bytes of a streamed answer.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// What the client gets.
    pub bytes: Bytes,
    /// What the answer came to so far, where that became known.
    pub usage: Option<Usage>,
    /// Who answers, where that was not known when the stream began.
    pub model: Option<Arc<str>>,
    /// The answer's id and the number of the event that comes next, where events are numbered.
    pub place: Option<(String, u64)>,
}

/// An answer on its way to the caller.
pub enum Answer {
    /// Whole, with what it came to as far as the provider said.
    Json(Meta, Bytes, Option<Usage>),
    /// As server-sent events, the last one included; an error ends it without.
    Stream(Meta, BoxStream<'static, Result<Sent, Error>>),
}
