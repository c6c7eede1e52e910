//! Logs, metrics and traces. Logs go to standard error: text for people on a terminal, JSON otherwise.

mod export;
mod lines;

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use export::{Traces, probe};

use lines::Lines;

use crate::config::{Format, Telemetry};

/// Bounds of duration histograms in seconds, as the OpenTelemetry conventions for GenAI and MCP advise.
const DURATIONS: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Starts logging. A second call in one process changes nothing.
pub fn log(config: &Telemetry) {
    let filter = config.filter().unwrap_or_else(|_| EnvFilter::new("info"));
    let at_terminal = std::io::stderr().is_terminal();
    let format = config.format.unwrap_or(if at_terminal { Format::Text } else { Format::Json });
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_harmless));
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines(format));
    let started = match format {
        Format::Json => registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init(),
        Format::Text => {
            let coloured = at_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            registry.with(lines.with_target(false).with_ansi(coloured)).try_init()
        }
    };
    let _ = started;
}

/// Whether an event may be written whatever the operator wants to see: below `info`, the OAuth client writes codes down that a login
/// can be finished with.
fn is_harmless(event: &Metadata<'_>) -> bool {
    !event.target().starts_with("rmcp::transport::auth") || *event.level() <= Level::INFO
}

/// The metrics of this process, made once.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = match builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATIONS) {
                Ok(builder) => builder,
                Err(_) => PrometheusBuilder::new(),
            };
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            let _ = metrics::set_global_recorder(recorder);
            metrics::gauge!("portolan_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            handle
        })
        .clone()
}
