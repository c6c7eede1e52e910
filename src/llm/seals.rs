//! Sealed thoughts in a request that else goes out as it came.
//!
//! Only who sealed a thought can read it. Clients send everything back to whoever answers next, and most providers
//! refuse what they do not know.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::conversation::Wrong;
use super::dialect::Dialect;
use super::request::Request;
use super::responses;
use crate::domain::RawObject;

/// The request without them; none where it holds none, which one look tells.
pub(super) fn without(request: &Request) -> Result<Option<Request>, Wrong> {
    static BLOCKS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"thinking_blocks\""));
    static CONTENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(responses::MARK));
    let (mark, strip): (_, fn(&RawValue) -> Option<Changed>) = match request.dialect() {
        Dialect::Chat => (&BLOCKS, message),
        Dialect::Responses => (&CONTENT, item),
        // Whoever speaks it seals so.
        Dialect::Messages => return Ok(None),
    };
    if request.get(request.dialect().list()).is_none_or(|list| mark.find(list.as_bytes()).is_none()) {
        return Ok(None);
    }
    let mut changed = false;
    let keep = |item: Box<RawValue>| match strip(&item) {
        None => Some(item),
        Some(other) => {
            changed = true;
            other
        }
    };
    let items: Vec<_> = request.items()?.into_iter().filter_map(keep).collect();
    if !changed {
        return Ok(None);
    }
    let mut bare = request.clone();
    bare.set_items(&items);
    Ok(Some(bare))
}

/// Another item in one's place, or none at all.
type Changed = Option<Box<RawValue>>;

fn message(item: &RawValue) -> Option<Changed> {
    let mut message = RawObject::parse(item.get()).ok()?;
    message.remove("thinking_blocks")?;
    // What is left of an answer that was thoughts alone says nothing.
    let empty = message.iter().all(|(key, value)| key == "role" || matches!(value.get(), "null" | "\"\"" | "[]"));
    Some((!empty).then(|| message.to_raw()))
}

fn item(item: &RawValue) -> Option<Changed> {
    let reasoning = RawObject::parse(item.get()).ok().filter(|item| item.string("type").as_deref() == Some("reasoning"))?;
    reasoning.string("encrypted_content").filter(|content| content.starts_with(responses::MARK)).map(|_| None)
}
