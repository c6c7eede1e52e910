//! Spans under way, and what a span below another needs to know of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

use super::carrier::Carrier;
use super::names::attribute;
use crate::domain::{Usage, clip};

/// Longest text of an attribute, in bytes.
const MAX_TEXT: usize = 256;

/// Begins spans; the default one begins none. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<SdkTracer>>);

impl Tracer {
    /// A tracer whose spans are exported.
    pub fn new(tracer: SdkTracer) -> Self {
        Self(Some(Arc::new(tracer)))
    }

    /// Whether its spans are any.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The time, for a span that begins now and whose name is known later; none where nothing is traced.
    pub fn now(&self) -> Option<SystemTime> {
        self.0.as_ref().map(|_| SystemTime::now())
    }

    /// Begins a span below a parent in another process, or one that has no parent. Nothing is made where nothing is traced.
    pub(super) fn begin(&self, begin: impl FnOnce() -> (SpanBuilder, Option<SpanContext>, Option<Arc<str>>)) -> Span {
        let Some(tracer) = &self.0 else { return Span::default() };
        let (builder, parent, baggage) = begin();
        Span::new(tracer, parent, baggage, builder)
    }
}

/// Where in a trace something is done: whatever begins there is a child of that span. Cheap to clone; empty where nothing is traced.
#[derive(Clone, Default)]
pub struct Trace(Option<Arc<Place>>);

struct Place {
    tracer: Arc<SdkTracer>,
    context: SpanContext,
    baggage: Option<Arc<str>>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Trace" } else { "Trace(none)" })
    }
}

impl Trace {
    /// Whether a span that begins here is one.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn begin(&self, begin: impl FnOnce() -> SpanBuilder) -> Span {
        let Some(place) = &self.0 else { return Span::default() };
        Span::new(&place.tracer, Some(place.context.clone()), place.baggage.clone(), begin())
    }
}

/// A span under way. It ends with [`done`](Self::done), [`refused`](Self::refused) or [`failed`](Self::failed); one that is dropped
/// before was cancelled. The default one is none.
#[derive(Default)]
pub struct Span(Option<Box<Inner>>);

struct Inner {
    span: opentelemetry_sdk::trace::Span,
    tracer: Arc<SdkTracer>,
    baggage: Option<Arc<str>>,
    settled: bool,
}

impl Span {
    fn new(tracer: &Arc<SdkTracer>, parent: Option<SpanContext>, baggage: Option<Arc<str>>, builder: SpanBuilder) -> Self {
        let context = Context::new();
        let context = parent.map_or_else(|| context.clone(), |parent| context.with_remote_span_context(parent));
        let span = tracer.build_with_context(builder, &context);
        Self(Some(Box::new(Inner { span, tracer: tracer.clone(), baggage, settled: false })))
    }

    /// Whether what is added to it is of use to anyone.
    pub fn is_recording(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.span.is_recording())
    }

    /// What a span below this one needs to know.
    pub fn trace(&self) -> Trace {
        let place = |inner: &Inner| Place {
            tracer: inner.tracer.clone(),
            context: inner.span.span_context().clone(),
            baggage: inner.baggage.clone(),
        };
        Trace(self.0.as_deref().map(place).map(Arc::new))
    }

    /// What a peer is to be told of this span; none where nothing is traced.
    pub fn carrier(&self) -> Option<Box<Carrier>> {
        let carrier = |inner: &Inner| Box::new(Carrier::of(inner.span.span_context(), inner.baggage.clone()));
        self.0.as_deref().filter(|inner| inner.span.span_context().is_valid()).map(carrier)
    }

    /// Adds an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(inner) = &mut self.0 {
            inner.span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Adds a text that somebody else wrote, as far as it is short.
    pub fn text(&mut self, name: &'static str, text: &str) {
        if self.is_recording() {
            self.set(name, clip(text, MAX_TEXT));
        }
    }

    /// Adds where a peer is, without what else its address says.
    pub fn peer(&mut self, host: &str, port: Option<u16>) {
        self.text(attribute::ADDRESS, host);
        if let Some(port) = port {
            self.set(attribute::PORT, i64::from(port));
        }
    }

    /// Adds what an answer cost.
    pub fn usage(&mut self, usage: &Usage) {
        if !self.is_recording() {
            return;
        }
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        self.set(attribute::INPUT_TOKENS, count(usage.input));
        self.set(attribute::OUTPUT_TOKENS, count(usage.output));
        let rare = [
            (attribute::CACHE_READ_TOKENS, usage.cached),
            (attribute::CACHE_WRITE_TOKENS, usage.cache_write),
            (attribute::REASONING_TOKENS, usage.reasoning),
        ];
        for (name, tokens) in rare.into_iter().filter(|(_, tokens)| *tokens > 0) {
            self.set(name, count(tokens));
        }
    }

    /// Adds why a model stopped: few words, and short ones.
    pub fn finished(&mut self, reasons: impl IntoIterator<Item = String>) {
        if self.is_recording() {
            let reasons: Vec<StringValue> = reasons.into_iter().map(Into::into).collect();
            if !reasons.is_empty() {
                self.set(attribute::FINISH_REASONS, Value::Array(Array::String(reasons)));
            }
        }
    }

    /// It came to its end.
    pub fn done(mut self) {
        if let Some(inner) = &mut self.0 {
            inner.settled = true;
        }
    }

    /// It was refused, and whoever asked is to blame: no failure of ours.
    pub fn refused(mut self, why: impl Into<Cow<'static, str>>) {
        self.set(attribute::ERROR, why.into());
        self.done();
    }

    /// It failed, by a status, a code, or one of a few words: never by a message, which may quote what was said.
    pub fn failed(mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(inner) = &mut self.0 {
            inner.fail(why.into());
        }
    }
}

impl Inner {
    fn fail(&mut self, why: Cow<'static, str>) {
        self.settled = true;
        self.span.set_attribute(KeyValue::new(attribute::ERROR, why));
        self.span.set_status(Status::Error { description: Cow::Borrowed("") });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.settled {
            self.fail(Cow::Borrowed("cancelled"));
        }
    }
}
