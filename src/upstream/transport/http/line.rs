//! The HTTP+SSE transport of 2024-11-05: one stream on which the server says everything, and an address to send messages to.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::Method;
use url::Url;

use super::super::pending::Stream;
use super::exchange::{Place, Shared, media_type};
use crate::domain::clip;
use crate::net::Reply;
use crate::upstream::{Change, Error};

impl Shared {
    /// Opens the stream.
    pub(super) async fn line(&self) -> Result<Reply, Error> {
        let agreed = self.agreed.load_full();
        let reply = self.send(Method::GET, &agreed.get("text/event-stream"), Bytes::new()).await?;
        let reply = self.accepted(reply).await?;
        match media_type(&reply) {
            "text/event-stream" => Ok(reply),
            other => Err(Error::NotMcp(format!("it answered with `{other}` instead of a stream of events"))),
        }
    }

    /// Reads the stream to its end, and with it the session's.
    pub(super) async fn read_line(self: Arc<Self>, reply: Reply, changed: impl Fn(Change) + Send + Sync + 'static) {
        let mut none = || None::<()>;
        let _ = self.events(reply, Stream::All, &mut Place::default(), &changed, &mut none).await;
        self.lost.store(true, Ordering::Relaxed);
        self.pending.fail_all(|| Error::Interrupted);
        // The next look opens a session anew.
        changed(Change::Definitions);
    }

    /// The address that the server named for messages. It must be one of the server's own: what is sent there carries our credential.
    pub(super) fn address(&self, named: &str) -> Result<Url, Error> {
        let base = self.destination.url();
        let wrong = || Error::NotMcp(format!("it wants messages sent to `{}`, which is no address of its own", clip(named, 200)));
        let address = base.join(named.trim()).map_err(|_| wrong())?;
        if address.origin() == base.origin() { Ok(address) } else { Err(wrong()) }
    }
}
