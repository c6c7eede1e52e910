//! Lists in pages. A page is large: many clients read only the first one.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use crate::protocol::{Params, RpcError};

/// Items of one page.
const PAGE: usize = 1000;

/// One page of `items` as a result with the member `member`.
pub(super) fn page<T: AsRef<str>>(
    member: &str,
    items: &[T],
    params: &Params,
    meta: Option<serde_json::Value>,
) -> Result<Box<RawValue>, RpcError> {
    let start = start(params)?;
    if start > 0 && start >= items.len() {
        return Err(bad_cursor());
    }
    let end = items.len().min(start + PAGE);
    let slice = items.get(start..end).unwrap_or_default();
    let mut text = String::with_capacity(slice.iter().map(|item| item.as_ref().len() + 1).sum::<usize>() + 64);
    text.push_str("{\"");
    text.push_str(member);
    text.push_str("\":[");
    for (at, item) in slice.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(item.as_ref());
    }
    text.push(']');
    if end < items.len() {
        let _ = write!(text, ",\"nextCursor\":\"{}\"", URL_SAFE_NO_PAD.encode(format!("from:{end}")));
    }
    if let Some(meta) = meta {
        let _ = write!(text, ",\"_meta\":{meta}");
    }
    text.push('}');
    RawValue::from_string(text).map_err(|_| RpcError::new(RpcError::INTERNAL, "a definition is not JSON"))
}

fn start(params: &Params) -> Result<usize, RpcError> {
    let Some(cursor) = params.get("cursor").filter(|cursor| cursor.get() != "null") else { return Ok(0) };
    let cursor: String = serde_json::from_str(cursor.get()).map_err(|_| bad_cursor())?;
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.as_deref().and_then(|text| text.strip_prefix("from:")?.parse().ok()).ok_or_else(bad_cursor)
}

fn bad_cursor() -> RpcError {
    RpcError::params("the cursor is not one of this list; begin again without it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end_and_a_foreign_cursor_is_refused() {
        let items: Vec<String> = (0..=PAGE).map(|n| n.to_string()).collect();
        let first = page("x", &items, &Params::default(), None).unwrap();
        let first: serde_json::Value = serde_json::from_str(first.get()).unwrap();
        let params = Params::default().with("cursor", &first["nextCursor"]);
        let second = page("x", &items, &params, None).unwrap();
        assert_eq!(second.get(), format!("{{\"x\":[{PAGE}]}}"));
        let foreign = Params::default().with("cursor", "abc");
        assert_eq!(page("x", &items, &foreign, None).unwrap_err().code, RpcError::INVALID_PARAMS);
    }
}
