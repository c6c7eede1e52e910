//! A conversation as a request of Chat Completions.

use serde_json::value::RawValue;
use serde_json::{Map, json};

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
        turns.push(Turn { role: Role::System, parts: flat(&conversation.system, manner) });
    }
    let without = |turn: &Turn| Turn { role: turn.role, parts: flat(&turn.parts, manner) };
    turns.extend(conversation.turns.iter().map(without));
    body.set("messages", raw(&items(&turns)));
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
        body.set("tools", raw(&conversation.functions.iter().map(function).collect::<Vec<_>>()));
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
            let schema = json!({ "name": name, "schema": schema, "strict": strict.unwrap_or(true) });
            body.set("response_format", raw(&json!({ "type": "json_schema", "json_schema": schema })));
        }
        None => {}
    }
    match effort(conversation.thinking.as_ref()) {
        Some(effort) if reasons(model) || !manner.openai && matches!(conversation.thinking, Some(Thinking::Effort(_))) => {
            body.set("reasoning_effort", raw(effort));
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

/// Parts as this provider takes them: markers for a cache that works by itself are left out.
fn flat(parts: &[Part], manner: Manner) -> Vec<Part> {
    let bare = |part: &Part| match part {
        Part::Text(text, _) => Part::text(text.as_str()),
        Part::Thinking(..) | Part::Redacted(_) => Part::text(""),
        other => other.clone(),
    };
    let kept = parts.iter().filter(|part| !matches!(part, Part::Thinking(..) | Part::Redacted(_)));
    // Only OpenAI itself refuses what it does not know; but few others know the markers either.
    let all: Vec<Part> = kept.map(bare).collect();
    let text_alone = manner.openai || all.iter().all(|part| matches!(part, Part::Text(..)));
    if text_alone && all.len() > 1 && all.iter().all(|part| matches!(part, Part::Text(..))) {
        return vec![Part::text(Part::texts(&all))];
    }
    all
}

fn function(function: &Function) -> Box<RawValue> {
    let mut own = Map::new();
    own.insert("name".to_owned(), function.name.as_str().into());
    if let Some(description) = &function.description {
        own.insert("description".to_owned(), description.as_str().into());
    }
    let mut object = RawObject::default();
    let own = raw(&own);
    let mut own = RawObject::parse(own.get()).unwrap_or_default().into_owned();
    own.set("parameters", function.schema.clone().unwrap_or_else(|| raw(&json!({ "type": "object", "properties": {} }))));
    if let Some(strict) = function.strict {
        own.set("strict", raw(&strict));
    }
    object.set("type", raw("function"));
    object.set("function", own.to_raw());
    object.to_raw()
}

fn choice(choice: &Choice) -> Box<RawValue> {
    match choice {
        Choice::Auto => raw("auto"),
        Choice::None => raw("none"),
        Choice::Required => raw("required"),
        Choice::Function(name) => raw(&json!({ "type": "function", "function": { "name": name } })),
    }
}

/// A function as a tool of a request.
pub(in crate::llm) fn tool(own: &Function) -> Box<RawValue> {
    function(own)
}

fn effort(thinking: Option<&Thinking>) -> Option<&str> {
    match thinking? {
        Thinking::Off => None,
        Thinking::Effort(effort) => Some(effort),
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
