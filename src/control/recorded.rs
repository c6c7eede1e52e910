//! An act that is on record: as begun before it is done, and what came of it before it is answered.

use std::time::Instant;

use super::tool::Error;
use crate::journal::{Entry, Journal, Outcome};

/// Does an act. Where it cannot be put on record, nothing is done.
pub(super) async fn recorded<T>(journal: &Journal, mut entry: Entry, act: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let (start, subject) = (Instant::now(), entry.subject.clone());
    let id = journal.begin(&entry).await.map_err(Error::Unwritable)?;
    let done = act.await;
    entry.ms = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
    (entry.outcome, entry.detail) = match &done {
        Ok(_) => (Outcome::Ok, None),
        Err(error) => (Outcome::Failed, Some(error.code().to_owned())),
    };
    // It is done and on record as begun; that much must do.
    if let Err(why) = journal.end(id, entry).await {
        tracing::error!("what came of `{subject}` could not be put on record: {why}");
    }
    done
}
