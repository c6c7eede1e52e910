//! The field `portolan` of a request's body: what a caller asks of the gateway itself.
//!
//! Who writes it reads no Rust, so what is wrong in it is said in the words of JSON, with the place.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::Error;

/// What the field may hold.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object, as in `{\"context\": [\"notes\"]}`")]
pub(super) struct Field {
    #[serde(default)]
    pub(super) context: Names,
    #[serde(default)]
    pub(super) tools: Names,
    #[serde(default)]
    pub(super) tags: Tags,
    #[serde(default)]
    pub(super) report: bool,
}

/// A list of names.
#[derive(Default)]
pub(super) struct Names(pub(super) Vec<String>);

/// Names with their values.
#[derive(Default)]
pub(super) struct Tags(pub(super) BTreeMap<String, String>);

impl Field {
    /// Reads it; the error is the caller's.
    pub(super) fn read(field: &RawValue) -> Result<Self, Error> {
        // An array would be read as the fields in their order, which nobody means.
        if !field.get().starts_with('{') {
            return Err(Error::invalid("`portolan` must be an object, as in `{\"context\": [\"notes\"]}`", "portolan"));
        }
        serde_json::from_str(field.get()).map_err(|error| {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            let text = text.replace("invalid type: sequence", "found a list").replace("invalid type: map", "found an object");
            Error::invalid(format!("`portolan`: {}", text.replace("invalid type: ", "found ")), "portolan")
        })
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names, as in `[\"notes\"]`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Names, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Names)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(List)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Tags;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("texts by name, as in `{\"team\": \"build\"}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tags, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(Tags)
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_in_it_is_said_in_the_words_of_json() {
        for (text, words) in [
            ("true", "`portolan` must be an object"),
            ("[]", "`portolan` must be an object"),
            (r#"{"context":"notes"}"#, "expected a list of names"),
            (r#"{"tools":[1]}"#, "expected a string"),
            (r#"{"tags":["a"]}"#, "texts by name"),
            (r#"{"tags":{"a":1}}"#, "expected a string"),
            (r#"{"reports":true}"#, "unknown field `reports`"),
        ] {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            let Err(error) = Field::read(&raw) else { panic!("{text}") };
            let said = error.to_string();
            assert!(
                said.contains(words) && !said.contains("struct") && !said.contains("sequence") && !said.contains("line"),
                "{text}: {said}"
            );
        }
    }
}
