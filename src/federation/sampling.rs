//! What servers ask of models, where a client has none to offer: somebody above answers, if the operator wants that of a server.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use serde_json::value::RawValue;

use super::caller::Caller;
use crate::domain::{Principal, Sampling};
use crate::protocol::{ClientCapabilities, Params, Question, RpcError};
use crate::registry::Entry;
use crate::upstream::{Listener, StandIn};

/// Answers what a server asks of a model.
#[async_trait]
pub trait Samples: Send + Sync {
    /// Answers the params of one `sampling/createMessage` that a server asks while it works for a caller, within a policy.
    async fn sample(&self, principal: &Principal, server: &str, policy: &Sampling, params: &Params) -> Result<Box<RawValue>, RpcError>;
}

/// The caller with somebody who answers for its client what that cannot; none where the client can by itself, or nobody is to.
pub(super) fn stood_in<'c>(sampler: Option<&Arc<dyn Samples>>, entry: &Entry, caller: &Caller<'c>) -> Option<Caller<'c>> {
    let (policy, sampler) = (entry.spec.sampling.clone()?, sampler?.clone());
    let able = caller.listener.as_ref().map(|listener| listener.capabilities().clone()).or_else(|| caller.capabilities.clone());
    let able = able.unwrap_or_default();
    if able.can_sample() {
        return None;
    }
    let (principal, server) = (caller.principal.clone(), entry.spec.name.to_string());
    let stand_in: StandIn = Arc::new(move |question: &Question| {
        let (sampler, policy, principal, server) = (sampler.clone(), policy.clone(), principal.clone(), server.clone());
        let params = question.of_sampling()?.clone();
        Some(async move { sampler.sample(&principal, &server, &policy, &params).await }.boxed())
    });
    let listener = caller.listener.clone().unwrap_or_else(|| Listener::deaf(caller.principal.id(), able.clone()));
    let capabilities = Some(Arc::new(ClientCapabilities::clone(&able).sampling()));
    Some(Caller { listener: Some(listener.with_stand_in(stand_in)), capabilities, stood_in: true, ..caller.clone() })
}
