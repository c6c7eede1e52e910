//! What must outlive the process. To add an engine: `store/<name>.rs`, one arm in [`open`], and the
//! contract's tests run on it unchanged.

mod apart;
mod contract;
mod handles;
mod journal;
mod releases;
mod responses;
mod seal;
mod secret_file;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

pub use apart::apart;
pub use contract::{
    BlockRow, Bounds, Contract, Elsewhere, Error, Holding, JournalRow, JournalWish, KeyRow, LoginRow, ReleaseHead, ReleaseRow,
    ReleaseState, ResponseRow, ServerRow, ShapeRow, Spent, SpentBy, SpentWish,
};
pub use handles::Handles;
pub use seal::Seal;
pub use secret_file::secret_file;

/// A store, whatever engine is behind it.
pub type Store = Arc<dyn Contract>;

/// Opens the SQLite database at `path`, making or migrating it as needed. What must not be read in it is sealed.
pub async fn open(path: &Path, seal: Arc<Seal>) -> Result<Store, Error> {
    Ok(Arc::new(sqlite::Sqlite::open(path, seal).await?))
}
