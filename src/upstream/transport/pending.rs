//! Requests that wait for their answer, and what arrives meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::protocol::{Id, Incoming, Outgoing, Params, RpcError};
use crate::upstream::{Change, Error, Listener, Note};

/// What a reader must do with a message.
pub(super) enum Arrival {
    /// It was an answer or a notification, and is dealt with.
    Done,
    /// The server's lists changed.
    Changed(Change),
    /// The server asked something; this is the answer to send back.
    Reply(String),
}

type Answer = Result<Box<RawValue>, Error>;

/// The waiting requests of one connection, by our own ids.
#[derive(Default)]
pub(super) struct Pending(Mutex<Waiting>);

/// Where each answer goes, and who hears of progress meanwhile.
type Waiting = HashMap<u64, (oneshot::Sender<Answer>, Option<Listener>)>;

impl Pending {
    /// Waits for the answer to `id`.
    pub(super) fn add(&self, id: u64, listener: Option<Listener>) -> oneshot::Receiver<Answer> {
        let (out, answer) = oneshot::channel();
        self.lock().insert(id, (out, listener));
        answer
    }

    /// Stops waiting; true when the answer had not come.
    pub(super) fn forget(&self, id: u64) -> bool {
        self.lock().remove(&id).is_some()
    }

    /// Fails one request.
    pub(super) fn fail(&self, id: u64, error: Error) {
        if let Some((out, _)) = self.lock().remove(&id) {
            let _ = out.send(Err(error));
        }
    }

    /// Fails all that wait.
    pub(super) fn fail_all(&self, error: impl Fn() -> Error) {
        for (_, (out, _)) in self.lock().drain() {
            let _ = out.send(Err(error()));
        }
    }

    /// Takes a message from the server to whom it concerns.
    pub(super) fn arrive(&self, message: Incoming) -> Arrival {
        match message {
            Incoming::Response { id, outcome } => {
                let id = id.and_then(|id| id.as_raw().get().parse::<u64>().ok());
                if let Some((out, _)) = id.and_then(|id| self.lock().remove(&id)) {
                    let _ = out.send(outcome.map_err(Error::Rpc));
                }
                Arrival::Done
            }
            Incoming::Notification { method, params } => self.note(method, params),
            Incoming::Request { id, method, .. } => Arrival::Reply(reply(&id, &method)),
        }
    }

    fn note(&self, method: String, mut params: Params) -> Arrival {
        match method.as_str() {
            "notifications/tools/list_changed" | "notifications/prompts/list_changed" => Arrival::Changed(Change::Definitions),
            "notifications/resources/list_changed" => Arrival::Changed(Change::Resources),
            "notifications/progress" => {
                let token: Option<u64> = params.read_member("progressToken");
                let listener = token.and_then(|token| self.lock().get(&token)?.1.clone());
                if let Some(listener) = listener {
                    params.set("progressToken", listener.token);
                    let _ = listener.out.try_send(Note { method, params });
                }
                Arrival::Done
            }
            _ => Arrival::Done,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a server that asks us something hears. We declared no capabilities, so only `ping` is answered.
fn reply(id: &Id, method: &str) -> String {
    if method == "ping" { Outgoing::result(id, "{}") } else { Outgoing::error(Some(id), &RpcError::method(method)) }
}

/// The params of a `subscriptions/listen` that wants to hear of every change of a list.
pub(in crate::upstream) fn every_change() -> Params {
    Params::default().with("notifications", &json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true }))
}

/// The params of the notification that nobody waits for a request any more.
pub(super) fn cancelled(id: u64) -> Params {
    Params::default().with("requestId", &id).with("reason", "the caller left or the time was up")
}
