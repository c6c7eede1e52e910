//! The kinds of value a file holds: text with environment references, secrets, durations, sizes.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::Error;
use crate::domain::Secret;

/// Text in which `${NAME}` and `${NAME:-default}` come from the environment; `$$` is a dollar sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(String);

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        expand(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

pub(super) fn expand(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            after
        } else if let Some(after) = after.strip_prefix('{') {
            let (inside, after) = after.split_once('}').ok_or("`${` without its `}`")?;
            let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, value)| (name, Some(value)));
            match (std::env::var(name).ok().filter(|value| !value.is_empty()), default) {
                (Some(value), _) => out.push_str(&value),
                (None, Some(value)) => out.push_str(value),
                (None, None) => {
                    return Err(format!("the environment variable `{name}` is not set; set it, or write `${{{name}:-default}}`"));
                }
            }
            after
        } else {
            out.push('$');
            after
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// A secret: a text, or `file:PATH` whose first line is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretText(Secret);

impl SecretText {
    /// A secret that is already at hand.
    pub fn new(text: &str) -> Self {
        Self(Secret::new(text))
    }

    /// The secret.
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// Reads the file of a `file:` reference, relative to `base`.
    pub fn resolve(&mut self, base: &Path, at: impl FnOnce() -> String) -> Result<(), Error> {
        let Some(path) = self.0.reveal().strip_prefix("file:") else { return Ok(()) };
        let path = base.join(path);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                self.0 = Secret::new(text.lines().next().unwrap_or_default().trim());
                Ok(())
            }
            Err(error) => Err(Error::wrong(at(), format!("the secret file {} cannot be read: {error}", path.display()))),
        }
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&Text::deserialize(deserializer)?))
    }
}

/// A length of time, written `250ms`, `30s`, `5m`, `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let millis = number_with_unit(&text, &units);
        let wrong = || D::Error::custom(format!("`{text}` is not a duration; write `250ms`, `30s`, `5m` or `2h`"));
        millis.map(|millis| Self(Duration::from_millis(millis))).ok_or_else(wrong)
    }
}

/// A number of bytes, written `64KiB`, `20MiB`, `1GiB`, or a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(Text),
        }
        let bytes = match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Some(bytes),
            Written::Text(text) => {
                let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000)];
                let more = [("MB", 1_000_000), ("kB", 1_000), ("B", 1), ("", 1)];
                number_with_unit(&text, &[units.as_slice(), more.as_slice()].concat())
            }
        };
        let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| D::Error::custom("not a size; write `64KiB`, `20MiB` or a number of bytes"))
    }
}

fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Reads what is written `S`hort as a text, or `L`ong as settings; `expected` says so. What is wrong in the settings is told as what it
/// is, and not as something that fits neither.
pub(super) fn short_or_long<'de, T, S, L, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    S: Deserialize<'de> + Into<T>,
    L: Deserialize<'de> + Into<T>,
    D: Deserializer<'de>,
{
    struct Either<T, S, L>(&'static str, PhantomData<(T, S, L)>);
    impl<'de, T, S: Deserialize<'de> + Into<T>, L: Deserialize<'de> + Into<T>> Visitor<'de> for Either<T, S, L> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            S::deserialize(StrDeserializer::new(text)).map(Into::into)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            L::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
        }
    }
    deserializer.deserialize_any(Either::<T, S, L>(expected, PhantomData))
}

macro_rules! schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema!(Text, "Text", { "type": "string", "description": "Text; `${NAME}` and `${NAME:-default}` come from the environment." });
schema!(SecretText, "Secret", { "type": "string", "description": "A secret: text, `${NAME}`, or `file:PATH`." });
schema!(Span, "Duration", { "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" });
schema!(Size, "Size", { "type": ["string", "integer"], "pattern": "^[0-9]+(GiB|MiB|KiB|GB|MB|kB|B)?$" });
