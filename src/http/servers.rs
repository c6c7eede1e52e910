//! The official MCP registry's API, read (openapi 2025-12-01, `server.json` 2025-12-11): every release that is or was served, as a version.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::IntErrorKind;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::caller::Caller;
use super::state::State;
use crate::curated::Curated;
use crate::domain::{Grants, Principal, ServerName, clip, namespace, now_ms, printable};
use crate::registry::Published;

/// The schema of what is said of a server.
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
/// The registry's own data (§ registry extensions).
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";
/// What this gateway adds: the release, and the digests of its tools.
const RELEASE: &str = "dev.portolan/release";
/// Versions of one page, and the most that may be asked for.
const PAGE: usize = 30;
const MOST: usize = 100;
/// The version that is served.
const LATEST: &str = "latest";

pub(super) type Found = Result<Json<Value>, Refused>;

/// Why there is no answer, in this API's words.
pub(super) struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// What is wished for, of a list.
struct Wish {
    after: Option<(String, String)>,
    limit: usize,
    search: String,
    since_ms: Option<i64>,
    version: Option<String>,
    deleted: bool,
}

impl Wish {
    fn read(query: &HashMap<String, String>) -> Result<Self, String> {
        let text = |key: &str| query.get(key).map(String::as_str).filter(|text| !text.is_empty());
        let limit = match query.get("limit").map(|text| text.parse::<usize>()) {
            None => PAGE,
            Some(Ok(limit @ 1..)) => limit.min(MOST),
            // A number, and more than any page holds.
            Some(Err(error)) if *error.kind() == IntErrorKind::PosOverflow => MOST,
            Some(_) => return Err(format!("`limit` must be a number from 1; a page holds {MOST} at most")),
        };
        let since = query.get("updated_since").map(|text| DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis()));
        let since_ms = since.transpose().map_err(|_| "`updated_since` must be a time like `2026-08-07T13:15:04Z` (RFC 3339)".to_owned())?;
        let cursor = text("cursor").map(|cursor| cursor.rsplit_once(':').ok_or("`cursor` is none that was given out here"));
        let after = cursor.transpose()?.map(|(name, version)| (name.to_owned(), version.to_owned()));
        // What was deleted is of interest to whoever asks what has changed.
        let deleted = wants_deleted(query)? || since_ms.is_some();
        Ok(Self {
            after,
            limit,
            search: text("search").unwrap_or_default().to_lowercase(),
            since_ms,
            version: text("version").map(str::to_owned),
            deleted,
        })
    }

    fn takes(&self, one: &Published) -> bool {
        let version = match self.version.as_deref() {
            None => true,
            Some(LATEST) => one.is_latest,
            Some(version) => one.version == version,
        };
        version && (self.deleted || !one.is_withdrawn) && self.since_ms.is_none_or(|since| one.decided_ms >= since)
    }
}

/// Whether what was deleted is wished for, too.
fn wants_deleted(query: &HashMap<String, String>) -> Result<bool, String> {
    match query.get("include_deleted").map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err("`include_deleted` must be `true` or `false`".to_owned()),
    }
}

/// Where the releases of one gateway are found, and under which name.
struct Place<'s> {
    state: &'s State,
    base: String,
    namespace: String,
}

impl<'s> Place<'s> {
    fn of(state: &'s State, headers: &HeaderMap) -> Self {
        let base = state.settings.load().resources.base(headers).to_owned();
        let namespace = namespace(&base);
        Self { state, base, namespace }
    }

    /// The releases of one server, the latest published first: the one that is served now may be an earlier one.
    async fn releases(&self, server: &ServerName) -> Result<Vec<Published>, Refused> {
        let mut releases = self.state.federation.published(server).await.map_err(|why| {
            tracing::error!("the releases of `{server}` could not be read: {why}");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "the releases cannot be read now")
        })?;
        releases.sort_by_key(|one| Reverse(one.seen_ms));
        Ok(releases)
    }

    /// The server of a name, for a caller who may see it.
    fn server(&self, principal: &Principal, name: &str) -> Result<ServerName, Refused> {
        let own = name.strip_prefix(&self.namespace).and_then(|rest| rest.strip_prefix('/')).and_then(|own| own.parse::<ServerName>().ok());
        let seen = own.filter(|own| sees(principal.grants(), own.as_str()) && self.state.federation.names().contains(own));
        seen.ok_or_else(|| refused(StatusCode::NOT_FOUND, "Server not found"))
    }

    /// What is said of one release.
    fn told(&self, one: &Published) -> Value {
        let at = |ms: i64| DateTime::from_timestamp_millis(ms).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
        let short = |text: &str| clip(printable(text).lines().next().unwrap_or_default().trim(), 96);
        let description = one.description.as_deref().map(short).filter(|text| !text.is_empty());
        let mut server = json!({
            "$schema": SCHEMA,
            "name": format!("{}/{}", self.namespace, one.server),
            "description": description.unwrap_or_else(|| format!("The MCP server {}, through Portolan.", one.server)),
            "version": one.version,
        });
        let mut add = |key: &str, value: Value| {
            if let Some(server) = server.as_object_mut() {
                server.insert(key.to_owned(), value);
            }
        };
        if let Some(title) = one.title.as_deref().map(short).filter(|title| !title.is_empty()) {
            add("title", title.into());
        }
        let ended = one.sunset_ms.is_some_and(|sunset| sunset <= now_ms());
        // What was taken back or has ended cannot be reached.
        if !one.is_withdrawn && !ended {
            let pin = if one.is_latest { String::new() } else { format!("@{}", one.version) };
            // What was reviewed can be had without the gateway, too.
            if let Some(packages) = one.curated.and_then(Curated::packages) {
                add("packages", packages);
            }
            add("remotes", json!([{ "type": "streamable-http", "url": format!("{}/mcp/{}{pin}", self.base, one.server) }]));
        }
        let status = match one.sunset_ms {
            _ if one.is_withdrawn => "deleted",
            Some(_) => "deprecated",
            None => "active",
        };
        let mut official = json!({
            "status": status, "statusChangedAt": at(one.decided_ms), "publishedAt": at(one.seen_ms), "updatedAt": at(one.decided_ms),
            "isLatest": one.is_latest,
        });
        if let (Some(sunset), Some(official)) = (one.sunset_ms.and_then(at), official.as_object_mut()) {
            let message = if ended { format!("It has ended ({sunset}).") } else { format!("It can be used until {sunset}.") };
            official.insert("statusMessage".to_owned(), message.into());
        }
        json!({
            "server": server,
            "_meta": {
                OFFICIAL: official,
                RELEASE: { "digest": one.digest, "upstreamVersion": one.upstream_version, "tools": one.tools },
            },
        })
    }
}

fn sees(grants: &Grants, server: &str) -> bool {
    (grants.registry || grants.mcp || grants.admin) && grants.servers.matches(server)
}

fn refused(status: StatusCode, why: &str) -> Refused {
    Refused(status, why.to_owned())
}

fn may(principal: &Principal) -> Result<(), Refused> {
    let grants = principal.grants();
    let enough = grants.registry || grants.mcp || grants.admin;
    if enough { Ok(()) } else { Err(refused(StatusCode::FORBIDDEN, "this credential lacks the grant `registry`")) }
}

/// `GET /v0.1/servers`.
pub(super) async fn list(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Found {
    may(&principal)?;
    let wish = Wish::read(&query).map_err(|why| refused(StatusCode::BAD_REQUEST, &why))?;
    let place = Place::of(&state, &headers);
    let mut found = Vec::new();
    let mut next = None;
    for server in state.federation.names() {
        let name = format!("{}/{server}", place.namespace);
        let before = wish.after.as_ref().is_some_and(|(after, _)| name < *after);
        if before || !sees(principal.grants(), server.as_str()) || !name.to_lowercase().contains(&wish.search) {
            continue;
        }
        let releases = place.releases(&server).await?;
        let seen = wish.after.as_ref().filter(|(after, _)| *after == name);
        let skipped = seen.map_or(0, |(_, version)| releases.iter().position(|one| one.version == *version).map_or(0, |at| at + 1));
        for one in releases.iter().skip(skipped).filter(|one| wish.takes(one)) {
            if found.len() == wish.limit {
                return Ok(page(&found, next));
            }
            found.push(place.told(one));
            next = Some(format!("{name}:{}", one.version));
        }
    }
    Ok(page(&found, None))
}

fn page(found: &[Value], next: Option<String>) -> Json<Value> {
    let mut metadata = json!({ "count": found.len() });
    if let (Some(next), Some(metadata)) = (next, metadata.as_object_mut()) {
        metadata.insert("nextCursor".to_owned(), next.into());
    }
    Json(json!({ "servers": found, "metadata": metadata }))
}

/// `GET /v0.1/servers/{name}/versions`.
pub(super) async fn versions(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Found {
    may(&principal)?;
    let deleted = wants_deleted(&query).map_err(|why| refused(StatusCode::BAD_REQUEST, &why))?;
    let place = Place::of(&state, &headers);
    let server = place.server(&principal, &name)?;
    let releases = place.releases(&server).await?;
    let found: Vec<Value> = releases.iter().filter(|one| deleted || !one.is_withdrawn).map(|one| place.told(one)).collect();
    Ok(page(&found, None))
}

/// `GET /v0.1/servers/{name}/versions/{version}`.
pub(super) async fn version(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    headers: HeaderMap,
    Path((name, version)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Found {
    may(&principal)?;
    let deleted = wants_deleted(&query).map_err(|why| refused(StatusCode::BAD_REQUEST, &why))?;
    let place = Place::of(&state, &headers);
    let server = place.server(&principal, &name)?;
    let releases = place.releases(&server).await?;
    let named = |one: &&Published| if version == LATEST { one.is_latest } else { one.version == version };
    let found = releases.iter().filter(|one| deleted || !one.is_withdrawn).find(named);
    found.map(|one| Json(place.told(one))).ok_or_else(|| refused(StatusCode::NOT_FOUND, "Server or version not found"))
}
