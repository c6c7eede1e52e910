//! One completion, from request to answer: route, context, tools, turns.
//!
//! A request that needs neither context nor tools, for a provider of its own dialect, is relayed: its
//! body goes out as it came but for the model's name, its answer comes back as it is.

mod answer;
mod enrich;
mod error;
mod report;
mod request;
mod stream;
mod targets;
mod tool_loop;
mod tools;
mod turn;

use std::sync::Arc;
use std::time::Instant;

pub use answer::{Answer, Meta};
pub use error::Error;
pub use request::{Asked, split_names};

use crate::config::Limits;
use crate::context::Context;
use crate::domain::Principal;
use crate::federation::Federation;
use crate::llm::{Endpoint, Request, Router};
use report::Report;
use targets::Targets;
use tool_loop::Loop;
use tools::Tools;
use turn::Turn;

/// Completions. Cheap to clone.
#[derive(Clone)]
pub struct Completions(Arc<Inner>);

struct Inner {
    targets: Targets,
    federation: Federation,
    context: Context,
}

impl Completions {
    /// Joins models, tools and context.
    pub fn new(router: Router, federation: Federation, context: Context, limits: Limits) -> Self {
        Self(Arc::new(Inner { targets: Targets { router, limits }, federation, context }))
    }

    /// The models.
    pub fn router(&self) -> &Router {
        &self.0.targets.router
    }

    /// The context sources.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// A completion, in the dialect of its request.
    pub async fn complete(&self, principal: &Principal, mut request: Request, mut asked: Asked) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.0.targets.limits.completion.0;
        request.check()?;
        let writer = request.writer();
        asked.take_from(&mut request)?;
        let route = self.0.targets.router.resolve(principal, request.model()).await.map_err(Error::Model)?;
        let tools = Tools::gather(&self.0.federation, principal, &route, &asked, &mut request)?;
        if !tools.is_empty() {
            request.open_answer();
        }
        let context = if route.context.is_empty() && asked.context.is_empty() {
            Vec::new()
        } else {
            let fetched = self.0.context.fetch(principal, &route.context, &asked.context).await?;
            enrich::place(&mut request, &fetched)?;
            fetched
        };
        let report = Report::new(asked.report, context);
        let (targets, federation) = (self.0.targets.clone(), self.0.federation.clone());
        Loop { targets, federation, tools: Arc::new(tools), report, deadline, writer }.run(route, request).await
    }

    /// `POST /v1/embeddings`.
    pub async fn embed(&self, principal: &Principal, request: Request) -> Result<Answer, Error> {
        self.whole(principal, Endpoint::Embeddings, request).await
    }

    /// `POST /v1/messages/count_tokens`.
    pub async fn count(&self, principal: &Principal, request: Request) -> Result<Answer, Error> {
        request.check_count()?;
        self.whole(principal, Endpoint::CountTokens, request).await
    }

    async fn whole(&self, principal: &Principal, endpoint: Endpoint, request: Request) -> Result<Answer, Error> {
        let route = self.0.targets.router.resolve(principal, request.model()).await.map_err(Error::Model)?;
        let (target, reply, provider) = self.0.targets.first_answer(&route, endpoint, &request).await?;
        let meta = Meta { model: target.to_string(), provider, ..Meta::default() };
        let turn = Turn::of(reply)?;
        let usage = turn.usage();
        Ok(Answer::Json(meta, turn.bytes(), usage))
    }
}
