//! The eras of MCP. What the floors above carry is raw: a method, params whose members keep their own bytes, a result's own bytes.
//!
//! A *legacy* peer opens a session with `initialize` (2024-11-05 to 2025-11-25); a *modern* one is
//! stateless and stamps every request (2026-07-28). [`Dialect`] is how one era is answered; to add an
//! era, write `protocol/<era>.rs` and one arm in [`Era::dialect`].

mod capabilities;
mod dialect;
mod envelope;
mod era;
mod error;
mod headers;
mod legacy;
mod level;
mod modern;
mod params;
mod question;
mod rounds;

pub use capabilities::{ClientCapabilities, KNOWN_EXTENSIONS, TASKS};
pub use dialect::Dialect;
pub use envelope::{Id, Incoming, Outgoing, Unreadable, is_tool_error};
pub use era::{Era, Revision};
pub use error::RpcError;
pub use headers::{HEADER_METHOD, HEADER_NAME, HEADER_PARAM, HEADER_SESSION, HEADER_VERSION, HeaderRules, encoded, named_by};
pub use level::Level;
pub use modern::{Opening, Refusal, classify};
pub use params::{Dress, Params, SUBSCRIPTION};
pub use question::{Question, asked_by};
pub use rounds::{InputRequired, ResultKind, is_complete, request_digest};

impl Era {
    /// How a peer of this era is answered.
    pub fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Legacy(_) => &legacy::Legacy,
            Self::Modern => &modern::Modern,
        }
    }
}
