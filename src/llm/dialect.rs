//! The dialects that clients and providers speak.
//!
//! To add one: a folder beside `chat`, and its arm in each `match` here and in `dispatch.rs`.

use std::fmt;

/// A dialect of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's Chat Completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
    /// OpenAI's Responses.
    Responses,
}

impl Dialect {
    /// The member of a request that holds the conversation.
    pub fn list(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "messages",
            Self::Responses => "input",
        }
    }

    /// The path below a provider's base address.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Messages => "/messages",
            Self::Responses => "/responses",
        }
    }

    /// The member of an answer that holds what was said.
    pub fn said(self) -> &'static str {
        match self {
            Self::Chat => "choices",
            Self::Messages => "content",
            Self::Responses => "output",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Responses => "responses",
        })
    }
}
