//! How much a model shall think, in the words its generation understands.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::raw;
use crate::llm::conversation::{Choice, Conversation, Part, Role, Thinking};

/// The smallest budget that is taken, in tokens.
const LEAST: u64 = 1_024;
/// Tokens of an answer when nobody said how many.
pub(super) const DEFAULT_MAX: u64 = 8_192;

/// What is said about thinking.
#[derive(Default)]
pub(super) struct Said {
    /// The field `thinking`.
    pub(super) thinking: Option<Box<RawValue>>,
    /// The effort, for `output_config`.
    pub(super) effort: Option<&'static str>,
    /// Most tokens of the answer, those of thinking included.
    pub(super) max_tokens: u64,
}

impl Said {
    /// Whether the model thinks.
    pub(super) fn thinks(&self) -> bool {
        self.thinking.is_some()
    }
}

/// What to say to a model of that name; a wish that cannot be met is added to what is lost.
pub(super) fn say(conversation: &mut Conversation, model: &str) -> Said {
    let max_tokens = conversation.max_tokens.unwrap_or(DEFAULT_MAX);
    let plain = Said { max_tokens, ..Said::default() };
    let wish = match conversation.thinking.clone() {
        None | Some(Thinking::Off) => return plain,
        Some(wish) => wish,
    };
    let forced = matches!(conversation.choice, Some(Choice::Required | Choice::Function(_)));
    if forced || resumes_unsealed(conversation) {
        conversation.lost.push("reasoning_effort".to_owned());
        return plain;
    }
    if !takes_budget(model) {
        let effort = match wish {
            Thinking::Effort(effort) => {
                let word = word(&effort, model);
                if word != effort {
                    conversation.lost.push(format!("reasoning_effort (told as {word})"));
                }
                Some(word)
            }
            _ => None,
        };
        return Said { thinking: Some(raw(&json!({ "type": "adaptive" }))), effort, max_tokens };
    }
    let budget = match &wish {
        Thinking::Budget(tokens) => *tokens,
        Thinking::Effort(effort) => match effort.as_str() {
            "minimal" => LEAST,
            "low" => 2 * LEAST,
            "medium" => 8 * LEAST,
            _ => 16 * LEAST,
        },
        Thinking::Adaptive | Thinking::Off => 8 * LEAST,
    };
    // What is thought counts among all tokens, and the answer needs some. Where nobody said how many, there is room for both.
    let (max_tokens, budget) = match conversation.max_tokens {
        None => (DEFAULT_MAX.saturating_add(budget), budget.max(LEAST)),
        Some(most) => (most, budget.max(LEAST).min(most / 2)),
    };
    if budget < LEAST {
        conversation.lost.push("reasoning_effort".to_owned());
        return plain;
    }
    let thinking: Value = json!({ "type": "enabled", "budget_tokens": budget });
    Said { thinking: Some(raw(&thinking)), effort: None, max_tokens }
}

/// An effort in the words that a model takes.
fn word(effort: &str, model: &str) -> &'static str {
    match effort {
        "minimal" | "low" => "low",
        "medium" => "medium",
        // It came with 4.7.
        "xhigh" if !model.contains("-4-6") => "xhigh",
        "max" => "max",
        _ => "high",
    }
}

/// Generations up to 4.5 are told a budget; later ones find it themselves.
fn takes_budget(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let old = [
        "claude-3",
        "claude-opus-4-0",
        "claude-opus-4-1",
        "claude-opus-4-2",
        "claude-opus-4-5",
        "claude-sonnet-4-0",
        "claude-sonnet-4-2",
        "claude-sonnet-4-5",
        "claude-haiku-4-5",
    ];
    old.iter().any(|prefix| name.starts_with(prefix)) || matches!(name, "claude-opus-4" | "claude-sonnet-4")
}

/// Whether tools have just answered a turn whose thoughts were not kept: it cannot go on thinking.
fn resumes_unsealed(conversation: &Conversation) -> bool {
    let Some((last, before)) = conversation.turns.split_last() else { return false };
    let answers = last.role == Role::User && last.parts.iter().any(|part| matches!(part, Part::Result { .. }));
    let sealed = |part: Option<&Part>| matches!(part, Some(Part::Thinking(_, Some(_)) | Part::Redacted(_)));
    let caller = before.iter().rev().find(|turn| turn.role == Role::Assistant);
    answers && caller.is_some_and(|turn| !sealed(turn.parts.first()))
}
