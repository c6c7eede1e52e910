//! A request of Messages, checked, and read into a conversation.

use serde_json::value::RawValue;

use crate::domain::{RawObject, clip};
use crate::llm::conversation::{Call, Choice, Conversation, Format, Function, Part, Role, Source, Thinking, Wrong};
use crate::llm::declared;
use crate::llm::dialect::Dialect;
use crate::llm::fields::{Fields, no_twins, object};

/// Looks at what could do harm or waste a call: numbers, roles, blocks, names. Nothing is changed.
/// Tokens are counted of requests without `max_tokens`.
pub(in crate::llm) fn check(body: &RawObject<'_>, counts_only: bool) -> Result<(), Wrong> {
    let fields = Fields::of(body);
    // None at all is how its clients have a cache filled and nothing said.
    let none = fields.some("max_tokens").is_some_and(|most| most.get() == "0");
    if !none && fields.count("max_tokens")?.is_none() && !counts_only {
        return Err(Wrong::at("max_tokens", "`max_tokens` must be there, a whole number from 1 on"));
    }
    fields.count("top_k")?;
    fields.number("temperature", 0.0, 1.0)?;
    fields.number("top_p", 0.0, 1.0)?;
    fields.texts("stop_sequences")?;
    blocks(&fields, "system", "system")?;
    for (at, message) in fields.filled("messages")?.into_iter().enumerate() {
        let path = format!("messages[{at}]");
        let message = object(message, &path)?;
        let fields = Fields::at(&message, &path);
        let role = fields.need("role")?;
        if !matches!(role.as_str(), "user" | "assistant" | "system") {
            let why = format!("`{path}.role` is `{}`; it must be user or assistant", clip(&role, 40));
            return Err(Wrong::at(format!("{path}.role"), why));
        }
        if fields.some("content").is_none() {
            return Err(Wrong::at(format!("{path}.content"), format!("`{path}.content` must be there: a text or a list of blocks")));
        }
        if role == "user" && fields.list("content").is_ok_and(|list| list.is_some_and(|list| list.is_empty())) {
            return Err(fields.wrong("content", "a text, or a list with at least one block"));
        }
        for block in blocks(&fields, "content", &format!("{path}.content"))? {
            let fields = Fields::at(&block, &path);
            match fields.need("type")?.as_str() {
                "text" => drop(fields.need("text")?),
                "tool_use" => {
                    fields.need("id")?;
                    fields.need("name")?;
                }
                "tool_result" => drop(fields.need("tool_use_id")?),
                _ => {}
            }
        }
    }
    let mut names = Vec::new();
    for (at, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("tools[{at}]");
        let tool = object(tool, &path)?;
        let fields = Fields::at(&tool, &path);
        if fields.text("type")?.as_deref() != Some("mcp_toolset") {
            names.push(fields.need("name")?);
        }
    }
    no_twins(names.iter().map(String::as_str))
}

/// The blocks of a member that may also be a text.
fn blocks<'f>(fields: &Fields<'f, '_>, key: &str, path: &str) -> Result<Vec<RawObject<'f>>, Wrong> {
    match fields.some(key) {
        Some(value) if value.get().starts_with('"') => Ok(Vec::new()),
        Some(value) if !value.get().starts_with('[') => Err(Wrong::at(path, format!("`{path}` must be a text or a list of blocks"))),
        _ => {
            let blocks = fields.list(key)?.unwrap_or_default();
            blocks.into_iter().enumerate().map(|(at, block)| object(block, &format!("{path}[{at}]"))).collect()
        }
    }
}

/// Fields that mean nothing to another dialect, and whose loss changes no answer.
const WITHOUT_MEANING: [&str; 5] = ["model", "cache_control", "container", "inference_geo", "speed"];

/// Reads a request that another dialect shall carry. What it cannot hold is listed; what would change
/// the answer's meaning is refused.
pub(in crate::llm) fn read(body: &RawObject<'_>) -> Result<Conversation, Wrong> {
    let fields = Fields::of(body);
    let mut conversation = Conversation::default();
    for (key, value) in body.iter().filter(|(_, value)| value.get() != "null") {
        match key {
            "messages" => {}
            "system" => conversation.system = parts(&fields, "system", "system")?,
            "max_tokens" => conversation.max_tokens = fields.count(key)?,
            "stop_sequences" => conversation.stop = fields.texts(key)?,
            "metadata" => conversation.user = fields.object(key)?.and_then(|metadata| metadata.string("user_id")),
            "thinking" => thinking(&fields, &mut conversation)?,
            "output_config" => output(&fields, &mut conversation)?,
            "tools" => conversation.functions = functions(&fields)?,
            "tool_choice" => choice(&fields, &mut conversation)?,
            key if declared::field(&mut conversation, &fields, key, value)? => {}
            key if WITHOUT_MEANING.contains(&key) => {}
            key => conversation.lost.push(key.to_owned()),
        }
    }
    for (at, message) in fields.filled("messages")?.into_iter().enumerate() {
        let path = format!("messages[{at}]");
        let message = object(message, &path)?;
        let fields = Fields::at(&message, &path);
        let said = parts(&fields, "content", &format!("{path}.content"))?;
        let role = match fields.need("role")?.as_str() {
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => Role::User,
        };
        conversation.say(role, said);
    }
    Ok(conversation)
}

fn thinking(fields: &Fields<'_, '_>, conversation: &mut Conversation) -> Result<(), Wrong> {
    let Some(thinking) = fields.object("thinking")? else { return Ok(()) };
    let budget = Fields::at(&thinking, "thinking").count("budget_tokens")?;
    // An effort that was read before says more.
    if conversation.thinking.is_none() {
        conversation.thinking = match (thinking.string("type").as_deref(), budget) {
            (Some("disabled"), _) => Some(Thinking::Off),
            (Some("enabled"), Some(budget)) => Some(Thinking::Budget(budget)),
            _ => Some(Thinking::Adaptive),
        };
    }
    Ok(())
}

fn output(fields: &Fields<'_, '_>, conversation: &mut Conversation) -> Result<(), Wrong> {
    let Some(config) = fields.object("output_config")? else { return Ok(()) };
    let fields = Fields::at(&config, "output_config");
    if let Some(effort) = fields.text("effort")?.filter(|_| conversation.thinking != Some(Thinking::Off)) {
        conversation.thinking = Some(Thinking::Effort(effort));
    }
    if let Some(schema) = fields.object("format")?.and_then(|format| format.get("schema").map(ToOwned::to_owned)) {
        conversation.format = Some(Format::Schema { name: "answer".to_owned(), schema, strict: Some(true) });
    }
    Ok(())
}

fn functions(fields: &Fields<'_, '_>) -> Result<Vec<Function>, Wrong> {
    let mut functions = Vec::new();
    for (at, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("tools[{at}]");
        let tool = object(tool, &path)?;
        let fields = Fields::at(&tool, &path);
        if let Some(kind) = fields.text("type")?.filter(|kind| kind != "custom") {
            let why = format!("`{path}`: `{}` is a tool of another provider, which this model cannot run; leave it out", clip(&kind, 40));
            return Err(Wrong::at(&path, why));
        }
        // A tool that only stands for others, which are loaded later, is not one to call.
        let empty = fields.object("input_schema")?.is_none_or(|schema| schema.get("properties").is_none_or(|all| all.get() == "{}"));
        if empty && fields.flag("defer_loading")? == Some(true) {
            continue;
        }
        functions.push(declared::function(&fields, "input_schema")?);
    }
    Ok(functions)
}

fn choice(fields: &Fields<'_, '_>, conversation: &mut Conversation) -> Result<(), Wrong> {
    let Some(choice) = fields.object("tool_choice")? else { return Ok(()) };
    let own = Fields::at(&choice, "tool_choice");
    conversation.choice = Some(match own.need("type")?.as_str() {
        "auto" => Choice::Auto,
        "any" => Choice::Required,
        "none" => Choice::None,
        "tool" => Choice::Function(own.need("name")?),
        _ => return Err(Wrong::at("tool_choice.type", "`tool_choice.type` must be auto, any, tool or none")),
    });
    if own.flag("disable_parallel_tool_use")? == Some(true) {
        conversation.parallel = Some(false);
    }
    Ok(())
}

/// A member that is a text or a list of blocks.
fn parts(fields: &Fields<'_, '_>, key: &str, path: &str) -> Result<Vec<Part>, Wrong> {
    match fields.some(key) {
        None => Ok(Vec::new()),
        Some(value) if value.get().starts_with('"') => Ok(fields.text(key)?.map(Part::text).into_iter().collect()),
        Some(_) => {
            let blocks = fields.list(key)?.unwrap_or_default();
            blocks.into_iter().enumerate().map(|(at, block)| part(block, &format!("{path}[{at}]"))).collect()
        }
    }
}

fn part(block: &RawValue, path: &str) -> Result<Part, Wrong> {
    let object = object(block, path)?;
    let fields = Fields::at(&object, path);
    let cache = || object.get("cache_control").map(ToOwned::to_owned);
    Ok(match fields.need("type")?.as_str() {
        "text" => Part::Text(fields.need("text")?, cache()),
        "image" => Part::Image(source(&fields, path)?),
        "document" => document(&fields, path)?,
        "tool_use" => {
            let input = fields.some("input").map_or("{}", RawValue::get);
            Part::Call(Call { id: fields.need("id")?, name: fields.need("name")?, arguments: input.to_owned() })
        }
        "tool_result" => Part::Result {
            call: fields.need("tool_use_id")?,
            parts: parts(&fields, "content", path)?,
            failed: fields.flag("is_error")? == Some(true),
            cache: cache(),
        },
        "thinking" => Part::Thinking(fields.need("thinking")?, fields.text("signature")?),
        "tool_reference" => Part::text(format!("the tool {} is loaded", fields.need("tool_name")?)),
        "redacted_thinking" => Part::Redacted(fields.need("data")?),
        _ => Part::Native(Dialect::Messages, block.to_owned()),
    })
}

fn source(fields: &Fields<'_, '_>, path: &str) -> Result<Source, Wrong> {
    let source = fields.object("source")?.unwrap_or_default();
    let path = format!("{path}.source");
    let own = Fields::at(&source, &path);
    match own.need("type")?.as_str() {
        "base64" => Ok(Source::Data(own.need("media_type")?, own.need("data")?)),
        "url" => Ok(Source::Url(own.need("url")?)),
        "file" => Ok(Source::Id(own.need("file_id")?)),
        _ => Err(Wrong::at(&path, format!("`{path}.type` must be base64, url or file"))),
    }
}

fn document(fields: &Fields<'_, '_>, path: &str) -> Result<Part, Wrong> {
    let inner = fields.object("source")?.unwrap_or_default();
    match inner.string("type").as_deref() {
        Some("text") => Ok(Part::text(inner.string("data").unwrap_or_default())),
        Some("content") => Ok(Part::text(Part::texts(&parts(&Fields::at(&inner, path), "content", path)?))),
        _ => Ok(Part::File(source(fields, path)?, fields.text("title")?)),
    }
}
