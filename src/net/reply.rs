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

/// A piece of a body of so many bytes is kept as it came.
const LARGE: usize = 4 << 10;

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

    /// The whole body, of at most `limit` bytes. One that comes in a single piece is not copied, and any other once.
    pub async fn whole(mut self, limit: usize) -> Result<Bytes, Error> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let mut second = self.chunk().await?;
        if second.is_none() && first.len() <= limit {
            return Ok(first);
        }
        let (mut pieces, mut small, mut length) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(piece) = next {
            length += piece.len();
            if length > limit {
                return Err(Error::TooLarge(limit));
            }
            let large = piece.len() >= LARGE;
            // Each piece costs something by itself, so that small ones are put together.
            if !large {
                small.extend_from_slice(&piece);
            }
            if (large && !small.is_empty()) || small.len() >= LARGE {
                pieces.push(Bytes::from(std::mem::take(&mut small)));
            }
            if large {
                pieces.push(piece);
            }
            next = match second.take() {
                Some(second) => Some(second),
                None => self.chunk().await?,
            };
        }
        if !small.is_empty() {
            pieces.push(small.into());
        }
        if let [_] = pieces.as_slice() {
            return Ok(pieces.swap_remove(0));
        }
        let mut body = Vec::with_capacity(length);
        for piece in pieces {
            body.extend_from_slice(&piece);
        }
        Ok(body.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer whose body comes in these pieces.
    fn reply(pieces: Vec<Vec<u8>>) -> Reply {
        let stream = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::convert::Infallible>));
        reqwest::Response::from(hyper::Response::new(reqwest::Body::wrap_stream(stream))).into()
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_in_whatever_pieces_it_comes(sizes in prop::collection::vec(prop_oneof![0..9_usize, 4_000..4_200_usize], 0..12)) {
            let mut next = 0_u8;
            let pieces: Vec<Vec<u8>> = sizes.iter().map(|size| {
                (0..*size).map(|_| { next = next.wrapping_add(1); next }).collect()
            }).collect();
            let whole = pieces.concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(reply(pieces.clone()).whole(whole.len())).unwrap();
            prop_assert_eq!(&read[..], &whole[..]);
            if let Some(less) = whole.len().checked_sub(1) {
                prop_assert!(matches!(runtime.block_on(reply(pieces).whole(less)), Err(Error::TooLarge(_))));
            }
        }
    }
}
