//! What was joined into a completion, for headers and for `report: true`.

use serde_json::{Value, json};

use crate::context::Outcome;

/// The account of one completion.
#[derive(Clone, Debug)]
pub(super) struct Report {
    wanted: bool,
    context: Vec<Outcome>,
    tools: Vec<Value>,
}

impl Report {
    pub(super) fn new(wanted: bool, context: Vec<Outcome>) -> Self {
        Self { wanted, context, tools: Vec::new() }
    }

    /// Notes a tool that was run.
    pub(super) fn ran(&mut self, tool: &str, ms: u128, ok: bool) {
        self.tools.push(json!({ "name": tool, "ms": u64::try_from(ms).unwrap_or(u64::MAX), "outcome": if ok { "ok" } else { "error" } }));
    }

    /// The value of `x-portolan-context`.
    pub(super) fn header(&self) -> String {
        let one = |outcome: &Outcome| match &outcome.text {
            Ok(fetched) => format!("{};digest={}", outcome.source, fetched.digest.short()),
            Err(_) => format!("{};error", outcome.source),
        };
        self.context.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The body's `portolan` field, when the caller wants one.
    pub(super) fn body(&self) -> Option<Value> {
        let one = |outcome: &Outcome| match &outcome.text {
            Ok(fetched) => json!({
                "source": outcome.source, "from": fetched.origin, "digest": fetched.digest.to_string(),
                "bytes": fetched.text.len(), "cut": fetched.cut, "cached": outcome.cached,
            }),
            Err(why) => json!({ "source": outcome.source, "error": why }),
        };
        let context: Vec<Value> = self.context.iter().map(one).collect();
        self.wanted.then(|| json!({ "context": context, "tools": self.tools }))
    }
}
