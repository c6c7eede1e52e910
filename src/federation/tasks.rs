//! Tasks: calls that go on after their request was answered (extension `io.modelcontextprotocol/tasks`).
//!
//! A server that is asked with the gateway's credential cannot tell its callers apart, so a task's id is sealed together with whose it
//! is and where. Nothing is kept here: a restart loses no task.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::ask::Ask;
use super::caller::Caller;
use super::scope::Scope;
use super::tools::rewrite_content;
use super::upstreams::{Errand, Road};
use crate::domain::{Principal, RawObject, raw};
use crate::policy::Act;
use crate::protocol::{ClientCapabilities, Params, RpcError, TASKS};
use crate::registry::Entry;
use crate::upstream::{Call, Heard, Identity, Listener, Logs};

/// The kind of handle that a task's id is.
const HANDLE: &str = "task";
/// Notifications that may wait for a client that reads slowly.
const QUEUE: usize = 64;

/// What a task's id says.
#[derive(Serialize, Deserialize)]
struct Task {
    server: String,
    principal: String,
    /// The tool that began it, by its public name.
    tool: Option<String>,
    /// Its id at the server.
    id: String,
}

impl Road {
    /// Puts our own id in place of a task's, in the result that begins it.
    pub(super) fn begun(
        &self,
        entry: &Entry,
        caller: &Caller<'_>,
        tool: Option<&str>,
        result: &RawValue,
    ) -> Result<Box<RawValue>, RpcError> {
        let mut object = RawObject::parse(result.get()).map_err(|_| RpcError::unreadable())?;
        let id = object.string("taskId").ok_or_else(RpcError::unreadable)?;
        let (server, principal, tool) = (entry.spec.name.to_string(), caller.principal.id().to_owned(), tool.map(str::to_owned));
        let task = Task { server, principal, tool, id };
        let handle = self.handles.give(HANDLE, &task).ok_or_else(|| RpcError::new(RpcError::INTERNAL, "a task's id cannot be sealed"))?;
        object.set("taskId", raw(&handle));
        Ok(object.to_raw())
    }

    /// A task of that id, if it is this principal's.
    fn task(&self, principal: &Principal, scope: Scope<'_>, handle: &str) -> Option<Task> {
        let task: Task = self.handles.take(HANDLE, handle)?;
        let here = match scope {
            Scope::One(server) => server == task.server,
            Scope::All | Scope::Set(_) => true,
        };
        let grants = principal.grants();
        let may = task.tool.as_ref().map_or_else(|| grants.server(&task.server), |tool| grants.tool(&task.server, tool));
        (here && task.principal == principal.id() && may).then_some(task)
    }

    /// `tasks/get`, `tasks/update` and `tasks/cancel`.
    pub(super) async fn of_task(&self, ask: Ask<'_>, method: &str, mut params: Params) -> Result<Box<RawValue>, RpcError> {
        let Ask { view, caller, scope } = ask;
        if !caller.capabilities.as_ref().is_some_and(|able| able.knows(TASKS)) {
            let needed = json!({ "requiredCapabilities": { "extensions": { TASKS: {} } } });
            let message = "the client did not declare the extension for tasks";
            return Err(RpcError::new(RpcError::MISSING_CAPABILITY, message).with_data(&needed));
        }
        let unknown = || RpcError::params("`params.taskId` is no task of yours");
        let handle = params.string("taskId").ok_or_else(unknown)?;
        let task = self.task(caller.principal, scope, &handle).ok_or_else(unknown)?;
        let entry = view.catalog().usable(&task.server).filter(|entry| entry.release.is_some()).ok_or_else(unknown)?;
        params.set("taskId", raw(&task.id));
        let errand = Errand { tool: task.tool.as_deref(), ..Errand::new(method, &params, scope) };
        let result = self.send(entry, caller, errand).await?;
        let mut object = RawObject::parse(result.get()).map_err(|_| RpcError::unreadable())?;
        let named = object.has("taskId");
        if named {
            object.set("taskId", raw(&handle));
        }
        let inner = object.get("result").filter(|_| scope.is_joined()).map(ToOwned::to_owned);
        let rewritten = inner.is_some();
        if let Some(inner) = inner {
            object.set("result", rewrite_content(&task.server, inner)?);
        }
        Ok(if named || rewritten { object.to_raw() } else { result.clone() })
    }

    /// Hears of tasks for as long as what comes back is held; `told` gets each notification. With it come the ids that are followed.
    pub(super) fn follow_tasks(
        &self,
        principal: &Principal,
        scope: Scope<'_>,
        capabilities: &std::sync::Arc<ClientCapabilities>,
        handles: &[&str],
        told: impl Fn(Params) + Send + Sync + Clone + 'static,
    ) -> (Vec<String>, Vec<AbortOnDropHandle<()>>) {
        if !capabilities.knows(TASKS) {
            return (Vec::new(), Vec::new());
        }
        let mine = handles.iter().filter_map(|handle| Some(((*handle).to_owned(), self.task(principal, scope, handle)?)));
        let (mut followed, mut servers) = (Vec::new(), std::collections::BTreeMap::<String, Vec<(String, String)>>::new());
        for (handle, task) in mine {
            followed.push(handle.clone());
            servers.entry(task.server).or_default().push((task.id, handle));
        }
        let follow = |(server, tasks)| {
            let hearing = hear(self.clone(), principal.clone(), capabilities.clone(), server, tasks, told.clone());
            AbortOnDropHandle::new(tokio::spawn(hearing))
        };
        (followed, servers.into_iter().map(follow).collect())
    }
}

/// Hears of one server's tasks, each with its id there and here.
async fn hear(
    road: Road,
    principal: Principal,
    capabilities: std::sync::Arc<ClientCapabilities>,
    server: String,
    tasks: Vec<(String, String)>,
    told: impl Fn(Params),
) {
    let catalog = road.registry.catalog();
    let Some(entry) = catalog.usable(&server) else { return };
    let identity = Identity { principal: principal.id(), session: None };
    let Ok(connection) = road.upstreams.connection(&entry.spec, identity, entry.era).await else { return };
    let ids: Vec<&str> = tasks.iter().map(|(id, _)| id.as_str()).collect();
    let params = Params::default().with("notifications", &json!({ "taskIds": ids }));
    let (out, mut heard) = mpsc::channel(QUEUE);
    let listener = Listener::new(principal.id(), false, Logs::None, capabilities.clone(), out);
    let forever = std::time::Duration::from_secs(24 * 3600);
    let call = Call {
        listener: Some(listener),
        capabilities: Some(capabilities),
        whole: true,
        ..Call::new("subscriptions/listen", &params, forever)
    };
    let act = Act { server: Some(&server), ..Act::of(&principal) };
    let (mut call, blocked) = (std::pin::pin!(connection.call(call)), road.blocks.until(&act));
    let mut blocked = std::pin::pin!(blocked);
    loop {
        tokio::select! {
            Some(heard) = heard.recv() => {
                let Heard::Note(mut note) = heard else { continue };
                let ours = note.params.string("taskId").and_then(|id| tasks.iter().find(|(own, _)| *own == id));
                if let (Some((_, handle)), "notifications/tasks") = (ours, note.method.as_str()) {
                    note.params.set("taskId", raw(handle));
                    told(note.params);
                }
            }
            _ = &mut call => return,
            _ = &mut blocked => return,
        }
    }
}
