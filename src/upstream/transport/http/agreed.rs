//! What was agreed on with an HTTP server, and the headers that say so, made once.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::protocol::{Era, HEADER_SESSION, HEADER_VERSION, Revision};

/// What was agreed on with a server, and the headers that say so, made once.
pub(super) struct Agreed {
    pub(super) era: Era,
    pub(super) session: Option<HeaderValue>,
    /// Those of a message.
    pub(super) post: HeaderMap,
}

impl Agreed {
    pub(super) fn on(first: &HeaderMap, era: Era, session: Option<HeaderValue>) -> Self {
        let mut post = first.clone();
        // The header came with 2025-06-18; older servers may choke on a value they do not know.
        if !matches!(era, Era::Legacy(revision) if revision < Revision::V2025_06_18) {
            post.insert(HEADER_VERSION, HeaderValue::from_static(era.as_str()));
        }
        if let Some(session) = &session {
            post.insert(HEADER_SESSION, session.clone());
        }
        Self { era, session, post }
    }

    /// The headers of what has no body, and takes an answer of this type.
    pub(super) fn get(&self, accepted: &'static str) -> HeaderMap {
        let mut headers = self.post.clone();
        headers.remove(CONTENT_TYPE);
        headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        headers
    }
}
