//! Tools as agent loops offer them.

use serde_json::value::RawValue;

use super::shown::Shown;
use crate::domain::{Digest, RawObject, ReleasePin};

/// A tool as an agent loop offers it to a model.
#[derive(Clone, Debug)]
pub struct OfferedTool {
    /// Its server.
    pub server: String,
    /// Its own name at that server.
    pub own: String,
    /// Its public name: the name of the function.
    pub public: String,
    /// The release that it is of, where that is not the one that is served.
    pub release: Option<ReleasePin>,
    /// What it does.
    pub description: Option<String>,
    /// Its input schema's own bytes.
    pub schema: Box<RawValue>,
    /// The digest of these.
    pub digest: Digest,
}

impl OfferedTool {
    pub(super) fn read(shown: &Shown, release: Option<&ReleasePin>) -> Option<Self> {
        let text = shown.body.whole();
        let object = RawObject::parse(&text).ok()?;
        let schema = object.get("inputSchema")?.to_owned();
        let digest = *shown.schema.get_or_init(|| Digest::of("portolan/schema", schema.get().as_bytes()));
        Some(Self {
            server: shown.server.clone(),
            own: shown.own.clone(),
            public: shown.public.clone(),
            release: release.cloned(),
            description: object.string("description"),
            schema,
            digest,
        })
    }
}
