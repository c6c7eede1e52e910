//! One completion, from request to answer: route, context, tools, turns.
//!
//! A request that needs neither context nor tools is relayed: its body goes out as it came but for
//! the model's name, its answer comes back as it is. Only an agent loop opens answers.

mod enrich;
mod error;
mod report;
mod request;
mod stream;
mod tool_loop;
mod turn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::BoxStream;

pub use error::Error;
pub use request::{Asked, split_names};

use crate::config::Limits;
use crate::context::Context;
use crate::domain::Principal;
use crate::federation::Federation;
use crate::llm::{ChatRequest, Endpoint, Reply, Route, Router, Target};
use report::Report;
use tool_loop::{Loop, Tools};

/// Completions. Cheap to clone.
#[derive(Clone)]
pub struct Completions(Arc<Inner>);

struct Inner {
    router: Router,
    federation: Federation,
    context: Context,
    limits: Limits,
}

/// What goes into the headers of an answer.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// `provider/model` that answered.
    pub model: String,
    /// The sources that were put in, with short digests.
    pub context: String,
    /// How long the providers took until their first byte, over all turns so far.
    pub provider: Duration,
}

/// An answer on its way to the caller.
pub enum Answer {
    /// Whole.
    Json(Meta, Bytes),
    /// As server-sent events with `[DONE]` at their end; an error ends it without.
    Stream(Meta, BoxStream<'static, Result<Bytes, Error>>),
}

impl Completions {
    /// Joins models, tools and context.
    pub fn new(router: Router, federation: Federation, context: Context, limits: Limits) -> Self {
        Self(Arc::new(Inner { router, federation, context, limits }))
    }

    /// The models.
    pub fn router(&self) -> &Router {
        &self.0.router
    }

    /// The context sources.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// `POST /v1/chat/completions`.
    pub async fn chat(&self, principal: &Principal, mut request: ChatRequest, mut asked: Asked) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.0.limits.completion.0;
        if !request.get("messages").is_some_and(|messages| messages.get().starts_with('[')) {
            return Err(Error::invalid("`messages` must be a list of messages", "messages"));
        }
        asked.take_from(&mut request)?;
        let route = self.0.router.resolve(principal, request.model()).await.map_err(Error::Model)?;
        let tools = Tools::gather(&self.0.federation, principal, &route, &asked, &mut request)?;
        let context = if route.context.is_empty() && asked.context.is_empty() {
            Vec::new()
        } else {
            let fetched = self.0.context.fetch(principal, &route.context, &asked.context).await?;
            enrich::place(&mut request, &fetched)?;
            fetched
        };
        let report = Report::new(asked.report, context);
        let federation = self.0.federation.clone();
        let agent = Loop { completions: self.clone(), federation, principal: principal.clone(), tools, report, deadline };
        agent.run(route, request).await
    }

    /// `POST /v1/embeddings`.
    pub async fn embed(&self, principal: &Principal, request: ChatRequest) -> Result<Answer, Error> {
        let route = self.0.router.resolve(principal, request.model()).await.map_err(Error::Model)?;
        let (target, reply, provider) = self.first_answer(&route, Endpoint::Embeddings, &request).await?;
        let meta = Meta { model: target.to_string(), provider, ..Meta::default() };
        match reply {
            Reply::Json(body) => Ok(Answer::Json(meta, body)),
            Reply::Stream(..) => Err(Error::Provider(crate::llm::Error::Protocol("embeddings came as a stream"))),
        }
    }

    /// The first of a route's targets that answers, or begins to.
    async fn first_answer(&self, route: &Route, endpoint: Endpoint, request: &ChatRequest) -> Result<(Target, Reply, Duration), Error> {
        let start = Instant::now();
        let mut last = crate::llm::Error::Unreachable;
        for target in &route.targets {
            match self.0.router.providers().send(target, endpoint, request).await {
                Ok(reply) => return Ok((target.clone(), reply, start.elapsed())),
                Err(error) => {
                    tracing::warn!(gen_ai.provider.name = %target.provider, "`{target}` did not answer: {error}");
                    let stop = !error.may_fall_back();
                    last = error;
                    if stop {
                        break;
                    }
                }
            }
        }
        Err(Error::Provider(last))
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}
