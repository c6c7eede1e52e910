//! What an answer says of itself, noted in the span of the attempt that it answers: model, tokens, why it ended. Nothing else of it
//! is kept. The span ends when the answer does, also when that is a stream.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use futures::{Stream, StreamExt as _};
use memchr::memmem::Finder;
use serde::Deserialize;

use super::provider::{Body, Events, Reply};
use crate::domain::{Usage, clip};
use crate::net::Event;
use crate::trace::{Span, attribute};

/// Most reasons for an answer's end that are noted, and the longest, in bytes: a provider may give one with each piece.
const MOST_REASONS: usize = 8;
const MAX_REASON: usize = 64;

impl Reply {
    /// The same answer; with its end ends the span.
    #[must_use]
    pub fn traced(mut self, mut span: Span) -> Self {
        if !span.is_recording() {
            span.done();
            return self;
        }
        self.body = match self.body {
            Body::Json(body) => {
                let mut noted = Noted::default();
                noted.add(serde_json::from_slice(&body).unwrap_or_default());
                noted.put(&mut span);
                span.done();
                Body::Json(body)
            }
            Body::Stream(first, rest) => {
                let mut noted = Noted::default();
                noted.see(&first);
                Body::Stream(first, Box::pin(Tapped { rest, noted, span: Some(span) }))
            }
        };
        self
    }
}

/// A stream whose end is the end of a span.
struct Tapped {
    rest: Events,
    noted: Noted,
    span: Option<Span>,
}

impl Stream for Tapped {
    type Item = <Events as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.rest.poll_next_unpin(cx));
        match &next {
            Some(Ok(events)) => self.noted.see(events),
            Some(Err(error)) => {
                let why = error.word();
                self.end(|span| span.failed(why));
            }
            None => self.end(Span::done),
        }
        Poll::Ready(next)
    }
}

impl Tapped {
    fn end(&mut self, end: impl FnOnce(Span)) {
        if let Some(mut span) = self.span.take() {
            self.noted.put(&mut span);
            end(span);
        }
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        // Nobody waits for the rest any more.
        self.end(drop);
    }
}

/// What is known of an answer so far.
#[derive(Default)]
struct Noted {
    begun: bool,
    id: Option<String>,
    model: Option<String>,
    usage: Option<Usage>,
    reasons: Vec<String>,
}

impl Noted {
    fn see(&mut self, events: &[Event]) {
        for data in events.iter().filter_map(|event| event.data.as_deref()) {
            // Most events hold a piece of text and tell nothing.
            if !self.begun || tells(data) {
                self.begun = true;
                self.add(serde_json::from_str(data).unwrap_or_default());
            }
        }
    }

    fn add(&mut self, said: Said) {
        for inner in [said.message, said.response].into_iter().flatten() {
            self.add(*inner);
        }
        self.id = self.id.take().or(said.id);
        self.model = self.model.take().or(said.model);
        self.usage = said.usage.map(|now| now.after(self.usage)).or(self.usage);
        let choices = said.choices.unwrap_or_default().into_iter().filter_map(|choice| choice.finish_reason);
        let reasons = choices.chain(said.stop_reason).chain(said.delta.and_then(|delta| delta.stop_reason));
        let room = MOST_REASONS.saturating_sub(self.reasons.len());
        self.reasons.extend(reasons.filter(|reason| !reason.is_empty()).take(room).map(|reason| clip(&reason, MAX_REASON)));
    }

    fn put(&mut self, span: &mut Span) {
        if let Some(id) = &self.id {
            span.text(attribute::RESPONSE_ID, id);
        }
        if let Some(model) = &self.model {
            span.text(attribute::RESPONSE_MODEL, model);
        }
        if let Some(usage) = &self.usage {
            span.usage(usage);
        }
        span.finished(std::mem::take(&mut self.reasons));
    }
}

/// Whether an event says what it cost, or why the answer ends.
fn tells(data: &str) -> bool {
    static KEYS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| ["\"usage\"", "\"finish_reason\"", "\"stop_reason\""].map(Finder::new));
    let value = |key: &Finder<'_>, at: usize| {
        let behind = data.get(at + key.needle().len()..)?;
        behind.trim_start().strip_prefix(':').map(|value| value.trim_start().starts_with(['{', '"']))
    };
    KEYS.iter().any(|key| key.find_iter(data.as_bytes()).any(|at| value(key, at) == Some(true)))
}

/// What is read of an answer or an event, in the words of all dialects. All else is passed over.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    id: Option<String>,
    model: Option<String>,
    usage: Option<Usage>,
    choices: Option<Vec<Choice>>,
    stop_reason: Option<String>,
    delta: Option<Delta>,
    /// Of the first event of Messages.
    message: Option<Box<Self>>,
    /// Of the first and the last event of Responses.
    response: Option<Box<Self>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    stop_reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(events: &[&str]) -> Noted {
        let event = |data: &&str| Event { data: Some((*data).to_owned().into()), ..Event::default() };
        let mut noted = Noted::default();
        noted.see(&events.iter().map(event).collect::<Vec<_>>());
        noted
    }

    #[test]
    fn the_streams_of_all_dialects_tell_their_model_their_tokens_and_their_end() {
        let chat = noted(&[
            r#"{"id":"a","model":"m","choices":[{"index":0,"delta":{"content":"\"usage\":{"},"finish_reason":null}],"usage":null}"#,
            r#"{"id":"a","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"id":"a","model":"m","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7}}"#,
        ]);
        let messages = noted(&[
            r#"{"type":"message_start","message":{"id":"a","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":11,"output_tokens":1}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"stop"},"usage":{"output_tokens":7}}"#,
        ]);
        let responses = noted(&[
            r#"{"type":"response.created","response":{"id":"a","model":"m","output":[],"usage":null}}"#,
            r#"{"type":"response.output_text.delta","delta":"\"usage\":{}"}"#,
            r#"{"type":"response.completed","response":{"id":"a","model":"m","output":[],"usage":{"input_tokens":11,"output_tokens":7}}}"#,
        ]);
        for (noted, reasons) in [(chat, &["stop"] as &[&str]), (messages, &["stop"]), (responses, &[])] {
            assert_eq!((noted.id.as_deref(), noted.model.as_deref()), (Some("a"), Some("m")));
            assert_eq!(noted.usage.map(|usage| (usage.input, usage.output)), Some((11, 7)));
            assert_eq!(noted.reasons, reasons);
        }
    }
}
