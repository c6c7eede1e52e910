//! What the real providers refuse, by their API references: an oracle that knows nothing of the gateway.

use std::collections::HashSet;

use serde_json::Value;

/// Members that Anthropic's requests may have.
const ANTHROPIC: [&str; 19] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "output_config",
    "context_management",
    "container",
    "mcp_servers",
    "cache_control",
];

/// Why a provider would refuse a request.
pub fn complaint(path: &str, text: &str) -> Option<String> {
    let body: Value = serde_json::from_str(text).ok()?;
    let checked = if path.ends_with("/messages") {
        anthropic(&body)
    } else if path.ends_with("/chat/completions") {
        openai(&body)
    } else {
        Ok(())
    };
    checked.err()
}

type Checked = Result<(), String>;

fn need(holds: bool, why: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { Err(why.into()) }
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_name(name: &str, most: usize) -> bool {
    !name.is_empty() && name.len() <= most && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn anthropic(body: &Value) -> Checked {
    for key in body.as_object().into_iter().flatten().map(|(key, _)| key) {
        need(ANTHROPIC.contains(&key.as_str()), format!("{key}: Extra inputs are not permitted"))?;
    }
    let most = body["max_tokens"].as_u64().ok_or("max_tokens: Field required")?;
    let tools = list(body, "tools");
    let mut names = HashSet::new();
    for tool in tools {
        let name = tool["name"].as_str().unwrap_or_default();
        need(is_name(name, 128), format!("tools.name: `{name}` does not match the pattern"))?;
        need(names.insert(name), "tools: Tool names must be unique.")?;
        need(!tool["type"].is_null() || tool["input_schema"]["type"] == "object", "tools.input_schema.type: Input should be 'object'")?;
    }
    need(body["tool_choice"].is_null() || !tools.is_empty(), "tool_choice may only be specified while providing tools.")?;
    need(
        body["temperature"].is_null() || body["temperature"].as_f64().is_some_and(|heat| (0.0..=1.0).contains(&heat)),
        "temperature: range: 0..1",
    )?;
    need(
        !list(body, "stop_sequences").iter().any(|text| text.as_str().unwrap().trim().is_empty()),
        "stop_sequences: must contain non-whitespace",
    )?;
    need(body.to_string().matches("\"cache_control\":{").count() <= 4, "A maximum of 4 blocks with cache_control may be provided.")?;
    let thinks = matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive"));
    if thinks {
        let budget = &body["thinking"]["budget_tokens"];
        need(
            budget.is_null() || budget.as_u64().is_some_and(|budget| budget >= 1024 && budget < most),
            "thinking.budget_tokens: out of range",
        )?;
        need(body["temperature"].is_null() || body["temperature"] == 1, "`temperature` may only be set to 1 when thinking is enabled.")?;
        need(body["top_k"].is_null(), "`top_k` must be unset when thinking is enabled.")?;
        need(
            !matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")),
            "Thinking may not be enabled when tool_choice forces tool use.",
        )?;
    }
    if let Some(system) = body["system"].as_array() {
        need(!system.is_empty(), "system: at least one block")?;
        system.iter().try_for_each(block)?;
    }
    messages(list(body, "messages"), tools.is_empty(), body["thinking"]["type"] == "enabled")
}

fn messages(all: &[Value], no_tools: bool, thinks: bool) -> Checked {
    need(!all.is_empty(), "messages: at least one message is required")?;
    let mut asked: Vec<&str> = Vec::new();
    for (at, message) in all.iter().enumerate() {
        let (role, last) = (message["role"].as_str().unwrap_or_default(), at + 1 == all.len());
        need(matches!(role, "user" | "assistant" | "system"), format!("messages.{at}.role: `{role}`"))?;
        let blocks = list(message, "content");
        need(
            !blocks.is_empty() || message["content"].as_str().is_some_and(|text| !text.is_empty()),
            format!("messages.{at}: empty content"),
        )?;
        blocks.iter().try_for_each(block)?;
        let results: Vec<&str> =
            blocks.iter().filter(|block| block["type"] == "tool_result").map(|block| block["tool_use_id"].as_str().unwrap()).collect();
        let calls: Vec<&str> =
            blocks.iter().filter(|block| block["type"] == "tool_use").map(|block| block["id"].as_str().unwrap()).collect();
        need(
            (calls.is_empty() && results.is_empty()) || !no_tools,
            "Requests which include `tool_use` or `tool_result` blocks must define tools",
        )?;
        let leading = blocks.iter().take_while(|block| block["type"] == "tool_result").count();
        need(role != "user" || leading == results.len(), format!("messages.{at}: tool_result blocks must come first"))?;
        let answers = |ids: &[&str]| ids.iter().collect::<HashSet<_>>() == asked.iter().collect::<HashSet<_>>() && ids.len() == asked.len();
        need(
            role == "assistant" || answers(&results),
            format!("messages.{at}: each tool_use must have one tool_result in the next message, {asked:?} and {results:?}"),
        )?;
        need(role != "assistant" || asked.is_empty(), format!("messages.{at}: tool_use ids were found without tool_result blocks"))?;
        if role == "assistant" {
            let ends = blocks
                .last()
                .map_or_else(|| message["content"].as_str().unwrap_or_default(), |block| block["text"].as_str().unwrap_or_default());
            need(!last || ends == ends.trim_end(), "messages: final assistant content cannot end with trailing whitespace")?;
            need(!(thinks && last), "messages: an answer cannot be begun for a model that thinks")?;
            let goes_on = !calls.is_empty() && at + 2 == all.len();
            let sealed = matches!(blocks.first().and_then(|block| block["type"].as_str()), Some("thinking" | "redacted_thinking"));
            need(!(thinks && goes_on) || sealed, "Expected `thinking` or `redacted_thinking`, but found `tool_use`")?;
        }
        asked = calls;
    }
    need(asked.is_empty(), "tool_use without tool_result")
}

fn block(block: &Value) -> Checked {
    match block["type"].as_str().unwrap_or_default() {
        "text" => need(block["text"].as_str().is_some_and(|text| !text.trim().is_empty()), "text content blocks must be non-empty"),
        "tool_use" => {
            need(is_name(block["id"].as_str().unwrap_or_default(), 128), "tool_use.id: does not match the pattern")?;
            need(block["input"].is_object(), "tool_use.input: Input should be a valid dictionary")
        }
        "tool_result" => list(block, "content").iter().try_for_each(self::block),
        "thinking" => need(block["signature"].as_str().is_some_and(|seal| !seal.is_empty()), "thinking.signature: Field required"),
        "image" | "document" => {
            let fits = match block["source"]["type"].as_str() {
                Some("base64") => block["source"]["media_type"].is_string() && block["source"]["data"].is_string(),
                Some("url") => block["source"]["url"].as_str().is_some_and(|url| url.starts_with("http")),
                Some("text" | "file" | "content") => true,
                _ => false,
            };
            need(fits, "source: Input should be a valid source")
        }
        "redacted_thinking"
        | "search_result"
        | "server_tool_use"
        | "web_search_tool_result"
        | "mcp_tool_use"
        | "mcp_tool_result"
        | "tool_reference" => Ok(()),
        other => Err(format!("type: Input tag '{other}' does not match")),
    }
}

fn openai(body: &Value) -> Checked {
    let tools = list(body, "tools");
    need(body["tools"].is_null() || !tools.is_empty(), "tools: [] is too short")?;
    for tool in tools {
        need(
            tool["type"] == "function" && is_name(tool["function"]["name"].as_str().unwrap_or_default(), 64),
            "tools.function.name: does not match the pattern",
        )?;
    }
    for key in ["tool_choice", "parallel_tool_calls"] {
        need(body[key].is_null() || !tools.is_empty(), format!("'{key}' is only allowed when 'tools' are specified"))?;
    }
    need(list(body, "stop").len() <= 4, "stop: array too long")?;
    need(body["stream_options"].is_null() || body["stream"] == true, "stream_options is only allowed when stream is enabled")?;
    let all = list(body, "messages");
    need(!all.is_empty(), "messages: [] is too short")?;
    let mut asked: Vec<&str> = Vec::new();
    for (at, message) in all.iter().enumerate() {
        let content = &message["content"];
        let kinds: Vec<&str> = list(message, "content").iter().map(|part| part["type"].as_str().unwrap_or_default()).collect();
        let only = |allowed: &[&str]| need(kinds.iter().all(|kind| allowed.contains(kind)), format!("messages.{at}.content: {kinds:?}"));
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let place =
                asked.iter().position(|one| *one == id).ok_or(format!("messages.{at}: a tool message must follow its tool_calls"))?;
            asked.remove(place);
            need(content.is_string() || content.is_array(), "a tool message needs content")?;
            only(&["text"])?;
            continue;
        }
        need(asked.is_empty(), format!("messages.{at}: these tool_call_ids did not have response messages: {asked:?}"))?;
        match role {
            "system" | "developer" => only(&["text"])?,
            "user" => only(&["text", "image_url", "input_audio", "file"])?,
            "assistant" => only(&["text", "refusal"])?,
            other => return Err(format!("messages.{at}.role: `{other}`")),
        }
        let calls = list(message, "tool_calls");
        need(
            content.is_string() || !kinds.is_empty() || role == "assistant" && (!calls.is_empty() || !message["refusal"].is_null()),
            format!("messages.{at}: content is missing"),
        )?;
        asked = calls.iter().map(|call| call["id"].as_str().unwrap_or_default()).collect();
        need(calls.iter().all(|call| call["function"]["arguments"].is_string()), "arguments: a string")?;
    }
    need(asked.is_empty(), "tool_calls without response messages")
}
