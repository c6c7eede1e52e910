//! All texts of a value, each with its place.

use std::fmt::Write as _;

use serde_json::Value;

use crate::domain::pointer::step;
use crate::domain::printable;

/// Each text of a value, with its place (RFC 6901); a member's name is a text at the place of the member.
pub(super) fn walk(value: &Value, pointer: &mut String, see: &mut impl FnMut(&str, &str)) {
    let end = pointer.len();
    match value {
        Value::String(text) => see(pointer, text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let _ = write!(pointer, "/{at}");
                walk(item, pointer, see);
                pointer.truncate(end);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                step(pointer, &printable(name));
                see(pointer, name);
                walk(member, pointer, see);
                pointer.truncate(end);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
