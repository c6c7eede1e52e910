//! A request of Responses, checked, and read into a conversation.

use serde_json::json;
use serde_json::value::RawValue;

use super::output::flat;
use super::seal::unseal;
use crate::domain::{RawObject, clip, raw};
use crate::llm::conversation::{Call, Conversation, Format, Function, Part, Role, Source, Thinking, Wrong};
use crate::llm::fields::{Fields, no_twins, object};
use crate::llm::{declared, media};

/// Looks at what could do harm or waste a call: numbers, roles, parts, names. Nothing is changed.
pub(in crate::llm) fn check(body: &RawObject<'_>) -> Result<(), Wrong> {
    let fields = Fields::of(body);
    for count in ["max_output_tokens", "max_tool_calls"] {
        fields.count(count)?;
    }
    fields.number("temperature", 0.0, 2.0)?;
    fields.number("top_p", 0.0, 1.0)?;
    fields.flag("parallel_tool_calls")?;
    fields.flag("store")?;
    if fields.flag("background")? == Some(true) {
        return Err(Wrong::at("background", "answers in the background are not kept here; leave `background` out"));
    }
    if fields.some("conversation").is_some() {
        return Err(Wrong::at("conversation", "conversations are not kept here; use `previous_response_id`"));
    }
    fields.text("previous_response_id")?;
    match fields.some("input") {
        None => return Err(Wrong::at("input", "`input` must be there: a text or a list of items")),
        Some(input) if input.get() == "\"\"" => return Err(Wrong::at("input", "`input` must not be empty")),
        Some(input) if input.get().starts_with('"') => {}
        Some(_) => {
            for (at, item) in fields.filled("input")?.into_iter().enumerate() {
                check_item(item, &format!("input[{at}]"))?;
            }
        }
    }
    let mut names = Vec::new();
    for (at, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("tools[{at}]");
        let tool = object(tool, &path)?;
        let fields = Fields::at(&tool, &path);
        if matches!(fields.need("type")?.as_str(), "function" | "custom") {
            names.push(fields.need("name")?);
        }
    }
    no_twins(names.iter().map(String::as_str))
}

fn check_item(item: &RawValue, path: &str) -> Result<(), Wrong> {
    let item = object(item, path)?;
    let fields = Fields::at(&item, path);
    match fields.text("type")?.as_deref() {
        None | Some("message") => {
            let role = fields.need("role")?;
            if !matches!(role.as_str(), "user" | "assistant" | "system" | "developer") {
                let why = format!("`{path}.role` is `{}`; it must be user, assistant, system or developer", clip(&role, 40));
                return Err(Wrong::at(format!("{path}.role"), why));
            }
            let content = fields.some("content").map(RawValue::get).unwrap_or_default();
            if !content.starts_with(['"', '[']) {
                let why = format!("`{path}.content` must be a text or a list of parts");
                return Err(Wrong::at(format!("{path}.content"), why));
            }
            Ok(())
        }
        Some("function_call" | "custom_tool_call") => {
            fields.need("call_id")?;
            fields.need("name").map(drop)
        }
        Some("function_call_output" | "custom_tool_call_output") => fields.need("call_id").map(drop),
        // All callers share one account at a provider, and there an id reaches anybody's items.
        Some("item_reference") => Err(Wrong::at(path, format!("`{path}`: items are not kept here; send the item itself"))),
        Some(_) => Ok(()),
    }
}

/// Fields that mean nothing to another dialect, and whose loss changes no answer.
const WITHOUT_MEANING: [&str; 12] = [
    "model",
    "stream_options",
    "store",
    "metadata",
    "prompt_cache_retention",
    "safety_identifier",
    "include",
    "truncation",
    "background",
    "client_metadata",
    "prompt_cache_options",
    "context_management",
];

/// Reads a request that another dialect shall carry. What it cannot hold is listed; what would change
/// the answer's meaning is refused.
pub(in crate::llm) fn read(body: &RawObject<'_>) -> Result<Conversation, Wrong> {
    let fields = Fields::of(body);
    let mut conversation = Conversation::default();
    for (key, value) in body.iter().filter(|(_, value)| value.get() != "null") {
        match key {
            "input" => {}
            "prompt" => return Err(Wrong::at("prompt", "prompts are not kept here; write the text into `input` or `instructions`")),
            "instructions" => conversation.system.extend(fields.text(key)?.map(Part::text)),
            "max_output_tokens" => conversation.max_tokens = fields.count(key)?,
            "reasoning" => {
                let effort = fields.object(key)?.and_then(|reasoning| reasoning.string("effort"));
                conversation.thinking = effort.map(|effort| if effort == "none" { Thinking::Off } else { Thinking::Effort(effort) });
            }
            "text" => conversation.format = format(&fields)?,
            "tools" => tools(&fields, &mut conversation)?,
            "tool_choice" => conversation.choice = Some(declared::choice(value, named)?),
            // One of ours has been put together by now, and another provider's history is not to be had.
            "previous_response_id" => {
                return Err(Wrong::at(key, "this model cannot go on from a response of another provider; send the history"));
            }
            key if declared::field(&mut conversation, &fields, key, value)? => {}
            key if WITHOUT_MEANING.contains(&key) => {}
            key => conversation.lost.push(key.to_owned()),
        }
    }
    match fields.some("input") {
        Some(input) if input.get().starts_with('"') => {
            let text = fields.text("input")?.unwrap_or_default();
            conversation.say(Role::User, vec![Part::text(text)]);
        }
        _ => {
            for (at, item) in fields.filled("input")?.into_iter().enumerate() {
                read_item(&mut conversation, item, &format!("input[{at}]"))?;
            }
        }
    }
    Ok(conversation)
}

fn read_item(conversation: &mut Conversation, item: &RawValue, path: &str) -> Result<(), Wrong> {
    let item = object(item, path)?;
    let fields = Fields::at(&item, path);
    let kind = fields.text("type")?.unwrap_or_else(|| "message".to_owned());
    match kind.as_str() {
        "message" => {
            let parts = parts(&fields, "content", path, &mut conversation.lost)?;
            match fields.need("role")?.as_str() {
                "assistant" => conversation.say(Role::Assistant, parts),
                "user" => conversation.say(Role::User, parts),
                _ if conversation.turns.is_empty() => conversation.system.extend(parts),
                _ => conversation.say(Role::System, parts),
            }
        }
        "function_call" => {
            let name = fields.need("name")?;
            let name = fields.text("namespace")?.map_or_else(|| name.clone(), |space| flat(&space, &name));
            let call = Call { id: fields.need("call_id")?, name, arguments: fields.text("arguments")?.unwrap_or_default() };
            conversation.say(Role::Assistant, vec![Part::Call(call)]);
        }
        "custom_tool_call" => {
            let arguments = json!({ "input": fields.text("input")?.unwrap_or_default() }).to_string();
            conversation
                .say(Role::Assistant, vec![Part::Call(Call { id: fields.need("call_id")?, name: fields.need("name")?, arguments })]);
        }
        "function_call_output" | "custom_tool_call_output" => {
            let parts = parts(&fields, "output", path, &mut conversation.lost)?;
            conversation.say(Role::User, vec![Part::Result { call: fields.need("call_id")?, parts, failed: false, cache: None }]);
        }
        "reasoning" => {
            let thought = fields.text("encrypted_content")?.as_deref().and_then(unseal);
            if let Some(thought) = thought {
                conversation.say(Role::Assistant, vec![thought]);
            }
        }
        other => return Err(Wrong::at(path, format!("`{path}`: this model cannot be given an item of type `{}`", clip(other, 40)))),
    }
    Ok(())
}

fn parts(fields: &Fields<'_, '_>, key: &str, path: &str, lost: &mut Vec<String>) -> Result<Vec<Part>, Wrong> {
    let Some(value) = fields.some(key) else { return Ok(Vec::new()) };
    if value.get().starts_with('"') {
        return Ok(fields.text(key)?.map(Part::text).into_iter().collect());
    }
    if !value.get().starts_with('[') {
        return Ok(vec![Part::text(value.get())]);
    }
    let parts = fields.list(key)?.unwrap_or_default();
    parts.into_iter().enumerate().map(|(at, part)| read_part(part, &format!("{path}.{key}[{at}]"), lost)).collect()
}

fn read_part(part: &RawValue, path: &str, lost: &mut Vec<String>) -> Result<Part, Wrong> {
    let object = object(part, path)?;
    let fields = Fields::at(&object, path);
    match fields.need("type")?.as_str() {
        "input_text" | "output_text" | "text" | "summary_text" => Ok(Part::text(fields.need("text")?)),
        "refusal" => Ok(Part::Refusal(fields.need("refusal")?)),
        "input_image" => {
            media::detail(&fields, lost);
            match (fields.text("image_url")?, fields.text("file_id")?) {
                (Some(url), _) => Ok(Part::Image(media::source(url, path)?)),
                (None, Some(id)) => Ok(Part::Image(Source::Id(id))),
                (None, None) => Err(Wrong::at(path, format!("`{path}` needs `image_url` or `file_id`"))),
            }
        }
        "input_file" => {
            let name = fields.text("filename")?;
            match (fields.text("file_data")?, fields.text("file_url")?, fields.text("file_id")?) {
                (Some(data), ..) => Ok(Part::File(media::file(data, name.as_deref(), path)?, name)),
                (None, Some(url), _) => Ok(Part::File(Source::Url(url), name)),
                (None, None, Some(id)) => Ok(Part::File(Source::Id(id), name)),
                (None, None, None) => Err(Wrong::at(path, format!("`{path}` needs `file_data`, `file_url` or `file_id`"))),
            }
        }
        other => Err(Wrong::at(path, format!("`{path}`: this model cannot be given a part of type `{}`", clip(other, 40)))),
    }
}

fn tools(fields: &Fields<'_, '_>, conversation: &mut Conversation) -> Result<(), Wrong> {
    for (at, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("tools[{at}]");
        let tool = object(tool, &path)?;
        let fields = Fields::at(&tool, &path);
        match fields.need("type")?.as_str() {
            "function" => conversation.functions.push(function(&fields, None)?),
            "namespace" => {
                let space = fields.need("name")?;
                for inner in fields.list("tools")?.unwrap_or_default() {
                    let inner = object(inner, &path)?;
                    conversation.functions.push(function(&Fields::at(&inner, &path), Some(&space))?);
                }
            }
            // A tool that takes any text takes it as its one argument.
            "custom" => conversation.functions.push(Function {
                name: fields.need("name")?,
                description: fields.text("description")?,
                schema: Some(raw(&json!({ "type": "object", "properties": { "input": { "type": "string" } }, "required": ["input"] }))),
                strict: None,
                cache: None,
            }),
            // Searching is an offer that a model need not take up; the answer's header says that it was left out.
            kind if kind.starts_with("web_search") => conversation.lost.push(format!("tools[{at}] ({})", clip(kind, 40))),
            kind => {
                let why =
                    format!("`{path}`: this model has no tool of type `{}`; leave it out, or choose a model of OpenAI", clip(kind, 40));
                return Err(Wrong::at(&path, why));
            }
        }
    }
    Ok(())
}

/// A function; within a namespace its name says so, for other dialects have none.
fn function(fields: &Fields<'_, '_>, space: Option<&str>) -> Result<Function, Wrong> {
    let function = declared::function(fields, "parameters")?;
    let name = space.map_or_else(|| function.name.clone(), |space| flat(space, &function.name));
    Ok(Function { name, ..function })
}

/// A function as a tool of a request.
pub(in crate::llm) fn tool(function: &Function) -> Box<RawValue> {
    let mut tool = RawObject::default();
    tool.set("type", raw("function"));
    tool.set("name", raw(&function.name));
    if let Some(description) = &function.description {
        tool.set("description", raw(description));
    }
    tool.set("parameters", function.schema.clone().unwrap_or_else(|| raw(&json!({ "type": "object", "properties": {} }))));
    tool.set("strict", raw(&function.strict.unwrap_or(false)));
    tool.to_raw()
}

/// The name in a choice of a function.
fn named(choice: &str) -> Option<String> {
    let choice = RawObject::parse(choice).ok()?;
    choice.string("type").filter(|kind| matches!(kind.as_str(), "function" | "custom"))?;
    choice.string("name")
}

fn format(fields: &Fields<'_, '_>) -> Result<Option<Format>, Wrong> {
    let Some(text) = fields.object("text")? else { return Ok(None) };
    let Some(format) = Fields::at(&text, "text").object("format")? else { return Ok(None) };
    let own = Fields::at(&format, "text.format");
    declared::format(&own.need("type")?, "text.format.type", &own)
}
