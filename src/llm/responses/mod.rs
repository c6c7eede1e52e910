//! OpenAI's Responses: requests read, answers written.
//!
//! Source: <https://platform.openai.com/docs/api-reference/responses>. OpenAI itself is spoken to in
//! this dialect by passing bytes on; every other provider is reached by translation, so nothing here
//! writes requests or reads answers.

mod items;
mod output;
mod read;
mod seal;
mod unfold;
mod writer;

pub(super) use items::items;
pub(super) use output::{Frame, usage, whole};
pub(super) use read::{check, read, tool};
pub(super) use seal::MARK;
pub(super) use unfold::unfold;
pub(super) use writer::Writer;
