//! Traces: what was done for a request, where, and how long it took, in the words of OpenTelemetry.
//!
//! A door begins the span of a request with the [`Tracer`]; its [`Trace`] travels down with the request, as its id does, and
//! whoever calls out begins a span below it. Without a collector there is no tracer, and each of these is an empty value that
//! costs nothing. Nothing that was said is ever part of a span: no arguments, prompts, results or messages of errors.
//!
//! To add a span, add its names to `names.rs` and a way to begin it to `begin.rs`.

mod begin;
mod carrier;
mod names;
mod span;

pub use begin::{Asker, McpCall, McpRequest, ModelCall};
pub use carrier::{Carrier, Origin, Told};
pub use names::attribute;
pub use span::{Span, Trace, Tracer};
