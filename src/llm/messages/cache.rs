//! Where a provider shall cache a conversation whose client knows no such markers.

use serde_json::json;

use crate::domain::raw;
use crate::llm::conversation::{Conversation, Part, Role};

/// Marks the end of the instructions and the end of what was said, unless the client marked anything itself.
/// The next turn then finds both, for a provider looks back from each marker to the longest beginning it knows.
pub(super) fn mark(conversation: &mut Conversation) {
    let marked = |part: &Part| matches!(part, Part::Text(_, Some(_)) | Part::Result { cache: Some(_), .. });
    let turns = conversation.turns.iter().flat_map(|turn| &turn.parts);
    if conversation.system.iter().chain(turns).any(marked) || conversation.functions.iter().any(|function| function.cache.is_some()) {
        return;
    }
    if let Some(last) = conversation.system.iter_mut().rev().find_map(place) {
        *last = Some(raw(&json!({ "type": "ephemeral" })));
    } else if let Some(function) = conversation.functions.last_mut() {
        function.cache = Some(raw(&json!({ "type": "ephemeral" })));
    }
    let newest = conversation.turns.last_mut().filter(|turn| turn.role == Role::User);
    if let Some(last) = newest.and_then(|turn| turn.parts.iter_mut().rev().find_map(place)) {
        *last = Some(raw(&json!({ "type": "ephemeral" })));
    }
}

/// Where a part carries a marker, if it can.
fn place(part: &mut Part) -> Option<&mut Option<Box<serde_json::value::RawValue>>> {
    match part {
        Part::Text(text, cache) if !text.trim().is_empty() => Some(cache),
        Part::Result { cache, .. } => Some(cache),
        _ => None,
    }
}
