//! Puts something into a conversation at a place where no provider minds it.

use serde_json::json;
use serde_json::value::RawValue;

use super::chat;
use super::conversation::{Part, Role, Turn, Wrong};
use super::dialect::Dialect;
use crate::domain::{RawObject, raw};

/// Puts a text with what a person said at a place: never between a call and its result.
pub fn beside(dialect: Dialect, items: &mut Vec<Box<RawValue>>, at: usize, text: &str) -> Result<(), Wrong> {
    match (dialect, items.get_mut(at)) {
        // Messages wants sides to alternate: there it becomes a block of the same message.
        (Dialect::Messages, Some(item)) => *item = with_block(item, text)?,
        _ => {
            let turn = Turn { role: Role::User, parts: vec![Part::text(text)] };
            let at = at.min(items.len());
            items.splice(at..at, dialect.items(&[turn]));
        }
    }
    Ok(())
}

/// Gives an answer at a place the thoughts back that it came with.
pub fn with_thoughts(dialect: Dialect, items: &mut Vec<Box<RawValue>>, at: usize, thoughts: &[Part]) {
    match (dialect, items.get_mut(at)) {
        (Dialect::Chat, Some(item)) => {
            let Ok(mut message) = RawObject::parse(item.get()).map(RawObject::into_owned) else { return };
            message.set("thinking_blocks", raw(&chat::thoughts(thoughts)));
            *item = message.to_raw();
        }
        (Dialect::Responses, _) => {
            let turn = Turn { role: Role::Assistant, parts: thoughts.to_vec() };
            let at = at.min(items.len());
            items.splice(at..at, dialect.items(&[turn]));
        }
        _ => {}
    }
}

/// A message of Messages with a text before what it says, but behind the results it holds.
fn with_block(item: &RawValue, text: &str) -> Result<Box<RawValue>, Wrong> {
    let wrong = |_| Wrong::at("messages", "`messages` must hold messages");
    let mut message = RawObject::parse(item.get()).map_err(wrong)?.into_owned();
    let own = message.get("content").map_or("[]", RawValue::get).to_owned();
    let mut blocks: Vec<Box<RawValue>> = if own.starts_with('"') {
        let own: Box<RawValue> = crate::domain::raw_string(own).map_err(wrong)?;
        vec![raw(&json!({ "type": "text", "text": own }))]
    } else {
        serde_json::from_str(&own).map_err(wrong)?
    };
    let is_result =
        |block: &RawValue| RawObject::parse(block.get()).is_ok_and(|block| block.string("type").as_deref() == Some("tool_result"));
    let at = blocks.iter().take_while(|block| is_result(block)).count();
    blocks.insert(at, raw(&json!({ "type": "text", "text": text })));
    message.set("content", raw(&blocks));
    Ok(message.to_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_by_turn_stands_behind_results_and_before_what_was_asked() {
        let item = json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "a" }, { "type": "text", "text": "Q" }] });
        let mut items = vec![raw(&item)];
        beside(Dialect::Messages, &mut items, 0, "CTX").unwrap();
        let said = items[0].get();
        let (result, context, question) = (said.find("tool_result"), said.find("CTX"), said.find("\"Q\""));
        assert!(result < context && context < question, "{said}");
    }
}
