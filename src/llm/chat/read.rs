//! A request of Chat Completions, checked, and read into a conversation.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::domain::{RawObject, clip, walk};
use crate::llm::conversation::{Call, Conversation, Format, Function, Part, Role, Source, Thinking, Wrong};
use crate::llm::dialect::Dialect;
use crate::llm::fields::{Fields, no_twins, object};
use crate::llm::{declared, media};

/// Looks at what could do harm or waste a call: numbers, roles, parts, names. Nothing is changed. Messages that are
/// known to be [plain](is_plain) are not looked at again.
pub(in crate::llm) fn check(body: &RawObject<'_>, plain: bool) -> Result<(), Wrong> {
    let fields = Fields::of(body);
    for count in ["max_tokens", "max_completion_tokens", "n"] {
        fields.count(count)?;
    }
    fields.number("temperature", 0.0, 2.0)?;
    fields.number("top_p", 0.0, 1.0)?;
    for penalty in ["presence_penalty", "frequency_penalty"] {
        fields.number(penalty, -2.0, 2.0)?;
    }
    fields.flag("parallel_tool_calls")?;
    fields.texts("stop")?;
    if !plain {
        for (at, message) in fields.filled("messages")?.into_iter().enumerate() {
            check_message(message, &format!("messages[{at}]"))?;
        }
    }
    let tools = fields.list("tools")?.unwrap_or_default();
    let names: Vec<String> =
        tools.iter().enumerate().filter_map(|(at, tool)| function_name(tool, at).transpose()).collect::<Result<_, _>>()?;
    no_twins(names.iter().map(String::as_str))
}

/// Whether messages are plain texts of somebody, and as they must be.
pub(in crate::llm) fn is_plain(messages: &[Cow<'_, str>]) -> bool {
    let right = |message: &Cow<'_, str>| {
        let Some(members) = walk::members(message) else { return false };
        let role = walk::find(&members, "role");
        let somebody = matches!(role, Some("\"system\"" | "\"developer\"" | "\"user\"" | "\"assistant\""));
        somebody && walk::find(&members, "content").is_none_or(|content| content.starts_with('"') || content == "null")
    };
    !messages.is_empty() && messages.iter().all(right)
}

fn check_message(message: &RawValue, path: &str) -> Result<(), Wrong> {
    let message = object(message, path)?;
    let fields = Fields::at(&message, path);
    let role = fields.need("role")?;
    if !matches!(role.as_str(), "system" | "developer" | "user" | "assistant" | "tool" | "function") {
        let why = format!("`{path}.role` is `{}`; it must be system, developer, user, assistant or tool", clip(&role, 40));
        return Err(Wrong::at(format!("{path}.role"), why));
    }
    if role == "tool" {
        fields.need("tool_call_id")?;
    }
    let Some(content) = fields.some("content") else { return Ok(()) };
    match content.get().as_bytes().first() {
        Some(b'"') => Ok(()),
        Some(b'[') => {
            // Answers and tools may say nothing.
            let speaks = matches!(role.as_str(), "system" | "developer" | "user");
            let parts = if speaks { fields.filled("content")? } else { fields.list("content")?.unwrap_or_default() };
            for (at, part) in parts.into_iter().enumerate() {
                let path = format!("{path}.content[{at}]");
                let part = object(part, &path)?;
                let fields = Fields::at(&part, &path);
                if fields.need("type")? == "text" {
                    fields.need("text")?;
                }
            }
            Ok(())
        }
        _ => Err(Wrong::at(format!("{path}.content"), format!("`{path}.content` must be a text or a list of parts"))),
    }
}

fn function_name(tool: &RawValue, at: usize) -> Result<Option<String>, Wrong> {
    let path = format!("tools[{at}]");
    let tool = object(tool, &path)?;
    if Fields::at(&tool, &path).text("type")?.is_some_and(|kind| kind != "function") {
        return Ok(None);
    }
    let function = Fields::at(&tool, &path).object("function")?.unwrap_or_default();
    Fields::at(&function, &format!("{path}.function")).need("name").map(Some)
}

/// Fields that mean nothing to another dialect, and whose loss changes no answer.
const WITHOUT_MEANING: [&str; 7] =
    ["model", "stream_options", "store", "metadata", "prompt_cache_retention", "safety_identifier", "prediction"];

/// Reads a request that another dialect shall carry. What it cannot hold is listed; what would change
/// the answer's meaning is refused.
pub(in crate::llm) fn read(body: &RawObject<'_>) -> Result<Conversation, Wrong> {
    let fields = Fields::of(body);
    let mut conversation = Conversation::default();
    for (key, value) in body.iter().filter(|(_, value)| value.get() != "null") {
        match key {
            "messages" => {}
            "max_completion_tokens" | "max_tokens" => conversation.max_tokens = conversation.max_tokens.max(fields.count(key)?),
            "stop" => conversation.stop = fields.texts("stop")?,
            "reasoning_effort" => {
                let effort = fields.text(key)?.unwrap_or_default();
                conversation.thinking = Some(if effort == "none" { Thinking::Off } else { Thinking::Effort(effort) });
            }
            "tools" => conversation.functions = functions(&fields)?,
            "tool_choice" => conversation.choice = Some(declared::choice(value, named)?),
            "response_format" => conversation.format = format(&fields)?,
            "n" if value.get() == "1" => {}
            "n" => return Err(Wrong::at("n", "this model gives one answer at a time; `n` must be 1")),
            "modalities" if value.get().contains("audio") => return Err(Wrong::at("modalities", "this model gives no audio")),
            "functions" | "function_call" => {
                return Err(Wrong::at(key, format!("`{key}` is not carried to this model; use `tools` and `tool_choice`")));
            }
            key if declared::field(&mut conversation, &fields, key, value)? => {}
            key if WITHOUT_MEANING.contains(&key) => {}
            key => conversation.lost.push(key.to_owned()),
        }
    }
    for (at, message) in fields.filled("messages")?.into_iter().enumerate() {
        read_message(&mut conversation, message, &format!("messages[{at}]"))?;
    }
    Ok(conversation)
}

fn read_message(conversation: &mut Conversation, message: &RawValue, path: &str) -> Result<(), Wrong> {
    let message = object(message, path)?;
    let fields = Fields::at(&message, path);
    let mut parts = content(&fields, path, &mut conversation.lost)?;
    let named = "messages (their `name`)";
    if fields.some("name").is_some()
        && fields.text("role")?.as_deref() != Some("tool")
        && !conversation.lost.iter().any(|lost| lost == named)
    {
        conversation.lost.push(named.to_owned());
    }
    match fields.need("role")?.as_str() {
        "system" | "developer" if conversation.turns.is_empty() => conversation.system.extend(parts),
        "system" | "developer" => conversation.say(Role::System, parts),
        "tool" => {
            let result = Part::Result { call: fields.need("tool_call_id")?, parts, failed: false, cache: None };
            conversation.say(Role::User, vec![result]);
        }
        "function" => return Err(Wrong::at(path, format!("`{path}`: the role `function` is not carried to this model; use `tool`"))),
        "assistant" => {
            let mut all = thoughts(&fields)?;
            all.append(&mut parts);
            if let Some(refusal) = fields.text("refusal")? {
                all.push(Part::Refusal(refusal));
            }
            for call in fields.list("tool_calls")?.unwrap_or_default() {
                all.push(Part::Call(read_call(call, path)?));
            }
            conversation.say(Role::Assistant, all);
        }
        _ => conversation.say(Role::User, parts),
    }
    Ok(())
}

/// Sealed thoughts that came with an answer and are sent back with it.
fn thoughts(fields: &Fields<'_, '_>) -> Result<Vec<Part>, Wrong> {
    let mut parts = Vec::new();
    for block in fields.list("thinking_blocks")?.unwrap_or_default() {
        let block = object(block, "thinking_blocks")?;
        match (block.string("thinking"), block.string("data")) {
            (Some(text), _) => parts.push(Part::Thinking(text, block.string("signature"))),
            (None, Some(data)) => parts.push(Part::Redacted(data)),
            (None, None) => {}
        }
    }
    Ok(parts)
}

/// A call of an assistant message. Arguments may be a text, or already an object.
pub(super) fn read_call(call: &RawValue, path: &str) -> Result<Call, Wrong> {
    let path = format!("{path}.tool_calls");
    let call = object(call, &path)?;
    let function = Fields::at(&call, &path).object("function")?.unwrap_or_default();
    let arguments = function.get("arguments").filter(|arguments| arguments.get() != "null");
    let arguments = arguments.map(|raw| serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned()));
    let fields = Fields::at(&function, &path);
    Ok(Call { id: call.string("id").unwrap_or_default(), name: fields.need("name")?, arguments: arguments.unwrap_or_default() })
}

fn content(fields: &Fields<'_, '_>, path: &str, lost: &mut Vec<String>) -> Result<Vec<Part>, Wrong> {
    let Some(content) = fields.some("content") else { return Ok(Vec::new()) };
    if content.get().starts_with('"') {
        return Ok(fields.text("content")?.map(Part::text).into_iter().collect());
    }
    let parts = fields.list("content")?.unwrap_or_default();
    parts.into_iter().enumerate().map(|(at, part)| read_part(part, &format!("{path}.content[{at}]"), lost)).collect()
}

fn read_part(part: &RawValue, path: &str, lost: &mut Vec<String>) -> Result<Part, Wrong> {
    let object = object(part, path)?;
    let fields = Fields::at(&object, path);
    let kind = fields.need("type")?;
    match kind.as_str() {
        "text" => Ok(Part::Text(fields.need("text")?, object.get("cache_control").map(ToOwned::to_owned))),
        "refusal" => Ok(Part::Refusal(fields.need("refusal")?)),
        "image_url" => {
            let url = match fields.some("image_url") {
                Some(url) if url.get().starts_with('"') => fields.need("image_url")?,
                _ => {
                    let image = fields.object("image_url")?.unwrap_or_default();
                    let image = Fields::at(&image, path);
                    media::detail(&image, lost);
                    image.need("url")?
                }
            };
            Ok(Part::Image(media::source(url, path)?))
        }
        "file" => {
            let file = fields.object("file")?.unwrap_or_default();
            let name = file.string("filename");
            match (file.string("file_data"), file.string("file_id")) {
                (Some(data), _) => Ok(Part::File(media::file(data, name.as_deref(), path)?, name)),
                (None, Some(id)) => Ok(Part::File(Source::Id(id), name)),
                (None, None) => Err(Wrong::at(path, format!("`{path}.file` needs `file_data` or `file_id`"))),
            }
        }
        _ => Ok(Part::Native(Dialect::Chat, part.to_owned())),
    }
}

fn functions(fields: &Fields<'_, '_>) -> Result<Vec<Function>, Wrong> {
    let mut functions = Vec::new();
    for (at, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("tools[{at}]");
        let tool = object(tool, &path)?;
        if let Some(kind) = tool.string("type").filter(|kind| kind != "function") {
            return Err(Wrong::at(&path, format!("`{path}`: this model has no tool of type `{}`", clip(&kind, 40))));
        }
        let function = Fields::at(&tool, &path).object("function")?.unwrap_or_default();
        let mut read = declared::function(&Fields::at(&function, &path), "parameters")?;
        read.cache = tool.get("cache_control").map(ToOwned::to_owned).or(read.cache);
        functions.push(read);
    }
    Ok(functions)
}

/// The name in a choice of a function.
fn named(choice: &str) -> Option<String> {
    let choice = RawObject::parse(choice).ok()?;
    RawObject::parse(choice.get("function")?.get()).ok()?.string("name")
}

fn format(fields: &Fields<'_, '_>) -> Result<Option<Format>, Wrong> {
    let Some(format) = fields.object("response_format")? else { return Ok(None) };
    let own = Fields::at(&format, "response_format");
    let schema = own.object("json_schema")?.unwrap_or_default();
    declared::format(&own.need("type")?, "response_format.type", &Fields::at(&schema, "response_format.json_schema"))
}
