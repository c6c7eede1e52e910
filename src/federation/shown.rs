//! One definition as callers see it.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use super::calls::Calls;
use super::compat;
use super::name::{public, public_uri};
use super::shapes::Shapes;
use crate::domain::{Digest, RawObject, raw};
use crate::registry::{Definition, Kind, Release};

/// One definition under its public name.
pub(super) struct Shown {
    pub(super) server: String,
    pub(super) own: String,
    pub(super) public: String,
    pub(super) body: Body,
    pub(super) public_body: Body,
    /// Tells two bodies apart.
    pub(super) mark: u64,
    /// The digest of a tool's input schema.
    pub(super) schema: OnceLock<Digest>,
    /// What is counted of its calls.
    pub(super) calls: OnceLock<Calls>,
    /// What its calls look like, as far as that is on record.
    pub(super) shapes: Shapes,
    /// What it is called in the journal: with its release, and the beginning of its digest.
    pub(super) record: Arc<str>,
}

/// A definition's text.
pub(super) struct Body {
    whole: Text,
    /// As revisions with sessions know it, where that is another one.
    in_session: Option<Box<str>>,
}

/// Bytes of a definition.
enum Text {
    /// The release's.
    Own(Arc<RawValue>),
    /// The release's with another name, which stands in place of what is at some bytes.
    Named(Arc<RawValue>, Range<usize>, Box<str>),
    Made(Box<str>),
}

impl Text {
    fn pieces(&self) -> [&str; 3] {
        match self {
            Self::Own(text) => [text.get(), "", ""],
            Self::Named(text, at, name) => {
                let (before, after) = (text.get().get(..at.start), text.get().get(at.end..));
                [before.unwrap_or_default(), name, after.unwrap_or_default()]
            }
            Self::Made(text) => [text, "", ""],
        }
    }
}

impl Body {
    /// A definition as it is.
    fn new(definition: &Definition) -> Self {
        let text = &definition.body;
        let plainer = if definition.kind == Kind::Tool { RawObject::parse(text.get()).ok().and_then(compat::for_sessions) } else { None };
        Self { whole: Text::Own(text.clone()), in_session: plainer.map(Into::into) }
    }

    /// The same definition, changed in what eras agree on.
    pub(super) fn map(&self, change: impl Fn(&str) -> Box<str>) -> Self {
        Self { whole: Text::Made(change(&self.whole())), in_session: self.in_session.as_deref().map(change) }
    }

    pub(super) fn whole(&self) -> Cow<'_, str> {
        match &self.whole {
            Text::Named(..) => self.whole.pieces().concat().into(),
            Text::Own(_) | Text::Made(_) => self.whole.pieces()[0].into(),
        }
    }

    /// As a client is shown it, which has a session or has none: in pieces that follow each other.
    pub(super) fn at(&self, in_session: bool) -> [&str; 3] {
        self.in_session.as_deref().filter(|_| in_session).map_or_else(|| self.whole.pieces(), |text| [text, "", ""])
    }
}

/// Where a member's value stands in the text of its object.
fn place(text: &str, object: &RawObject<'_>, key: &str) -> Option<Range<usize>> {
    let value = object.get(key)?.get();
    let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let at = start..start + value.len();
    (text.get(at.clone()) == Some(value)).then_some(at)
}

impl Shown {
    pub(super) fn new(server: &str, release: &Release, definition: &Definition) -> Self {
        let own = definition.name.clone();
        let (key, public) = match definition.kind {
            Kind::Template => ("uriTemplate", public_uri(server, &own)),
            _ => ("name", public(server, &own)),
        };
        let body = Body::new(definition);
        let named = |text: &str| match RawObject::parse(text) {
            Ok(mut object) => {
                object.set(key, raw(&public));
                rewrite_ui(server, &mut object);
                object.to_text().into()
            }
            Err(_) => text.into(),
        };
        // Most are another only in their name, and so share the release's bytes.
        let object = RawObject::parse(definition.body.get()).ok().filter(|object| ui(object).is_none());
        let public_body = match object.and_then(|object| place(definition.body.get(), &object, key)) {
            Some(at) => {
                let whole = Text::Named(definition.body.clone(), at, raw(&public).get().into());
                Body { whole, in_session: body.in_session.as_deref().map(named) }
            }
            None => body.map(named),
        };
        let mark = hash(definition.body.get());
        let record = format!("{server}/{own}@{}#{}", release.version, definition.digest().short()).into();
        let (schema, calls, shapes) = (OnceLock::new(), OnceLock::new(), Shapes::default());
        Self { server: server.to_owned(), own, public, body, public_body, mark, schema, calls, shapes, record }
    }

    /// Whether its definition says that it only reads.
    pub(super) fn reads_only(&self) -> bool {
        let annotations = RawObject::parse(&self.body.whole()).ok().and_then(|body| body.read::<serde_json::Value>("annotations"));
        annotations.is_some_and(|annotations| annotations.get("readOnlyHint") == Some(&true.into()))
    }
}

/// Tells two values apart.
pub(super) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The `_meta` of a tool that has a page.
fn ui(object: &RawObject<'_>) -> Option<serde_json::Value> {
    object.read::<serde_json::Value>("_meta").filter(|meta| meta.pointer("/ui/resourceUri").is_some())
}

/// A tool's page must be found where its resource is: both are renamed together.
fn rewrite_ui(server: &str, object: &mut RawObject<'_>) {
    let Some(mut meta) = ui(object) else { return };
    let Some(uri) = meta.pointer_mut("/ui/resourceUri") else { return };
    if let Some(own) = uri.as_str() {
        *uri = public_uri(server, own).into();
        object.set("_meta", raw(&meta));
    }
}

#[cfg(test)]
mod tests {
    use semver::Version;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::raw_string;
    use crate::registry::Manifest;

    fn shown(kind: Kind, name: &str, text: &str) -> Shown {
        let definition = Definition::new(kind, name.to_owned(), raw_string(text.to_owned()).unwrap()).unwrap();
        let empty = || raw(&json!({}));
        let manifest = Manifest { definitions: Vec::new(), dropped: Vec::new(), info: empty(), capabilities: empty() };
        Shown::new("wiki", &Release::new("wiki".parse().unwrap(), Version::new(1, 0, 0), manifest), &definition)
    }

    #[test]
    fn a_public_definition_is_the_release_s_own_text_but_for_its_name() {
        let text =
            r#"{ "description": "\"name\": \"find\"", "name" : "find", "inputSchema": {"properties": {"name": {"const": "find"}}} }"#;
        let tool = shown(Kind::Tool, "find", text);
        assert_eq!(tool.public_body.whole(), text.replace(r#""name" : "find""#, r#""name" : "wiki__find""#));
        assert_eq!(tool.public_body.at(false).concat(), tool.public_body.whole());
        assert!(matches!(tool.public_body.whole, Text::Named(..)), "it is not kept twice");
        let template = shown(Kind::Template, "file:///{path}", r#"{"uriTemplate":"file:///{path}","name":"a file"}"#);
        assert_eq!(template.public_body.whole(), r#"{"uriTemplate":"wiki+file:///{path}","name":"a file"}"#);
    }

    #[test]
    fn what_is_another_in_more_than_its_name_is_written_anew() {
        let page = shown(Kind::Tool, "find", r#"{"name":"find","inputSchema":{},"_meta":{"ui":{"resourceUri":"ui://page"}}}"#);
        let public: Value = serde_json::from_str(&page.public_body.whole()).unwrap();
        assert_eq!((&public["name"], &public["_meta"]["ui"]["resourceUri"]), (&json!("wiki__find"), &json!("ui://wiki/page")));
        let anything = shown(Kind::Tool, "find", r#"{"name":"find","inputSchema":{"type":"object","properties":{"q":true}}}"#);
        let told = |in_session| serde_json::from_str::<Value>(&anything.public_body.at(in_session).concat()).unwrap();
        assert_eq!(told(false)["inputSchema"]["properties"]["q"], json!(true));
        assert_eq!((&told(true)["name"], &told(true)["inputSchema"]["properties"]["q"]), (&json!("wiki__find"), &json!({})));
    }
}
