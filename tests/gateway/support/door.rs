//! The three doors of completions, and how a plain question is put at each.

use serde_json::{Value, json};

use super::{Answer, Seen, TestGateway, post};

/// A door of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Chat,
    Messages,
    Responses,
}

impl Door {
    pub const ALL: [Self; 3] = [Self::Chat, Self::Messages, Self::Responses];

    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
        }
    }

    /// The member that holds the conversation.
    pub fn list(self) -> &'static str {
        if self == Self::Responses { "input" } else { "messages" }
    }

    /// A question, as this door's clients put it.
    pub fn ask(self, model: &str, text: &str) -> Value {
        let mut body = json!({ "model": model });
        body[self.list()] = json!([{ "role": "user", "content": text }]);
        match self {
            Self::Chat => {}
            Self::Messages => body["max_tokens"] = 1000.into(),
            Self::Responses => body["store"] = false.into(),
        }
        body
    }

    /// The same, for a stream that tells what it cost.
    pub fn ask_streamed(self, model: &str, text: &str) -> Value {
        as_stream(self, self.ask(model, text))
    }

    /// A function, as this door's clients declare it.
    pub fn function(self, name: &str) -> Value {
        let schema = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
        match self {
            Self::Chat => json!({ "type": "function", "function": { "name": name, "description": "A tool.", "parameters": schema } }),
            Self::Messages => json!({ "name": name, "description": "A tool.", "input_schema": schema }),
            Self::Responses => json!({ "type": "function", "name": name, "description": "A tool.", "parameters": schema, "strict": false }),
        }
    }

    /// Sends a body here.
    pub async fn send(self, gateway: &TestGateway, body: &Value) -> Answer {
        post(&gateway.url(self.path()), body).await
    }

    /// Sends a body, and reads the answer as a client of this door does.
    pub async fn hear(self, gateway: &TestGateway, body: &Value) -> Seen {
        let answer = self.send(gateway, body).await;
        assert_eq!(answer.status, 200, "{self:?}: {}", answer.text);
        Seen::read(self, &answer)
    }
}

/// A request for a stream that tells what it cost.
pub fn as_stream(door: Door, mut body: Value) -> Value {
    body["stream"] = true.into();
    if door == Door::Chat {
        body["stream_options"] = json!({ "include_usage": true });
    }
    body
}
