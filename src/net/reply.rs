//! An answer, whichever client it came through.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::error::Error;
use super::lean;

/// An answer whose body is still to be read.
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Body,
}

enum Body {
    Lean(lean::Body),
    Full(reqwest::Body),
}

impl From<hyper::Response<lean::Body>> for Reply {
    fn from(response: hyper::Response<lean::Body>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: Body::Lean(body) }
    }
}

impl From<reqwest::Response> for Reply {
    fn from(response: reqwest::Response) -> Self {
        let (head, body) = hyper::Response::<reqwest::Body>::from(response).into_parts();
        Self { status: head.status, headers: head.headers, body: Body::Full(body) }
    }
}

impl Body {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match self {
            Self::Lean(lean::Body::Plain(body)) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(|error| Error::of(&error)))
            }
            Self::Lean(lean::Body::Packed(body)) => {
                ready!(body.as_mut().poll_frame(cx)).map(|frame| frame.map_err(|error| Error::of(&*error)))
            }
            Self::Full(body) => ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Error::from)),
        };
        Poll::Ready(frame)
    }
}

impl Reply {
    /// The media type, without its parameters.
    pub fn media_type(&self) -> &str {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }

    /// The next piece of the body; none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match poll_fn(|cx| self.body.poll(cx)).await.transpose()?.map(Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) => return Ok(Some(data)),
                // Trailers say nothing that anyone here asks for.
                Some(Err(_)) => {}
            }
        }
    }

    /// The whole body, of at most `limit` bytes. One that comes in a single piece is not copied.
    pub async fn whole(mut self, limit: usize) -> Result<Bytes, Error> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > limit {
            return Err(Error::TooLarge(limit));
        }
        let Some(mut piece) = self.chunk().await? else { return Ok(first) };
        let mut body = Vec::from(first);
        loop {
            let length = body.len() + piece.len();
            if length > limit {
                return Err(Error::TooLarge(limit));
            }
            if length > body.capacity() {
                // Twice as much, as vectors do, but never more than there may be.
                body.reserve_exact(length.saturating_mul(2).min(limit) - body.len());
            }
            body.extend_from_slice(&piece);
            match self.chunk().await? {
                Some(more) => piece = more,
                None => return Ok(body.into()),
            }
        }
    }
}
