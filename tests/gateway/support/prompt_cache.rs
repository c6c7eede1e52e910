//! Prompt caching as providers have it: by the bytes at the beginning of a request, in the order in
//! which a provider reads it.
//!
//! OpenAI finds any beginning that it has seen. Anthropic keeps only what ends at a marker, and looks back
//! from each marker over twenty blocks at most.

use std::collections::HashSet;

use serde_json::{Value, json};

/// How far Anthropic looks back from a marker, in blocks.
const LOOK_BACK: usize = 20;

/// What was found of one request, in bytes.
#[derive(Clone, Debug)]
pub struct Cached {
    pub total: usize,
    pub found: usize,
    /// The request as the provider reads it, without markers.
    pub rendered: String,
}

/// What a provider has seen so far.
#[derive(Default)]
pub struct PromptCache {
    pub seen: Vec<Cached>,
    kept: HashSet<String>,
}

impl PromptCache {
    /// Looks a request up, keeps it, and writes what was found into an answer's counts.
    pub fn count(&mut self, path: &str, request: &str, answer: &[u8]) -> Vec<u8> {
        let request: Value = serde_json::from_str(request).unwrap_or_default();
        let model = request["model"].to_string();
        let mut blocks = blocks(&request);
        if let Some(first) = blocks.first_mut() {
            first.0.insert_str(0, &model);
        }
        let rendered: String = blocks.iter().map(|(text, _)| text.as_str()).collect();
        let cached = if path.ends_with("/messages") { self.marked(&blocks) } else { self.longest(&rendered) };
        let total = rendered.len();
        self.seen.push(Cached { total, found: cached, rendered });
        let text = String::from_utf8_lossy(answer);
        let openai = format!(
            "\"usage\":{{\"prompt_tokens\":{total},\"completion_tokens\":7,\"total_tokens\":{},\"prompt_tokens_details\":{{\"cached_tokens\":{cached}}}}}",
            total + 7
        );
        let anthropic =
            format!("\"input_tokens\":{},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":{cached}", total - cached);
        text.replace(r#""usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}"#, &openai)
            .replace(r#""input_tokens":11,"cache_creation_input_tokens":2,"cache_read_input_tokens":5"#, &anthropic)
            .into_bytes()
    }

    fn longest(&self, rendered: &str) -> usize {
        let common = |other: &Cached| rendered.bytes().zip(other.rendered.bytes()).take_while(|(one, two)| one == two).count();
        self.seen.iter().map(common).max().unwrap_or_default()
    }

    fn marked(&mut self, blocks: &[(String, bool)]) -> usize {
        let mut so_far = String::new();
        let prefixes: Vec<String> = blocks
            .iter()
            .map(|(text, _)| {
                so_far.push_str(text);
                so_far.clone()
            })
            .collect();
        let marks: Vec<usize> = (0..blocks.len()).filter(|at| blocks[*at].1).collect();
        let found = |mark: &usize| {
            let back = prefixes[mark.saturating_sub(LOOK_BACK)..=*mark].iter().rev();
            back.filter(|prefix| self.kept.contains(*prefix)).map(String::len).next().unwrap_or_default()
        };
        let cached = marks.iter().map(found).max().unwrap_or_default();
        self.kept.extend(marks.iter().map(|mark| prefixes[*mark].clone()));
        cached
    }
}

/// A request's blocks in the order in which they are read, each with whether it carries a marker.
fn blocks(request: &Value) -> Vec<(String, bool)> {
    let mut all: Vec<Value> = request["tools"].as_array().cloned().unwrap_or_default();
    match &request["system"] {
        Value::Array(system) => all.extend(system.iter().cloned()),
        Value::Null => {}
        text => all.push(json!({ "type": "text", "text": text })),
    }
    for message in request["messages"].as_array().cloned().unwrap_or_default() {
        match &message["content"] {
            // A part stands for itself, so that a message may grow by one.
            Value::Array(parts) if message["tool_calls"].is_null() => {
                all.extend(parts.iter().map(|part| json!({ "role": message["role"], "part": part })));
            }
            Value::String(text) if message["tool_calls"].is_null() && message["role"] != "tool" => {
                all.push(json!({ "role": message["role"], "part": { "type": "text", "text": text } }));
            }
            _ => all.push(message),
        }
    }
    all.into_iter().map(bare).collect()
}

/// A block without its marker, and whether it had one.
fn bare(mut block: Value) -> (String, bool) {
    let mut taken = block.as_object_mut().and_then(|object| object.remove("cache_control"));
    if let Some(part) = block["part"].as_object_mut() {
        taken = part.remove("cache_control").or(taken);
    }
    (block.to_string() + "\n", taken.is_some())
}
