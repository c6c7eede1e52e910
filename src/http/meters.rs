//! The metrics of answers, by the names of the OpenTelemetry conventions for GenAI. Made once per model.

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
