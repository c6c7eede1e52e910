//! How bytes travel: lines over a child's standard streams, or streamable HTTP.

mod child;
mod http;
mod inquiry;
mod lines;
mod pending;
mod stdio;

pub(super) use child::Launch;
pub(super) use http::Http;
pub(super) use pending::Pending;
pub(super) use stdio::Stdio;
