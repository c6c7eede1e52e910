//! What the journal is told of a completion: who, what, who answered, what it took, and how it ended.

use std::sync::Arc;

use axum::http::StatusCode;

use super::error::ApiError;
use super::state::State;
use crate::completion::{Asked, Completions};
use crate::domain::{Principal, Usage};
use crate::journal::{Entry, Open, Outcome};
use crate::llm::{Request, Router};

/// The record of a completion under way. Dropped before its end, it says that it was cancelled.
pub(super) struct Record {
    open: Open,
    router: Router,
}

impl Record {
    /// Opens it; an error where nothing is answered that cannot be put on record.
    pub(super) fn open(
        state: &State,
        completions: &Completions,
        operation: &'static str,
        principal: &Principal,
        request: &Request,
        asked: &Asked,
    ) -> Result<Self, ApiError> {
        let unwritable =
            |why: crate::journal::Unwritable| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "journal_unavailable", why.to_string());
        state.journal.admit().map_err(unwritable)?;
        let entry = || Entry { request: asked.request.clone(), ..Entry::new(operation, principal, request.model()) };
        Ok(Self { open: state.journal.open(entry), router: completions.router().clone() })
    }

    /// Notes who answers, and what it took so far.
    pub(super) fn took(&mut self, target: &Arc<str>, usage: Option<Usage>) {
        let router = &self.router;
        self.open.add(|entry| {
            entry.target = Some(target.clone());
            entry.cost_nano = usage.as_ref().and_then(|usage| router.cost(target, usage));
            entry.usage = usage;
        });
    }

    /// It came to its end.
    pub(super) fn done(self) {
        self.open.close(Outcome::Ok);
    }

    /// It came to nothing, or broke off; the error is handed back.
    pub(super) fn failed(mut self, error: ApiError) -> ApiError {
        self.open.add(|entry| entry.detail = Some(error.code.clone()));
        self.open.close(if error.status.is_client_error() { Outcome::Refused } else { Outcome::Failed });
        error
    }
}
