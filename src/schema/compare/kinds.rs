//! The JSON types that a value may have, as a set.

use serde_json::Value;

use super::place::Facts;

/// A set of JSON types; whole numbers are a type of their own beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Default for Kinds {
    fn default() -> Self {
        Self::ALL
    }
}

const NAMES: [&str; 7] = ["null", "boolean", "string", "integer", "number", "array", "object"];

impl Kinds {
    pub(super) const ALL: Self = Self(0x7f);
    pub(super) const STRING: Self = Self(1 << 2);
    pub(super) const NUMBER: Self = Self(1 << 3 | 1 << 4);
    pub(super) const INTEGER: Self = Self(1 << 3);
    pub(super) const ARRAY: Self = Self(1 << 5);
    pub(super) const OBJECT: Self = Self(1 << 6);
    /// Those of which there are only three values.
    const FEW: Self = Self(1 | 1 << 1);

    fn named(name: &str) -> Self {
        match NAMES.iter().position(|known| *known == name) {
            // A whole number is a number.
            Some(4) => Self::NUMBER,
            Some(at) => Self(1 << at),
            None => Self(0),
        }
    }

    /// What `type` says.
    pub(super) fn of_type(value: &Value) -> Self {
        match value {
            Value::String(name) => Self::named(name),
            Value::Array(names) => names.iter().filter_map(Value::as_str).fold(Self(0), |all, name| Self(all.0 | Self::named(name).0)),
            _ => Self::ALL,
        }
    }

    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self(1),
            Value::Bool(_) => Self(1 << 1),
            Value::String(_) => Self::STRING,
            Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => Self::INTEGER,
            Value::Number(_) => Self(1 << 4),
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// The types that a value can have of which all this holds.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let types = facts.each("type").map(|(_, value)| Self::of_type(value));
        let valued =
            |value: &Value| value.as_array().into_iter().flatten().fold(Self(0), |all, value| Self(all.0 | Self::of_value(value).0));
        let listed = facts.each("enum").map(|(_, values)| valued(values));
        let only = facts.each("const").map(|(_, value)| Self::of_value(value));
        types.chain(listed).chain(only).fold(facts.kinds, Self::and)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All values there are, where there are only a few.
    pub(super) fn values(self) -> Option<Vec<Value>> {
        let all = [(Value::Null, 1), (false.into(), 2), (true.into(), 2)];
        self.without(Self::FEW).is_empty().then(|| all.into_iter().filter(|(_, bit)| self.0 & bit != 0).map(|(value, _)| value).collect())
    }

    /// Each of them by itself.
    pub(super) fn each(self) -> impl Iterator<Item = Self> {
        (0..NAMES.len()).map(|at| Self(1 << at)).filter(move |kind| !kind.and(self).is_empty())
    }

    /// In words: `string or null`.
    pub(super) fn told(self) -> String {
        // Where any number may be, nothing is said of whole ones.
        let shown = if self.and(Self::NUMBER) == Self::NUMBER { self.without(Self::INTEGER) } else { self };
        let names: Vec<&str> = NAMES.iter().enumerate().filter(|(at, _)| shown.0 & 1 << at != 0).map(|(_, name)| *name).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(" or ") }
    }
}
