//! Sealed thoughts inside a reasoning item's `encrypted_content`, so that a client hands them back unread.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::llm::conversation::Part;

/// What our own content begins with.
pub(in crate::llm) const MARK: &str = "ptl1:";

/// The content that stands for a thought; none for one without a seal.
pub(super) fn seal(part: &Part) -> Option<String> {
    let value = match part {
        Part::Thinking(text, Some(signature)) => json!({ "thinking": text, "signature": signature }),
        Part::Redacted(data) => json!({ "data": data }),
        _ => return None,
    };
    Some(format!("{MARK}{}", STANDARD.encode(value.to_string())))
}

/// The thought that a content stands for; none when it is not ours.
pub(super) fn unseal(content: &str) -> Option<Part> {
    let bytes = STANDARD.decode(content.strip_prefix(MARK)?).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    match text("data") {
        Some(data) => Some(Part::Redacted(data)),
        None => Some(Part::Thinking(text("thinking")?, text("signature"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_thought_comes_back_as_it_was() {
        let thought = Part::Thinking("hm".into(), Some("sig".into()));
        let back = unseal(&seal(&thought).unwrap()).unwrap();
        assert!(matches!(back, Part::Thinking(text, Some(sig)) if text == "hm" && sig == "sig"));
        assert!(unseal("gAAAAB-somebody-elses").is_none());
    }
}
