//! What can go wrong with a provider.

use std::borrow::Cow;
use std::time::Duration;

use super::conversation::Wrong;

/// What a provider said of a request it refused.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// In its words, with secrets taken out.
    pub message: String,
    /// OpenAI's `code`.
    pub code: Option<String>,
    /// OpenAI's `param`.
    pub param: Option<String>,
}

/// Why a provider gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Our credential was refused, with this status.
    #[error("the provider refused the gateway's credential")]
    Credential(u16),
    /// Too many requests.
    #[error("the provider's rate limit is reached")]
    RateLimited {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The request itself was refused, with a status below 500.
    #[error("the provider refused the request: {}", .1.message)]
    Refused(u16, Refusal),
    /// The request holds what this target cannot be told.
    #[error("{}", .0.why)]
    Unfit(Wrong),
    /// The provider failed, with this status; and how long it asks to be left alone.
    #[error("the provider failed with status {0}")]
    Failed(u16, Option<Duration>),
    /// There is no provider of that name, as one that is found by its key alone and has none.
    #[error("there is no provider `{0}` here")]
    Missing(String),
    /// Nobody answered.
    #[error("the provider cannot be reached")]
    Unreachable,
    /// The answer is not what the dialect says.
    #[error("the provider's answer cannot be understood: {0}")]
    Protocol(&'static str),
    /// The answer is larger than is taken.
    #[error("the provider's answer is too large")]
    TooLarge,
    /// A stream ended before the answer did.
    #[error("the provider's answer was cut off")]
    Truncated,
    /// A stream, or an answer, did not come in time.
    #[error("the provider sent nothing for {0:?}")]
    Idle(Duration),
    /// The provider ended a stream with an error.
    #[error("the provider ended the answer with an error: {}", .0.message)]
    InStream(Refusal),
    /// The provider has no such endpoint.
    #[error("the provider `{0}` does not offer this endpoint")]
    NotOffered(String),
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The provider does not take our credential, for whatever model.
    Credential,
    /// The target's; and how long it asks to be left alone.
    Target(Option<Duration>),
    /// The request's: it was answered.
    Request,
    /// Nobody's: it was never asked, or what it said was too much for us.
    Nobody,
}

impl Refusal {
    /// Whether the request is longer than this model can read; another may read more.
    fn is_too_long(&self) -> bool {
        let said = |words: &str| self.message.to_lowercase().contains(words);
        self.code.as_deref() == Some("context_length_exceeded") || said("prompt is too long") || said("maximum context length")
    }
}

impl Error {
    /// What a provider said in an answer that it had begun, or sent with a good status. Some write the status there.
    pub(super) fn said(refusal: Refusal) -> Self {
        match refusal.code.as_deref().and_then(|code| code.parse().ok()) {
            Some(429) => Self::RateLimited { retry_after: None },
            Some(status @ 500..=599) => Self::Failed(status, None),
            _ => Self::InStream(refusal),
        }
    }

    /// Whether another target may answer what this one did not.
    pub fn may_fall_back(&self) -> bool {
        match self {
            Self::Refused(status, refusal) => matches!(status, 404 | 408 | 409 | 425) || refusal.is_too_long(),
            Self::NotOffered(_) => false,
            _ => true,
        }
    }

    /// Whether the same target may answer when it is asked again.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Unreachable | Self::RateLimited { .. } => true,
            Self::Failed(status, _) => matches!(status, 500 | 502 | 503 | 504 | 529),
            _ => false,
        }
    }

    /// One word for it, or a status, for traces.
    pub fn word(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Credential(status) | Self::Refused(status, _) | Self::Failed(status, _) => return status.to_string().into(),
            Self::RateLimited { .. } => "429",
            Self::Unfit(_) => "unfit",
            Self::Missing(_) => "no_provider",
            Self::Unreachable => "unreachable",
            Self::Protocol(_) => "invalid_response",
            Self::TooLarge => "too_large",
            Self::Truncated => "truncated",
            Self::Idle(_) => "timeout",
            Self::InStream(_) => "provider_error",
            Self::NotOffered(_) => "not_offered",
        })
    }

    /// How long the provider asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Failed(_, retry_after) => *retry_after,
            _ => None,
        }
    }

    /// Whose fault it is. A 403 may be about one model or one request; only a 401 is about the credential itself.
    pub(super) fn blame(&self) -> Blame {
        match self {
            Self::Credential(401) => Blame::Credential,
            Self::Refused(..) => Blame::Request,
            Self::Unfit(_) | Self::NotOffered(_) | Self::TooLarge | Self::Missing(_) => Blame::Nobody,
            Self::Credential(_)
            | Self::RateLimited { .. }
            | Self::Failed(..)
            | Self::Unreachable
            | Self::Protocol(_)
            | Self::Truncated
            | Self::Idle(_)
            | Self::InStream(_) => Blame::Target(self.retry_after()),
        }
    }
}
