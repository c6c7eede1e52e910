//! One model turn: what came back, read where it must be read.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::FinderRev;

use super::error::Error;
use crate::domain::{RawObject, Usage};
use crate::llm::{self, Body, Dialect, Events, Reply};

/// A whole answer of a provider.
pub(super) struct Turn {
    dialect: Dialect,
    body: Bytes,
}

impl Turn {
    /// An answer that must be whole.
    pub(super) fn of(reply: Reply) -> Result<Self, Error> {
        match reply.body {
            Body::Json(body) => Ok(Self { dialect: reply.dialect, body }),
            Body::Stream(..) => Err(Error::Provider(llm::Error::Protocol("a stream came although none was asked for"))),
        }
    }

    /// Its bytes, where the client speaks the same dialect.
    pub(super) fn as_it_is(&self, dialect: Dialect) -> Option<&Bytes> {
        (self.dialect == dialect).then_some(&self.body)
    }

    /// Its bytes, in whatever words.
    pub(super) fn bytes(self) -> Bytes {
        self.body
    }

    /// Its members.
    pub(super) fn members(&self) -> Result<RawObject<'_>, Error> {
        let not_json = || Error::Provider(llm::Error::Protocol("the answer is not JSON"));
        let text = std::str::from_utf8(&self.body).map_err(|_| not_json())?;
        RawObject::parse(text).map_err(|_| not_json())
    }

    /// What it says.
    pub(super) fn answer(&self) -> Result<llm::Answer, Error> {
        let pieces = self.dialect.answer(&self.members()?).map_err(Error::Provider)?;
        Ok(llm::Answer::of(pieces))
    }

    /// What it cost, found at its end without reading what stands before it.
    pub(super) fn usage(&self) -> Option<Usage> {
        last_usage(&self.body).or_else(|| self.members().ok()?.read("usage"))
    }
}

/// A streamed answer, all its events in one stream.
pub(super) fn stream(reply: Reply) -> Result<(Dialect, Events), Error> {
    use futures::StreamExt as _;
    match reply.body {
        Body::Stream(first, rest) => Ok((reply.dialect, futures::stream::iter([Ok(first)]).chain(rest).boxed())),
        Body::Json(_) => Err(Error::Provider(llm::Error::Protocol("a stream was asked for and none came"))),
    }
}

/// The last usage object in a text; most pieces of a stream have none.
pub(super) fn last_usage(text: &[u8]) -> Option<Usage> {
    static USAGE: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new("\"usage\""));
    let at = USAGE.rfind(text)?;
    let value = text.get(at + 7..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    if value.starts_with(b"{") { serde_json::Deserializer::from_slice(value).into_iter::<Usage>().next()?.ok() } else { None }
}
