//! What blocks of the provider's own come to when they arrive in pieces.
//!
//! The provider takes back whole blocks alone: a piece that is sent back as a block of its own is refused.

use serde_json::value::RawValue;

use super::input::input;
use crate::domain::{RawObject, raw};
use crate::llm::conversation::Part;
use crate::llm::dialect::Dialect;

/// The piece in something that a reader told of; none when it is a block.
pub(in crate::llm) fn piece(native: &RawValue) -> Option<Box<RawValue>> {
    RawObject::parse(native.get()).ok()?.remove("delta")
}

/// Lets what is open grow by a piece. `apart` says that the newest text is done; arguments gather in `arguments`
/// until they are whole.
pub(in crate::llm) fn grow(parts: &mut Vec<Part>, apart: bool, arguments: &mut String, piece: &RawValue) {
    let Ok(piece) = RawObject::parse(piece.get()) else { return };
    let kind = piece.string("type").unwrap_or_default();
    match (kind.as_str(), parts.last_mut()) {
        ("citations_delta", last) => {
            let Some(citation) = piece.get("citation") else { return };
            // It may come before the first word of its text.
            if apart || !matches!(last, Some(Part::Text(..))) {
                parts.push(Part::text(""));
                cite(parts, false, citation);
            } else {
                cite(parts, true, citation);
            }
        }
        ("input_json_delta", Some(Part::Native(Dialect::Messages, _))) => {
            arguments.push_str(&piece.string("partial_json").unwrap_or_default());
        }
        (_, Some(Part::Native(Dialect::Messages, block))) => {
            if let Ok(mut grown) = RawObject::parse(block.get()).map(RawObject::into_owned) {
                for (key, more) in piece.iter().filter(|(key, _)| *key != "type") {
                    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
                    let value = match (grown.get(key).and_then(text), text(more)) {
                        (Some(before), Some(more)) => raw(&(before + &more)),
                        _ => more.to_owned(),
                    };
                    grown.put(key, value);
                }
                *block = grown.to_raw();
            }
        }
        _ => {}
    }
}

/// A block with the arguments that gathered.
pub(in crate::llm) fn with_input(block: &RawValue, arguments: &str) -> Box<RawValue> {
    let Ok(mut block) = RawObject::parse(block.get()).map(RawObject::into_owned) else { return block.to_owned() };
    block.set("input", input(arguments));
    block.to_raw()
}

/// Citations stand in front of the text that they belong to, in one part.
fn cite(parts: &mut Vec<Part>, begun: bool, citation: &RawValue) {
    let at = parts.len().saturating_sub(1);
    let before = at.checked_sub(1).filter(|_| begun).and_then(|at| parts.get_mut(at));
    if let Some(Part::Native(Dialect::Messages, beside)) = before
        && let Some(mut list) = citations(beside)
    {
        list.push(citation.to_owned());
        *beside = of(&list);
        return;
    }
    parts.insert(at, Part::Native(Dialect::Messages, of(&[citation.to_owned()])));
}

fn of(list: &[Box<RawValue>]) -> Box<RawValue> {
    let mut beside = RawObject::default();
    beside.set("citations", raw(list));
    beside.to_raw()
}

fn citations(beside: &RawValue) -> Option<Vec<Box<RawValue>>> {
    let beside = RawObject::parse(beside.get()).ok().filter(|beside| !beside.has("type"))?;
    beside.read("citations")
}

/// Parts as blocks, each as `write` writes it, and texts with their citations.
pub(super) fn blocks<'p>(parts: impl Iterator<Item = &'p Part>, write: impl Fn(&Part) -> Option<Box<RawValue>>) -> Vec<Box<RawValue>> {
    let mut blocks = Vec::new();
    let mut cited = None;
    for part in parts {
        if let Part::Native(Dialect::Messages, beside) = part
            && let Some(list) = citations(beside)
        {
            cited = Some(list);
            continue;
        }
        let cited = cited.take().filter(|_| matches!(part, Part::Text(..)));
        blocks.extend(write(part).map(|block| match (cited, RawObject::parse(block.get())) {
            (Some(list), Ok(mut text)) => {
                text.set("citations", raw(&list));
                text.to_raw()
            }
            _ => block.clone(),
        }));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::answer::{Answer, Piece};

    fn native(value: &serde_json::Value) -> Piece {
        Piece::Native(Dialect::Messages, raw(value))
    }

    #[test]
    fn pieces_of_a_providers_own_blocks_make_whole_blocks() {
        let more = |json: &str| native(&json!({ "delta": { "type": "input_json_delta", "partial_json": json } }));
        let cited = |url: &str| native(&json!({ "delta": { "type": "citations_delta", "citation": { "url": url } } }));
        let answer = Answer::of([
            native(&json!({ "type": "server_tool_use", "id": "s", "name": "web_search", "input": {} })),
            more("{\"query\":"),
            more("\"sea\"}"),
            native(&json!({ "type": "compaction", "content": "so" })),
            native(&json!({ "delta": { "type": "compaction_delta", "content": " far" } })),
            Piece::Break,
            cited("a"),
            Piece::Text("The sea".into()),
            cited("b"),
            Piece::Text(" is deep.".into()),
            Piece::Break,
            Piece::Text("So.".into()),
        ]);
        let blocks: Vec<_> = blocks(answer.parts.iter(), super::super::items::block).iter().map(|block| block.get().to_owned()).collect();
        assert_eq!(
            blocks,
            [
                r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"sea"}}"#,
                r#"{"type":"compaction","content":"so far"}"#,
                r#"{"type":"text","text":"The sea is deep.","citations":[{"url":"a"},{"url":"b"}]}"#,
                r#"{"type":"text","text":"So."}"#,
            ]
        );
    }
}
