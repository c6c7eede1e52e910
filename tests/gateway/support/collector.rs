//! A collector of traces (OTLP/HTTP): it keeps what it is sent, byte for byte and decoded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::until;

/// A span as it arrived, its ids in hex.
#[derive(Clone, Debug)]
pub struct Spanned {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty where it has none.
    pub parent: String,
    /// `server` or `client`.
    pub kind: &'static str,
    pub state: String,
    pub attributes: BTreeMap<String, Value>,
    /// The traces and spans it is linked to.
    pub links: Vec<(String, String)>,
    /// Whether it is marked as failed.
    pub failed: bool,
    /// When it began and ended, in nanoseconds.
    pub began: u64,
    pub ended: u64,
}

impl Spanned {
    /// An attribute; null where there is none.
    pub fn get(&self, name: &str) -> &Value {
        self.attributes.get(name).unwrap_or(&Value::Null)
    }
}

/// How a collector answers.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Takes,
    Rejects(i64),
    Refuses(u16),
    Hangs,
}

/// A collector on a port of its own.
#[derive(Clone)]
pub struct Collector(Arc<Inner>);

struct Inner {
    base: String,
    manner: Mutex<Manner>,
    posts: Mutex<Vec<(Uri, HeaderMap, Bytes)>>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener)
    }

    /// A collector that begins to answer only now, where nobody did before.
    pub fn on(listener: TcpListener) -> Self {
        let base = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner { base, manner: Mutex::new(Manner::Takes), posts: Mutex::default() };
        let collector = Self(Arc::new(inner));
        let router = Router::new().fallback(take).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        collector
    }

    /// The base address.
    pub fn url(&self) -> &str {
        &self.0.base
    }

    /// A configuration's `telemetry:` section.
    pub fn section(&self) -> String {
        format!("telemetry: {{ log: info, otlp: '{}' }}\n", self.0.base)
    }

    /// From now on it refuses what comes, with this status.
    pub fn refuses(&self, status: u16) {
        *self.0.manner.lock().unwrap() = Manner::Refuses(status);
    }

    /// From now on it takes all but so many of the spans of each request.
    pub fn rejects(&self, spans: i64) {
        *self.0.manner.lock().unwrap() = Manner::Rejects(spans);
    }

    /// From now on it never answers.
    pub fn hangs(&self) {
        *self.0.manner.lock().unwrap() = Manner::Hangs;
    }

    /// From now on it takes all.
    pub fn takes(&self) {
        *self.0.manner.lock().unwrap() = Manner::Takes;
    }

    /// The requests that came so far.
    pub fn posts(&self) -> Vec<(Uri, HeaderMap, Bytes)> {
        self.0.posts.lock().unwrap().clone()
    }

    /// The spans that came so far, in the order of their beginnings.
    pub fn spans(&self) -> Vec<Spanned> {
        let mut spans: Vec<Spanned> = self.posts().iter().flat_map(|(_, _, body)| decoded(body)).collect();
        spans.sort_by_key(|span| span.began);
        spans
    }

    /// Waits for the trace that holds a span of this name and as many spans; its spans in the order of their beginnings.
    pub async fn trace(&self, name: &str, count: usize) -> Vec<Spanned> {
        until(&format!("a trace with `{name}` has {count} spans"), async || {
            let all = self.spans();
            let trace = &all.iter().rfind(|span| span.name == name)?.trace;
            let of: Vec<Spanned> = all.iter().filter(|span| span.trace == *trace).cloned().collect();
            (of.len() >= count).then_some(of)
        })
        .await
    }
}

async fn take(State(collector): State<Collector>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let manner = *collector.0.manner.lock().unwrap();
    let answer = |rejected: Option<i64>| {
        let partial_success = rejected.map(|rejected_spans| ExportTracePartialSuccess { rejected_spans, ..Default::default() });
        ([("content-type", "application/x-protobuf")], ExportTraceServiceResponse { partial_success }.encode_to_vec()).into_response()
    };
    match manner {
        Manner::Refuses(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Manner::Hangs => tokio::time::sleep(Duration::from_secs(3600)).await,
        Manner::Takes | Manner::Rejects(_) => {}
    }
    collector.0.posts.lock().unwrap().push((uri, headers, body));
    answer(if let Manner::Rejects(spans) = manner { Some(spans) } else { None })
}

fn decoded(body: &Bytes) -> Vec<Spanned> {
    let request = ExportTraceServiceRequest::decode(body.clone()).expect("an OTLP request");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| {
        let attributes = resource.resource.unwrap_or_default().attributes;
        assert!(attributes.iter().any(|one| one.key == "service.name"), "the resource says who it is: {attributes:?}");
        resource.scope_spans
    });
    let spans = scopes.flat_map(|scope| scope.spans).map(|span| Spanned {
        name: span.name,
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        kind: match span.kind {
            2 => "server",
            3 => "client",
            _ => "internal",
        },
        state: span.trace_state,
        attributes: span.attributes.into_iter().map(|one| (one.key, value(one.value.unwrap_or_default()))).collect(),
        links: span.links.into_iter().map(|link| (hex::encode(link.trace_id), hex::encode(link.span_id))).collect(),
        failed: span.status.unwrap_or_default().code == 2,
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
    });
    spans.collect()
}

fn value(any: AnyValue) -> Value {
    match any.value {
        Some(any_value::Value::StringValue(text)) => text.into(),
        Some(any_value::Value::BoolValue(yes)) => yes.into(),
        Some(any_value::Value::IntValue(number)) => number.into(),
        Some(any_value::Value::DoubleValue(number)) => number.into(),
        Some(any_value::Value::ArrayValue(list)) => list.values.into_iter().map(value).collect(),
        other => json!(format!("{other:?}")),
    }
}
