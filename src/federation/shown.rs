//! One definition as callers see it.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, OnceLock};

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
    whole: Box<str>,
    /// As revisions with sessions know it, where that is another one.
    in_session: Option<Box<str>>,
}

impl Body {
    /// A definition of a kind.
    pub(super) fn new(kind: Kind, text: &str) -> Self {
        let plainer = if kind == Kind::Tool { RawObject::parse(text).ok().and_then(compat::for_sessions) } else { None };
        Self { whole: text.into(), in_session: plainer.map(Into::into) }
    }

    /// The same definition, changed in what eras agree on.
    pub(super) fn map(&self, change: impl Fn(&str) -> Box<str>) -> Self {
        Self { whole: change(&self.whole), in_session: self.in_session.as_deref().map(change) }
    }

    pub(super) fn whole(&self) -> &str {
        &self.whole
    }

    /// As a client is shown it, which has a session or has none.
    pub(super) fn at(&self, in_session: bool) -> &str {
        self.in_session.as_deref().filter(|_| in_session).unwrap_or(&self.whole)
    }
}

impl Shown {
    pub(super) fn new(server: &str, release: &Release, definition: &Definition) -> Self {
        let own = definition.name.clone();
        let (key, public) = match definition.kind {
            Kind::Template => ("uriTemplate", public_uri(server, &own)),
            _ => ("name", public(server, &own)),
        };
        let text = definition.body.get();
        let body = Body::new(definition.kind, text);
        let named = |text: &str| match RawObject::parse(text) {
            Ok(mut object) => {
                object.set(key, raw(&public));
                rewrite_ui(server, &mut object);
                object.to_text().into()
            }
            Err(_) => text.into(),
        };
        let public_body = body.map(named);
        let mark = hash(text);
        let record = format!("{server}/{own}@{}#{}", release.version, definition.digest().short()).into();
        let (schema, calls, shapes) = (OnceLock::new(), OnceLock::new(), Shapes::default());
        Self { server: server.to_owned(), own, public, body, public_body, mark, schema, calls, shapes, record }
    }

    /// Whether its definition says that it only reads.
    pub(super) fn reads_only(&self) -> bool {
        let annotations = RawObject::parse(self.body.whole()).ok().and_then(|body| body.read::<serde_json::Value>("annotations"));
        annotations.is_some_and(|annotations| annotations.get("readOnlyHint") == Some(&true.into()))
    }
}

/// Tells two values apart.
pub(super) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A tool's page must be found where its resource is: both are renamed together.
fn rewrite_ui(server: &str, object: &mut RawObject<'_>) {
    let Some(mut meta) = object.read::<serde_json::Value>("_meta") else { return };
    let Some(uri) = meta.pointer_mut("/ui/resourceUri") else { return };
    if let Some(own) = uri.as_str() {
        *uri = public_uri(server, own).into();
        object.set("_meta", raw(&meta));
    }
}
