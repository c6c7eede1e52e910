//! Streams that tell of changes: `GET` in a session, `subscriptions/listen` without one.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::visit::Visit;
use crate::domain::{Principal, now_ms};
use crate::http::sessions::{Seen, Session};
use crate::http::sse;
use crate::http::state::State;
use crate::policy::Act;
use crate::protocol::{ClientCapabilities, Id, Outgoing, Params, SUBSCRIPTION};

/// What a stream wants to hear of.
#[derive(Clone, Copy)]
struct Wanted {
    tools: bool,
    prompts: bool,
    resources: bool,
}

/// The stream of a session.
pub(super) fn session(visit: &Visit, session: &Arc<Session>) -> Response {
    let mut changes = changes(visit, session);
    let (ended, closing, mut turn) = (session.ended.clone(), visit.state.closing.clone(), session.changes.turn());
    let events = async_stream::stream! {
        // Something must be sent at once, or some clients take the stream for a failed one.
        yield Bytes::from_static(b": listening\n\n");
        loop {
            let here = turn.is_here();
            tokio::select! {
                biased;
                () = ended.cancelled() => return,
                () = closing.cancelled() => return,
                () = turn.changed() => {}
                change = changes.next(), if here => match change {
                    Some(change) => yield change,
                    None => return,
                },
            }
        }
    };
    sse::response(events.boxed())
}

/// What a session hears of changes, from where it heard the last of them.
pub(super) fn changes(visit: &Visit, session: &Arc<Session>) -> BoxStream<'static, Bytes> {
    let wanted = Wanted { tools: true, prompts: true, resources: true };
    let mut watch = Watch::new(visit, Some(&session.id), wanted, Params::default());
    let (changes, mut blocked) = (session.changes.clone(), blocked(visit));
    let mut updates = changes.news();
    Box::pin(async_stream::stream! {
        if let Some(since) = changes.seen() {
            for event in watch.since(since) { yield event; }
        }
        loop {
            // Only now: what is broken off while it is told is told again.
            changes.saw(watch.seen);
            tokio::select! {
                () = &mut blocked => return,
                Ok(()) = updates.changed() => {
                    // What changes meanwhile comes with the next round, so that others have their turn.
                    let mut untold = changes.untold();
                    while let Some(uri) = untold.next() {
                        yield updated(Params::default(), uri);
                        untold.told();
                    }
                }
                news = watch.next() => match news {
                    Some(news) => for event in news { yield event; },
                    None => return,
                },
            }
        }
    })
}

fn updated(params: Params, uri: &str) -> Bytes {
    sse::message(Outgoing::notification("notifications/resources/updated", &params.with("uri", uri)))
}

/// Most resources that one stream follows.
const FOLLOWED: usize = 500;
/// What may wait of that for a client that reads slowly.
const HEARD: usize = 256;

/// The stream of a stateless client: the acknowledgement first, every message with the request's id,
/// and the result when the gateway ends it.
pub(super) async fn stateless(visit: &Visit, id: &Id, params: &Params) -> Response {
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
    let texts = |key: &str| -> Vec<&str> {
        let listed = asked.get(key).and_then(serde_json::Value::as_array);
        listed.into_iter().flatten().filter_map(serde_json::Value::as_str).take(FOLLOWED).collect()
    };
    let (uris, ids) = (texts("resourceSubscriptions"), texts("taskIds"));
    let named = Params::default().with_meta(SUBSCRIPTION, id.as_raw());
    // Most follow nothing, and keep no room for what comes of it.
    let (out, mut heard) = (!uris.is_empty() || !ids.is_empty()).then(|| mpsc::channel::<Bytes>(HEARD)).unzip();
    let (mut followed, mut followed_tasks) = (Vec::new(), Vec::new());
    if let (Some(scope), Some(out)) = (visit.endpoint.servers(), &out) {
        let follow = async |uri: &str| {
            let (out, named) = (out.clone(), named.clone());
            // What does not fit is told again with the next change.
            let told = move |uri: String| drop(out.try_send(updated(named.clone(), &uri)));
            let followed = visit.state.federation.follow(&visit.principal, None, scope, uri, told).await.ok()?;
            Some((uri.to_owned(), followed))
        };
        let all: Vec<_> = futures::future::join_all(uris.into_iter().map(follow)).await.into_iter().flatten().collect();
        if !all.is_empty() {
            accepted.insert("resourceSubscriptions".to_owned(), all.iter().map(|(uri, _)| uri.as_str()).collect());
        }
        followed.extend(all);
        let (out, subscription) = (out.clone(), id.as_raw().to_owned());
        // What does not fit is told again with the task's next change, or with its state, which can be asked for.
        let told = move |params: Params| {
            let params = params.with_meta(SUBSCRIPTION, &subscription);
            drop(out.try_send(sse::message(Outgoing::notification("notifications/tasks", &params))));
        };
        let able = Arc::new(ClientCapabilities::of(params));
        let (accepted_ids, tasks) = visit.state.federation.follow_tasks(&visit.principal, scope, &able, &ids, told);
        followed_tasks = tasks;
        if !accepted_ids.is_empty() {
            accepted.insert("taskIds".to_owned(), accepted_ids.into());
        }
    }
    let acknowledged = named.clone().with("notifications", &accepted);
    let first = sse::message(Outgoing::notification("notifications/subscriptions/acknowledged", &acknowledged));
    let ended = json!({ "resultType": "complete", "_meta": { SUBSCRIPTION: id.as_raw() } });
    let last = sse::message(Outgoing::result(id, &ended.to_string()));
    let watch = Watch::new(visit, None, wanted, named);
    let (closing, mut blocked) = (visit.state.closing.clone(), blocked(visit));
    let events = async_stream::stream! {
        let (mut watch, _followed, _out) = (watch, (followed, followed_tasks), out);
        yield first;
        loop {
            tokio::select! {
                () = closing.cancelled() => break,
                () = &mut blocked => break,
                Some(event) = next_of(&mut heard) => yield event,
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

/// The next event of what is followed; never where nothing is.
async fn next_of(heard: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match heard {
        Some(heard) => heard.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits until whoever listens is blocked, or what they listen to, or until their access token ends. Those who administer hear on, or nobody could lift a block.
fn blocked(visit: &Visit) -> BoxFuture<'static, ()> {
    let (blocks, principal, endpoint) = (visit.state.blocks.clone(), visit.principal.clone(), visit.endpoint.clone());
    let waiting = async move {
        if let Endpoint::Control = &endpoint {
            return std::future::pending().await;
        }
        let ends = async {
            match principal.ends() {
                Some(ends) => tokio::time::sleep(Duration::from_secs(ends.saturating_sub(now_ms().unsigned_abs() / 1_000))).await,
                None => std::future::pending().await,
            }
        };
        let act = Act { server: endpoint.server(), ..Act::of(&principal) };
        tokio::select! {
            _ = blocks.until(&act) => {}
            () = ends => {}
        }
    };
    Box::pin(waiting)
}

/// Changes that come in bursts are told of once.
const BURST: Duration = Duration::from_millis(100);

/// Compares what this caller sees before and after each change, so that nobody hears of what is not theirs.
struct Watch {
    state: State,
    principal: Principal,
    session: Option<Box<str>>,
    endpoint: Endpoint,
    wanted: Wanted,
    params: Params,
    changes: tokio::sync::watch::Receiver<crate::registry::Changes>,
    seen: Seen,
    /// When a burst of changes is over that has begun.
    burst: Option<Instant>,
}

impl Watch {
    fn new(visit: &Visit, session: Option<&str>, wanted: Wanted, params: Params) -> Self {
        let mut changes = visit.state.federation.changes();
        let edition = changes.borrow_and_update().edition;
        let mut watch = Self {
            state: visit.state.clone(),
            principal: visit.principal.clone(),
            session: session.map(Into::into),
            endpoint: visit.endpoint.clone(),
            wanted,
            params,
            changes,
            seen: Seen::default(),
            burst: None,
        };
        watch.seen = watch.look(edition);
        watch
    }

    fn look(&self, edition: u64) -> Seen {
        let resources = self.endpoint.resource_changes(&self.state, &self.principal);
        if self.seen.edition == Some(edition) {
            return Seen { resources, ..self.seen };
        }
        Seen { edition: Some(edition), resources, sight: self.endpoint.sight(&self.state, &self.principal, self.session.as_deref()) }
    }

    /// The notifications of the next change that this caller can see; none when there will be no more.
    async fn next(&mut self) -> Option<Vec<Bytes>> {
        loop {
            // Kept here: who waits for this may be called away in between.
            let over = match self.burst {
                Some(over) => over,
                None => {
                    self.changes.changed().await.ok()?;
                    *self.burst.insert(Instant::now() + BURST)
                }
            };
            // A server may tell of a thousand changes in a row; the client hears of them once.
            tokio::time::sleep_until(over).await;
            self.burst = None;
            let edition = self.changes.borrow_and_update().edition;
            let news = self.news(self.look(edition));
            if !news.is_empty() {
                return Some(news);
            }
        }
    }

    /// The notifications of what changed since then.
    fn since(&mut self, seen: Seen) -> Vec<Bytes> {
        let now = std::mem::replace(&mut self.seen, seen);
        self.news(now)
    }

    fn news(&mut self, now: Seen) -> Vec<Bytes> {
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
        news
    }
}
