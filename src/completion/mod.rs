//! One completion, from request to answer: route, context, tools, turns.
//!
//! A request that needs neither context nor tools is relayed: its body goes out as it came but for
//! the model's name, its answer comes back as it is. Only an agent loop opens answers.

mod answer;
mod enrich;
mod error;
mod report;
mod request;
mod stream;
mod targets;
mod tool_loop;
mod turn;

use std::sync::Arc;
use std::time::Instant;

pub use answer::{Answer, Meta};
pub use error::Error;
pub use request::{Asked, split_names};

use crate::config::Limits;
use crate::context::{Context, Query};
use crate::domain::Principal;
use crate::federation::Federation;
use crate::llm::{ChatRequest, Endpoint, Reply, Router};
use report::Report;
use targets::Targets;
use tool_loop::{Loop, Tools};

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

    /// `POST /v1/chat/completions`.
    pub async fn chat(&self, principal: &Principal, mut request: ChatRequest, mut asked: Asked) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.0.targets.limits.completion.0;
        if !request.get("messages").is_some_and(|messages| messages.get().starts_with('[')) {
            return Err(Error::invalid("`messages` must be a list of messages", "messages"));
        }
        asked.take_from(&mut request)?;
        let route = self.0.targets.router.resolve(principal, request.model()).await.map_err(Error::Model)?;
        let tools = Tools::gather(&self.0.federation, principal, &route, &asked, &mut request)?;
        let context = if route.context.is_empty() && asked.context.is_empty() {
            Vec::new()
        } else {
            let question = enrich::question(&request);
            let query = Query { text: question.as_deref(), tags: None };
            let fetched = self.0.context.fetch(principal, &route.context, &asked.context, query).await?;
            enrich::place(&mut request, &fetched)?;
            fetched
        };
        let report = Report::new(asked.report, context);
        let federation = self.0.federation.clone();
        let agent = Loop { targets: self.0.targets.clone(), federation, principal: principal.clone(), tools, report, deadline };
        agent.run(route, request).await
    }

    /// `POST /v1/embeddings`.
    pub async fn embed(&self, principal: &Principal, request: ChatRequest) -> Result<Answer, Error> {
        let route = self.0.targets.router.resolve(principal, request.model()).await.map_err(Error::Model)?;
        let (target, reply, provider) = self.0.targets.first_answer(&route, Endpoint::Embeddings, &request).await?;
        let meta = Meta { model: target.to_string(), provider, ..Meta::default() };
        match reply {
            Reply::Json(body) => Ok(Answer::Json(meta, body)),
            Reply::Stream(..) => Err(Error::Provider(crate::llm::Error::Protocol("embeddings came as a stream"))),
        }
    }
}
