//! The metrics of a tool's calls, by the names of the OpenTelemetry conventions for MCP. Made once per tool.

use std::time::Instant;

use metrics::{Counter, Histogram, counter, histogram};

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// With a result.
    Ok,
    /// With a result that is an error of the tool's.
    ToolError,
    /// With an error instead of a result.
    Error,
    /// Before it began: its arguments did not fit.
    Misfit,
}

/// What is counted of one tool's calls.
pub(super) struct Calls {
    duration: Histogram,
    ok: Counter,
    tool_error: Counter,
    error: Counter,
    misfit: Counter,
    /// Calls that went on although their arguments do not fit.
    pub(super) strays: Counter,
    /// Results that do not fit what the release promises.
    pub(super) unkept: Counter,
}

impl Calls {
    /// The counters of a tool by its public name.
    pub(super) fn of(server: &str, public: &str) -> Self {
        let ended = |outcome: &'static str| counter!("portolan_tool_calls_total", "server" => server.to_owned(), "tool" => public.to_owned(), "outcome" => outcome);
        let labels = [("mcp_method_name", "tools/call".to_owned()), ("gen_ai_tool_name", public.to_owned())];
        Self {
            duration: histogram!("mcp_client_operation_duration_seconds", &labels),
            ok: ended("ok"),
            tool_error: ended("tool_error"),
            error: ended("error"),
            misfit: ended("invalid_arguments"),
            strays: counter!("portolan_tool_misfits_total", "server" => server.to_owned(), "tool" => public.to_owned(), "side" => "arguments"),
            unkept: counter!("portolan_tool_misfits_total", "server" => server.to_owned(), "tool" => public.to_owned(), "side" => "result"),
        }
    }

    /// Notes one call.
    pub(super) fn note(&self, verdict: Verdict, since: Instant) {
        let ended = match verdict {
            Verdict::Ok => &self.ok,
            Verdict::ToolError => &self.tool_error,
            Verdict::Error => &self.error,
            Verdict::Misfit => &self.misfit,
        };
        ended.increment(1);
        self.duration.record(since.elapsed().as_secs_f64());
    }
}
