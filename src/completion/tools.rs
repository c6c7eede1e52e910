//! The tools that are joined into a request: which they are, whom they run for, and how one is run.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::error::Error;
use super::request::{Asked, McpTool};
use crate::domain::{Flavours, Grants, Principal, RawObject, ReleasePin, Selection, clip, raw};
use crate::federation::{At, Caller, Federation, OfferedTool, Scope};
use crate::llm::{Call, Dialect, Function, Listed, Ran, Request, Route};
use crate::protocol::Params;
use crate::schema::{Seen, Views};
use crate::trace::Trace;

/// Most bytes of a tool's result that a model is given.
const MAX_RESULT: usize = 256 << 10;

/// The tools that are joined into a request.
#[derive(Clone, Default)]
pub(super) struct Tools {
    offered: HashMap<String, Offered>,
    /// The tools of the servers that the client named, as it is told of them.
    listed: Vec<Listed>,
    /// The tools that the model is not offered, with why.
    left_out: Vec<(String, String)>,
    /// The id of the request that they run for.
    request: Option<Arc<str>>,
    /// Where in a trace they run.
    trace: Trace,
}

/// One tool, by its function's name.
#[derive(Clone)]
struct Offered {
    /// Whom it runs for.
    principal: Principal,
    server: String,
    own: String,
    /// The release that the model was shown, where that is not the one that is served.
    release: Option<ReleasePin>,
    /// Whether the gateway runs it itself.
    run: bool,
    /// Whether the client is told of its calls.
    shown: bool,
    /// What the model was shown of its schema, where that may be in other words.
    seen: Option<Seen>,
}

/// How models are shown the schemas of tools.
pub(super) struct Lens<'a> {
    pub(super) views: &'a Views,
    /// What those take who may answer.
    pub(super) flavours: Flavours,
}

impl Tools {
    /// Collects the tools and puts them into the request as functions.
    pub(super) fn gather(
        federation: &Federation,
        principal: &Principal,
        route: &Route,
        asked: &Asked,
        lens: &Lens<'_>,
        request: &mut Request,
    ) -> Result<Self, Error> {
        let mut tools = Self { request: asked.request.clone(), trace: asked.trace.clone(), ..Self::default() };
        let mut functions: Vec<OfferedTool> = Vec::new();
        let mut listed = Vec::new();
        for mcp in &asked.mcp {
            let field = if request.dialect() == Dialect::Messages { "mcp_servers" } else { "tools" };
            let named = named(federation, principal, mcp, field)?;
            if mcp.listed {
                listed.push((mcp.server.clone(), named.iter().map(|tool| (tool.public.clone(), item(tool))).collect::<Vec<_>>()));
            }
            for tool in named {
                tools.offer(tool, principal, mcp.run, request.dialect() != Dialect::Chat, &mut functions);
            }
        }
        if !asked.tools.is_empty() {
            may_use(principal)?;
            for wanted in &asked.tools {
                let found = federation.offered(principal, &selection(wanted)?);
                // A server that has no tools yet is no mistake, nor is a toolset without one.
                let name = wanted.split('@').next().unwrap_or(wanted);
                if found.is_empty() && !federation.servers(principal).iter().any(|server| server == name) && !federation.is_toolset(name) {
                    return Err(Error::Tool(clip(wanted, 80), federation.tool_names(principal)));
                }
                for tool in found {
                    tools.offer(tool, principal, true, false, &mut functions);
                }
            }
        }
        if let Some(bound) = &route.tools {
            // The operator bound these to the model, so whoever may call the model may have them run;
            // what narrows the caller's servers and tools still narrows them.
            let grants = Grants { mcp: true, ..principal.grants().clone() };
            let caller = principal.with_grants(grants);
            for tool in federation.offered(&caller, bound) {
                tools.offer(tool, &caller, true, false, &mut functions);
            }
        }
        let functions: Vec<Function> = functions.into_iter().filter_map(|tool| tools.function(tool, lens)).collect();
        for (server, items) in listed {
            let items = items.into_iter().filter(|(name, _)| tools.offered.contains_key(name)).map(|(_, item)| item);
            tools.listed.push(Listed { server, tools: items.collect() });
        }
        if functions.is_empty() {
            return Ok(tools);
        }
        let mut list = request.list("tools")?.unwrap_or_default();
        for theirs in list.iter().filter_map(|tool| function_name(tool)) {
            if tools.offered.contains_key(&theirs) {
                let why = format!("the function `{}` has the name of a tool that the gateway joins in; rename it", clip(&theirs, 80));
                return Err(Error::invalid(why, "tools"));
            }
        }
        list.extend(functions.iter().map(|function| request.dialect().tool(function)));
        request.set("tools", raw(&list));
        Ok(tools)
    }

    fn offer(&mut self, tool: OfferedTool, principal: &Principal, run: bool, shown: bool, functions: &mut Vec<OfferedTool>) {
        let (principal, server, own) = (principal.clone(), tool.server.clone(), tool.own.clone());
        let offered = Offered { principal, server, own, release: tool.release.clone(), run, shown, seen: None };
        if self.offered.insert(tool.public.clone(), offered).is_none() {
            functions.push(tool);
        }
    }

    /// A tool as a function that those who may answer can be told; one that they cannot is left out.
    fn function(&mut self, tool: OfferedTool, lens: &Lens<'_>) -> Option<Function> {
        let offered = self.offered.get_mut(&tool.public)?;
        // Whoever is handed a call of it gets the arguments as the model wrote them.
        let flavours = if offered.run { lens.flavours } else { lens.flavours.loosely() };
        let (mut schema, mut why, mut fresh) = (tool.schema, None, false);
        if !flavours.take_all() {
            let (seen, is_fresh) = lens.views.of(tool.digest, &schema, flavours);
            fresh = is_fresh;
            match &*seen {
                Ok(None) => {}
                Ok(Some(view)) if view.goes_back() && !offered.run => {
                    why = Some(
                        "its arguments have names that the model's provider refuses, and only the gateway could put them right".to_owned(),
                    );
                }
                Ok(Some(view)) => schema = view.schema().to_owned(),
                Err(unfit) => why = Some(unfit.to_string()),
            }
            offered.seen = Some(seen);
        }
        let Some(why) = why else {
            let strict = flavours.strict().then_some(true);
            return Some(Function { name: tool.public, description: tool.description, schema: Some(schema), strict, cache: None });
        };
        if fresh {
            tracing::warn!(gen_ai.tool.name = %tool.public, "models are not offered `{}`: {why}", tool.public);
        } else {
            tracing::debug!(gen_ai.tool.name = %tool.public, "a model is not offered `{}`: {why}", tool.public);
        }
        self.offered.remove(&tool.public);
        self.left_out.push((tool.public, why));
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offered.is_empty()
    }

    /// The tools that the model is not offered, with why.
    pub(super) fn left_out(&self) -> &[(String, String)] {
        &self.left_out
    }

    /// What the client is told of the servers it named.
    pub(super) fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Whether the gateway runs this function.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.offered.get(name).is_some_and(|tool| tool.run)
    }

    /// A call that is about to run.
    pub(super) fn begin(&self, call: &Call) -> Ran {
        let tool = self.offered.get(&call.name);
        let text = |text: fn(&Offered) -> &String| tool.map(|tool| text(tool).clone()).unwrap_or_default();
        let (server, own) = (text(|tool| &tool.server), text(|tool| &tool.own));
        Ran { call: call.clone(), server, tool: own, outcome: Ok(String::new()), shown: tool.is_some_and(|tool| tool.shown) }
    }

    /// Runs a call; the error is what the model is told.
    pub(super) async fn run(&self, federation: &Federation, call: &Call) -> Result<String, String> {
        let Some(tool) = self.offered.get(&call.name) else { return Err("there is no such tool".to_owned()) };
        let written = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.trim() };
        let arguments = crate::domain::raw_string(written.to_owned()).map_err(|error| format!("the arguments are not JSON: {error}"))?;
        let view = tool.seen.as_ref().and_then(|seen| seen.as_ref().as_ref().ok()?.as_ref());
        let arguments = view.and_then(|view| view.restored(&arguments)).unwrap_or(arguments);
        let params = Params::default().with("name", &call.name).with("arguments", &arguments);
        let caller = Caller { request: self.request.clone(), trace: self.trace.clone(), ..Caller::new(&tool.principal, None) };
        tracing::debug!(gen_ai.tool.name = %call.name, caller = %tool.principal.id(), "an agent loop calls `{}`", call.name);
        let scope = match &tool.release {
            None => Scope::All,
            Some(release) => Scope::At(At { server: &tool.server, release, joined: true }),
        };
        let result = federation.request(&caller, scope, "tools/call", params).await.map_err(|error| error.message)?;
        read_result(&result)
    }
}

fn may_use(principal: &Principal) -> Result<(), Error> {
    if principal.grants().mcp { Ok(()) } else { Err(Error::NoMcp) }
}

/// The tools of an MCP tool object.
fn named(federation: &Federation, principal: &Principal, mcp: &McpTool, field: &'static str) -> Result<Vec<OfferedTool>, Error> {
    may_use(principal)?;
    let (server, _) = ReleasePin::split(&mcp.server).map_err(|why| Error::invalid(why, field))?;
    if federation.enter(principal, Scope::One(server)).is_err() {
        return Err(Error::Server(mcp.server.clone(), federation.servers(principal), field));
    }
    let mut offered = federation.offered(principal, &selection(&mcp.server)?);
    offered.retain(|tool| tool.server == server);
    let is = |tool: &OfferedTool, name: &String| *name == tool.own || *name == tool.public;
    let named = mcp.allowed.iter().flatten().chain(&mcp.denied);
    if let Some(unknown) = named.into_iter().find(|name| !offered.is_empty() && !offered.iter().any(|tool| is(tool, name))) {
        return Err(Error::Tool(clip(unknown, 80), offered.into_iter().map(|tool| tool.own).collect()));
    }
    if let Some(allowed) = &mcp.allowed {
        offered.retain(|tool| allowed.iter().any(|name| is(tool, name)));
    }
    offered.retain(|tool| !mcp.denied.iter().any(|name| is(tool, name)));
    Ok(offered)
}

/// Has the releases at hand that a request names; an error says which ones there are.
pub(super) async fn pin(federation: &Federation, principal: &Principal, asked: &Asked) -> Result<(), Error> {
    for wanted in asked.tools.iter().chain(asked.mcp.iter().map(|mcp| &mcp.server)).filter(|wanted| wanted.contains('@')) {
        for (server, release) in selection(wanted)?.pins() {
            federation.pin(principal, server.as_str(), release).await.map_err(|why| Error::invalid(why, "tools"))?;
        }
    }
    Ok(())
}

fn selection(wanted: &str) -> Result<Selection, Error> {
    Selection::new(vec![wanted.to_owned()]).map_err(|why| Error::invalid(why, "tools"))
}

/// A tool as the client is told of it.
fn item(tool: &OfferedTool) -> Box<RawValue> {
    let mut item = RawObject::default();
    item.set("name", raw(&tool.own));
    item.set("description", raw(&tool.description));
    item.set("input_schema", tool.schema.clone());
    item.set("annotations", RawValue::NULL.to_owned());
    item.to_raw()
}

/// The name of a function tool, in any dialect.
fn function_name(tool: &RawValue) -> Option<String> {
    let tool = RawObject::parse(tool.get()).ok()?;
    match tool.get("function") {
        Some(function) => RawObject::parse(function.get()).ok()?.string("name"),
        None => tool.string("name"),
    }
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
