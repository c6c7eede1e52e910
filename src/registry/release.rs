//! Releases: immutable sets of definitions with a semantic version.

use std::collections::HashMap;
use std::sync::Arc;

use semver::Version;
use serde_json::Value;
use serde_json::value::RawValue;

use super::definition::{Definition, Kind, Manifest};
use super::intake::schema_digest;
use crate::domain::{Digest, RawObject, ServerName};
use crate::protocol::HeaderRules;
use crate::schema::{self, Bounds, Misfit, Strict, Validators};

/// A release that is served, made ready for calls.
#[derive(Debug)]
pub struct Release {
    /// The server.
    pub server: ServerName,
    /// Its version.
    pub version: Version,
    /// The address of the set.
    pub digest: Digest,
    /// The definitions.
    pub manifest: Manifest,
    tools: HashMap<String, Tool>,
}

/// What a call of a tool needs to know of it.
#[derive(Debug)]
struct Tool {
    schema: Box<RawValue>,
    digest: Digest,
    bounds: Bounds,
    headers: HeaderRules,
}

/// Why arguments were refused.
#[derive(Debug)]
pub enum Refused {
    /// The release has no such tool.
    NoSuchTool,
    /// They are not JSON that can be judged.
    Unreadable(String),
    /// They do not fit the schema.
    Misfits(Vec<Misfit>),
}

impl Release {
    /// A release with its tools made ready.
    pub fn new(server: ServerName, version: Version, manifest: Manifest) -> Self {
        let ready = |definition: &Definition| {
            let object = RawObject::parse(definition.body.get()).ok()?;
            let schema = object.get("inputSchema")?.to_owned();
            let bounds = schema::check(schema.get()).ok()?;
            let value: Value = serde_json::from_str(schema.get()).ok()?;
            let headers = HeaderRules::of(&value).ok()?;
            Some((definition.name.clone(), Tool { digest: schema_digest(&schema), schema, bounds, headers }))
        };
        let tools = manifest.of(Kind::Tool).filter_map(ready).collect();
        Self { server, version, digest: manifest.digest(), manifest, tools }
    }

    /// `time@1.0.0`: how records and errors name it.
    pub fn label(&self) -> String {
        format!("{}@{}", self.server, self.version)
    }

    /// The headers a tool's arguments travel in beside the body.
    pub fn header_rules(&self, tool: &str) -> Option<&HeaderRules> {
        self.tools.get(tool).map(|tool| &tool.headers)
    }

    /// Checks arguments against the schema that callers were shown; the result is the parsed arguments.
    pub fn check_arguments(&self, tool: &str, arguments: Option<&RawValue>, validators: &Validators) -> Result<Value, Refused> {
        let tool = self.tools.get(tool).ok_or(Refused::NoSuchTool)?;
        let text = arguments.map_or("{}", RawValue::get);
        let Strict(value) = serde_json::from_str(text).map_err(|error| Refused::Unreadable(error.to_string()))?;
        if depth(&value) > tool.bounds.depth {
            return Err(Refused::Unreadable(format!("nested deeper than the {} levels this schema allows", tool.bounds.depth)));
        }
        let validator = validators.compile(tool.digest, tool.schema.get()).map_err(|error| Refused::Unreadable(error.to_string()))?;
        match Validators::misfits(&validator, &value) {
            misfits if misfits.is_empty() => Ok(value),
            misfits => Err(Refused::Misfits(misfits)),
        }
    }

    /// The version of the next release: a change that breaks callers raises the major, any other the patch number.
    pub fn next_version(current: &Version, breaks: bool) -> Version {
        if breaks { Version::new(current.major + 1, 0, 0) } else { Version::new(current.major, current.minor, current.patch + 1) }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A change that waits for a person.
#[derive(Clone, Debug)]
pub struct Held {
    /// The address of the set.
    pub digest: Digest,
    /// What the server offers now.
    pub manifest: Arc<Manifest>,
    /// When it was first seen, in milliseconds since the epoch.
    pub since_ms: i64,
}
