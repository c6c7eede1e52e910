//! The metrics of answers, by the names of the OpenTelemetry conventions for GenAI and MCP. Handles are made once:
//! to look one up by its labels costs more than to count.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use crate::domain::Usage;

/// Most models that are counted by name. A provider that takes any name takes the caller's, and each
/// name would stay for ever; those beyond are counted together.
const MOST: usize = 256;
/// What those are counted as.
const OTHER: &str = "other/other";

/// What is counted of one model's answers to one operation.
pub(super) struct Meter {
    duration: Histogram,
    input: Counter,
    output: Counter,
    without_usage: Counter,
}

impl Meter {
    /// The meter of `provider/model` for an operation.
    pub(super) fn of(operation: &'static str, model: &str) -> Arc<Self> {
        type Meters = HashMap<&'static str, HashMap<String, Arc<Meter>>>;
        static METERS: LazyLock<Mutex<Meters>> = LazyLock::new(Mutex::default);
        let mut meters = METERS.lock().unwrap_or_else(PoisonError::into_inner);
        let of_operation = meters.entry(operation).or_default();
        let name = if of_operation.len() < MOST || of_operation.contains_key(model) { model } else { OTHER };
        if let Some(meter) = of_operation.get(name) {
            return meter.clone();
        }
        let meter = Arc::new(Self::new(operation, name));
        of_operation.insert(name.to_owned(), meter.clone());
        meter
    }

    fn new(operation: &'static str, name: &str) -> Self {
        let (provider, model) = name.split_once('/').unwrap_or(("", name));
        let labels = [
            ("gen_ai_operation_name", operation.to_owned()),
            ("gen_ai_provider_name", provider.to_owned()),
            ("gen_ai_request_model", model.to_owned()),
        ];
        let tokens = |kind: &str| {
            let labels = [labels.as_slice(), &[("gen_ai_token_type", kind.to_owned())]].concat();
            counter!("gen_ai_client_token_usage_total", &labels)
        };
        Self {
            duration: histogram!("gen_ai_client_operation_duration_seconds", &labels),
            input: tokens("input"),
            output: tokens("output"),
            without_usage: counter!("portolan_answers_without_usage_total", &labels),
        }
    }

    /// Notes one answer, with its usage as far as the provider told it.
    pub(super) fn note(&self, took: Duration, usage: Option<Usage>) {
        self.duration.record(took.as_secs_f64());
        match usage {
            Some(usage) if usage != Usage::default() => {
                self.input.increment(usage.input);
                self.output.increment(usage.output);
            }
            _ => self.without_usage.increment(1),
        }
    }
}

/// The count of MCP messages of an era; made once.
pub(super) fn message_of(era: &'static str) -> Counter {
    static MADE: LazyLock<Mutex<HashMap<&'static str, Counter>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(era).or_insert_with(|| counter!("portolan_mcp_messages_total", "era" => era)).clone()
}

/// The durations of an MCP method that came to an answer, or to an error; made once.
pub(super) fn operation_of(method: &'static str, failed: bool) -> Histogram {
    type Made = HashMap<(&'static str, bool), Histogram>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    let error = if failed { "true" } else { "false" };
    let make = || histogram!("mcp_server_operation_duration_seconds", "mcp_method_name" => method, "error" => error);
    MADE.lock().unwrap_or_else(PoisonError::into_inner).entry((method, failed)).or_insert_with(make).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_callers_make_up_do_not_grow_without_end() {
        let meters: Vec<_> = (0..MOST + 50).map(|n| Meter::of("made-up", &format!("any/{n}"))).collect();
        assert!(Arc::ptr_eq(&meters[MOST + 1], &meters[MOST + 49]));
        assert!(Arc::ptr_eq(&meters[7], &Meter::of("made-up", "any/7")));
    }
}
