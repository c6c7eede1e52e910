//! A call's arguments, as they stand in a block.

use serde_json::json;
use serde_json::value::RawValue;

use crate::domain::{RawObject, raw, raw_string};

/// Arguments as the object they must be. What a model wrote that is none is kept as a text in one.
pub(super) fn input(arguments: &str) -> Box<RawValue> {
    let text = arguments.trim();
    if text.is_empty() {
        return raw(&json!({}));
    }
    match RawObject::parse(text) {
        Ok(_) => raw_string(text.to_owned()).unwrap_or_else(|_| raw(&json!({}))),
        Err(_) => raw(&json!({ "not_json": text })),
    }
}
