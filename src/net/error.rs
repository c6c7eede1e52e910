//! Why a request could not be sent or answered.

use std::error::Error as StdError;

use super::guard;

/// Why a request could not be sent or answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address we may dial.
    #[error("the address is not allowed: {0}")]
    NotAllowed(String),
    /// Nobody listens there.
    #[error("the connection was refused")]
    Refused,
    /// The name has no address.
    #[error("the host name could not be resolved")]
    Unresolved,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It answered with a redirect to another origin, or with too many.
    #[error("it answered with a redirect that is not followed; register the final address instead")]
    Redirect,
    /// TLS or the protocol failed.
    #[error("the connection failed: {0}")]
    Failed(String),
    /// More bytes than are taken.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        match error {
            error if error.is_redirect() => Self::Redirect,
            error if error.is_timeout() => Self::Timeout,
            error => Self::of(&error),
        }
    }
}

impl From<hyper_util::client::legacy::Error> for Error {
    fn from(error: hyper_util::client::legacy::Error) -> Self {
        Self::of(&error)
    }
}

impl Error {
    /// The cause at the bottom of what a client says.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        let chain = || std::iter::successors(Some(error), |error| <dyn StdError>::source(*error));
        if let Some(refusal) = chain().find_map(|error| error.downcast_ref::<guard::Refusal>()) {
            return Self::NotAllowed(refusal.to_string());
        }
        let late = |error: &(dyn StdError + 'static)| error.is::<tower::timeout::error::Elapsed>();
        let kind = chain().find_map(|error| error.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        match kind {
            Some(std::io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(std::io::ErrorKind::TimedOut) => Self::Timeout,
            _ if chain().any(late) => Self::Timeout,
            _ if chain().any(|error| error.to_string().contains("dns error")) => Self::Unresolved,
            _ => Self::Failed(chain().last().map(ToString::to_string).unwrap_or_default()),
        }
    }
}
