//! Where state is kept.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The data directory, made when it is not there, readable by its owner only: the named one, else
/// `PORTOLAN_DATA_DIR`, else the platform's.
pub fn data_dir(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = crate::config::data_dir(named).context("there is no home directory; name a data directory with --data-dir")?;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.with_context(|| format!("the data directory {} cannot be made", dir.display()))?;
    Ok(dir)
}
