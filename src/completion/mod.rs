//! One completion, from request to answer: route, context, tools, turns.
//!
//! A request that needs neither context nor tools, for a provider of its own dialect, is relayed: its
//! body goes out as it came but for the model's name, its answer comes back as it is.

mod answer;
mod count;
mod enrich;
mod error;
mod field;
mod kept;
mod marks;
mod memo;
mod memory;
mod report;
mod request;
mod sampling;
mod stream;
mod targets;
mod tool_loop;
mod tools;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

pub use answer::{Answer, Meta};
pub use error::Error;
pub use request::{Asked, split_names, split_tags};
pub use sampling::{Complete, Sampler};

use crate::config::Limits;
use crate::context::{Context, Outcome};
use crate::domain::{Flavours, Principal, clip};
use crate::federation::{Federation, public_name};
use crate::llm::{Dialect, Endpoint, Facts, Request, Route, Router, Target};
use crate::policy::{Act, Blocks};
use crate::schema::Views;
use crate::trace::Trace;
use enrich::{Joined, Wish};
use kept::Keeping;
pub use memory::Memory;
use report::Report;
use targets::Targets;
use tool_loop::{After, Loop};
use tools::{Lens, Tools};
use turn::Turn;

/// Completions. Cheap to clone.
#[derive(Clone)]
pub struct Completions(Arc<Inner>);

struct Inner {
    router: Router,
    limits: Limits,
    blocks: Blocks,
    federation: Federation,
    context: Context,
    memory: Memory,
    /// The schemas of tools as models were shown them.
    views: Views,
}

impl Completions {
    /// Joins models, tools and context.
    pub fn new(router: Router, federation: Federation, context: Context, limits: Limits, memory: Memory, blocks: Blocks) -> Self {
        Self(Arc::new(Inner { router, limits, blocks, federation, context, memory, views: Views::default() }))
    }

    /// The models.
    pub fn router(&self) -> &Router {
        &self.0.router
    }

    /// Forgets all that was fetched and put in, as what is blocked now may be part of it.
    pub fn purge(&self) {
        self.0.context.forget();
        self.0.memory.memo.forget();
    }

    /// Who answers a caller, and how far a completion of theirs may go.
    fn targets(&self, principal: &Principal, trace: Trace) -> Targets {
        let Inner { router, limits, blocks, .. } = &*self.0;
        Targets { router: router.clone(), limits: limits.clone(), blocks: blocks.clone(), principal: principal.clone(), trace }
    }

    /// The context sources.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// A completion, in the dialect of its request.
    pub async fn complete(&self, principal: &Principal, mut request: Request, mut asked: Asked) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.0.limits.completion.0;
        let writer = request.writer();
        asked.take_from(&mut request)?;
        let mut route = self.resolve(principal, &request, endpoint_of(request.dialect()), &asked.tags).await?;
        // What most requests do not need lies in boxes, or each would carry the room for it from step to step.
        let keeping = match request.dialect() {
            Dialect::Responses => Box::pin(self.resume(principal, &mut route, &mut request)).await?,
            Dialect::Chat | Dialect::Messages => None,
        };
        request.unfold(&public_name)?;
        let named = !route.context.is_empty() || !asked.context.is_empty();
        let with_tools = asked.joins() || route.tools.is_some();
        // A history is looked through only where something could have been put into it.
        let mut joint = Joint::default();
        if named || with_tools || request.asks_for_thought() {
            joint = Box::pin(self.join(principal, &route, &asked, &mut request, named)).await?;
        }
        let report = Report::new(asked.report, joint.context, joint.turn.as_ref().map(|turn| turn.state)).without(joint.tools.left_out());
        let (targets, federation) = (self.targets(principal, asked.trace), self.0.federation.clone());
        let after = After { turn: joint.turn, keeping, memory: self.0.memory.clone() };
        Box::new(Loop { targets, federation, tools: Arc::new(joint.tools), report, deadline, writer, after }).run(route, request).await
    }

    /// A completion into which nothing is joined, whatever its model's route would join.
    pub async fn plain(&self, principal: &Principal, request: Request) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.0.limits.completion.0;
        let writer = request.writer();
        let route = self.resolve(principal, &request, endpoint_of(request.dialect()), &BTreeMap::new()).await?;
        let report = Report::new(false, Vec::new(), None);
        let (targets, federation) = (self.targets(principal, Trace::default()), self.0.federation.clone());
        let after = After { turn: None, keeping: None, memory: self.0.memory.clone() };
        Box::new(Loop { targets, federation, tools: Arc::default(), report, deadline, writer, after }).run(route, request).await
    }

    /// Joins tools, context, and what is remembered of the conversation into a request.
    async fn join(&self, principal: &Principal, route: &Route, asked: &Asked, request: &mut Request, named: bool) -> Result<Joint, Error> {
        let mut turn = self.0.memory.memo.open(principal, request, &asked.tags)?;
        tools::pin(&self.0.federation, principal, asked).await?;
        let tools = Tools::gather(&self.0.federation, principal, route, asked, &self.lens(route), request)?;
        if !tools.is_empty() {
            request.open_answer();
        }
        let mut joined = Joined::default();
        if named {
            let wish = Wish { principal, bound: &route.context, asked: &asked.context, tags: &asked.tags, trace: &asked.trace };
            joined = enrich::enrich(&self.0.context, &wish, request, &mut turn).await?;
        }
        turn.put_back(request)?;
        if let Some(text) = &joined.instructions {
            request.instruct(text)?;
        }
        if !tools.is_empty() {
            turn.begin(request)?;
        }
        Ok(Joint { turn: Some(turn), tools, context: joined.outcomes })
    }

    /// How those who may answer are shown tools: any of them may be asked with the same request.
    fn lens(&self, route: &Route) -> Lens<'_> {
        let flavours: Flavours = route.targets.iter().map(|target| self.0.router.providers().flavour(target)).collect();
        Lens { views: &self.0.views, flavours: if route.strict_tools { flavours.strictly() } else { flavours } }
    }

    /// Puts the response that a request goes on from in front of it; one that a provider keeps is known there alone.
    async fn resume(&self, principal: &Principal, route: &mut Route, request: &mut Request) -> Result<Option<Keeping>, Error> {
        let (elsewhere, keeping) = self.0.memory.responses.resume(principal, request).await?;
        if let Some(elsewhere) = elsewhere {
            let native = |target: &Target| self.0.router.providers().passes(target, Dialect::Responses);
            route.targets.retain(native);
            if let Some(keeper) = &elsewhere.target {
                // Another model of the same provider can go on from it, too; the one that made it is the better one.
                let itself = route.targets.iter().any(|target| **target.name() == **keeper);
                let provider = keeper.split_once('/').map_or(keeper.as_str(), |(provider, _)| provider);
                route.targets.retain(|target| if itself { **target.name() == **keeper } else { target.provider() == provider });
            }
            if route.targets.is_empty() {
                return Err(Error::Previous(clip(&elsewhere.id, 80)));
            }
        }
        Ok(keeping)
    }

    /// `GET /v1/responses/{id}`: a response that is kept here, as it was answered.
    pub async fn response(&self, principal: &Principal, id: &str) -> Result<String, Error> {
        self.0.memory.responses.show(principal, id).await
    }

    /// `DELETE /v1/responses/{id}`.
    pub async fn forget(&self, principal: &Principal, id: &str) -> Result<(), Error> {
        self.0.memory.responses.remove(principal, id).await
    }

    /// `POST /v1/embeddings`.
    pub async fn embed(&self, principal: &Principal, mut request: Request, mut asked: Asked) -> Result<Answer, Error> {
        asked.take_field(&mut request)?;
        let route = self.resolve(principal, &request, "embeddings", &asked.tags).await?;
        self.whole(principal, &route, Endpoint::Embeddings, request, asked.trace).await
    }

    /// `POST /v1/messages/count_tokens`.
    pub async fn count(&self, principal: &Principal, mut request: Request, mut asked: Asked) -> Result<Answer, Error> {
        asked.take_from(&mut request)?;
        request.unfold(&public_name)?;
        let route = self.resolve(principal, &request, "messages", &asked.tags).await?;
        tools::pin(&self.0.federation, principal, &asked).await?;
        Tools::gather(&self.0.federation, principal, &route, &asked, &self.lens(&route), &mut request)?;
        let counts = |target: &Target| self.0.router.providers().passes(target, Dialect::Messages);
        if let Some(target) = route.targets.first().filter(|target| !counts(target)) {
            let meta = Meta { model: target.name().clone(), ..Meta::default() };
            let body = format!("{{\"input_tokens\":{}}}", count::tokens(&request).await?);
            return Ok(Answer::Json(meta, body.into(), None));
        }
        self.whole(principal, &route, Endpoint::CountTokens, request, asked.trace).await
    }

    async fn resolve(
        &self,
        principal: &Principal,
        request: &Request,
        endpoint: &'static str,
        tags: &BTreeMap<String, String>,
    ) -> Result<Route, Error> {
        let act = Act { model: Some(request.model()), ..Act::of(principal) };
        // Whoever may not use it is not told that it is blocked.
        if principal.grants().model(request.model()) {
            self.0.blocks.check(&act)?;
        }
        let facts = Facts { endpoint, stream: request.stream(), tags, request: Some(request) };
        self.0.router.resolve(principal, request.model(), &facts).await.map_err(Error::Model)
    }

    async fn whole(
        &self,
        principal: &Principal,
        route: &Route,
        endpoint: Endpoint,
        request: Request,
        trace: Trace,
    ) -> Result<Answer, Error> {
        let limit = self.0.limits.completion.0;
        let targets = self.targets(principal, trace);
        let asking = targets.first_answer(route, endpoint, &request);
        let (target, reply, provider) = tokio::time::timeout(limit, asking).await.map_err(|_| Error::Deadline(limit))??;
        let meta = Meta { model: target.name().clone(), provider, ..Meta::default() };
        let turn = Turn::of(reply)?;
        let usage = turn.usage();
        Ok(Answer::Json(meta, turn.bytes(), usage))
    }
}

/// What was joined into a request.
#[derive(Default)]
struct Joint {
    turn: Option<memo::Turn>,
    tools: Tools,
    context: Vec<Outcome>,
}

/// What an expression knows a dialect's endpoint by.
fn endpoint_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "chat",
        Dialect::Messages => "messages",
        Dialect::Responses => "responses",
    }
}
