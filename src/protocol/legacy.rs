//! The revisions with sessions, to 2025-11-25.

use serde_json::value::RawValue;

use super::dialect::{Dialect, Said};
use super::error::RpcError;
use super::rounds::RESULT_TYPE;
use crate::domain::{Needle, RawObject};

/// Answers peers that opened a session.
pub(super) struct Legacy;

/// What only stateless results say of themselves.
const MODERN: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];
static MODERN_KEYS: [Needle; 3] = [Needle::new(MODERN[0]), Needle::new(MODERN[1]), Needle::new(MODERN[2])];
/// The first of them at the end of a result, where most servers write it.
const LAST: &str = ",\"resultType\":\"complete\"}";

impl Dialect for Legacy {
    fn result<'r>(&self, _method: &str, result: &'r RawValue) -> Result<Said<'r>, RpcError> {
        // Strict parsers of older revisions refuse members they do not know at the top of a result.
        if !RESULT_TYPE.is_in(result.get()) {
            return Ok(Said::new(result.get(), ""));
        }
        // What stands before the last brace is the object's own last member, and a result needs no opening to lose it.
        let last = result.get().trim_end().strip_suffix(LAST).filter(|rest| !MODERN_KEYS.iter().any(|key| key.is_in(rest)));
        if let Some(rest) = last {
            return Ok(Said::new(rest, "}"));
        }
        let mut object = RawObject::forgiving(result.get()).map_err(|_| RpcError::unreadable())?;
        let stripped = MODERN.map(|key| object.remove(key).is_some());
        Ok(if stripped.contains(&true) { Said::new(object.to_text(), "") } else { Said::new(result.get(), "") })
    }

    fn error(&self, error: RpcError) -> RpcError {
        error
    }

    fn status(&self, error: &RpcError) -> u16 {
        match error.code {
            RpcError::PARSE | RpcError::INVALID_REQUEST => 400,
            RpcError::NO_SESSION => 404,
            _ => 200,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::raw_string;

    #[test]
    fn what_stateless_results_say_of_themselves_is_taken_out_wherever_it_stands() {
        let plain = |text: &str| Legacy.result("tools/call", &raw_string(text.to_owned()).unwrap()).unwrap().pieces().concat();
        for (given, left) in [
            (r#"{"content":[],"resultType":"complete"}"#, r#"{"content":[]}"#),
            (r#"{"content":[{"a":"resultType"}],"resultType":"complete"}"#, r#"{"content":[{"a":"resultType"}]}"#),
            (r#"{"resultType":"complete","content":[]}"#, r#"{"content":[]}"#),
            (r#"{"ttlMs":1,"tools":[],"resultType":"complete"} "#, r#"{"tools":[]}"#),
            (r#"{"resultType":"complete"}"#, "{}"),
            (r#"{"content":[{"x":{"n":1,"resultType":"complete"}}]}"#, r#"{"content":[{"x":{"n":1,"resultType":"complete"}}]}"#),
        ] {
            assert_eq!(plain(given), left, "{given}");
        }
    }
}
