//! What can go wrong with a provider.

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
    /// Our credential was refused.
    #[error("the provider refused the gateway's credential")]
    Credential,
    /// Too many requests.
    #[error("the provider's rate limit is reached")]
    RateLimited {
        /// When to try again, in the provider's words.
        retry_after: Option<String>,
    },
    /// The request itself was refused, with a status below 500.
    #[error("the provider refused the request: {}", .1.message)]
    Refused(u16, Refusal),
    /// The request holds what this target cannot be told.
    #[error("{}", .0.why)]
    Unfit(Wrong),
    /// The provider failed.
    #[error("the provider failed with status {0}")]
    Failed(u16),
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

impl Error {
    /// Whether another target may answer what this one did not.
    pub fn may_fall_back(&self) -> bool {
        match self {
            Self::Refused(status, _) => matches!(status, 404 | 408 | 409 | 425),
            Self::NotOffered(_) => false,
            _ => true,
        }
    }
}
