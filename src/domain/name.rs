//! Server names: one namespace for servers and toolsets, `[a-z][a-z0-9-]*`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest public tool name: with a client's own prefix it must stay within 64 characters.
pub const PUBLIC_NAME_MAX: usize = 48;

/// Longest server name: room must stay for a tool's name beside it.
const SERVER_NAME_MAX: usize = 32;

/// Names that are paths of the gateway itself.
const RESERVED: [&str; 2] = ["portolan", "sse"];

/// The name of an upstream server, valid by construction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

/// Why a text is not a server name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// A character outside the alphabet, or a wrong first one.
    #[error("`{0}` is not a server name: use a lower-case letter, then lower-case letters, digits or `-`")]
    Shape(String),
    /// Longer than the public name leaves room for.
    #[error("`{0}` is too long for a server name: at most {SERVER_NAME_MAX} characters")]
    Long(String),
    /// A path of the gateway itself.
    #[error("`{0}` is reserved by the gateway; choose another name")]
    Reserved(String),
}

impl ServerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let lower = |c: char| c.is_ascii_lowercase();
        let shape = text.starts_with(lower) && text.chars().all(|c| lower(c) || c.is_ascii_digit() || c == '-');
        if !shape {
            return Err(NameError::Shape(super::clip(text, 64)));
        }
        if text.len() > SERVER_NAME_MAX {
            return Err(NameError::Long(super::clip(text, 64)));
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ServerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for ServerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for ServerName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServerName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*$", "maxLength": SERVER_NAME_MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_two_underscores_or_a_reserved_one_is_refused() {
        for bad in ["", "Time", "a__b", "1st", "portolan", "sse", "a/b", "-a", &"a".repeat(33)] {
            assert!(bad.parse::<ServerName>().is_err(), "{bad}");
        }
        assert_eq!("time-2".parse::<ServerName>().unwrap().as_str(), "time-2");
    }
}
