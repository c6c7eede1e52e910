//! Who answers: a route's targets, one after the other, each asked again where that can help.
//!
//! Nothing here has reached the caller yet: a target answers when its first byte is there. So each of them may fail without
//! a trace but in log and metrics. What is wrong with the request itself ends the search.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use metrics::counter;

use super::error::{Error, Unanswered};
use crate::config::Limits;
use crate::domain::{Principal, clip};
use crate::llm::{self, Endpoint, Permit, Reply, Request, Route, Router, Target, pause};
use crate::policy::{Act, Blocked, Blocks};
use crate::trace::{ModelCall, Span, Trace, attribute};

/// The models for a caller, and how far a completion may go.
#[derive(Clone)]
pub(super) struct Targets {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) blocks: Blocks,
    pub(super) principal: Principal,
    /// Where in a trace they are asked.
    pub(super) trace: Trace,
}

impl Targets {
    /// The first of a route's targets that answers, or begins to.
    pub(super) async fn first_answer(
        &self,
        route: &Route,
        endpoint: Endpoint,
        request: &Request,
    ) -> Result<(Target, Reply, Duration), Error> {
        let start = Instant::now();
        let ask = Ask { targets: self, endpoint, request, until: start + self.limits.completion.0 };
        let mut last = None;
        let mut failed = 0;
        let unanswered = |target: &Target, others, error| {
            let (model, target) = (clip(request.model(), 120), target.to_string());
            Error::Unanswered(Box::new(Unanswered { model, target, others, error, blocked: None }))
        };
        let (mut soonest, mut refused) = (None, None);
        for (at, target) in route.targets.iter().enumerate() {
            let act = self.act(request, target);
            // The others of its model may be asked.
            if let Err(blocked) = self.blocks.check(&act) {
                refused = Some(blocked);
                continue;
            }
            let permit = match self.router.health().enter(target) {
                Ok(permit) => permit,
                Err(opens) => {
                    tracing::debug!(gen_ai.provider.name = %target.provider(), "`{target}` is left out for now");
                    if soonest.is_none_or(|(soonest, _)| opens < soonest) {
                        soonest = Some((opens, target));
                    }
                    continue;
                }
            };
            match self.blocks.guard(&act, pin!(ask.often(target, permit, route.retries))).await? {
                Ok(reply) => return Ok((target.clone(), reply, start.elapsed())),
                Err(error) if error.may_fall_back() => {
                    if at + 1 < route.targets.len() {
                        counter!("portolan_fallbacks_total", "gen_ai_provider_name" => target.provider().to_owned()).increment(1);
                    }
                    last = Some(unanswered(target, failed, error));
                    failed += 1;
                }
                Err(error) => return Err(Error::Provider(error)),
            }
        }
        if let (None, Some((_, target))) = (&last, soonest) {
            // Nobody was asked. One attempt is better than none, and tells whether it answers again.
            let permit = self.router.health().force(target);
            let asked = self.blocks.guard(&self.act(request, target), Box::pin(ask.often(target, permit, 0)).as_mut()).await?;
            let reply = asked.map_err(|error| unanswered(target, 0, error))?;
            return Ok((target.clone(), reply, start.elapsed()));
        }
        Err(match (last, refused) {
            (Some(Error::Unanswered(mut why)), blocked) => {
                why.blocked = blocked;
                Error::Unanswered(why)
            }
            (Some(error), _) => error,
            (None, Some(blocked)) => Error::Blocked(blocked),
            (None, None) => Error::Provider(llm::Error::Unreachable),
        })
    }

    fn act<'a>(&'a self, request: &'a Request, target: &'a Target) -> Act<'a> {
        Act { model: Some(request.model()), target: Some(target.name()), ..Act::of(&self.principal) }
    }

    /// Waits until what a target says to a request is blocked.
    pub(super) fn until(&self, request: &Request, target: &Target) -> BoxFuture<'static, Blocked> {
        let (this, model, target) = (self.clone(), request.model().to_owned(), target.name().clone());
        async move {
            let act = Act { model: Some(&model), target: Some(&target), ..Act::of(&this.principal) };
            this.blocks.until(&act).await
        }
        .boxed()
    }
}

/// One request on its way.
struct Ask<'a> {
    targets: &'a Targets,
    endpoint: Endpoint,
    request: &'a Request,
    /// When nobody waits for it any more.
    until: Instant,
}

impl Ask<'_> {
    /// Asks one target, and again as far as patience, budget and breaker let it.
    async fn often(&self, target: &Target, mut permit: Permit, retries: u32) -> Result<Reply, llm::Error> {
        let router = &self.targets.router;
        router.budgets().asked(target.provider());
        for attempt in 1.. {
            let error = match self.once(target, permit).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if matches!(error, llm::Error::NotOffered(_)) {
                // That is the caller's mistake, and the caller is told.
                tracing::debug!(gen_ai.provider.name = %target.provider(), "`{target}` did not answer: {error}");
            } else {
                tracing::warn!(gen_ai.provider.name = %target.provider(), "`{target}` did not answer: {error}");
            }
            if attempt > retries || !error.may_retry() {
                return Err(error);
            }
            let Some(wait) = pause(attempt, error.retry_after(), rand::random_range(0.0..=1.0)) else { return Err(error) };
            if Instant::now() + wait >= self.until {
                return Err(error);
            }
            let retry = |outcome: &'static str| {
                counter!("portolan_retries_total", "gen_ai_provider_name" => target.provider().to_owned(), "outcome" => outcome)
                    .increment(1);
            };
            if !router.budgets().take(target.provider()) {
                retry("over_budget");
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            permit = match router.health().enter(target) {
                Ok(permit) => permit,
                Err(_) => return Err(error),
            };
            retry("sent");
        }
        Err(llm::Error::Unreachable)
    }

    /// Asks once, and tells the breaker how that went.
    async fn once(&self, target: &Target, permit: Permit) -> Result<Reply, llm::Error> {
        let mut span = self.span(target);
        let began = (span.is_recording() && self.request.stream()).then(Instant::now);
        let sending = self.targets.router.providers().send(target, self.endpoint, self.request, &mut span);
        let answer = match target.timeout {
            Some(limit) => tokio::time::timeout(limit, sending).await.unwrap_or(Err(llm::Error::Idle(limit))),
            None => sending.await,
        };
        match answer {
            Ok(reply) => {
                permit.answered();
                if let Some(began) = began {
                    span.set(attribute::FIRST_CHUNK, began.elapsed().as_secs_f64());
                }
                Ok(reply.traced(span))
            }
            Err(error) => {
                permit.failed(&error);
                span.failed(error.word());
                Err(error)
            }
        }
    }

    /// The span of one attempt.
    fn span(&self, target: &Target) -> Span {
        let operation = match self.endpoint {
            Endpoint::Completion => "chat",
            Endpoint::Embeddings => "embeddings",
            Endpoint::CountTokens => "count_tokens",
        };
        let (provider, model, stream) = (target.provider(), target.model(), self.request.stream());
        self.targets.trace.model(&ModelCall { operation, provider, model, stream })
    }
}
