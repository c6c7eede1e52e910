//! Schemas of tools as providers take them.
//!
//! MCP servers write any JSON Schema, and providers refuse a whole request for one schema with a word that they do not know. So each
//! tool is shown to a model by a view of its schema, which every value fits that fits the original, and which has no word that the
//! provider refuses; calls are held up to the original. Strict functions are the one exception: there, what is open is read as it is used, and a
//! member that may be missing is null, until `View::restored` takes it out.
//!
//! `plain.rs` says what everybody wants. What OpenAI's strict functions and Gemini take is so little that a schema is read as the ways
//! a value may be (`union.rs`, `read.rs`) and written anew. To add a flavour: its word in `domain/flavour.rs`, a file here, and its line in
//! `view.rs`.

mod gemini;
mod names;
mod pattern;
mod plain;
#[cfg(test)]
mod proof;
mod read;
mod references;
mod restore;
mod root;
mod strict;
#[cfg(test)]
mod table;
mod told;
mod unfit;
mod union;
mod view;
mod views;
mod words;

pub use views::{Seen, Views};
