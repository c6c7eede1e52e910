//! A text file of the operator's.

use std::path::Path;

use tokio::io::AsyncReadExt as _;

/// The text of a file, a little more than `max` bytes at most, so that a cut shows.
pub(super) async fn read(path: &Path, max: usize) -> Result<String, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| format!("the file {name} cannot be read: {}", error.kind());
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 4).read_to_end(&mut bytes).await.map_err(failed)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // The limit may have cut the last character.
        Err(error) if error.utf8_error().error_len().is_none() => {
            Ok(String::from_utf8_lossy(error.as_bytes()).trim_end_matches('\u{fffd}').to_owned())
        }
        Err(_) => Err(format!("the file {name} is not UTF-8 text")),
    }
}
