//! Tasks: calls that go on after their request was answered (extension `io.modelcontextprotocol/tasks`).
//!
//! A server that is asked with the gateway's credential cannot tell its callers apart, so a task's id is sealed together with whose it
//! is and where. Nothing is kept here: a restart loses no task.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::ask::Ask;
use super::caller::Caller;
use super::compat;
use super::scope::{At, Scope};
use super::tools::rewrite_content;
use super::upstreams::{Errand, Road};
use super::view::View;
use crate::domain::{Principal, RawObject, raw};
use crate::policy::Act;
use crate::protocol::{ClientCapabilities, Params, RpcError, TASKS, asked_by};
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

    /// A task of that id, if it is this principal's, and of something that the endpoint has.
    fn task(&self, view: &View, principal: &Principal, scope: Scope<'_>, handle: &str) -> Option<Task> {
        let task: Task = self.handles.take(HANDLE, handle)?;
        let here = match (scope, &task.tool) {
            (Scope::One(server) | Scope::At(At { server, .. }), _) => server == task.server,
            (Scope::All, _) => true,
            (Scope::Set(name), Some(tool)) => view.set(name)?.toolset().takes_tool(&task.server, tool),
            (Scope::Set(name), None) => view.set(name)?.toolset().takes_server(&task.server),
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
        let task = self.task(view, caller.principal, scope, &handle).ok_or_else(unknown)?;
        let entry = view.catalog().usable(&task.server).filter(|entry| entry.release.is_some()).ok_or_else(unknown)?;
        params.set("taskId", raw(&task.id));
        let errand = Errand { tool: task.tool.as_deref(), ..Errand::new(method, &params, scope) };
        let result = self.send(entry, caller, errand).await?;
        Told::at(view, scope).state(&task.server, &handle, &result)
    }

    /// Hears of tasks for as long as what comes back is held; `told` gets each notification. With it come the ids that are followed.
    pub(super) fn follow_tasks(
        &self,
        view: &View,
        (principal, scope): (&Principal, Scope<'_>),
        capabilities: &Arc<ClientCapabilities>,
        handles: &[&str],
        told: impl Fn(Params) + Send + Sync + Clone + 'static,
    ) -> (Vec<String>, Vec<AbortOnDropHandle<()>>) {
        if !capabilities.knows(TASKS) {
            return (Vec::new(), Vec::new());
        }
        let mine = handles.iter().filter_map(|handle| Some(((*handle).to_owned(), self.task(view, principal, scope, handle)?)));
        let (mut followed, mut of_servers) = (Vec::new(), BTreeMap::<String, Vec<FollowedTask>>::new());
        for (handle, Task { server, tool, id, .. }) in mine {
            followed.push(handle.clone());
            of_servers.entry(server).or_default().push(FollowedTask { id, handle, tool });
        }
        let follow = |(server, tasks)| {
            let group = Group { server, tasks, as_told: Told::at(view, scope) };
            let hearing = hear(self.clone(), principal.clone(), capabilities.clone(), group, told.clone());
            AbortOnDropHandle::new(tokio::spawn(hearing))
        };
        (followed, of_servers.into_iter().map(follow).collect())
    }
}

/// How an endpoint tells of a task.
#[derive(Clone, Copy)]
struct Told {
    /// Whether several servers are joined there.
    joined: bool,
    /// Whether results are shown in the plainer form.
    compat: bool,
}

impl Told {
    fn at(view: &View, scope: Scope<'_>) -> Self {
        Self { joined: scope.is_joined(), compat: view.is_compat(scope) }
    }

    /// What is said of a task, with our own id, and what it holds as it would be told without a task.
    fn state(self, server: &str, handle: &str, state: &RawValue) -> Result<Box<RawValue>, RpcError> {
        let mut object = RawObject::parse(state.get()).map_err(|_| RpcError::unreadable())?;
        if object.has("taskId") {
            object.set("taskId", raw(handle));
        }
        if let Some(named) = object.get("inputRequests").filter(|_| self.joined).and_then(|asked| asked_by(asked, server)) {
            object.set("inputRequests", named);
        }
        if let Some(mut result) = object.get("result").filter(|_| self.joined || self.compat).map(ToOwned::to_owned) {
            if self.joined {
                result = rewrite_content(server, result)?;
            }
            if self.compat {
                result = compat::result(result)?;
            }
            object.set("result", result);
        }
        Ok(object.to_raw())
    }
}

/// A task that is followed: its id there and here, and the tool that began it.
struct FollowedTask {
    id: String,
    handle: String,
    tool: Option<String>,
}

/// The tasks of one server.
struct Group {
    server: String,
    tasks: Vec<FollowedTask>,
    as_told: Told,
}

/// Hears of tasks until they can be heard of no more.
async fn hear(road: Road, principal: Principal, capabilities: Arc<ClientCapabilities>, group: Group, told: impl Fn(Params)) {
    let Group { server, tasks, as_told } = group;
    let catalog = road.registry.catalog();
    let Some(entry) = catalog.usable(&server).filter(|entry| entry.release.is_some()) else { return };
    let identity = Identity { principal: principal.id(), session: None };
    let Ok(connection) = road.upstreams.connection(&entry.runs, identity, entry.era).await else { return };
    let ids: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
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
                let Heard::Note(note) = heard else { continue };
                let ours = note.params.string("taskId").and_then(|id| tasks.iter().find(|task| task.id == id));
                let ours = ours.filter(|task| task.tool.as_deref().is_none_or(|tool| road.blocks.list().of_tool(tool).is_none()));
                if let (Some(task), "notifications/tasks") = (ours, note.method.as_str())
                    && let Ok(state) = as_told.state(&server, &task.handle, &raw(&note.params))
                    && let Ok(params) = Params::read(&state)
                {
                    told(params);
                }
            }
            _ = &mut call => return,
            _ = &mut blocked => return,
        }
    }
}
