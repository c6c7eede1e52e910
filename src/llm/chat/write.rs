//! A conversation as a request of Chat Completions.

use serde_json::json;
use serde_json::value::RawValue;

use super::items::items;
use crate::domain::{RawObject, raw};
use crate::llm::conversation::{Choice, Conversation, Format, Function, Part, Role, Source, Thinking, Turn, Wrong};
use crate::llm::dialect::Dialect;

/// How a provider takes what others take otherwise.
#[derive(Clone, Copy, Debug)]
pub(in crate::llm) struct Manner {
    /// OpenAI itself: `max_completion_tokens`, and nothing it does not know.
    pub(in crate::llm) openai: bool,
}

/// OpenAI's words for an effort.
const EFFORTS: [&str; 5] = ["minimal", "low", "medium", "high", "xhigh"];

/// The thoughts that a budget of tokens stands for.
const LOW: u64 = 4_096;
const MEDIUM: u64 = 16_384;

/// Writes a request; what it cannot carry is added to `lost`.
pub(in crate::llm) fn write(conversation: &mut Conversation, model: &str, manner: Manner) -> Result<RawObject<'static>, Wrong> {
    fit(conversation)?;
    let mut body = RawObject::default();
    body.set("model", raw(model));
    let mut turns = Vec::new();
    if !conversation.system.is_empty() {
        turns.push(Turn { role: Role::System, parts: flat(Role::System, &conversation.system) });
    }
    turns.extend(conversation.turns.iter().map(|turn| Turn { role: turn.role, parts: flat(turn.role, &turn.parts) }));
    let messages = items(&turns);
    if messages.is_empty() {
        return Err(Wrong::at("messages", "nothing is said in `messages`; a model needs something to answer"));
    }
    body.set("messages", raw(&messages));
    if let Some(most) = conversation.max_tokens {
        body.set(if manner.openai { "max_completion_tokens" } else { "max_tokens" }, raw(&most));
    }
    for (key, value) in [("temperature", &conversation.temperature), ("top_p", &conversation.top_p)] {
        if let Some(value) = value {
            body.set(key, value.clone());
        }
    }
    if conversation.top_k.is_some() {
        conversation.lost.push("top_k".to_owned());
    }
    if conversation.stop.len() > 4 {
        conversation.stop.truncate(4);
        conversation.lost.push("stop (beyond the fourth)".to_owned());
    }
    if !conversation.stop.is_empty() {
        body.set("stop", raw(&conversation.stop));
    }
    match &conversation.user {
        Some(user) if user.len() <= 64 => body.set("user", raw(user)),
        Some(_) => conversation.lost.push("user_id (longer than 64 bytes)".to_owned()),
        None => {}
    }
    if let Some(key) = conversation.cache_key.as_ref().filter(|_| manner.openai) {
        body.set("prompt_cache_key", raw(key));
    }
    if !conversation.functions.is_empty() {
        body.set("tools", raw(&conversation.functions.iter().map(tool).collect::<Vec<_>>()));
        if let Some(choice) = &conversation.choice {
            body.set("tool_choice", self::choice(choice));
        }
        if let Some(parallel) = conversation.parallel {
            body.set("parallel_tool_calls", raw(&parallel));
        }
    }
    match &conversation.format {
        Some(Format::Object) => body.set("response_format", raw(&json!({ "type": "json_object" }))),
        Some(Format::Schema { name, schema, strict }) => {
            // Its numbers keep their spelling.
            let (mut format, mut named) = (RawObject::default(), RawObject::default());
            named.set("name", raw(name));
            named.lend("schema", schema);
            named.set("strict", raw(&strict.unwrap_or(true)));
            format.set("type", raw("json_schema"));
            format.set("json_schema", named.to_raw());
            body.set("response_format", format.to_raw());
        }
        None => {}
    }
    match effort(conversation.thinking.as_ref()) {
        Some(effort) if reasons(model) || !manner.openai && matches!(conversation.thinking, Some(Thinking::Effort(_))) => {
            body.set("reasoning_effort", raw(effort));
            if matches!(&conversation.thinking, Some(Thinking::Effort(wish)) if wish != effort) {
                conversation.lost.push(format!("effort (told as {effort})"));
            }
        }
        Some(_) => conversation.lost.push("thinking".to_owned()),
        None => {}
    }
    if conversation.stream {
        body.set("stream", raw(&true));
        body.set("stream_options", raw(&json!({ "include_usage": true })));
    }
    Ok(body)
}

/// Refuses what Chat Completions has no words for, where leaving it out would change the answer.
fn fit(conversation: &Conversation) -> Result<(), Wrong> {
    let refused = |what: &str| Err(Wrong::at("messages", format!("this model cannot be given {what}")));
    conversation.only_of(Dialect::Chat)?;
    for part in conversation.parts() {
        match part {
            Part::File(Source::Url(_), _) => return refused("a document by its address; send its bytes"),
            Part::Image(Source::Id(_)) => return refused("an image by a provider's id; send its bytes or address"),
            _ => {}
        }
    }
    Ok(())
}

/// Parts as these providers take them: without thoughts, which only who sealed them can read, and without markers for a
/// cache that works by itself. Many take nothing but one text where there is nothing but texts.
fn flat(role: Role, parts: &[Part]) -> Vec<Part> {
    let kept = parts.iter().filter(|part| !matches!(part, Part::Thinking(..) | Part::Redacted(_)));
    let all: Vec<Part> = kept.map(|part| if let Part::Text(text, _) = part { Part::text(text.as_str()) } else { part.clone() }).collect();
    let texts = role != Role::Assistant && all.iter().all(|part| matches!(part, Part::Text(..)));
    if texts && all.len() > 1 { vec![Part::text(Part::texts(&all))] } else { all }
}

/// A function as a tool of a request.
pub(in crate::llm) fn tool(function: &Function) -> Box<RawValue> {
    let mut own = RawObject::default();
    own.set("name", raw(&function.name));
    if let Some(description) = &function.description {
        own.set("description", raw(description));
    }
    own.set("parameters", function.schema.clone().unwrap_or_else(|| raw(&json!({ "type": "object", "properties": {} }))));
    if let Some(strict) = function.strict {
        own.set("strict", raw(&strict));
    }
    let mut tool = RawObject::default();
    tool.set("type", raw("function"));
    tool.set("function", own.to_raw());
    tool.to_raw()
}

fn choice(choice: &Choice) -> Box<RawValue> {
    match choice {
        Choice::Auto => raw("auto"),
        Choice::None => raw("none"),
        Choice::Required => raw("required"),
        Choice::Function(name) => raw(&json!({ "type": "function", "function": { "name": name } })),
    }
}

/// An effort in OpenAI's words.
fn effort(thinking: Option<&Thinking>) -> Option<&'static str> {
    match thinking? {
        Thinking::Off => None,
        Thinking::Effort(effort) => Some(EFFORTS.iter().find(|word| *word == effort).unwrap_or(&"high")),
        Thinking::Budget(tokens) if *tokens <= LOW => Some("low"),
        Thinking::Budget(tokens) if *tokens <= MEDIUM => Some("medium"),
        Thinking::Budget(_) => Some("high"),
        Thinking::Adaptive => Some("medium"),
    }
}

/// Whether OpenAI's model of that name takes an effort; the others refuse the field.
fn reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    ["o1", "o3", "o4", "gpt-5", "gpt-6"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn texts_in_a_row_are_one_text_for_those_who_take_only_one() {
        let mut conversation = Conversation { system: vec![Part::text("a"), Part::text("b")], ..Conversation::default() };
        conversation.say(Role::User, vec![Part::text("c")]);
        let body = write(&mut conversation, "m", Manner { openai: false }).unwrap();
        let body: Value = serde_json::from_str(body.to_raw().get()).unwrap();
        assert_eq!(body["messages"][0], json!({ "role": "system", "content": "a\nb" }));
    }
}
