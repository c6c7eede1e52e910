//! Where state is kept.

use std::fs::{File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The data directory, made when it is not there, readable by its owner only: the named one, else
/// `PORTOLAN_DATA_DIR`, else the platform's.
pub fn data_dir(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = crate::config::data_dir(named).context("there is no home directory; name a data directory with --data-dir")?;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.with_context(|| format!("the data directory {} cannot be made", dir.display()))?;
    Ok(dir)
}

/// Takes a data directory for one gateway, as long as the file that comes back is open. Two would each
/// go on with what they know, and not with what the other wrote.
pub(super) fn take(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("gateway.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another gateway uses the data directory {}; stop it, or name another directory with --data-dir", dir.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{} cannot be locked", path.display())),
    }
}
