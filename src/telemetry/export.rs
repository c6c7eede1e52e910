//! Traces on their way to the collector: a bounded queue, and a task that posts what is in it, many spans at a time (OTLP/HTTP).
//!
//! Requests never wait for it: a span that finds the queue full is dropped and counted. A collector that cannot be reached
//! is told of once, and what is at hand is sent again until it can. The environment's `OTEL_*` variables are not read: all
//! that holds stands in the configuration.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use bytes::Bytes;
use metrics::counter;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use prost::Message as _;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Otlp;
use crate::net::{self, Destination, Net, Reach};
use crate::trace::Tracer;

/// Spans that may wait to be sent. Each is about a kilobyte.
const QUEUE: usize = 4_096;
/// Most spans that are sent at once.
const BATCH: usize = 512;
/// How long the first of them waits for the others, and how often is looked how many there are.
const GATHER: Duration = Duration::from_millis(1_000);
const LOOK: Duration = Duration::from_millis(100);
/// How long the collector has for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is waited before it is tried again, at first and at most.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the last spans have when the gateway stops.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Most of the collector's answer that is read.
const MAX_ANSWER: usize = 64 << 10;

const DROPPED: &str = "portolan_trace_spans_dropped_total";

/// Traces that go to a collector.
pub struct Traces {
    tracer: Tracer,
    provider: SdkTracerProvider,
    closing: CancellationToken,
    sending: JoinHandle<()>,
}

impl Traces {
    /// Begins to send traces; nothing is asked of the collector yet.
    pub fn open(otlp: &Otlp, net: &Net) -> Result<Self, net::Error> {
        let collector = Collector::new(otlp, net)?;
        let (queue, spans) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let sender = Sending { collector, spans, closing: closing.clone(), failing: false, rejected: false };
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(otlp.sample.part())));
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(Resource::builder_empty().build())
            .with_span_processor(Queue { queue, told: AtomicBool::new(false) })
            .build();
        let scope = InstrumentationScope::builder("portolan").with_version(env!("CARGO_PKG_VERSION")).build();
        let tracer = Tracer::new(provider.tracer_with_scope(scope));
        Ok(Self { tracer, provider, closing, sending: tokio::spawn(sender.run()) })
    }

    /// What begins spans.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Sends what is still to be sent, as far as there is time for it, and takes no more.
    pub async fn close(self) {
        // What ends from now on was told to nobody who still listens.
        let _ = self.provider.shutdown();
        self.closing.cancel();
        let abort = self.sending.abort_handle();
        if timeout(LAST_WORDS, self.sending).await.is_err() {
            abort.abort();
            warn!("the last traces could not be sent to the collector within {LAST_WORDS:?}");
        }
    }
}

/// Asks the collector whether it takes traces.
pub async fn probe(otlp: &Otlp, net: &Net) -> Result<String, String> {
    let collector = Collector::new(otlp, net).map_err(|error| error.to_string())?;
    let sent = timeout(PATIENCE, collector.post(Bytes::new())).await;
    let why = match sent {
        Ok(Ok(_)) => return Ok("takes traces".to_owned()),
        Ok(Err(failure)) => failure.why,
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    Err(format!("does not take traces at {}: {why}", otlp.endpoint.url()))
}

/// What spans go into when they end.
#[derive(Debug)]
struct Queue {
    queue: Sender<SpanData>,
    /// Whether it was told that it is full.
    told: AtomicBool,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(span) {
            counter!(DROPPED, "reason" => "queue_full").increment(1);
            if !self.told.swap(true, Ordering::Relaxed) {
                warn!("spans end faster than the collector takes them; some are dropped, and counted in `{DROPPED}`");
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The task that sends.
struct Sending {
    collector: Collector,
    spans: Receiver<SpanData>,
    closing: CancellationToken,
    /// Whether the last attempt failed, and so was told of.
    failing: bool,
    /// Whether it was told that the collector does not take all.
    rejected: bool,
}

impl Sending {
    /// Runs until the gateway stops and all is sent.
    async fn run(mut self) {
        let resource = resource();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let closed = self.closing.is_cancelled();
            tokio::select! {
                biased;
                received = self.spans.recv_many(&mut batch, BATCH), if !closed => if received == 0 { return },
                () = self.closing.cancelled(), if !closed => continue,
                else => {}
            }
            if !closed {
                self.gather(&mut batch).await;
            }
            self.take(&mut batch);
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            let resource_spans = group_spans_by_resource_and_scope(std::mem::take(&mut batch), &resource);
            let body = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
            self.send(body, count as u64).await;
        }
    }

    /// Takes what is there, as far as it fits.
    fn take(&mut self, batch: &mut Vec<SpanData>) {
        while batch.len() < BATCH && self.spans.try_recv().map(|span| batch.push(span)).is_ok() {}
    }

    /// Waits for more, but not for long.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        for _ in 0..(GATHER.as_millis() / LOOK.as_millis()) {
            self.take(batch);
            if batch.len() >= BATCH {
                return;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    /// Sends a batch, again and again while the collector cannot be reached. The queue behind is bounded.
    async fn send(&mut self, body: Bytes, count: u64) {
        let mut pause = PAUSE;
        loop {
            let last = self.closing.is_cancelled();
            let sent = timeout(PATIENCE, self.collector.post(body.clone())).await;
            let failure = match sent {
                Ok(Ok(rejected)) => return self.sent(count, rejected),
                Ok(Err(failure)) => failure,
                Err(_) => Failure { again: true, after: None, why: format!("no answer within {PATIENCE:?}") },
            };
            if !self.failing {
                self.failing = true;
                let then = if failure.again { "it is tried again" } else { "they are dropped" };
                warn!("the collector does not take traces, and {then}: {}", failure.why);
            }
            if last || !failure.again {
                counter!(DROPPED, "reason" => "not_taken").increment(count);
                return;
            }
            tokio::select! {
                () = sleep(failure.after.unwrap_or_default().max(pause).min(LONGEST_PAUSE)) => {}
                () = self.closing.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn sent(&mut self, count: u64, rejected: u64) {
        if std::mem::take(&mut self.failing) {
            info!("the collector takes traces again");
        }
        counter!("portolan_trace_spans_sent_total").increment(count.saturating_sub(rejected));
        if rejected > 0 {
            counter!(DROPPED, "reason" => "rejected").increment(rejected);
            if !std::mem::replace(&mut self.rejected, true) {
                warn!("the collector rejects some of the spans; they are counted in `{DROPPED}`");
            }
        }
    }
}

/// What the gateway says of itself.
fn resource() -> ResourceAttributesWithSchema {
    let instance = uuid::Uuid::new_v4().to_string();
    let attributes = [
        KeyValue::new("service.name", "portolan"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance),
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("telemetry.sdk.name", "opentelemetry"),
    ];
    (&Resource::builder_empty().with_attributes(attributes).build()).into()
}

/// Where spans are posted to.
struct Collector {
    destination: Destination,
    headers: HeaderMap,
}

/// Why a batch was not taken.
struct Failure {
    /// Whether it may be later.
    again: bool,
    /// When, where the collector says so.
    after: Option<Duration>,
    why: String,
}

impl Collector {
    fn new(otlp: &Otlp, net: &Net) -> Result<Self, net::Error> {
        let destination = net.to(otlp.endpoint.url().clone(), Reach::Operator)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &otlp.headers {
            if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.secret().reveal())) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Ok(Self { destination, headers: net::dressed(&headers) })
    }

    /// Posts an encoded request; how many of its spans were rejected.
    async fn post(&self, body: Bytes) -> Result<u64, Failure> {
        let sent = self.destination.send(Method::POST, &self.headers, body).await;
        let reply = sent.map_err(|error| {
            let again = !matches!(error, net::Error::Redirect | net::Error::NotAllowed(_));
            Failure { again, after: None, why: error.to_string() }
        })?;
        let status = reply.status;
        if !status.is_success() {
            // OTLP specification, §OTLP/HTTP response: these and no others may be sent again.
            let again = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
            );
            let after = reply.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(Failure { again, after: after.map(Duration::from_secs), why: format!("it answers with status {status}") });
        }
        let said = reply.whole(MAX_ANSWER).await.unwrap_or_default();
        // Some answer with nothing, or in JSON; what is not understood was taken.
        let partial = ExportTraceServiceResponse::decode(said).ok().and_then(|response| response.partial_success);
        Ok(partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0)))
    }
}
