//! What an HTTP server tells by itself: on a stream of a session's own, or on one that a stateless client asked for.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};

use super::super::pending::{Stream, every_change};
use super::exchange::{Place, Shared, media_type, put};
use crate::net::Reply;
use crate::protocol::{Dress, Era, HEADER_METHOD, Outgoing};
use crate::upstream::{Change, Error};

impl Shared {
    /// Listens until the server is closed, or offers nothing to listen to.
    pub(super) async fn listen(self: Arc<Self>, changed: impl Fn(Change) + Send + Sync + 'static) {
        let first = Duration::from_secs(1);
        let (mut pause, mut place, mut again) = (first, Place::default(), false);
        while !self.closed.load(Ordering::Relaxed) {
            match self.listen_once(again, &mut place, &changed).await {
                Ok(true) => pause = place.pause().unwrap_or(first),
                Ok(false) => return,
                Err(Error::SessionLost) => {
                    // The next look opens a session anew, and listens again.
                    changed(Change::Definitions);
                    return;
                }
                Err(_) => pause = (pause * 2).min(Duration::from_secs(60)),
            }
            again = true;
            tokio::time::sleep(pause).await;
        }
    }

    /// One stream of notices; false when the server offers none.
    async fn listen_once(self: &Arc<Self>, again: bool, place: &mut Place, changed: &(dyn Fn(Change) + Sync)) -> Result<bool, Error> {
        let mut followed = self.followed.subscribe();
        let opened = self.open(place).await;
        self.listens.send_replace(true);
        let Some(mut reply) = opened? else { return Ok(false) };
        if again {
            // What changed while nobody listened was told to nobody.
            changed(Change::Definitions);
            changed(Change::Resources);
            for uri in &*followed.borrow() {
                changed(Change::Updated(uri.as_str().into()));
            }
        }
        loop {
            let (mut here, mut none) = (place.clone(), || None::<()>);
            let next = {
                let mut reading = pin!(self.events(reply, Stream::Notices, &mut here, changed, &mut none));
                tokio::select! {
                    read = &mut reading => Err(read),
                    // What is listened to so far is heard until the wider stream is there.
                    Ok(()) = followed.changed() => {
                        let mut opening = pin!(self.open(place));
                        tokio::select! {
                            read = &mut reading => Err(read),
                            opened = &mut opening => Ok(opened?),
                        }
                    }
                }
            };
            *place = here;
            reply = match next {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(false),
                Err(read) => return read.map(|_| true),
            };
        }
    }

    /// Opens a stream of notices; none when the server offers none.
    async fn open(&self, place: &Place) -> Result<Option<Reply>, Error> {
        let agreed = self.agreed.load_full();
        let reply = if agreed.era == Era::Modern {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let followed = self.followed.borrow().clone();
            let wanted = every_change(followed.iter().map(String::as_str)).dressed(Era::Modern, &Dress::default());
            let body = Outgoing::request(id, "subscriptions/listen", &wanted);
            let mut headers = agreed.post.clone();
            put(&mut headers, HEADER_METHOD, "subscriptions/listen");
            self.send(Method::POST, &headers, body.into()).await?
        } else {
            self.send(Method::GET, &place.headers(&agreed), Bytes::new()).await?
        };
        match reply.status {
            status if status.is_success() && media_type(&reply) == "text/event-stream" => Ok(Some(reply)),
            StatusCode::NOT_FOUND if agreed.session.is_some() => {
                self.lost.store(true, Ordering::Relaxed);
                Err(Error::SessionLost)
            }
            // What a server that is starting, busy or being replaced says need not be true for long.
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Err(Error::Status(status.as_u16())),
            // What is followed must be heard of again, also where the server will not have it at this moment.
            status if !self.followed.borrow().is_empty() => Err(Error::Status(status.as_u16())),
            _ => Ok(None),
        }
    }
}
