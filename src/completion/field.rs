//! The field `portolan` of a request's body: what a caller asks of the gateway itself.
//!
//! Who writes it reads no Rust, so what is wrong in it is said in the words of JSON, with the place.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Error;
use crate::domain::RawObject;

/// What the field may hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    #[serde(default)]
    pub(super) context: Vec<String>,
    #[serde(default)]
    pub(super) tools: Vec<String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) report: bool,
}

/// How each member begins that is more than a word, and how it is written.
const SHAPES: [(&str, char, &str); 3] = [
    ("context", '[', "a list of names, as in `[\"notes\"]`"),
    ("tools", '[', "a list of names, as in `[\"time\"]`"),
    ("tags", '{', "texts by name, as in `{\"team\": \"build\"}`"),
];

impl Field {
    /// Reads it; the error is the caller's.
    pub(super) fn read(field: &RawValue) -> Result<Self, Error> {
        // A list would be read as the members in their order, which nobody means.
        if !field.get().starts_with('{') {
            return Err(Error::invalid("`portolan` must be an object, as in `{\"context\": [\"notes\"]}`", "portolan"));
        }
        let object = RawObject::parse(field.get()).map_err(|error| Error::invalid(format!("`portolan`: {error}"), "portolan"))?;
        for (key, begins, written) in SHAPES {
            if object.get(key).is_some_and(|value| !value.get().starts_with(begins)) {
                let at = format!("portolan.{key}");
                return Err(Error::invalid(format!("`{at}` must be {written}"), &at));
            }
        }
        serde_json::from_str(field.get()).map_err(|error| {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            let text = text.replace("invalid type: sequence", "found a list").replace("invalid type: map", "found an object");
            Error::invalid(format!("`portolan`: {}", text.replace("invalid type: ", "found ")), "portolan")
        })
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
            (r#"{"context":"notes"}"#, "`portolan.context` must be a list of names"),
            (r#"{"tools":null}"#, "`portolan.tools` must be a list of names"),
            (r#"{"tools":[[]]}"#, "found a list, expected a string"),
            (r#"{"tags":["a"]}"#, "`portolan.tags` must be texts by name"),
            (r#"{"tags":{"a":1}}"#, "found integer `1`, expected a string"),
            (r#"{"report":"yes"}"#, "expected a boolean"),
            (r#"{"reports":true}"#, "unknown field `reports`"),
        ] {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            let Err(error) = Field::read(&raw) else { panic!("{text}") };
            let said = error.to_string();
            assert!(said.contains(words) && !["struct", "sequence", "line"].iter().any(|word| said.contains(word)), "{text}: {said}");
        }
    }
}
