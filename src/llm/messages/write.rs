//! A conversation as a request of Messages.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::cache;
use super::items::{items, text};
use super::thinking;
use crate::domain::{RawObject, raw};
use crate::llm::conversation::{Choice, Conversation, Format, Function, Part, Role, Thinking, Turn, Wrong};
use crate::llm::dialect::Dialect;

/// Writes a request; what it cannot carry is added to `lost`.
pub(in crate::llm) fn write(conversation: &mut Conversation, model: &str) -> Result<RawObject<'static>, Wrong> {
    conversation.only_of(Dialect::Messages)?;
    settle(conversation);
    declare(conversation);
    cache::mark(conversation);
    let thinks = thinking::say(conversation, model);
    let mut body = RawObject::default();
    body.set("model", raw(model));
    body.set("max_tokens", raw(&thinks.max_tokens));
    let system: Vec<_> = conversation.system.iter().filter_map(system).collect();
    if !system.is_empty() {
        body.set("system", raw(&system));
    }
    trim(conversation);
    let messages = items(&conversation.turns);
    if messages.is_empty() {
        return Err(Wrong::at("messages", "nothing is said in `messages`; this model needs a text that is not blank"));
    }
    body.set("messages", raw(&messages));
    sampling(conversation, &mut body, thinks.thinks());
    if !conversation.functions.is_empty() {
        body.set("tools", raw(&conversation.functions.iter().map(tool).collect::<Vec<_>>()));
        if let Some(choice) = choice(conversation.choice.as_ref(), conversation.parallel) {
            body.set("tool_choice", raw(&choice));
        }
    }
    if let Some(user) = &conversation.user {
        body.set("metadata", raw(&json!({ "user_id": user })));
    }
    let mut output = RawObject::default();
    if let Some(effort) = &thinks.effort {
        output.set("effort", raw(effort));
    }
    if let Some(Format::Schema { schema, .. }) = &conversation.format {
        let mut format = RawObject::default();
        format.set("type", raw("json_schema"));
        format.set("schema", schema.clone());
        output.set("format", format.to_raw());
    }
    if !output.is_empty() {
        body.set("output_config", output.to_raw());
    }
    match thinks.thinking {
        Some(thinking) => body.set("thinking", thinking),
        None if conversation.thinking == Some(Thinking::Off) => body.set("thinking", raw(&json!({ "type": "disabled" }))),
        None => {}
    }
    if conversation.stream {
        body.set("stream", raw(&true));
    }
    Ok(body)
}

/// Instructions from the middle of a conversation stay there, as marked words of the user's: not every model takes them as
/// instructions there, and in front they would change the beginning, which the provider caches.
fn settle(conversation: &mut Conversation) {
    if conversation.turns.iter().any(|turn| turn.role == Role::System) {
        conversation.lost.push("messages (later instructions are told as words of the user)".to_owned());
    }
    for turn in std::mem::take(&mut conversation.turns) {
        match turn.role {
            Role::System => conversation.say(Role::User, turn.parts.into_iter().map(instruction).collect()),
            role => conversation.say(role, turn.parts),
        }
    }
    if conversation.turns.is_empty() {
        // Somebody must have spoken.
        let parts = std::mem::take(&mut conversation.system);
        conversation.say(Role::User, parts);
    }
    if matches!(conversation.format, Some(Format::Object)) {
        conversation.system.push(Part::text("Answer with one JSON object and nothing else."));
    }
}

fn instruction(part: Part) -> Part {
    match part {
        Part::Text(text, cache) if !text.trim().is_empty() => Part::Text(format!("<system>{text}</system>"), cache),
        other => other,
    }
}

/// A history with calls is refused where no tool is declared; then the ones that were called are, and none may be called.
fn declare(conversation: &mut Conversation) {
    if !conversation.functions.is_empty() {
        return;
    }
    let mut names: Vec<String> = Vec::new();
    for part in conversation.turns.iter().flat_map(|turn| &turn.parts) {
        if let Part::Call(call) = part
            && !names.contains(&call.name)
        {
            names.push(call.name.clone());
        }
    }
    if !names.is_empty() {
        let function = |name| Function { name, description: None, schema: None, strict: None, cache: None };
        conversation.functions = names.into_iter().map(function).collect();
        conversation.choice = Some(Choice::None);
    }
}

/// An answer that is begun for the model must not end in a blank.
fn trim(conversation: &mut Conversation) {
    if let Some(Turn { role: Role::Assistant, parts }) = conversation.turns.last_mut()
        && let Some(Part::Text(text, _)) = parts.last_mut()
    {
        text.truncate(text.trim_end().len());
    }
}

fn sampling(conversation: &mut Conversation, body: &mut RawObject<'static>, thinks: bool) {
    if let Some(temperature) = conversation.temperature.take() {
        let high = serde_json::from_str::<f64>(temperature.get()).is_ok_and(|value| value > 1.0);
        match (thinks, high) {
            // One that thinks is not heated.
            (true, _) => conversation.lost.push("temperature".to_owned()),
            (false, true) => {
                body.set("temperature", raw(&1));
                conversation.lost.push("temperature (above 1)".to_owned());
            }
            (false, false) => body.set("temperature", temperature),
        }
    }
    for (key, value) in [("top_p", conversation.top_p.take()), ("top_k", conversation.top_k.take())] {
        match value {
            Some(_) if thinks => conversation.lost.push(key.to_owned()),
            Some(value) => body.set(key, value),
            None => {}
        }
    }
    let (blank, stop): (Vec<String>, Vec<String>) = conversation.stop.drain(..).partition(|text| text.trim().is_empty());
    if !blank.is_empty() {
        conversation.lost.push("stop (blank texts)".to_owned());
    }
    if !stop.is_empty() {
        body.set("stop_sequences", raw(&stop));
    }
}

fn system(part: &Part) -> Option<Box<RawValue>> {
    match part {
        Part::Text(words, cache) => text(words, cache.as_deref()),
        Part::Native(Dialect::Messages, raw) => Some(raw.clone()),
        _ => None,
    }
}

/// A function as a tool of a request.
pub(in crate::llm) fn tool(function: &Function) -> Box<RawValue> {
    let mut tool = RawObject::default();
    tool.set("name", raw(&function.name));
    if let Some(description) = &function.description {
        tool.set("description", raw(description));
    }
    tool.set("input_schema", schema(function.schema.as_deref()));
    if function.strict == Some(true) {
        tool.set("strict", raw(&true));
    }
    if let Some(cache) = &function.cache {
        tool.set("cache_control", cache.clone());
    }
    tool.to_raw()
}

/// A schema whose root says that it is an object, as it must.
fn schema(schema: Option<&RawValue>) -> Box<RawValue> {
    let mut object = schema.and_then(|schema| RawObject::parse(schema.get()).ok()).unwrap_or_default().into_owned();
    if object.string("type").as_deref() != Some("object") {
        object.set("type", raw("object"));
    }
    object.to_raw()
}

fn choice(choice: Option<&Choice>, parallel: Option<bool>) -> Option<Value> {
    let mut said = match choice {
        Some(Choice::Auto) => json!({ "type": "auto" }),
        Some(Choice::None) => return Some(json!({ "type": "none" })),
        Some(Choice::Required) => json!({ "type": "any" }),
        Some(Choice::Function(name)) => json!({ "type": "tool", "name": name }),
        None if parallel == Some(false) => json!({ "type": "auto" }),
        None => return None,
    };
    if let (Some(false), Some(object)) = (parallel, said.as_object_mut()) {
        object.insert("disable_parallel_tool_use".to_owned(), true.into());
    }
    Some(said)
}
