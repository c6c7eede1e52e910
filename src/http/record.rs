//! What the journal is told of a completion, and what it takes of its caller's rates.

use std::sync::Arc;

use axum::http::StatusCode;

use super::error::ApiError;
use super::state::State;
use crate::completion::{Asked, Completions};
use crate::domain::{Principal, Usage, clip};
use crate::journal::{Entry, Open, Outcome};
use crate::llm::{Request, Router};
use crate::policy::{Allowance, Rates};
use crate::trace::{Span, attribute};

/// The record of a completion under way. Dropped before its end, it says that it was cancelled.
pub(super) struct Record {
    open: Option<Open>,
    router: Router,
    rates: Rates,
    principal: Principal,
    usage: Option<Usage>,
    /// The span of the request.
    span: Span,
    /// Whether the answer is a stream that has begun: then its status does not tell how it ends.
    begun: bool,
    /// What was left of the caller's rates when it began.
    pub(super) allowance: Allowance,
}

impl Record {
    /// Opens it; an error where the caller's rate is used up, and where nothing is answered that cannot be put on record.
    pub(super) fn open(
        state: &State,
        completions: &Completions,
        operation: &'static str,
        principal: &Principal,
        request: &Request,
        asked: &Asked,
        span: Span,
    ) -> Result<Self, ApiError> {
        let unwritable =
            |why: crate::journal::Unwritable| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "journal_unavailable", why.to_string());
        if let Err(why) = state.journal.admit() {
            return Err(refused(span, unwritable(why)));
        }
        let entry = || Entry { request: asked.request.clone(), ..Entry::new(operation, principal, request.model()) };
        let (router, rates, principal) = (completions.router().clone(), state.rates.clone(), principal.clone());
        let (open, allowance) = (Some(state.journal.open(entry)), Allowance::default());
        let mut record = Self { open, router, rates, principal, usage: None, span, begun: false, allowance };
        record.span.text(attribute::REQUEST_MODEL, request.model());
        match record.rates.take(&record.principal) {
            Ok(allowance) => {
                record.allowance = allowance;
                Ok(record)
            }
            Err(exceeded) => Err(record.failed(exceeded.into())),
        }
    }

    /// Notes that a stream begins.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// Notes who answers, and what it took so far.
    pub(super) fn took(&mut self, target: &Arc<str>, usage: Option<Usage>) {
        let router = &self.router;
        self.usage = usage;
        if let Some(open) = &mut self.open {
            open.add(|entry| {
                entry.target = Some(target.clone());
                entry.cost_nano = usage.as_ref().and_then(|usage| router.cost(target, usage));
                entry.usage = usage;
            });
        }
    }

    /// It came to its end.
    pub(super) fn done(mut self) {
        let mut span = std::mem::take(&mut self.span);
        span.set(attribute::HTTP_STATUS, 200);
        span.done();
        self.close(Outcome::Ok);
    }

    /// It came to nothing, or broke off; the error is handed back.
    pub(super) fn failed(mut self, error: ApiError) -> ApiError {
        if let Some(open) = &mut self.open {
            open.add(|entry| entry.detail = Some(error.code.clone()));
        }
        end(std::mem::take(&mut self.span), &error, self.begun);
        self.close(if error.status.is_client_error() { Outcome::Refused } else { Outcome::Failed });
        error
    }

    fn close(&mut self, outcome: Outcome) {
        if let Some(open) = self.open.take() {
            open.close(outcome);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(usage) = &self.usage {
            self.rates.spend(&self.principal, usage.total());
        }
    }
}

/// Ends the span of a request that is refused; the error is handed back.
pub(super) fn refused(span: Span, error: ApiError) -> ApiError {
    end(span, &error, false);
    error
}

fn end(mut span: Span, error: &ApiError, begun: bool) {
    let status = if begun { StatusCode::OK } else { error.status };
    span.set(attribute::HTTP_STATUS, i64::from(status.as_u16()));
    let code = clip(&error.code, 64);
    if begun || status.is_server_error() { span.failed(code) } else { span.refused(code) }
}
