//! OpenAI's Chat Completions: requests read and written, answers read and written.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat>. What only other dialects have rides
//! in fields that others use for it too: `thinking_blocks` for sealed thoughts, `cache_control` for
//! the end of a stretch to cache, `native_finish_reason` for the provider's own word.

mod answer;
mod items;
mod read;
mod reader;
mod write;
mod writer;

pub(super) use answer::{read as read_answer, usage, whole};
pub(super) use items::{items, thoughts};
pub(super) use read::{check, is_plain, read};
pub(super) use reader::Reader;
pub(super) use write::{Manner, tool, write};
pub(super) use writer::Writer;
