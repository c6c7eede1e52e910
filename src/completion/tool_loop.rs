//! Model, tools, model again: until an answer, a call of the client's own tool, or a bound.
//!
//! A turn in which the model calls only our tools is run here; one in which it also calls the
//! client's is handed back with the client's calls alone. Running ours there would do things whose
//! results the model could never see, for the client does not know of them.

use std::collections::HashMap;
use std::time::Instant;

use futures::StreamExt as _;
use serde_json::json;
use serde_json::value::RawValue;

use super::answer::{Answer, Meta};
use super::error::Error;
use super::report::Report;
use super::request::{Asked, McpTool};
use super::targets::Targets;
use super::turn;
use crate::domain::{Globs, Grants, Principal, RawObject, Usage, clip, raw};
use crate::federation::{Caller, Federation, OfferedTool, Scope};
use crate::llm::{ChatRequest, Endpoint, Reply, Route, ToolCall};
use crate::protocol::Params;

/// Calls that run at the same time, and calls of one turn that are run at all.
const PARALLEL: usize = 16;
const MAX_CALLS: usize = 64;
/// Most bytes of a tool's result that a model is given.
const MAX_RESULT: usize = 256 << 10;

/// The tools that are joined into a request.
#[derive(Clone, Default)]
pub(super) struct Tools {
    /// Whom the tools run for, and whether the gateway runs them itself, by function name.
    offered: HashMap<String, (Principal, bool)>,
}

impl Tools {
    /// Collects the tools and puts them into the request as functions.
    pub(super) fn gather(
        federation: &Federation,
        principal: &Principal,
        route: &Route,
        asked: &Asked,
        request: &mut ChatRequest,
    ) -> Result<Self, Error> {
        let mut tools = Self::default();
        let mut functions: Vec<OfferedTool> = Vec::new();
        let mut offer = |tool: OfferedTool, principal: &Principal, run: bool| {
            if tools.offered.insert(tool.public.clone(), (principal.clone(), run)).is_none() {
                functions.push(tool);
            }
        };
        for mcp in &asked.mcp {
            for tool in named(federation, principal, mcp)? {
                offer(tool, principal, mcp.run);
            }
        }
        if !asked.tools.is_empty() {
            may_use(principal)?;
            for wanted in &asked.tools {
                let found = federation.offered(principal, &globs(wanted)?);
                // A server that has no tools yet is no mistake.
                if found.is_empty() && !federation.servers(principal).contains(wanted) {
                    return Err(Error::Tool(clip(wanted, 80), federation.tool_names(principal)));
                }
                for tool in found {
                    offer(tool, principal, true);
                }
            }
        }
        if let Some(bound) = &route.tools {
            // The operator bound these to the model, so whoever may call the model may have them run;
            // what narrows the caller's servers and tools still narrows them.
            let grants = Grants { mcp: true, ..principal.grants().clone() };
            let caller = principal.with_grants(grants);
            for tool in federation.offered(&caller, bound) {
                offer(tool, &caller, true);
            }
        }
        if functions.is_empty() {
            return Ok(tools);
        }
        let wrong = || Error::invalid("`tools` must be a list of tools", "tools");
        let mut list = request.list("tools").map_err(|()| wrong())?.unwrap_or_default();
        for theirs in list.iter().filter_map(|tool| turn::function_name(tool)) {
            if tools.offered.contains_key(&theirs) {
                let why = format!("the function `{}` has the name of a tool that the gateway joins in; rename it", clip(&theirs, 80));
                return Err(Error::invalid(why, "tools"));
            }
        }
        list.extend(functions.iter().map(function));
        request.set("tools", raw(&list));
        Ok(tools)
    }

    fn is_empty(&self) -> bool {
        self.offered.is_empty()
    }

    /// Whether the gateway runs this function.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.offered.get(name).is_some_and(|(_, run)| *run)
    }
}

fn may_use(principal: &Principal) -> Result<(), Error> {
    if principal.grants().mcp { Ok(()) } else { Err(Error::NoMcp) }
}

/// The tools of an MCP tool object.
fn named(federation: &Federation, principal: &Principal, mcp: &McpTool) -> Result<Vec<OfferedTool>, Error> {
    may_use(principal)?;
    if federation.enter(principal, Scope::One(&mcp.server)).is_err() {
        return Err(Error::Server(mcp.server.clone(), federation.servers(principal)));
    }
    let mut offered = federation.offered(principal, &globs(&mcp.server)?);
    offered.retain(|tool| tool.server == mcp.server);
    let Some(allowed) = &mcp.allowed else { return Ok(offered) };
    let is = |tool: &OfferedTool, name: &String| *name == tool.own || *name == tool.public;
    if let Some(unknown) = allowed.iter().find(|name| !offered.is_empty() && !offered.iter().any(|tool| is(tool, name))) {
        return Err(Error::Tool(clip(unknown, 80), offered.into_iter().map(|tool| tool.own).collect()));
    }
    offered.retain(|tool| allowed.iter().any(|name| is(tool, name)));
    Ok(offered)
}

fn globs(wanted: &str) -> Result<Globs, Error> {
    Globs::new(vec![wanted.to_owned()]).map_err(|why| Error::invalid(why, "tools"))
}

fn function(tool: &OfferedTool) -> Box<RawValue> {
    let mut function = RawObject::default();
    function.set("name", raw(&tool.public));
    if let Some(description) = &tool.description {
        function.set("description", raw(description));
    }
    function.set("parameters", tool.schema.clone());
    raw(&json!({ "type": "function", "function": function }))
}

/// Who answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The gateway.
    Ours,
    /// The client.
    Theirs,
    /// Not clear yet.
    Open,
}

/// One completion with all it needs.
pub(super) struct Loop {
    pub(super) targets: Targets,
    pub(super) federation: Federation,
    pub(super) principal: Principal,
    pub(super) tools: Tools,
    pub(super) report: Report,
    pub(super) deadline: Instant,
}

impl Loop {
    /// Runs to the answer, or to the beginning of its stream.
    pub(super) async fn run(mut self, route: Route, mut request: ChatRequest) -> Result<Answer, Error> {
        let limit = self.targets.limits.completion.0;
        let deadline = tokio::time::Instant::from_std(self.deadline);
        let late = |_| Error::Deadline(limit);
        if !self.tools.is_empty() && request.get("n").is_some_and(|n| !matches!(n.get(), "1" | "null")) {
            return Err(Error::invalid("with tools of the gateway joined in, `n` must be 1", "n"));
        }
        if request.stream() {
            self.prepare(&mut request, self.targets.limits.tool_turns.get() == 1);
            let first = self.targets.first_answer(&route, Endpoint::Chat, &request);
            let (target, reply, provider) = tokio::time::timeout_at(deadline, first).await.map_err(late)??;
            let Reply::Stream(first, rest) = reply else {
                return Err(Error::Provider(crate::llm::Error::Protocol("a stream was asked for and none came")));
            };
            let meta = self.meta(target.to_string(), provider);
            let events = futures::stream::iter([Ok(first)]).chain(rest).boxed();
            return Ok(Answer::Stream(meta, self.stream(route, request, events)));
        }
        let whole =
            async { if self.tools.is_empty() { self.relay(&route, &request).await } else { self.turns(&route, &mut request).await } };
        tokio::time::timeout_at(deadline, whole).await.map_err(late)?
    }

    pub(super) fn meta(&self, model: String, provider: std::time::Duration) -> Meta {
        Meta { model, context: self.report.header(), provider }
    }

    /// One turn whose answer nobody opens.
    async fn relay(&self, route: &Route, request: &ChatRequest) -> Result<Answer, Error> {
        let (target, reply, provider) = self.targets.first_answer(route, Endpoint::Chat, request).await?;
        let Reply::Json(body) = reply else {
            return Err(Error::Provider(crate::llm::Error::Protocol("a stream came although none was asked for")));
        };
        let meta = self.meta(target.to_string(), provider);
        let Some(report) = self.report.body() else { return Ok(Answer::Json(meta, body)) };
        let text = std::str::from_utf8(&body).map_err(|_| not_json())?;
        let mut object = RawObject::parse(text).map_err(|_| not_json())?;
        object.set("portolan", raw(&report));
        Ok(Answer::Json(meta, object.to_raw().get().to_owned().into()))
    }

    async fn turns(&mut self, route: &Route, request: &mut ChatRequest) -> Result<Answer, Error> {
        let most = self.targets.limits.tool_turns.get();
        let mut usage = Usage::default();
        let mut waited = std::time::Duration::ZERO;
        for number in 1..=most {
            self.prepare(request, number == most);
            let (target, reply, provider) = self.targets.first_answer(route, Endpoint::Chat, request).await?;
            waited += provider;
            let Reply::Json(bytes) = reply else {
                return Err(Error::Provider(crate::llm::Error::Protocol("a stream came although none was asked for")));
            };
            let text = std::str::from_utf8(&bytes).map_err(|_| not_json())?;
            let mut body = RawObject::parse(text).map_err(|_| not_json())?;
            let turn = turn::Turn::read(&body);
            usage += turn.as_ref().map(|turn| turn.usage).unwrap_or_default();
            if let Some(turn) = turn.as_ref().filter(|turn| self.all_ours(&turn.calls)) {
                if number < most {
                    let results = self.execute(&turn.calls).await;
                    Self::extend(request, turn.message.clone(), results)?;
                }
                continue;
            }
            if turn.is_some_and(|turn| turn.calls.iter().any(|call| self.tools.runs(&call.name)))
                && let Some(theirs) = turn::without(&body, &|name| self.tools.runs(name))
            {
                body = RawObject::parse(theirs.get()).map_err(|_| not_json())?.into_owned();
            }
            if number > 1 {
                body.set("usage", raw(&usage));
            }
            if let Some(report) = self.report.body() {
                body.set("portolan", raw(&report));
            }
            return Ok(Answer::Json(self.meta(target.to_string(), waited), body.to_raw().get().to_owned().into()));
        }
        Err(Error::Turns(most))
    }

    pub(super) fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Who answers a call of this name, as far as a name that may still grow tells.
    pub(super) fn whose(&self, name: &str, whole: bool) -> Whose {
        let grows = |known: &String| known.len() > name.len() && known.starts_with(name);
        if !whole && self.tools.offered.keys().any(grows) {
            return Whose::Open;
        }
        if self.tools.runs(name) { Whose::Ours } else { Whose::Theirs }
    }

    /// Whether the gateway goes on by itself after these calls.
    pub(super) fn all_ours(&self, calls: &[ToolCall]) -> bool {
        !calls.is_empty() && calls.iter().all(|call| self.tools.runs(&call.name))
    }

    /// The last turn that is allowed must be an answer.
    pub(super) fn prepare(&self, request: &mut ChatRequest, last: bool) {
        if last && !self.tools.is_empty() && request.get("tools").is_some() {
            request.set("tool_choice", raw("none"));
        }
    }

    /// Adds what the model said and what its tools answered. A forced `tool_choice` holds for the first turn only.
    pub(super) fn extend(request: &mut ChatRequest, message: Box<RawValue>, results: Vec<Box<RawValue>>) -> Result<(), Error> {
        let wrong = || Error::invalid("`messages` must be a list of messages", "messages");
        let mut messages = request.list("messages").map_err(|()| wrong())?.ok_or_else(wrong)?;
        messages.push(message);
        messages.extend(results);
        request.set("messages", raw(&messages));
        let forced = |choice: &RawValue| {
            let kind = RawObject::parse(choice.get()).ok().and_then(|choice| choice.string("type"));
            choice.get() == "\"required\"" || kind.as_deref() == Some("function")
        };
        if request.get("tool_choice").is_some_and(forced) {
            request.set("tool_choice", raw("auto"));
        }
        Ok(())
    }

    /// Runs calls side by side; the results are tool messages in the order of the calls.
    pub(super) async fn execute(&mut self, calls: &[ToolCall]) -> Vec<Box<RawValue>> {
        let this = &*self;
        let running = calls.iter().cloned().enumerate().map(|(at, call)| async move {
            let start = Instant::now();
            let outcome =
                if at < MAX_CALLS { this.one(&call).await } else { Err(format!("at most {MAX_CALLS} calls are run in one turn")) };
            (outcome, start.elapsed().as_millis())
        });
        let outcomes: Vec<_> = futures::stream::iter(running).buffered(PARALLEL).collect().await;
        let mut messages = Vec::with_capacity(calls.len());
        for (call, (outcome, ms)) in calls.iter().zip(outcomes) {
            self.report.ran(&call.name, ms, outcome.is_ok());
            let text = outcome.unwrap_or_else(|why| format!("Error: {why}"));
            messages.push(raw(&json!({ "role": "tool", "tool_call_id": call.id, "content": text })));
        }
        messages
    }

    async fn one(&self, call: &ToolCall) -> Result<String, String> {
        let Some((principal, _)) = self.tools.offered.get(&call.name) else { return Err("there is no such tool".to_owned()) };
        let written = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.trim() };
        let arguments = crate::domain::raw_string(written.to_owned()).map_err(|error| format!("the arguments are not JSON: {error}"))?;
        let params = Params::default().with("name", &call.name).with("arguments", &arguments);
        let caller = Caller::new(principal, None);
        tracing::debug!(gen_ai.tool.name = %call.name, caller = %self.principal.id(), "an agent loop calls `{}`", call.name);
        let result = self.federation.request(&caller, Scope::All, "tools/call", params).await.map_err(|error| error.message)?;
        read_result(&result)
    }
}

fn not_json() -> Error {
    Error::Provider(crate::llm::Error::Protocol("the answer is not JSON"))
}

/// A tool's result as the text a model is given.
fn read_result(result: &RawValue) -> Result<String, String> {
    let result: serde_json::Value = serde_json::from_str(result.get()).map_err(|_| "the result cannot be read".to_owned())?;
    let parts = result.get("content").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let part = |part: &serde_json::Value| match part.get("type").and_then(serde_json::Value::as_str) {
        Some("text") => part.get("text").and_then(serde_json::Value::as_str).map(str::to_owned),
        Some("resource") => part.pointer("/resource/text").and_then(serde_json::Value::as_str).map(str::to_owned),
        Some("resource_link") => part.get("uri").map(|uri| format!("[resource {uri}]")),
        Some(kind @ ("image" | "audio")) => {
            let mime = part.get("mimeType").and_then(serde_json::Value::as_str).unwrap_or("?");
            Some(format!("[{kind} {mime}, not shown]"))
        }
        _ => Some(part.to_string()),
    };
    let mut text = parts.iter().filter_map(part).collect::<Vec<_>>().join("\n");
    if text.is_empty()
        && let Some(structured) = result.get("structuredContent")
    {
        text = structured.to_string();
    }
    let text = clip(&text, MAX_RESULT);
    if result.get("isError").and_then(serde_json::Value::as_bool) == Some(true) { Err(text) } else { Ok(text) }
}
