//! Compiled validators: made once per schema that is called, kept in moka, shared by all callers.

use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use moka::sync::Cache;
use serde_json::Value;

use super::check::{Unsound, check};
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
pub struct Validators {
    compiled: Cache<Digest, Arc<Validator>>,
    /// The schemas that were found sound: most are never called, and a digest is much smaller than what is compiled.
    sound: Cache<Digest, ()>,
}

/// How many compiled validators are kept, and how many schemas are known to be sound.
const KEPT: u64 = 4096;
const SOUND: u64 = 65_536;

/// How many misfits are reported at once.
const REPORTED: usize = 8;

impl Default for Validators {
    fn default() -> Self {
        Self { compiled: Cache::new(KEPT), sound: Cache::new(SOUND) }
    }
}

impl Validators {
    /// Whether a schema may be used: it is bounded, and can be compiled.
    pub fn judge(&self, digest: Digest, schema: &str) -> Result<(), Unsound> {
        if !self.sound.contains_key(&digest) {
            check(schema)?;
            build(&read(schema)?)?;
            self.sound.insert(digest, ());
        }
        Ok(())
    }

    /// The validator of a schema, compiled now if it is not kept.
    pub fn compile(&self, digest: Digest, schema: &str) -> Result<Arc<Validator>, Unsound> {
        if let Some(validator) = self.compiled.get(&digest) {
            return Ok(validator);
        }
        let validator = Arc::new(build(&read(schema)?)?);
        self.compiled.insert(digest, validator.clone());
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

fn read(schema: &str) -> Result<Value, Unsound> {
    serde_json::from_str(schema).map_err(|error| Unsound::new("", error))
}

/// Compiles a schema: JSON Schema 2020-12 unless `$schema` says otherwise, no remote references,
/// patterns by an engine whose time grows with the text and not beyond.
pub(super) fn build(schema: &Value) -> Result<Validator, Unsound> {
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
    fn a_schema_that_is_only_judged_is_not_kept_compiled() {
        let (validators, digest) = (Validators::default(), Digest::of("portolan/schema", b"{}"));
        validators.judge(digest, "{}").unwrap();
        assert!(validators.sound.contains_key(&digest) && !validators.compiled.contains_key(&digest));
        validators.compile(digest, "{}").unwrap();
        assert!(validators.compiled.contains_key(&digest));
        let unsound = Digest::of("portolan/schema", b"7");
        assert!(validators.judge(unsound, "7").is_err() && validators.judge(unsound, "7").is_err());
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

    /// The required cases of the official JSON Schema Test Suite, whose folder `tests/draft2020-12` the variable names; those that need
    /// a document from elsewhere are refused here, as they must be.
    #[test]
    fn the_required_cases_of_the_official_suite_come_out_as_they_should() {
        let Some(folder) = std::env::var_os("PORTOLAN_SCHEMA_SUITE") else { return };
        let (mut good, mut remote, mut wrong) = (0, Vec::new(), Vec::new());
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        assert!(files.len() > 40, "{files:?}");
        for file in files {
            let groups: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            for group in groups {
                let name = format!("{}: {}", file.file_stem().unwrap().to_string_lossy(), group["description"].as_str().unwrap());
                let validator = match build(&group["schema"]) {
                    Ok(validator) => validator,
                    Err(_) if group["schema"].to_string().contains("http://localhost:1234/") => {
                        remote.push(name);
                        continue;
                    }
                    Err(why) => {
                        wrong.push(format!("{name}: {why}"));
                        continue;
                    }
                };
                for test in group["tests"].as_array().unwrap() {
                    if validator.is_valid(&test["data"]) == test["valid"] {
                        good += 1;
                    } else {
                        wrong.push(format!("{name}: {}", test["description"]));
                    }
                }
            }
        }
        println!("{good} cases are good; {} groups need a document from elsewhere: {remote:#?}", remote.len());
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(good > 1_200 && remote.len() < 40, "{good} {remote:?}");
    }
}
