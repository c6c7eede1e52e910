//! An answer as a strict client of its door sees it: what breaks the door's own rules is a failed test.

use serde_json::Value;

use super::{Answer, Door};

/// What a client saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub id: String,
    pub text: String,
    pub thoughts: String,
    /// Signatures and redacted thoughts, in order.
    pub seals: Vec<String>,
    /// Id, name and arguments of each call.
    pub calls: Vec<(String, String, String)>,
    pub refusal: String,
    /// Why it ended, in the door's words; empty when it did not.
    pub finish: String,
    pub native: String,
    /// Input with cached ones, cached, output.
    pub usage: (u64, u64, u64),
    /// The error that ended it.
    pub error: Option<Value>,
    /// The items that a client would send back, in the door's own words.
    pub items: Vec<Value>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Seen {
    /// Reads an answer, whole or streamed.
    pub fn read(door: Door, answer: &Answer) -> Self {
        if answer.header("content-type").starts_with("text/event-stream") {
            return Self::stream(door, &answer.text);
        }
        let mut seen = Self::default();
        if answer.status != 200 {
            seen.error = Some(answer.body["error"].clone());
            return seen;
        }
        match door {
            Door::Chat => seen.chat(&answer.body),
            Door::Messages => seen.message(&answer.body),
            Door::Responses => seen.response(&answer.body),
        }
        seen
    }

    /// Whether it came to its end.
    pub fn is_whole(&self) -> bool {
        self.error.is_none() && !self.finish.is_empty()
    }

    /// The same without the id, which every answer has its own of.
    pub fn said(&self) -> Self {
        Self { id: String::new(), items: Vec::new(), ..self.clone() }
    }

    fn chat(&mut self, body: &Value) {
        let choice = &body["choices"][0];
        let message = &choice["message"];
        assert_eq!((&body["object"], &message["role"]), (&"chat.completion".into(), &"assistant".into()), "{body}");
        self.id = text(&body["id"]);
        self.text = text(&message["content"]);
        self.refusal = text(&message["refusal"]);
        self.thoughts = text(&message["reasoning_content"]);
        self.sealed(&message["thinking_blocks"]);
        for call in list(&message["tool_calls"]) {
            self.calls.push((text(&call["id"]), text(&call["function"]["name"]), text(&call["function"]["arguments"])));
        }
        self.finish = text(&choice["finish_reason"]);
        self.native = text(&choice["native_finish_reason"]);
        self.count(&body["usage"]);
        self.items = vec![message.clone()];
    }

    fn sealed(&mut self, blocks: &Value) {
        self.seals
            .extend(list(blocks).iter().map(|block| text(if block["type"] == "thinking" { &block["signature"] } else { &block["data"] })));
    }

    fn message(&mut self, body: &Value) {
        assert_eq!((&body["type"], &body["role"]), (&"message".into(), &"assistant".into()), "{body}");
        self.id = text(&body["id"]);
        for block in list(&body["content"]) {
            self.block(block);
        }
        self.finish = text(&body["stop_reason"]);
        self.count(&body["usage"]);
        self.items = vec![serde_json::json!({ "role": "assistant", "content": body["content"] })];
    }

    fn block(&mut self, block: &Value) {
        match block["type"].as_str().unwrap() {
            "text" => self.text += block["text"].as_str().unwrap(),
            "thinking" => {
                self.thoughts += block["thinking"].as_str().unwrap();
                self.seals.extend(Some(text(&block["signature"])).filter(|seal| !seal.is_empty()));
            }
            "redacted_thinking" => self.seals.push(text(&block["data"])),
            "tool_use" => {
                assert!(block["input"].is_object(), "{block}");
                self.calls.push((text(&block["id"]), text(&block["name"]), block["input"].to_string()));
            }
            _ => {}
        }
    }

    fn response(&mut self, body: &Value) {
        assert_eq!(body["object"], "response", "{body}");
        self.id = text(&body["id"]);
        for item in list(&body["output"]) {
            assert!(!text(&item["id"]).is_empty(), "{item}");
            match item["type"].as_str().unwrap() {
                "message" => {
                    for part in list(&item["content"]) {
                        self.text += part["text"].as_str().unwrap_or_default();
                        self.refusal += part["refusal"].as_str().unwrap_or_default();
                    }
                }
                "reasoning" => {
                    self.thoughts.extend(list(&item["summary"]).iter().map(|part| text(&part["text"])));
                    self.seals.extend(item["encrypted_content"].as_str().map(str::to_owned));
                }
                "function_call" => self.calls.push((text(&item["call_id"]), text(&item["name"]), text(&item["arguments"]))),
                _ => {}
            }
        }
        self.finish = text(&body["status"]);
        self.native = text(&body["incomplete_details"]["reason"]);
        self.count(&body["usage"]);
        self.items = list(&body["output"]).to_vec();
    }

    fn count(&mut self, usage: &Value) {
        let number = |key: &str| usage[key].as_u64();
        let apart = number("cache_read_input_tokens").map(|read| read + number("cache_creation_input_tokens").unwrap_or_default());
        let input = number("prompt_tokens").or(number("input_tokens")).unwrap_or_default() + apart.unwrap_or_default();
        let cached = ["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens", "/cache_read_input_tokens"];
        let cached = cached.iter().find_map(|path| usage.pointer(path)?.as_u64()).unwrap_or_default();
        self.usage = (input, cached, number("completion_tokens").or(number("output_tokens")).unwrap_or_default());
    }

    fn stream(door: Door, text: &str) -> Self {
        let mut seen = Self::default();
        let mut events = Vec::new();
        for event in text.split("\n\n").filter(|event| event.contains("data:")) {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            events.push((field("event:").unwrap_or_default(), field("data:").unwrap()));
        }
        match door {
            Door::Chat => seen.chunks(&events),
            Door::Messages => seen.blocks(&events),
            Door::Responses => seen.items(&events),
        }
        seen
    }

    fn chunks(&mut self, events: &[(&str, &str)]) {
        let mut done = false;
        let mut began = false;
        for (_, data) in events {
            assert!(!done && self.error.is_none(), "nothing stands behind the end: {events:#?}");
            if *data == "[DONE]" {
                done = true;
                continue;
            }
            let chunk: Value = serde_json::from_str(data).unwrap();
            if chunk["error"].is_object() {
                self.error = Some(chunk["error"].clone());
                continue;
            }
            assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
            if self.id.is_empty() {
                self.id = text(&chunk["id"]);
            }
            assert!(self.id == chunk["id"] && !self.id.is_empty(), "one answer has one id: {events:#?}");
            if chunk["usage"].is_object() {
                self.count(&chunk["usage"]);
            }
            let choice = &chunk["choices"][0];
            let delta = &choice["delta"];
            if choice.is_null() {
                continue;
            }
            assert!(self.finish.is_empty(), "nothing is said behind the end: {events:#?}");
            assert!(began || delta["role"] == "assistant", "the first delta says who speaks: {events:#?}");
            began = true;
            self.text += delta["content"].as_str().unwrap_or_default();
            self.refusal += delta["refusal"].as_str().unwrap_or_default();
            self.thoughts += delta["reasoning_content"].as_str().unwrap_or_default();
            self.sealed(&delta["thinking_blocks"]);
            for call in list(&delta["tool_calls"]) {
                let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                let function = &call["function"];
                if at == self.calls.len() {
                    assert!(!text(&call["id"]).is_empty() && !text(&function["name"]).is_empty() && call["type"] == "function", "{call}");
                    self.calls.push((text(&call["id"]), text(&function["name"]), String::new()));
                }
                self.calls[at].2 += function["arguments"].as_str().unwrap_or_default();
            }
            self.finish = text(&choice["finish_reason"]);
            self.native = text(&choice["native_finish_reason"]);
        }
        assert_eq!(done, self.error.is_none(), "a stream ends in [DONE] or in an error: {events:#?}");
    }

    fn blocks(&mut self, events: &[(&str, &str)]) {
        let (mut next, mut open, mut stopped) = (0, None::<Value>, false);
        for (name, data) in events {
            assert!(!stopped && self.error.is_none(), "nothing stands behind the end: {events:#?}");
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(event["type"], *name, "{event}");
            assert!(!self.id.is_empty() || matches!(*name, "message_start" | "error"), "{events:#?}");
            match *name {
                "message_start" => {
                    assert!(self.id.is_empty() && event["message"]["content"] == serde_json::json!([]), "{events:#?}");
                    self.id = text(&event["message"]["id"]);
                    self.count(&event["message"]["usage"]);
                }
                "content_block_start" => {
                    assert!(open.is_none() && event["index"] == next && self.finish.is_empty(), "{events:#?}");
                    next += 1;
                    open = Some(event["content_block"].clone());
                }
                "content_block_delta" => {
                    assert_eq!(event["index"], next - 1, "{events:#?}");
                    grow(open.as_mut().unwrap(), &event["delta"]);
                }
                "content_block_stop" => {
                    assert_eq!(event["index"], next - 1, "{events:#?}");
                    let mut block = open.take().unwrap();
                    // Nothing is how the real one writes no arguments.
                    if let Some(input) = block["partial"].as_str().map(|input| if input.is_empty() { "{}" } else { input }) {
                        block["input"] = serde_json::from_str(input).unwrap_or_else(|error| panic!("{error}: {input}"));
                        block.as_object_mut().unwrap().remove("partial");
                    }
                    self.block(&block);
                    self.items.push(block);
                }
                "message_delta" => {
                    assert!(open.is_none() && self.finish.is_empty(), "{events:#?}");
                    self.finish = text(&event["delta"]["stop_reason"]);
                    // Counts that stand only in the start hold.
                    if event["usage"]["input_tokens"].is_u64() {
                        self.count(&event["usage"]);
                    } else {
                        self.usage.2 = event["usage"]["output_tokens"].as_u64().unwrap();
                    }
                }
                "message_stop" => stopped = true,
                "ping" => {}
                "error" => self.error = Some(event["error"].clone()),
                other => panic!("{other}: {events:#?}"),
            }
        }
        let blocks = std::mem::take(&mut self.items);
        self.items = vec![serde_json::json!({ "role": "assistant", "content": blocks })];
        assert_eq!(stopped, self.error.is_none(), "a stream ends in message_stop or in an error: {events:#?}");
        assert!(!stopped || !self.finish.is_empty(), "{events:#?}");
    }

    fn items(&mut self, events: &[(&str, &str)]) {
        let mut items: Vec<(Value, String, bool)> = Vec::new();
        let mut ended = false;
        for (number, (name, data)) in events.iter().enumerate() {
            assert!(!ended, "nothing stands behind the end: {events:#?}");
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!((&event["type"], &event["sequence_number"]), (&Value::from(*name), &Value::from(number)), "{events:#?}");
            let begins = ["response.created", "response.in_progress"];
            assert!(begins.get(number).is_none_or(|wanted| wanted == name) || *name == "response.failed", "{events:#?}");
            let at = event["output_index"].as_u64().map(|at| usize::try_from(at).unwrap());
            if let Some(id) = event["item_id"].as_str() {
                let (item, _, done) = &items[at.unwrap()];
                assert!(item["id"] == id && !done, "{events:#?}");
            }
            match *name {
                "response.output_item.added" => {
                    assert_eq!(at, Some(items.len()), "{events:#?}");
                    items.push((event["item"].clone(), String::new(), false));
                }
                "response.output_item.done" => {
                    let (item, _, done) = &mut items[at.unwrap()];
                    assert!(!*done && item["id"] == event["item"]["id"] && item["type"] == event["item"]["type"], "{events:#?}");
                    *item = event["item"].clone();
                    *done = true;
                }
                "response.completed" | "response.incomplete" => {
                    assert!(items.iter().all(|(_, _, done)| *done), "{events:#?}");
                    let done: Vec<Value> = items.iter().map(|(item, ..)| item.clone()).collect();
                    assert_eq!(event["response"]["output"], Value::from(done), "{events:#?}");
                    self.response(&event["response"]);
                    assert_eq!(name.strip_prefix("response."), Some(self.finish.as_str()));
                    ended = true;
                }
                "response.failed" => {
                    self.error = Some(event["response"]["error"].clone());
                    assert_eq!(event["response"]["status"], "failed");
                    ended = true;
                }
                name if name.rsplit('.').next() == Some("delta") => items[at.unwrap()].1 += event["delta"].as_str().unwrap(),
                name if name.rsplit('.').next() == Some("done") => {
                    let whole = ["text", "arguments", "refusal", "input"].iter().find_map(|key| event[*key].as_str());
                    assert!(whole.is_none_or(|whole| whole == items[at.unwrap()].1 || whole == "{}"), "{events:#?}");
                }
                _ => {}
            }
        }
        assert!(ended, "a stream ends in response.completed, incomplete or failed: {events:#?}");
    }
}

fn grow(block: &mut Value, delta: &Value) {
    let (key, from) = match delta["type"].as_str().unwrap() {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("signature", "signature"),
        "input_json_delta" => ("partial", "partial_json"),
        other => panic!("{other}"),
    };
    let allowed = match block["type"].as_str().unwrap() {
        "text" => key == "text",
        "thinking" => matches!(key, "thinking" | "signature"),
        "tool_use" => key == "partial",
        _ => false,
    };
    assert!(allowed, "{block} does not grow by {delta}");
    block[key] = (text(&block[key]) + delta[from].as_str().unwrap()).into();
}
