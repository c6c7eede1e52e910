//! Files that people keep.

use std::io::Write as _;
use std::path::Path;

/// Writes a file whole or not at all, as private as it was.
pub(super) fn put(file: &Path, text: &str) -> std::io::Result<()> {
    // What is linked to is written, and the link stays.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let part = folder.join(format!(".{}.portolan", file.file_name().unwrap_or_default().to_string_lossy()));
    let mut written = std::fs::File::create(&part)?;
    if let Ok(old) = std::fs::metadata(&file) {
        written.set_permissions(old.permissions())?;
    }
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(part, file)
}
