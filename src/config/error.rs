//! What can be wrong with a configuration.

use std::path::{Path, PathBuf};

use crate::domain::nearest;

/// Why a configuration was refused: what, where, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not what the sections expect; the message has line and column.
    #[error("{0}")]
    Syntax(String),
    /// A value that is well formed but cannot be right.
    #[error("{at}: {why}")]
    Wrong {
        /// The path of the setting.
        at: String,
        /// What is wrong and how to mend it.
        why: String,
    },
    /// One of the above, in a named file.
    #[error("{}: {inner}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        inner: Box<Error>,
    },
}

impl Error {
    /// A setting that cannot be right.
    pub fn wrong(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Wrong { at: at.into(), why: why.into() }
    }

    /// The same error with the file it is in.
    pub fn within(self, path: &Path) -> Self {
        match self {
            Self::Unreadable { .. } | Self::File { .. } => self,
            inner => Self::File { path: path.to_owned(), inner: Box::new(inner) },
        }
    }
}

impl From<serde_saphyr::Error> for Error {
    fn from(error: serde_saphyr::Error) -> Self {
        // The snippet would show neighbouring lines, and those may hold secrets.
        let plain = error.without_snippet();
        let place = plain.location().map(|at| format!("line {} column {}: ", at.line(), at.column()));
        let text = plain.to_string();
        let text = match text.rsplit_once(" at line ") {
            Some((message, _)) if place.is_some() => message.to_owned(),
            _ => text,
        };
        Self::Syntax(format!("{}{}", place.unwrap_or_default(), plainly(&text)))
    }
}

/// The parser's words in those of people who write files and not parsers.
fn plainly(text: &str) -> String {
    match text {
        "expected sequence start" => "a list is expected here, as in `[one, two]`".to_owned(),
        "expected mapping start" => "settings are expected here, as in `key: value`".to_owned(),
        "invalid u32" | "invalid u16" | "invalid u64" => "a whole number is expected here".to_owned(),
        "invalid value: integer `0`, expected a nonzero u32" => "a number of at least 1 is expected here".to_owned(),
        _ => match text.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split_once(", set ")) {
            Some((key, _)) => format!("the key `{key}` stands twice"),
            None => format!("{text}{}", meant(text).unwrap_or_default()),
        },
    }
}

/// What an unknown key was probably meant to be.
fn meant(text: &str) -> Option<String> {
    let (key, rest) = ["unknown field `", "unknown variant `"].iter().find_map(|start| text.strip_prefix(start))?.split_once('`')?;
    match key {
        "mcpServers" => return Some("; servers stand under `mcp:` in `servers:`".to_owned()),
        "args" => return Some("; the arguments stand in `command`, behind the program".to_owned()),
        _ => {}
    }
    let known = rest.split_once("expected ")?.1;
    let known = known.strip_prefix("one of ").unwrap_or(known);
    let near = nearest(key, known.split(", ").flat_map(|names| names.split(" or ")).map(|name| name.trim_matches('`')));
    Some(format!("; did you mean `{}`?", near.first()?))
}
