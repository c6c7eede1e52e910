//! The two secrets of the data directory, readable by their owner only.

use std::path::{Path, PathBuf};

use super::api_key::{ApiKey, Pepper};
use crate::domain::Secret;
use crate::store::secret_file;

const PEPPER: &str = "pepper";
pub(super) const OWNER: &str = "owner.key";

/// Why credentials cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret file cannot be read or written.
    #[error("the secret file {} cannot be used: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A secret is too short to be one.
    #[error("{0} holds less than 16 characters; a key must be longer")]
    Short(String),
    /// The configuration declares a key that is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// The keys cannot be read.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// The pepper; made when there is none.
pub(super) fn pepper(data_dir: &Path) -> Result<Pepper, Error> {
    let (text, _) = read_or_make(&data_dir.join(PEPPER), || Pepper::generate().secret().reveal().to_owned())?;
    Ok(Pepper::new(Secret::new(text)))
}

/// The owner key, and whether it was made just now. `PORTOLAN_KEY` or `PORTOLAN_KEY_FILE` set it instead.
pub(super) fn owner(data_dir: &Path) -> Result<(String, bool), Error> {
    if let Some(key) = std::env::var("PORTOLAN_KEY").ok().filter(|key| !key.is_empty()) {
        return long(key, "PORTOLAN_KEY").map(|key| (key, false));
    }
    if let Some(path) = std::env::var_os("PORTOLAN_KEY_FILE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        let read = std::fs::read_to_string(&path);
        let text = read.map_err(|source| Error::File { path: path.clone(), source })?;
        return long(text.trim().to_owned(), "PORTOLAN_KEY_FILE").map(|key| (key, false));
    }
    read_or_make(&data_dir.join(OWNER), || ApiKey::generate().reveal().to_owned())
}

fn long(key: String, from: &str) -> Result<String, Error> {
    if key.len() < 16 { Err(Error::Short(from.to_owned())) } else { Ok(key) }
}

fn read_or_make(path: &Path, make: impl FnOnce() -> String) -> Result<(String, bool), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let (text, made) = secret_file(path, make).map_err(failed)?;
    Ok((long(text, &path.display().to_string())?, made))
}
