//! How bytes travel: lines over a child's standard streams, or streamable HTTP.

mod agreed;
mod child;
mod http;
mod lines;
mod pending;
mod stdio;

pub(super) use child::Launch;
pub(super) use http::Http;
pub(super) use pending::every_change;
pub(super) use stdio::Stdio;
