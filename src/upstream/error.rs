//! What can go wrong with an upstream server.

use std::borrow::Cow;

use crate::net;
use crate::protocol::RpcError;

/// Why an upstream server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It answered with an error of its own.
    #[error("the server answered with error {}: {}", .0.code, crate::domain::clip(&.0.message, 300))]
    Rpc(RpcError),
    /// Its program is not there.
    #[error("there is no program `{0}`; install it, or give its full path")]
    NoProgram(String),
    /// Its program could not be started.
    #[error("`{program}` could not be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its process ended.
    #[error("the server's process ended{}{}", exit_code(*.code), last_words(.stderr))]
    Exited {
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// The last of what it wrote to standard error.
        stderr: String,
    },
    /// It could not be reached, or the connection broke.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// It wants credentials.
    #[error("the server wants credentials (HTTP {0}); add them with a header")]
    Credentials(u16),
    /// It wants a login that there is none for, or not any more.
    #[error("the server wants a login; give it one with `portolan server login`")]
    LoginNeeded,
    /// The login there is good for less than was asked; the scopes it names.
    #[error("the login is not good for that; log in again with `portolan server login` to allow {}", scopes(.0))]
    MoreScope(String),
    /// The login could not be renewed for now.
    #[error("the login could not be renewed: {0}")]
    Login(String),
    /// It answered with a status that means nothing in MCP.
    #[error("the server answered with HTTP status {0}, which no MCP endpoint does; is the URL right?")]
    Status(u16),
    /// It does not speak MCP.
    #[error("this is not an MCP server: {0}")]
    NotMcp(String),
    /// Its error repeats our own credential.
    #[error("the server answered with an error that repeats the gateway's credential, which is told to nobody")]
    QuotesUs,
    /// Its command is of no package whose version could be another.
    #[error("only a server that `npx` or `uvx` fetches from a registry can be upgraded")]
    Unpackaged,
    /// Which version of its code would be run is not known.
    #[error("{0}")]
    Unresolved(String),
    /// The operator has blocked it.
    #[error("{0}")]
    Blocked(String),
    /// It forgot our session.
    #[error("the server ended the session")]
    SessionLost,
    /// It did not answer in time.
    #[error("the server did not answer within {0:?}")]
    Timeout(std::time::Duration),
    /// It sent more in one message than is taken.
    #[error("the server sent a message larger than is taken")]
    TooLarge,
    /// The connection was closed by us while the server was at work; what it did is not known.
    #[error("the connection was closed before the server answered")]
    Interrupted,
    /// Too many callers want a connection of their own.
    #[error("{0} callers have a connection of their own already; try again later")]
    TooMany(usize),
    /// The connection was closed by us.
    #[error("the connection is closed")]
    Closed,
}

impl Error {
    /// What its child wrote to standard error, where that is known.
    pub fn stderr(&self) -> Option<&str> {
        match self {
            Self::Exited { stderr, .. } => Some(stderr),
            _ => None,
        }
    }

    /// What callers may hear of it: nothing of the server's process, address or standard error.
    pub fn public(&self) -> RpcError {
        match self {
            // What is said of our own message is no concern of the caller's, whose message was another.
            Self::Rpc(error)
                if matches!(
                    error.code,
                    RpcError::PARSE | RpcError::INVALID_REQUEST | RpcError::UNSUPPORTED_VERSION | RpcError::HEADER_MISMATCH
                ) =>
            {
                RpcError::new(RpcError::UPSTREAM, "the server could not serve this request")
            }
            Self::Rpc(error) => error.clone(),
            Self::Timeout(after) => RpcError::new(RpcError::UPSTREAM, format!("the server did not answer within {after:?}")),
            Self::Exited { .. } => RpcError::new(RpcError::UPSTREAM, "the server's process ended before it answered"),
            Self::QuotesUs => RpcError::new(RpcError::UPSTREAM, "the server could not serve this request"),
            Self::LoginNeeded | Self::MoreScope(_) => {
                RpcError::new(RpcError::UPSTREAM, "the gateway is not logged in to this server for that; its operator can do so")
            }
            Self::TooLarge | Self::Interrupted => RpcError::new(RpcError::UPSTREAM, self.to_string()),
            _ => RpcError::new(RpcError::UPSTREAM, "the server cannot be reached now"),
        }
    }

    /// One word for it, a code or a status, for traces.
    pub fn word(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Rpc(error) => return error.code.to_string().into(),
            Self::Credentials(status) | Self::Status(status) => return status.to_string().into(),
            Self::NoProgram(_) | Self::Start { .. } | Self::Unpackaged | Self::Unresolved(_) => "not_started",
            Self::Exited { .. } => "exited",
            Self::Net(net::Error::Timeout) | Self::Timeout(_) => "timeout",
            Self::Net(_) => "unreachable",
            Self::NotMcp(_) | Self::QuotesUs => "invalid_response",
            Self::Blocked(_) => "blocked",
            Self::SessionLost => "session_lost",
            Self::TooLarge => "too_large",
            Self::Interrupted | Self::Closed => "closed",
            Self::TooMany(_) => "too_many_connections",
            Self::LoginNeeded => "login_needed",
            Self::MoreScope(_) => "insufficient_scope",
            Self::Login(_) => "login_unavailable",
        })
    }

    /// Whether the request certainly did nothing yet, so that it may be sent once more.
    pub fn is_unprocessed(&self) -> bool {
        matches!(self, Self::SessionLost | Self::Closed | Self::Net(net::Error::Refused | net::Error::Unresolved))
    }
}

fn scopes(named: &str) -> String {
    if named.is_empty() { "more".to_owned() } else { format!("`{}`", crate::domain::printable(&crate::domain::clip(named, 200))) }
}

fn exit_code(code: Option<i32>) -> String {
    code.map_or_else(|| " by a signal".to_owned(), |code| format!(" with exit code {code}"))
}

/// The end of what a child wrote: most programs name the cause a few lines before the last.
fn last_words(stderr: &str) -> String {
    const LINES: usize = 6;
    let lines: Vec<&str> = stderr.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    if last.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = last.iter().map(|line| format!("  {}", crate::domain::printable(&crate::domain::clip(line, 200)))).collect();
    format!("; its last words:\n{}", shown.join("\n"))
}
