//! What must outlive the process. To add an engine: `store/<name>.rs`, one arm in [`open`], and the
//! contract's tests run on it unchanged.

mod contract;
mod journal;
mod responses;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

pub use contract::{
    BlockRow, Bounds, Contract, Elsewhere, Error, Holding, JournalRow, JournalWish, KeyRow, ReleaseRow, ReleaseState, ResponseRow,
    ServerRow, Spent, SpentBy, SpentWish,
};

/// A store, whatever engine is behind it.
pub type Store = Arc<dyn Contract>;

/// Opens the SQLite database at `path`, making or migrating it as needed.
pub async fn open(path: &Path) -> Result<Store, Error> {
    Ok(Arc::new(sqlite::Sqlite::open(path).await?))
}
