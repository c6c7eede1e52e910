//! What is compared, and what is found.

use serde::Serialize;

use crate::domain::Class;

/// What a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What callers send.
    Input,
    /// What callers get.
    Output,
}

/// One thing that changed in a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// JSON Pointer into the new schema, or into the old one for what is gone or for what callers get.
    pub at: String,
    /// How much it matters.
    pub class: Class,
    /// In words.
    pub why: String,
}
