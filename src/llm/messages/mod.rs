//! Anthropic's Messages: requests read and written, answers read and written.
//!
//! Source: <https://docs.anthropic.com/en/api/messages>, API version 2023-06-01.

mod answer;
mod cache;
mod grown;
mod input;
mod items;
mod read;
mod reader;
mod thinking;
mod unfold;
mod write;
mod writer;

pub(super) use answer::{read as read_answer, usage, whole};
pub(super) use grown::{grow, piece, with_input};
pub(super) use items::items;
pub(super) use read::{check, read};
pub(super) use reader::Reader;
pub(super) use unfold::unfold;
pub(super) use write::{tool, write};
pub(super) use writer::Writer;
