//! Streams that tell of changes: `GET` in a session, `subscriptions/listen` without one.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::endpoint::Endpoint;
use super::visit::Visit;
use crate::domain::{Principal, now_ms};
use crate::federation::Sight;
use crate::http::sessions::Session;
use crate::http::sse;
use crate::http::state::State;
use crate::policy::Act;
use crate::protocol::{Id, Outgoing, Params};

/// What a stream wants to hear of.
#[derive(Clone, Copy)]
struct Wanted {
    tools: bool,
    prompts: bool,
    resources: bool,
}

/// The stream of a session.
pub(super) fn session(visit: &Visit, session: &Arc<Session>) -> Response {
    let wanted = Wanted { tools: true, prompts: true, resources: true };
    let watch = Watch::new(visit, wanted, Params::default());
    let (ended, closing) = (session.ended.clone(), visit.state.closing.clone());
    let mut blocked = blocked(visit);
    let events = async_stream::stream! {
        let mut watch = watch;
        // Something must be sent at once, or some clients take the stream for a failed one.
        yield Bytes::from_static(b": listening\n\n");
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                () = closing.cancelled() => return,
                () = &mut blocked => return,
                news = watch.next() => match news {
                    Some(news) => for event in news { yield event; },
                    None => return,
                },
            }
        }
    };
    sse::response(events.boxed())
}

/// The stream of a stateless client: the acknowledgement first, every message with the request's id,
/// and the result when the gateway ends it.
pub(super) fn stateless(visit: &Visit, id: &Id, params: &Params) -> Response {
    let asked: serde_json::Value = params.read_member("notifications").unwrap_or_default();
    let flag = |key: &str| asked.get(key).and_then(serde_json::Value::as_bool) == Some(true);
    let wanted = Wanted { tools: flag("toolsListChanged"), prompts: flag("promptsListChanged"), resources: flag("resourcesListChanged") };
    let mut accepted = serde_json::Map::new();
    for (key, on) in
        [("toolsListChanged", wanted.tools), ("promptsListChanged", wanted.prompts), ("resourcesListChanged", wanted.resources)]
    {
        if on {
            accepted.insert(key.to_owned(), true.into());
        }
    }
    let named = Params::default().with_meta(SUBSCRIPTION, id.as_raw());
    let acknowledged = named.clone().with("notifications", &accepted);
    let first = sse::message(Outgoing::notification("notifications/subscriptions/acknowledged", &acknowledged));
    let ended = json!({ "resultType": "complete", "_meta": { SUBSCRIPTION: id.as_raw() } });
    let last = sse::message(Outgoing::result(id, &ended.to_string()));
    let watch = Watch::new(visit, wanted, named);
    let (closing, mut blocked) = (visit.state.closing.clone(), blocked(visit));
    let events = async_stream::stream! {
        let mut watch = watch;
        yield first;
        loop {
            tokio::select! {
                () = closing.cancelled() => break,
                () = &mut blocked => break,
                news = watch.next() => match news {
                    Some(news) => for event in news { yield event; },
                    None => break,
                },
            }
        }
        yield last;
    };
    sse::response(events.boxed())
}

/// Waits until whoever listens is blocked, or what they listen to, or until their access token ends. Those who administer hear on, or nobody could lift a block.
fn blocked(visit: &Visit) -> BoxFuture<'static, ()> {
    let (blocks, principal, endpoint) = (visit.state.blocks.clone(), visit.principal.clone(), visit.endpoint.clone());
    let waiting = async move {
        let server = match &endpoint {
            Endpoint::Control => return std::future::pending().await,
            Endpoint::One(name) => Some(name.as_str()),
            Endpoint::All | Endpoint::Set(_) => None,
        };
        let ends = async {
            match principal.ends() {
                Some(ends) => tokio::time::sleep(Duration::from_secs(ends.saturating_sub(now_ms().unsigned_abs() / 1_000))).await,
                None => std::future::pending().await,
            }
        };
        let act = Act { server, ..Act::of(&principal) };
        tokio::select! {
            _ = blocks.until(&act) => {}
            () = ends => {}
        }
    };
    Box::pin(waiting)
}

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Changes that come in bursts are told of once.
const BURST: Duration = Duration::from_millis(100);

/// Compares what this caller sees before and after each change, so that nobody hears of what is not theirs.
struct Watch {
    state: State,
    principal: Principal,
    endpoint: Endpoint,
    wanted: Wanted,
    params: Params,
    changes: tokio::sync::watch::Receiver<crate::registry::Changes>,
    seen: Seen,
}

/// What a caller saw the last time.
#[derive(Clone, Copy, Default)]
struct Seen {
    edition: Option<u64>,
    sight: Sight,
    resources: u64,
}

impl Watch {
    fn new(visit: &Visit, wanted: Wanted, params: Params) -> Self {
        let mut changes = visit.state.federation.changes();
        let edition = changes.borrow_and_update().edition;
        let mut watch = Self {
            state: visit.state.clone(),
            principal: visit.principal.clone(),
            endpoint: visit.endpoint.clone(),
            wanted,
            params,
            changes,
            seen: Seen::default(),
        };
        watch.seen = watch.look(edition);
        watch
    }

    fn look(&self, edition: u64) -> Seen {
        let resources = self.endpoint.resource_changes(&self.state, &self.principal);
        if self.seen.edition == Some(edition) {
            return Seen { resources, ..self.seen };
        }
        Seen { edition: Some(edition), resources, sight: self.endpoint.sight(&self.state, &self.principal) }
    }

    /// The notifications of the next change that this caller can see; none when there will be no more.
    async fn next(&mut self) -> Option<Vec<Bytes>> {
        loop {
            self.changes.changed().await.ok()?;
            // A server may tell of a thousand changes in a row; the client hears of them once.
            tokio::time::sleep(BURST).await;
            let edition = self.changes.borrow_and_update().edition;
            let now = self.look(edition);
            let mut news = Vec::new();
            let mut tell = |changed: bool, method: &str| {
                if changed {
                    news.push(sse::message(Outgoing::notification(method, &self.params)));
                }
            };
            let (wanted, then) = (self.wanted, self.seen.sight);
            tell(wanted.tools && now.sight.tools != then.tools, "notifications/tools/list_changed");
            tell(wanted.prompts && now.sight.prompts != then.prompts, "notifications/prompts/list_changed");
            let resources = now.sight.templates != then.templates || now.resources != self.seen.resources;
            tell(wanted.resources && resources, "notifications/resources/list_changed");
            self.seen = now;
            if !news.is_empty() {
                return Some(news);
            }
        }
    }
}
