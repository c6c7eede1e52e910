//! Definitions: what a server says to models, each addressed by its digest; and the set of them.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::{Digest, RawObject, raw};
use crate::schema::canonical;
use crate::upstream::Code;

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource template.
    Template,
    /// The server's instructions to models.
    Instructions,
    /// The version of the package that a runner fetches for it.
    Code,
}

impl Kind {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Template => "resource template",
            Self::Instructions => "instructions",
            Self::Code => "code",
        }
    }
}

/// One definition as it was received.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// What it defines.
    pub kind: Kind,
    /// Its name, or a template's URI.
    pub name: String,
    /// Its own bytes, which are kept once for all who show them.
    pub body: Arc<RawValue>,
    /// The digest of its canonical form, once somebody asked for it.
    #[serde(skip)]
    digest: OnceLock<Digest>,
}

/// Members that change from one sight to the next without meaning anything; all else counts.
const VOLATILE: [&str; 3] = ["/_meta/traceparent", "/_meta/tracestate", "/_meta/baggage"];

impl Definition {
    /// A definition; the error says why it cannot be addressed.
    pub fn new(kind: Kind, name: String, body: Box<RawValue>) -> serde_json::Result<Self> {
        let definition = Self { kind, name, body: body.into(), digest: OnceLock::new() };
        let digest = definition.compute()?;
        definition.digest.get_or_init(|| digest);
        Ok(definition)
    }

    fn compute(&self) -> serde_json::Result<Digest> {
        let text = canonical(self.body.get(), &|path| VOLATILE.contains(&path))?;
        Ok(Digest::of(&format!("portolan/definition/{}", self.kind.as_str()), text.as_bytes()))
    }

    /// Its address.
    pub fn digest(&self) -> Digest {
        // What could not be canonicalised never became a definition; its bytes are a fair stand-in.
        let stand_in = |_| Digest::of("portolan/definition", self.body.get().as_bytes());
        *self.digest.get_or_init(|| self.compute().unwrap_or_else(stand_in))
    }

    /// A member of it that is a text.
    pub fn text(&self, key: &str) -> Option<String> {
        RawObject::parse(self.body.get()).ok()?.string(key)
    }
}

/// Something a server offers that was left out, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dropped {
    /// What it was.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Why it was left out.
    pub reason: String,
}

/// All definitions of a server, and how it presented itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// In the server's own order.
    pub definitions: Vec<Definition>,
    /// What was left out.
    #[serde(default)]
    pub dropped: Vec<Dropped>,
    /// Its name and version, unverified.
    pub info: Box<RawValue>,
    /// Its capabilities.
    pub capabilities: Box<RawValue>,
}

impl Manifest {
    /// The address of the set: names count, and so does every definition, but not their order.
    pub fn digest(&self) -> Digest {
        let mut lines: Vec<String> = self
            .definitions
            .iter()
            .map(|definition| format!("{} {:?} {}\n", definition.kind.as_str(), definition.name, definition.digest()))
            .collect();
        lines.sort_unstable();
        Digest::of("portolan/release", lines.concat().as_bytes())
    }

    /// The definitions of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Definition> {
        self.definitions.iter().filter(move |definition| definition.kind == kind)
    }

    /// Whether the server declared a capability.
    pub fn has(&self, capability: &str) -> bool {
        RawObject::parse(self.capabilities.get()).is_ok_and(|all| all.has(capability))
    }

    /// Whether a capability that the server declared has a part.
    pub fn has_in(&self, capability: &str, part: &str) -> bool {
        let declared = RawObject::parse(self.capabilities.get()).ok().and_then(|all| all.read::<serde_json::Value>(capability));
        declared.is_some_and(|declared| declared.get(part) == Some(&true.into()))
    }

    /// The extensions that the server declared, with their settings.
    pub fn extensions(&self) -> serde_json::Map<String, serde_json::Value> {
        RawObject::parse(self.capabilities.get()).ok().and_then(|all| all.read("extensions")).unwrap_or_default()
    }

    /// The version of the package that spoke, where that is known.
    pub fn code(&self) -> Option<Code> {
        serde_json::from_str(self.of(Kind::Code).next()?.body.get()).ok()
    }

    /// Takes a version of a package for what spoke.
    pub(super) fn spoken_by(&mut self, code: &Code) {
        self.definitions.retain(|definition| definition.kind != Kind::Code);
        self.definitions.extend(Definition::new(Kind::Code, code.package.clone(), raw(code)));
    }

    /// A member of the server's self-description.
    pub fn info(&self, key: &str) -> Option<String> {
        RawObject::parse(self.info.get()).ok()?.string(key)
    }

    /// The server's instructions.
    pub fn instructions(&self) -> Option<String> {
        let definition = self.of(Kind::Instructions).next()?;
        serde_json::from_str(definition.body.get()).ok()
    }
}
