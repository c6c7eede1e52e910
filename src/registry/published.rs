//! Releases as others may find them.

use serde_json::Value;

use super::curated::curated_as;
use super::definition::{Kind, Manifest};
use crate::curated::Curated;
use crate::domain::{RawObject, ServerName};
use crate::store::{ReleaseHead, ReleaseRow, ReleaseState};

/// One release of a server that was served at some time.
#[derive(Clone, Debug)]
pub struct Published {
    /// The server.
    pub server: ServerName,
    /// Its version.
    pub version: String,
    /// The address of the set.
    pub digest: String,
    /// Whether it is the one that is served.
    pub is_latest: bool,
    /// Whether it was taken back.
    pub is_withdrawn: bool,
    /// Until when it can be pinned, where it is deprecated, in milliseconds since the epoch.
    pub sunset_ms: Option<i64>,
    /// When it was first seen, in milliseconds since the epoch.
    pub seen_ms: i64,
    /// When it was last decided on.
    pub decided_ms: i64,
    /// What the server calls itself, and the version that it says it has.
    pub title: Option<String>,
    /// What it says that it does.
    pub description: Option<String>,
    /// The version of the server itself.
    pub upstream_version: Option<String>,
    /// The curated manifest that says the same.
    pub curated: Option<&'static Curated>,
    /// Its tools: name, and the digests of the definition, of what it takes, and of what comes back.
    pub tools: Vec<PublishedTool>,
}

/// One tool of a release, by its digests.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedTool {
    /// Its own name.
    pub name: String,
    /// The address of the whole definition.
    pub definition_digest: String,
    /// That of its input schema.
    pub input_schema_digest: Option<String>,
    /// That of its output schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema_digest: Option<String>,
}

impl Published {
    /// Whether a release was ever served.
    pub(super) fn is(head: &ReleaseHead) -> bool {
        !head.version.is_empty() && head.state != ReleaseState::Held
    }

    /// What a row says to others; none where it cannot be read.
    pub(super) fn of(server: &ServerName, row: &ReleaseRow, served: Option<&str>) -> Option<Self> {
        let head = &row.head;
        let manifest: Manifest = serde_json::from_str(&row.manifest).ok()?;
        let tools = manifest.of(Kind::Tool).map(|tool| {
            let object = RawObject::parse(tool.body.get()).ok();
            let digest = |member: &str| Some(super::intake::schema_digest(object.as_ref()?.get(member)?).to_string());
            PublishedTool {
                name: tool.name.clone(),
                definition_digest: tool.digest().to_string(),
                input_schema_digest: digest("inputSchema"),
                output_schema_digest: digest("outputSchema"),
            }
        });
        let info = serde_json::from_str::<Value>(manifest.info.get()).unwrap_or_default();
        let said = |key: &str| info.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty()).map(str::to_owned);
        Some(Self {
            server: server.clone(),
            version: head.version.clone(),
            digest: head.digest.clone(),
            is_latest: served == Some(head.digest.as_str()),
            is_withdrawn: head.state == ReleaseState::Rejected,
            sunset_ms: head.sunset_ms,
            seen_ms: head.captured_ms,
            decided_ms: head.decided_ms.max(head.deprecated_ms).unwrap_or(head.captured_ms),
            title: said("title").or_else(|| said("name")),
            description: said("description").or_else(|| manifest.instructions()),
            upstream_version: said("version"),
            curated: curated_as(&head.digest),
            tools: tools.collect(),
        })
    }
}
