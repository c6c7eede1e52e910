//! What a client can be asked by a server: its capabilities, of whatever revision.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::era::{Era, Revision};
use super::params::Params;
use super::question::{Kind, Question};
use crate::domain::{RawObject, raw};

/// The longest text of a client's capabilities that is kept; of a longer one, what is known of it.
const LONGEST: usize = 2 << 10;
/// The extension whose tools show pages (SEP-1865); it asks nothing of the road between client and server.
const UI: &str = "io.modelcontextprotocol/ui";
/// The extension of calls that outlive their request.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";
/// The extensions that mean the same where many servers are one.
pub const KNOWN_EXTENSIONS: [&str; 2] = [UI, TASKS];

/// A client's capabilities (`ClientCapabilities` of all revisions), as far as servers may ask it something.
#[allow(clippy::struct_excessive_bools)] // Each is the answer to a question of its own.
#[derive(Clone, Debug)]
pub struct ClientCapabilities {
    /// As a stateless server is told them.
    stamp: Box<str>,
    form: bool,
    url: bool,
    sampling: bool,
    /// Whether a model that is sampled may be given tools, which the older revisions do not know.
    sampling_tools: bool,
    roots: bool,
    /// Whether it knows extensions, perhaps some of which we know nothing.
    extended: bool,
}

impl Default for ClientCapabilities {
    fn default() -> Self {
        Self { stamp: "{}".into(), form: false, url: false, sampling: false, sampling_tools: false, roots: false, extended: false }
    }
}

impl ClientCapabilities {
    /// What the client of a stateless request declares in it.
    pub fn of(params: &Params) -> Self {
        Self::read(params.declared(), Era::Modern)
    }

    /// Reads what a client of an era declared.
    pub fn read(declared: Option<&RawValue>, era: Era) -> Self {
        let Some(declared) = declared.filter(|declared| declared.get() != "{}") else { return Self::default() };
        let Ok(object) = RawObject::parse(declared.get()) else { return Self::default() };
        let member = |name: &str| object.read::<Value>(name).filter(Value::is_object);
        let (elicitation, sampling) = (member("elicitation"), member("sampling"));
        let knows = |revision: Revision| !matches!(era, Era::Legacy(spoken) if spoken < revision);
        let (elicits, newest) = (knows(Revision::V2025_06_18), knows(Revision::V2025_11_25));
        // One without a mode is of the time when there was one mode.
        let has = |mode: &str| elicitation.as_ref().is_some_and(|modes| modes.get(mode).is_some());
        let read = Self {
            stamp: Box::default(),
            form: elicits && elicitation.is_some() && (has("form") || !has("url")),
            url: newest && has("url"),
            sampling: sampling.is_some(),
            sampling_tools: newest && sampling.as_ref().is_some_and(|sampling| sampling.get("tools").is_some()),
            roots: object.has("roots"),
            extended: era == Era::Modern && object.read::<serde_json::Map<String, Value>>("extensions").is_some_and(|all| !all.is_empty()),
        };
        let stamp = match era {
            // A stateless client said it in the words of a stateless server.
            Era::Modern if declared.get().len() <= LONGEST => Cow::Borrowed(declared.get()),
            _ => Cow::Owned(read.told(member("extensions").as_ref()).to_string()),
        };
        Self { stamp: stamp.into(), ..read }
    }

    /// In the words of 2026-07-28. Of the extensions, those which this side of a gateway knows.
    fn told(&self, extensions: Option<&Value>) -> Value {
        let mut told = serde_json::Map::new();
        let mut put = |is: bool, name: &str, value: Value| is.then(|| told.insert(name.to_owned(), value));
        let mode = |is: bool, name: &str| is.then(|| (name.to_owned(), json!({})));
        let modes: serde_json::Map<_, _> = mode(self.form, "form").into_iter().chain(mode(self.url, "url")).collect();
        put(!modes.is_empty(), "elicitation", Value::Object(modes));
        put(self.sampling, "sampling", if self.sampling_tools { json!({ "tools": {} }) } else { json!({}) });
        put(self.roots, "roots", json!({}));
        if let Some(ui) = extensions.and_then(|extensions| extensions.get(UI)).filter(|ui| ui.to_string().len() <= LONGEST / 4) {
            put(true, "extensions", json!({ UI: ui }));
        }
        Value::Object(told)
    }

    /// As a stateless server is told them; `whole` leaves extensions in of which we know nothing.
    pub fn stamp(&self, whole: bool) -> Cow<'_, str> {
        if whole || !self.extended {
            return Cow::Borrowed(&self.stamp);
        }
        let Ok(mut object) = RawObject::parse(&self.stamp) else { return Cow::Borrowed("{}") };
        let known = object.read::<serde_json::Map<String, Value>>("extensions").unwrap_or_default();
        let known: serde_json::Map<_, _> = known.into_iter().filter(|(name, _)| KNOWN_EXTENSIONS.contains(&name.as_str())).collect();
        object.set("extensions", raw(&known));
        Cow::Owned(object.to_text())
    }

    /// Whether a model can be asked through it.
    pub fn can_sample(&self) -> bool {
        self.sampling
    }

    /// The same of a client for which somebody else asks a model.
    #[must_use]
    pub fn sampling(self) -> Self {
        let stamp = match RawObject::parse(&self.stamp) {
            Ok(mut object) => {
                object.set("sampling", raw(&json!({})));
                object.to_text().into()
            }
            Err(_) => self.stamp.clone(),
        };
        Self { stamp, sampling: true, sampling_tools: false, ..self }
    }

    /// All of it, as a stateless server is told.
    pub fn declared(&self) -> &str {
        &self.stamp
    }

    /// Whether there is anything that a server may ask.
    pub fn can_be_asked(&self) -> bool {
        self.form || self.url || self.sampling || self.roots
    }

    /// Whether there is nothing to tell a server.
    pub fn is_empty(&self) -> bool {
        &*self.stamp == "{}"
    }

    /// Whether it declares an extension.
    pub fn knows(&self, extension: &str) -> bool {
        let declared = || RawObject::parse(&self.stamp).ok()?.read::<serde_json::Map<String, Value>>("extensions");
        self.extended && declared().is_some_and(|all| all.contains_key(extension))
    }

    /// Whether it knows extensions, perhaps some of which we know nothing.
    pub fn is_extended(&self) -> bool {
        self.extended
    }

    /// Whether a server may ask this.
    pub fn allow(&self, question: &Question) -> bool {
        match question.kind() {
            Kind::Form => self.form,
            Kind::Url => self.url,
            Kind::Sampling => self.sampling && (self.sampling_tools || !question.wants_tools()),
            Kind::Roots => self.roots,
        }
    }

    /// What the gateway itself declares in a session with a server: all that a caller may turn out to be able to do. What the
    /// caller at hand cannot, is refused when it is asked.
    pub fn of_gateway(revision: Revision) -> Value {
        let roots = json!({ "listChanged": false });
        match revision {
            Revision::V2024_11_05 | Revision::V2025_03_26 => json!({ "sampling": {}, "roots": roots }),
            Revision::V2025_06_18 => json!({ "sampling": {}, "elicitation": {}, "roots": roots }),
            Revision::V2025_11_25 => json!({ "sampling": { "tools": {} }, "elicitation": { "form": {}, "url": {} }, "roots": roots }),
        }
    }

    /// The capability that a question needs, as `-32021` names it.
    pub fn required(question: &Question) -> Value {
        match question.kind() {
            Kind::Form => json!({ "elicitation": { "form": {} } }),
            Kind::Url => json!({ "elicitation": { "url": {} } }),
            Kind::Sampling if question.wants_tools() => json!({ "sampling": { "tools": {} } }),
            Kind::Sampling => json!({ "sampling": {} }),
            Kind::Roots => json!({ "roots": {} }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(declared: &Value, era: Era) -> ClientCapabilities {
        ClientCapabilities::read(Some(&raw(declared)), era)
    }

    #[test]
    fn what_a_client_of_a_session_can_is_told_to_a_stateless_server_in_its_own_words() {
        let declared = json!({ "elicitation": {}, "sampling": {}, "roots": { "listChanged": true }, "experimental": { "x": {} } });
        let told = |revision| of(&declared, Era::Legacy(revision)).stamp(true).into_owned();
        assert_eq!(told(Revision::V2025_11_25), r#"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#);
        assert_eq!(told(Revision::V2024_11_05), r#"{"sampling":{},"roots":{}}"#, "there was no elicitation then");
        let both = json!({ "elicitation": { "form": {}, "url": {} } });
        assert_eq!(&*of(&both, Era::Legacy(Revision::V2025_06_18)).stamp(true), r#"{"elicitation":{"form":{}}}"#);
        assert_eq!(&*of(&both, Era::Legacy(Revision::V2025_11_25)).stamp(true), r#"{"elicitation":{"form":{},"url":{}}}"#);
    }

    #[test]
    fn what_a_stateless_client_declares_keeps_its_bytes_and_loses_unknown_extensions_where_many_servers_are_one() {
        let text = r#"{ "roots":{},"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/x":{"a":1.0}}}"#;
        let declared = crate::domain::raw_string(text.trim().to_owned()).unwrap();
        let read = ClientCapabilities::read(Some(&declared), Era::Modern);
        assert_eq!(read.stamp(true), text);
        assert_eq!(read.stamp(false), r#"{"roots":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#);
        assert!(read.is_extended() && read.can_be_asked());
    }
}
