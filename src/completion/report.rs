//! What was joined into a completion, for headers and for `report: true`.

use serde_json::{Value, json};

use super::memo::State;
use crate::context::Outcome;
use crate::domain::{Usage, dollars};
use crate::llm::{Router, Target};

/// The account of one completion.
#[derive(Clone, Debug)]
pub(super) struct Report {
    wanted: bool,
    context: Vec<Outcome>,
    tools: Vec<Value>,
    left_out: Vec<Value>,
    memory: Option<State>,
}

impl Report {
    pub(super) fn new(wanted: bool, context: Vec<Outcome>, memory: Option<State>) -> Self {
        Self { wanted, context, tools: Vec::new(), left_out: Vec::new(), memory }
    }

    /// The same with the tools that the model was not offered, and why.
    pub(super) fn without(self, left_out: &[(String, String)]) -> Self {
        Self { left_out: left_out.iter().map(|(tool, why)| json!({ "tool": tool, "why": why })).collect(), ..self }
    }

    /// Whether the caller wants it in the body.
    pub(super) fn wanted(&self) -> bool {
        self.wanted
    }

    /// Notes a tool that was run.
    pub(super) fn ran(&mut self, tool: &str, ms: u128, ok: bool) {
        self.tools.push(json!({ "name": tool, "ms": u64::try_from(ms).unwrap_or(u64::MAX), "outcome": if ok { "ok" } else { "error" } }));
    }

    /// The value of `x-portolan-context`.
    pub(super) fn header(&self) -> String {
        let mut header = String::with_capacity(64 * self.context.len());
        for outcome in &self.context {
            if !header.is_empty() {
                header.push_str(", ");
            }
            header.push_str(&outcome.source);
            let Ok(fetched) = &outcome.text else {
                header.push_str(";error");
                continue;
            };
            header.push_str(";digest=");
            header.push_str(&fetched.mark);
            header.push_str(if fetched.cut { ";cut" } else { "" });
            header.push_str(if outcome.stale { ";stale" } else { "" });
        }
        header
    }

    /// The value of `x-portolan-cache`: whether what was put in earlier is remembered.
    pub(super) fn memo(&self) -> &'static str {
        match self.memory {
            None => "",
            Some(State::New) => "memo=new",
            Some(State::Kept) => "memo=kept",
            Some(State::Lost) => "memo=lost",
        }
    }

    /// The body's `portolan` field, when the caller wants one: with what the tokens of all turns cost at who answered last, as the
    /// journal counts it.
    pub(super) fn body(&self, router: &Router, by: Option<&Target>, usage: Option<&Usage>) -> Option<Value> {
        if !self.wanted {
            return None;
        }
        let one = |outcome: &Outcome| match &outcome.text {
            Ok(fetched) => json!({
                "source": &*outcome.source, "from": fetched.origin, "trust": fetched.trust.as_str(), "digest": fetched.digest.to_string(),
                "bytes": fetched.text.len(), "tokens": fetched.tokens, "cut": fetched.cut, "cached": outcome.cached, "stale": outcome.stale,
                "scope": outcome.sharing.as_str(), "refresh": outcome.refresh.as_str(), "ms": outcome.ms,
            }),
            Err(why) => json!({ "source": &*outcome.source, "error": why, "ms": outcome.ms }),
        };
        let context: Vec<Value> = self.context.iter().map(one).collect();
        let cost = usage.map(|usage| {
            let usd = by.and_then(|target| router.cost(target.name(), usage)).map(dollars);
            json!({ "usd": usd, "input_tokens": usage.input, "output_tokens": usage.output, "cached_tokens": usage.cached })
        });
        let memo = self.memo().strip_prefix("memo=");
        Some(json!({ "context": context, "tools": self.tools, "left_out": self.left_out, "memo": memo, "cost": cost }))
    }
}
