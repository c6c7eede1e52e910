//! Secrets of the data directory: each in a file of its own that only its owner can read, and made when it is not there.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What a secret's file holds, and whether it was made just now.
pub fn secret_file(path: &Path, make: impl FnOnce() -> String) -> io::Result<(String, bool)> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((text.trim().to_owned(), false)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = make();
            // Written whole under another name first: a kill between must not leave half a secret.
            let part = path.with_extension("part");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(format!("{text}\n").as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, path)?;
            // What is sealed with it may be on the disk before its name is.
            File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            Ok((text, true))
        }
        Err(error) => Err(error),
    }
}
