//! Words for models, put together.

use serde_json::Value;

/// Longest list of values that is told in words, in bytes.
const LONGEST: usize = 300;

/// Two descriptions of one thing.
pub(super) fn joined(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if one.contains(&other) => Some(one),
        (Some(one), Some(other)) if other.contains(&one) => Some(other),
        (Some(one), Some(other)) => Some(format!("{one}\n{other}")),
        (one, other) => one.or(other),
    }
}

/// Which values there are, where a schema cannot say it.
pub(super) fn one_of(values: &[Value]) -> Option<String> {
    let told = values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
    (told.len() <= LONGEST).then(|| format!("One of: {told}"))
}
