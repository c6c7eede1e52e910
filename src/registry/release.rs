//! Releases: immutable sets of definitions with a semantic version.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use semver::Version;
use serde_json::Value;
use serde_json::value::RawValue;

use super::definition::{Kind, Manifest};
use super::drift::Difference;
use super::intake::schema_digest;
use crate::domain::{Digest, RawObject, ServerName};
use crate::protocol::{HeaderRules, is_complete, is_tool_error};
use crate::schema::{self, Bounds, Misfit, Strict, Validators};

/// A release that is served. Each of its tools is made ready by its first call: of thousands, most are never called.
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
    tools: HashMap<String, OnceLock<Option<Box<Tool>>>>,
}

/// What a call of a tool needs to know of it.
#[derive(Debug)]
pub struct Tool {
    input: Shape,
    output: Option<Shape>,
    headers: HeaderRules,
    /// The names that its arguments may have.
    names: BTreeSet<String>,
}

/// A schema, and where its compiled validator is found.
#[derive(Debug)]
struct Shape {
    schema: Box<RawValue>,
    digest: Digest,
    bounds: Bounds,
}

impl Tool {
    fn read(definition: &RawValue) -> Option<Self> {
        let object = RawObject::parse(definition.get()).ok()?;
        let input = Shape::read(object.get("inputSchema")?)?;
        let value: Value = serde_json::from_str(input.schema.get()).ok()?;
        let headers = HeaderRules::of(&value).ok()?;
        let (output, names) = (object.get("outputSchema").and_then(Shape::read), schema::names(&value));
        Some(Self { input, output, headers, names })
    }

    /// The headers its arguments travel in beside the body.
    pub fn headers(&self) -> &HeaderRules {
        &self.headers
    }

    /// The names that its arguments may have, wherever in them.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Reads a call's arguments, as strictly as they are passed on.
    pub fn read_arguments(arguments: Option<&RawValue>) -> Result<Value, Refused> {
        let text = arguments.map_or("{}", RawValue::get);
        let Strict(value) = serde_json::from_str(text).map_err(|error| Refused::Unreadable(error.to_string()))?;
        Ok(value)
    }

    /// Checks arguments against the schema that callers were shown.
    pub fn check_arguments(&self, arguments: &Value, validators: &Validators) -> Result<(), Refused> {
        match self.input.misfits(arguments, validators).map_err(Refused::Unreadable)? {
            misfits if misfits.is_empty() => Ok(()),
            misfits => Err(Refused::Misfits(misfits)),
        }
    }

    /// Checks a result against the schema that callers were shown. Errors promise nothing, nor does what is not the end of a call.
    pub fn check_result(&self, result: &RawValue, validators: &Validators) -> Result<(), Unkept> {
        let Some(output) = &self.output else { return Ok(()) };
        if is_tool_error(result) || !is_complete(result.get()) {
            return Ok(());
        }
        let object = RawObject::forgiving(result.get()).map_err(|error| Unkept::Unreadable(error.to_string()))?;
        let content = object.get("structuredContent").ok_or(Unkept::Missing)?;
        let Strict(value) = serde_json::from_str(content.get()).map_err(|error| Unkept::Unreadable(error.to_string()))?;
        match output.misfits(&value, validators).map_err(Unkept::Unreadable)? {
            misfits if misfits.is_empty() => Ok(()),
            misfits => Err(Unkept::Misfits(misfits)),
        }
    }
}

impl Shape {
    fn read(schema: &RawValue) -> Option<Self> {
        let bounds = schema::check(schema.get()).ok()?;
        Some(Self { digest: schema_digest(schema), schema: schema.to_owned(), bounds })
    }

    /// What of a value does not fit; the error says why that cannot be judged.
    fn misfits(&self, value: &Value, validators: &Validators) -> Result<Vec<Misfit>, String> {
        if depth(value) > self.bounds.depth {
            return Err(format!("nested deeper than the {} levels this schema allows", self.bounds.depth));
        }
        let validator = validators.compile(self.digest, self.schema.get()).map_err(|error| error.to_string())?;
        Ok(Validators::misfits(&validator, value))
    }
}

/// Why arguments were refused.
#[derive(Debug)]
pub enum Refused {
    /// They are not JSON that can be judged.
    Unreadable(String),
    /// They do not fit the schema.
    Misfits(Vec<Misfit>),
}

/// Why a result is not what the release promises.
#[derive(Debug)]
pub enum Unkept {
    /// It has no structured content, which the release promises (2025-06-18 §server/tools).
    Missing,
    /// Its structured content cannot be judged.
    Unreadable(String),
    /// Its structured content does not fit the schema.
    Misfits(Vec<Misfit>),
}

impl Release {
    /// A release of a server.
    pub fn new(server: ServerName, version: Version, manifest: Manifest) -> Self {
        let tools = manifest.of(Kind::Tool).map(|tool| (tool.name.clone(), OnceLock::new())).collect();
        Self { server, version, digest: manifest.digest(), manifest, tools }
    }

    /// A tool, made ready for calls; none where its schema cannot be used.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        let read = || {
            let definition = self.manifest.of(Kind::Tool).find(|tool| tool.name == name)?;
            Tool::read(&definition.body).map(Box::new)
        };
        self.tools.get(name)?.get_or_init(read).as_deref()
    }

    /// `time@1.0.0`: how records and errors name it.
    pub fn label(&self) -> String {
        format!("{}@{}", self.server, self.version)
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What a server takes now, where that is not what a release of it says: a call must fit both.
#[derive(Debug)]
pub struct Guard {
    /// The tools that changed, as the server has them now; none where it has one no more.
    changed: HashMap<String, Option<Tool>>,
}

/// Why a call that its release allows is of no use to its server.
#[derive(Debug)]
pub enum Outgrown {
    /// The server has no such tool any more.
    Gone,
    /// The server wants other arguments.
    Misfits(Vec<Misfit>),
}

impl Guard {
    /// What lies between a release and what its server offers now; none where no tool of the release is another now.
    pub(super) fn new(differences: &[Difference]) -> Option<Arc<Self>> {
        let tools = differences.iter().filter(|one| one.kind == Kind::Tool && one.approved.is_some());
        let now = |one: &Difference| (one.name.clone(), one.live.as_deref().and_then(Tool::read));
        let changed: HashMap<_, _> = tools.map(now).collect();
        (!changed.is_empty()).then(|| Arc::new(Self { changed }))
    }

    /// Whether the server still takes a call that the release allows.
    pub fn takes(&self, tool: &str, arguments: &Value, validators: &Validators) -> Result<(), Outgrown> {
        let Some(now) = self.changed.get(tool) else { return Ok(()) };
        let now = now.as_ref().ok_or(Outgrown::Gone)?;
        // One that cannot be compiled was left out when it was read, and is gone.
        match now.input.misfits(arguments, validators).map_err(|_| Outgrown::Gone)? {
            misfits if misfits.is_empty() => Ok(()),
            misfits => Err(Outgrown::Misfits(misfits)),
        }
    }

    /// The headers in which the server wants a tool's arguments now, where the tool changed.
    pub fn header_rules(&self, tool: &str) -> Option<&HeaderRules> {
        self.changed.get(tool)?.as_ref().map(|tool| &tool.headers)
    }
}

/// A change that waits for a person. Meanwhile the approved release is served, as far as the server still takes what that allows.
#[derive(Clone, Debug)]
pub struct Held {
    /// The address of the set.
    pub digest: Digest,
    /// What the server offers now.
    pub manifest: Arc<Manifest>,
    /// When it was first seen, in milliseconds since the epoch.
    pub since_ms: i64,
    /// How many definitions changed.
    pub count: usize,
    /// What is not served meanwhile.
    blocked: Arc<BTreeSet<(Kind, String)>>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, self.since_ms, &self.blocked) == (other.digest, other.since_ms, &other.blocked)
    }
}

impl Held {
    /// What is held, in so many definitions; `blocked` is not served meanwhile.
    pub(super) fn new(manifest: Manifest, since_ms: i64, count: usize, blocked: BTreeSet<(Kind, String)>) -> Self {
        Self { digest: manifest.digest(), manifest: Arc::new(manifest), since_ms, count, blocked: Arc::new(blocked) }
    }

    /// What of the approved release is not served meanwhile.
    pub fn blocked(&self) -> &BTreeSet<(Kind, String)> {
        &self.blocked
    }
}
