//! The HTTP headers of the stateless revision (§basic/transports/streamable-http, SEP-2243).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The revision of the request.
pub const HEADER_VERSION: &str = "mcp-protocol-version";
/// The method of the request.
pub const HEADER_METHOD: &str = "mcp-method";
/// The tool, prompt or resource of the request.
pub const HEADER_NAME: &str = "mcp-name";
/// The prefix of headers that mirror an argument.
pub const HEADER_PARAM: &str = "mcp-param-";
/// The session, to 2025-11-25.
pub const HEADER_SESSION: &str = "mcp-session-id";

/// The member of `params` that `Mcp-Name` repeats for a method.
pub fn named_by(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        // The extension for tasks wants the same.
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// A text as a header value: itself where it is plain, else in the base64 form.
pub fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) && text.trim() == text && !text.is_empty();
    if plain && !(text.starts_with("=?base64?") && text.ends_with("?=")) {
        text.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(text))
    }
}

/// The text a header value stands for; none when its base64 form is broken.
pub fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(coded) => String::from_utf8(STANDARD.decode(coded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// Which arguments of a tool travel in headers too: `x-mcp-header` in its input schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules(Vec<(String, Vec<String>)>);

impl HeaderRules {
    /// Reads the rules of an input schema; the error says which one is wrong.
    pub fn of(schema: &Value) -> Result<Self, String> {
        let mut rules = Self::default();
        rules.walk(schema, &mut Vec::new(), true)?;
        Ok(rules)
    }

    fn walk(&mut self, schema: &Value, path: &mut Vec<String>, reachable: bool) -> Result<(), String> {
        let Value::Object(members) = schema else { return Ok(()) };
        if let Some(header) = members.get("x-mcp-header") {
            let name = header.as_str().unwrap_or_default();
            let token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            let simple = matches!(members.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean"));
            if !token || !simple || !reachable || path.is_empty() {
                return Err(format!("`x-mcp-header` at /{} is not a valid header rule", path.join("/")));
            }
            if self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                return Err(format!("`x-mcp-header` names `{name}` twice"));
            }
            self.0.push((name.to_owned(), path.clone()));
        }
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    for (name, schema) in properties {
                        path.push(name.clone());
                        self.walk(schema, path, reachable)?;
                        path.pop();
                    }
                }
                ("items" | "not" | "if" | "then" | "else" | "additionalProperties", schema) => self.walk(schema, path, false)?,
                ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => {
                    for schema in list {
                        self.walk(schema, path, false)?;
                    }
                }
                ("$defs" | "definitions" | "patternProperties" | "dependentSchemas", Value::Object(map)) => {
                    for schema in map.values() {
                        self.walk(schema, path, false)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers for these arguments: name after the prefix, and plain value.
    pub fn values(&self, arguments: &Value) -> Vec<(&str, String)> {
        let value = |path: &Vec<String>| path.iter().try_fold(arguments, |value, key| value.get(key));
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            _ => None,
        };
        self.0.iter().filter_map(|(name, path)| Some((name.as_str(), text(value(path)?)?))).collect()
    }

    /// The first header that is missing or contradicts the arguments.
    pub fn contradiction<'h>(&self, header: &dyn Fn(&str) -> Option<&'h str>, arguments: &Value) -> Option<String> {
        let wanted = self.values(arguments);
        let differs = |name: &str, value: &str| {
            let given = header(&format!("{HEADER_PARAM}{}", name.to_ascii_lowercase())).and_then(decoded);
            let same = given
                .as_deref()
                .is_some_and(|given| given == value || matches!((given.parse::<i64>(), value.parse::<i64>()), (Ok(a), Ok(b)) if a == b));
            !same
        };
        wanted.iter().find(|(name, value)| differs(name, value)).map(|(name, _)| (*name).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn every_text_survives_a_header(text in ".*") {
            let value = encoded(&text);
            prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')));
            prop_assert_eq!(decoded(&value), Some(text));
        }
    }

    #[test]
    fn a_rule_must_be_a_simple_property_with_its_own_header() {
        let good = json!({ "properties": { "a": { "properties": { "r": { "type": "string", "x-mcp-header": "Region" } } } } });
        let rules = HeaderRules::of(&good).unwrap();
        assert_eq!(rules.values(&json!({ "a": { "r": "eu\r\nX: 1" } })), [("Region", "eu\r\nX: 1".to_owned())]);
        for bad in [
            json!({ "properties": { "a": { "type": "number", "x-mcp-header": "A" } } }),
            json!({ "properties": { "a": { "type": "string", "x-mcp-header": "A B" } } }),
            json!({ "properties": { "a": { "items": { "type": "string", "x-mcp-header": "A" } } } }),
            json!({ "properties": { "a": { "type": "string", "x-mcp-header": "A" }, "b": { "type": "string", "x-mcp-header": "a" } } }),
        ] {
            assert!(HeaderRules::of(&bad).is_err(), "{bad}");
        }
    }
}
