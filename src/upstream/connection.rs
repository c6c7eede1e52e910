//! One open connection to a server: what it said of itself, and how it is called.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use memchr::memmem::{self, Finder};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::error::Error;
use crate::domain::{RawObject, raw};
use crate::protocol::{Era, Params};
use crate::trace::Carrier;

/// A notification on its way to the caller.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its method.
    pub method: String,
    /// Its params.
    pub params: Params,
}

/// Someone who wants to hear of progress.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The token the caller gave, as it was written; put back into every notification.
    pub token: Box<RawValue>,
    /// Where notifications go. A full queue drops them: progress must never hold up a result.
    pub out: mpsc::Sender<Note>,
}

/// One request to a server.
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// Its params.
    pub params: &'a Params,
    /// Who hears of progress.
    pub listener: Option<Listener>,
    /// Arguments mirrored into `Mcp-Param-*` headers, for stateless HTTP servers.
    pub headers: Vec<(String, String)>,
    /// The longest it may take.
    pub timeout: Duration,
    /// Where in a trace it stands, in place of what its params say.
    pub carrier: Option<Box<Carrier>>,
}

impl<'a> Call<'a> {
    /// Its params as a server of an era is to get them; `id` is our own of the request.
    pub(super) fn dressed(&self, era: Era, id: u64) -> String {
        self.params.dressed(era, self.listener.as_ref().map(|_| id), self.carrier.as_deref())
    }

    /// A request that nobody follows.
    pub fn new(method: &'a str, params: &'a Params, timeout: Duration) -> Self {
        Self { method, params, listener: None, headers: Vec::new(), timeout, carrier: None }
    }
}

/// How a server presented itself.
#[derive(Clone, Debug)]
pub struct Peer {
    /// How it talks.
    pub era: Era,
    /// Its name and version, unverified.
    pub info: Box<RawValue>,
    /// Its capabilities as it wrote them.
    pub capabilities: Box<RawValue>,
    /// Its instructions to models.
    pub instructions: Option<String>,
}

impl Peer {
    /// Reads the answer to `initialize` or `server/discover`.
    pub(super) fn read(era: Era, result: &RawValue) -> Result<Self, Error> {
        let object = RawObject::parse(result.get()).map_err(|_| Error::NotMcp("its greeting is not an object".into()))?;
        let from_meta =
            || object.get("_meta").and_then(|meta| RawObject::parse(meta.get()).ok()?.remove("io.modelcontextprotocol/serverInfo"));
        Ok(Self {
            era,
            info: object.get("serverInfo").map(ToOwned::to_owned).or_else(from_meta).unwrap_or_else(|| raw(&serde_json::json!({}))),
            capabilities: object.get("capabilities").map_or_else(|| raw(&serde_json::json!({})), ToOwned::to_owned),
            instructions: object.string("instructions"),
        })
    }

    /// Whether the server declared a capability.
    pub fn has(&self, capability: &str) -> bool {
        RawObject::parse(self.capabilities.get()).is_ok_and(|all| all.has(capability))
    }
}

/// Moves bytes to a server and back.
#[async_trait]
pub(super) trait Wire: Send + Sync {
    /// Sends a request in the words of an era, and waits for its result. Dropping the future cancels the request.
    async fn call(&self, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error>;
    /// Learns which revision was agreed on.
    fn speak(&self, _era: Era) {}
    /// Sends a notification.
    async fn notify(&self, method: &str) -> Result<(), Error>;
    /// Whether it broke.
    fn broken(&self) -> Option<Error>;
    /// Returns when it broke.
    async fn ended(&self);
    /// What the child wrote to standard error lately.
    fn stderr(&self) -> Option<String>;
    /// Ends it.
    async fn close(&self);
}

/// An open connection.
pub struct Connection {
    peer: Peer,
    wire: Arc<dyn Wire>,
    since: Instant,
    /// Whether it is being asked for a sign of life.
    doubted: Arc<AtomicBool>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(peer: Peer, wire: Arc<dyn Wire>) -> Self {
        Self { peer, wire, since: Instant::now(), doubted: Arc::default() }
    }

    /// How the server presented itself.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Sends a request in the server's era and waits for its result.
    pub async fn call(&self, call: Call<'_>) -> Result<Box<RawValue>, Error> {
        let outcome = self.wire.call(self.peer.era, call).await;
        if let Err(Error::Timeout(_)) = outcome {
            self.doubt();
        }
        let result = outcome?;
        // We declared no extension and no capability, so nothing but a complete result means anything.
        if is_complete(result.get()) {
            return Ok(result);
        }
        Err(Error::NotMcp("it wants something of the client that it was not offered".into()))
    }

    /// Asks a server that let a request run out of time for a sign of life. One that gives none is
    /// ended, so that whoever needs it next gets a new one instead of waiting as well.
    fn doubt(&self) {
        /// How long a living server may take to give a sign of life.
        const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
        if self.doubted.swap(true, Ordering::Relaxed) {
            return;
        }
        let (wire, era, doubted) = (self.wire.clone(), self.peer.era, self.doubted.clone());
        tokio::spawn(async move {
            let method = if era == Era::Modern { "server/discover" } else { "ping" };
            let sign = wire.call(era, Call::new(method, &Params::default(), SIGN_OF_LIFE)).await;
            if let Err(Error::Timeout(_)) = sign {
                wire.close().await;
            }
            doubted.store(false, Ordering::Relaxed);
        });
    }

    /// All items of a paginated list, in order, each with its own bytes; the pages are asked for in one place of a trace.
    pub async fn list(
        &self,
        method: &str,
        member: &str,
        timeout: Duration,
        carrier: Option<Box<Carrier>>,
    ) -> Result<Vec<Box<RawValue>>, Error> {
        /// Most pages and items that are read of one list.
        const MAX_PAGES: usize = 200;
        const MAX_ITEMS: usize = 20_000;
        /// Most bytes of one list.
        const MAX_BYTES: usize = 32 << 20;
        let mut items: Vec<Box<RawValue>> = Vec::new();
        let mut cursor: Option<Box<RawValue>> = None;
        let mut bytes = 0;
        for _ in 0..MAX_PAGES {
            let mut params = Params::default();
            if let Some(cursor) = cursor.take() {
                params.set("cursor", cursor);
            }
            let result = self.call(Call { carrier: carrier.clone(), ..Call::new(method, &params, timeout) }).await?;
            bytes += result.get().len();
            let mut page = RawObject::parse(result.get()).map_err(|error| Error::NotMcp(format!("{method}: {error}")))?;
            let more: Option<Vec<Box<RawValue>>> = page.read(member);
            items.extend(more.ok_or_else(|| Error::NotMcp(format!("its answer to {method} has no list `{member}`")))?);
            cursor = page.remove("nextCursor").filter(|cursor| cursor.get() != "null");
            if cursor.is_none() {
                return Ok(items);
            }
            if items.len() > MAX_ITEMS || bytes > MAX_BYTES {
                break;
            }
        }
        Err(Error::NotMcp(format!("its list of {member} does not end, or is far too large")))
    }

    /// Whether the connection broke.
    pub fn is_closed(&self) -> bool {
        self.wire.broken().is_some()
    }

    /// Why it broke.
    pub fn why_closed(&self) -> Error {
        self.wire.broken().unwrap_or(Error::Closed)
    }

    /// Returns when the connection broke.
    pub async fn ended(&self) {
        self.wire.ended().await;
    }

    /// How long it has been open.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// What the child wrote to standard error lately.
    pub fn stderr(&self) -> Option<String> {
        self.wire.stderr()
    }

    /// Ends it; a child has ended when this returns.
    pub async fn close(&self) {
        self.wire.close().await;
    }
}

/// Whether a result says that it is all there is, or says nothing of it. It is opened only where a look does not tell.
fn is_complete(result: &str) -> bool {
    static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"resultType\""));
    let mut said = KEY.find_iter(result.as_bytes()).map(|at| result.get(at + 12..).unwrap_or_default());
    // A key may hide behind an escape.
    if said.all(|rest| rest.starts_with(":\"complete\"")) && memmem::find(result.as_bytes(), b"\\u").is_none() {
        return true;
    }
    // What says it twice says nothing: others might read the other one.
    RawObject::parse(result).is_ok_and(|result| result.get("resultType").is_none_or(|kind| kind.get() == "\"complete\""))
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn a_result_that_wants_something_is_told_from_one_that_only_quotes_the_word() {
        for complete in [
            r#"{"content":[]}"#,
            r#"{"resultType":"complete","content":[]}"#,
            r#"{"resultType": "complete"}"#,
            r#"{"content":[{"resultType":"input_required"}]}"#,
            r#"{"structuredContent":{"resultType":7},"resultType":"complete"}"#,
        ] {
            assert!(is_complete(complete), "{complete}");
        }
        for wants in [
            r#"{"resultType":"input_required"}"#,
            r#"{"a":{"resultType":"complete"},"resultType" : "task"}"#,
            r#"{"resultType":"complete","resultType":"input_required"}"#,
            r#"{"result\u0054ype":"input_required"}"#,
            r#"{"resultType":"input_required","resultType":"input_required"}"#,
        ] {
            assert!(!is_complete(wants), "{wants}");
        }
    }
}
