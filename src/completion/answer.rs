//! An answer on its way to the caller.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

use super::error::Error;

/// What goes into the headers of an answer.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// `provider/model` that answered.
    pub model: String,
    /// The sources that were put in, with short digests.
    pub context: String,
    /// How long the providers took until their first byte, over all turns so far.
    pub provider: Duration,
}

/// An answer on its way to the caller.
pub enum Answer {
    /// Whole.
    Json(Meta, Bytes),
    /// As server-sent events with `[DONE]` at their end; an error ends it without.
    Stream(Meta, BoxStream<'static, Result<Bytes, Error>>),
}
