//! Compiled validators: made once per schema, kept in moka, shared by all callers.

use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use moka::sync::Cache;
use serde_json::Value;

use super::check::Unsound;
use crate::domain::{Digest, clip};

/// A value that does not fit its schema, in words a model can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// JSON Pointer to the place, empty for the whole value.
    pub path: String,
    /// What is wrong there.
    pub why: String,
}

/// The compiled validators, by the digest of their schema.
#[derive(Clone)]
pub struct Validators(Cache<Digest, Arc<Validator>>);

/// How many compiled validators are kept.
const KEPT: u64 = 4096;

/// How many misfits are reported at once.
const REPORTED: usize = 8;

impl Default for Validators {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Validators {
    /// The validator of a schema, compiled now if it is not kept.
    pub fn compile(&self, digest: Digest, schema: &str) -> Result<Arc<Validator>, Unsound> {
        if let Some(validator) = self.0.get(&digest) {
            return Ok(validator);
        }
        let schema: Value = serde_json::from_str(schema).map_err(|error| Unsound::new("", error))?;
        let validator = Arc::new(build(&schema)?);
        self.0.insert(digest, validator.clone());
        Ok(validator)
    }

    /// What is wrong with `value`; nothing when it fits.
    pub fn misfits(validator: &Validator, value: &Value) -> Vec<Misfit> {
        if validator.is_valid(value) {
            return Vec::new();
        }
        let misfit =
            |error: jsonschema::ValidationError<'_>| Misfit { path: error.instance_path().to_string(), why: clip(&error.to_string(), 300) };
        validator.iter_errors(value).take(REPORTED).map(misfit).collect()
    }
}

/// Compiles a schema: JSON Schema 2020-12 unless `$schema` says otherwise, no remote references,
/// patterns by an engine whose time grows with the text and not beyond.
fn build(schema: &Value) -> Result<Validator, Unsound> {
    let draft = match schema.get("$schema").and_then(Value::as_str) {
        None => Draft::Draft202012,
        Some(uri) => {
            known(uri).ok_or_else(|| Unsound::new("/$schema", format!("`{}` is not a dialect this gateway knows", clip(uri, 120))))?
        }
    };
    let patterns = PatternOptions::regex().size_limit(1 << 20).dfa_size_limit(1 << 20);
    let built = jsonschema::options().with_draft(draft).offline().with_pattern_options(patterns).build(schema);
    built.map_err(|error| Unsound::new(error.schema_path().as_str(), clip(&error.to_string(), 300)))
}

fn known(uri: &str) -> Option<Draft> {
    Some(match uri.trim_end_matches('#').trim_start_matches("https://").trim_start_matches("http://") {
        "json-schema.org/draft/2020-12/schema" => Draft::Draft202012,
        "json-schema.org/draft/2019-09/schema" => Draft::Draft201909,
        "json-schema.org/draft-07/schema" => Draft::Draft7,
        "json-schema.org/draft-06/schema" => Draft::Draft6,
        "json-schema.org/draft-04/schema" => Draft::Draft4,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_misfit_names_its_place() {
        let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
        let validator = build(&schema).unwrap();
        let misfits = Validators::misfits(&validator, &json!({ "n": "x" }));
        assert_eq!(misfits.len(), 1);
        assert_eq!(misfits[0].path, "/n");
        assert!(Validators::misfits(&validator, &json!({ "n": 1 })).is_empty());
    }

    #[test]
    fn look_around_remote_references_and_unknown_dialects_do_not_compile() {
        for schema in [
            json!({ "pattern": "^(?=a)b" }),
            json!({ "$ref": "https://example.com/s.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "$schema": "https://example.com/mine" }),
            json!({ "type": 7 }),
        ] {
            assert!(build(&schema).is_err(), "{schema}");
        }
    }
}
