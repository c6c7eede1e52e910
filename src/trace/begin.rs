//! How each kind of span begins.

use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanBuilder, SpanKind};

use super::carrier::Origin;
use super::names::{attribute, method};
use super::span::{Span, Trace, Tracer};
use crate::domain::{Principal, Transport, clip};

/// Longest name of a model, a tool or a prompt in the name of a span, in bytes.
const MAX_NAME: usize = 96;

/// Whose request a span is of, by the ids that the journal knows.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The request's id.
    pub request: Option<&'a str>,
}

impl Asker<'_> {
    fn put(self, span: &mut Span) {
        span.text(attribute::PRINCIPAL, self.principal.id());
        if let Some(request) = self.request {
            span.text(attribute::REQUEST_ID, request);
        }
    }
}

/// A request that came to an MCP door.
pub struct McpRequest<'a> {
    /// When it began to arrive.
    pub began: SystemTime,
    /// Its method, as the client wrote it.
    pub method: &'a str,
    /// The tool or the prompt that it names.
    pub name: Option<&'a str>,
    /// The client's id of it, as it was written.
    pub id: &'a str,
}

/// An attempt at a model.
pub struct ModelCall<'a> {
    /// What is asked of it.
    pub operation: &'static str,
    /// The provider, by the operator's name for it.
    pub provider: &'a str,
    /// The provider's name of the model.
    pub model: &'a str,
    /// Whether its answer is to be a stream.
    pub stream: bool,
}

/// A request to an MCP server.
pub struct McpCall<'a> {
    /// Its method.
    pub method: &'a str,
    /// The tool or the prompt that it names, as the server calls it.
    pub name: Option<&'a str>,
    /// The server, by its name in the gateway.
    pub server: &'a str,
    /// How the server is reached.
    pub transport: &'a Transport,
    /// What is called, as the release defines it: `server/tool@version#digest`.
    pub definition: Option<&'a str>,
}

impl Tracer {
    /// The span of a request at one of the doors to models.
    pub fn model_door(&self, route: &'static str, asker: Asker<'_>, origin: impl FnOnce() -> Origin) -> Span {
        let mut span = self.begin(|| {
            let Origin { parent, baggage, .. } = origin();
            (SpanBuilder::from_name(format!("POST {route}")).with_kind(SpanKind::Server), parent, baggage)
        });
        if span.is_recording() {
            span.set(attribute::HTTP_METHOD, "POST");
            span.set(attribute::HTTP_ROUTE, route);
            span.set(attribute::URL_PATH, route);
            span.set(attribute::URL_SCHEME, "http");
            asker.put(&mut span);
        }
        span
    }

    /// The span of a request at one of the MCP doors.
    pub fn mcp_door(&self, asked: &McpRequest<'_>, asker: Asker<'_>, origin: impl FnOnce() -> Origin) -> Span {
        let known = method(asked.method);
        let mut span = self.begin(|| {
            let Origin { parent, link, baggage } = origin();
            let links = link.into_iter().map(Link::with_context).collect();
            let builder = SpanBuilder::from_name(named(known, asked.name)).with_kind(SpanKind::Server);
            (builder.with_start_time(asked.began).with_links(links), parent, baggage)
        });
        if span.is_recording() {
            put_mcp(&mut span, known, asked.name);
            span.text(attribute::JSONRPC_ID, asked.id.trim_matches('"'));
            span.set(attribute::TRANSPORT, "tcp");
            asker.put(&mut span);
        }
        span
    }
}

impl Trace {
    /// The span of an attempt at a model.
    pub fn model(&self, call: &ModelCall<'_>) -> Span {
        let ModelCall { operation, provider, model, stream } = *call;
        let mut span = self.begin(|| {
            let name = format!("{operation} {}", clip(model, MAX_NAME));
            SpanBuilder::from_name(name).with_kind(SpanKind::Client)
        });
        if span.is_recording() {
            span.set(attribute::OPERATION, operation);
            span.text(attribute::PROVIDER, provider);
            span.text(attribute::REQUEST_MODEL, model);
            span.text(attribute::TARGET, &format!("{provider}/{model}"));
            if stream {
                span.set(attribute::REQUEST_STREAM, true);
            }
        }
        span
    }

    /// The span of a request to an MCP server.
    pub fn mcp(&self, call: &McpCall<'_>) -> Span {
        let known = method(call.method);
        let mut span = self.begin(|| SpanBuilder::from_name(named(known, call.name)).with_kind(SpanKind::Client));
        if span.is_recording() {
            put_mcp(&mut span, known, call.name);
            span.text(attribute::SERVER, call.server);
            if let Some(definition) = call.definition {
                span.text(attribute::DEFINITION, definition);
            }
            match call.transport {
                Transport::Stdio { .. } => span.set(attribute::TRANSPORT, "pipe"),
                Transport::Http { url, .. } => {
                    span.set(attribute::TRANSPORT, "tcp");
                    if let Ok(url) = url::Url::parse(url) {
                        span.peer(url.host_str().unwrap_or_default(), url.port_or_known_default());
                    }
                }
            }
        }
        span
    }
}

fn named(method: &'static str, name: Option<&str>) -> String {
    name.map_or_else(|| method.to_owned(), |name| format!("{method} {}", clip(name, MAX_NAME)))
}

fn put_mcp(span: &mut Span, method: &'static str, name: Option<&str>) {
    span.set(attribute::MCP_METHOD, method);
    match (method, name) {
        ("tools/call", name) => {
            span.set(attribute::OPERATION, "execute_tool");
            span.text(attribute::TOOL, name.unwrap_or_default());
        }
        ("prompts/get", Some(name)) => span.text(attribute::PROMPT, name),
        _ => {}
    }
}
