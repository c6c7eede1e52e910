//! Who answers: a route's targets, one after the other.

use std::time::{Duration, Instant};

use super::error::Error;
use crate::config::Limits;
use crate::llm::{Endpoint, Reply, Request, Route, Router, Target};

/// The models, and how far a completion may go.
#[derive(Clone)]
pub(super) struct Targets {
    pub(super) router: Router,
    pub(super) limits: Limits,
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
        let mut last = crate::llm::Error::Unreachable;
        for target in &route.targets {
            match self.router.providers().send(target, endpoint, request).await {
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
}
