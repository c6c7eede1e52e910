//! Releases: list, diff, approve, reject, roll back, deprecate.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Server, Tool};
use crate::curated::Curated;
use crate::domain::{Digest, Principal, clip, namespace, now_ms, server_json};
use crate::registry::{Approved, curated_as};
use crate::store::{ReleaseHead, ReleaseState};

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Server, _, _>(
            "releases_list",
            Class::Read,
            "Lists the releases of a server, and what only some callers are offered: version, digest, state, when and by whom, and the address of its server.json.",
            list,
        ),
        Tool::new::<Compare, _, _>(
            "releases_diff",
            Class::Read,
            "Shows what differs between the served release of a server and the change that is held, and what is held of that only some callers are offered; with `release`, what differs in another release, as in one that was rejected.",
            diff,
        ),
        Tool::new::<Decide, _, _>(
            "releases_approve",
            Class::Weaken,
            "Approves the held change of a server, or by its digest one that was rejected: callers see it from now on.",
            approve,
        ),
        Tool::new::<Decide, _, _>(
            "releases_reject",
            Class::Add,
            "Rejects the held change of a server: the approved release goes on being served.",
            reject,
        ),
        Tool::new::<RollBack, _, _>(
            "releases_rollback",
            Class::Weaken,
            "Serves an earlier release of a server again: the one before, or the one that is named. Later ones count as rejected.",
            roll_back,
        ),
        Tool::new::<Lock, _, _>(
            "releases_lock",
            Class::Read,
            "The text of a lock file with what is approved of every server; with `held`, with what is held in its place.",
            lock,
        ),
        Tool::new::<Deprecate, _, _>(
            "releases_deprecate",
            Class::Weaken,
            "Tells those who pin an earlier release of a server that it ends at a time; without a time, that it does not.",
            deprecate,
        ),
    ]
}

/// What a lock file is to hold.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Lock {
    /// Whether what is held is taken up, as if it were approved.
    #[serde(default)]
    held: bool,
}

async fn lock(parts: Arc<Parts>, _: Principal, Lock { held }: Lock) -> Result<Value, Error> {
    let lock = parts.registry.to_lock(held);
    let servers: Vec<String> = lock.servers.iter().map(|(name, locked)| format!("{name}@{}", locked.release)).collect();
    let catalog = parts.registry.catalog();
    let waits = catalog.servers.values().filter(|entry| held && entry.held.is_some()).map(|entry| &entry.spec.name);
    Ok(json!({ "servers": servers, "held": waits.collect::<Vec<_>>(), "text": lock.to_text() }))
}

/// A release that ends.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Deprecate {
    /// The server.
    #[serde(alias = "name")]
    server: String,
    /// The version or the digest of the release, or the beginning of that; not the one that is served.
    release: String,
    /// Until when it can be pinned: a day (`2027-01-31`) or a time (RFC 3339); it does not end where this is left out.
    sunset: Option<String>,
}

async fn deprecate(parts: Arc<Parts>, _: Principal, Deprecate { server, release, sunset }: Deprecate) -> Result<Value, Error> {
    let sunset_ms = sunset.as_deref().map(end_of).transpose()?;
    let head = parts.registry.retire(&server, &release, sunset_ms).await?;
    let state = state_of(&head, None);
    Ok(json!({ "server": server, "release": head.version, "digest": head.digest, "sunset_ms": head.sunset_ms, "state": state }))
}

/// A time, or the end of a day.
fn end_of(text: &str) -> Result<i64, Error> {
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(23, 59, 59).map(|at| at.and_utc().timestamp_millis());
    let time = DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis()).ok();
    let wrong = || Error::Arguments(format!("`sunset`: `{}` is neither a day (`2027-01-31`) nor a time (RFC 3339)", clip(text, 40)));
    time.or_else(day).ok_or_else(wrong)
}

/// A release to go back to.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct RollBack {
    /// The server.
    #[serde(alias = "name")]
    server: String,
    /// The version or the digest of the release, or the beginning of that; the one before the served one where it is left out.
    to: Option<String>,
}

async fn roll_back(parts: Arc<Parts>, principal: Principal, RollBack { server, to }: RollBack) -> Result<Value, Error> {
    let release = parts.registry.roll_back(&server, to.as_deref(), principal.id()).await?;
    Ok(json!({ "server": server, "release": release.version.to_string(), "digest": release.digest.to_string() }))
}

/// A held change to decide on.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Decide {
    /// The server.
    #[serde(alias = "name")]
    server: String,
    /// The digest of the change as `releases_diff` showed it, whole: a later change is then not decided on by mistake.
    #[schemars(regex(pattern = "^(sha256:)?[0-9a-fA-F]{64}$"))]
    digest: Option<String>,
}

impl Decide {
    /// The digest. A beginning is not enough: whoever makes a change can make one whose digest begins like that of another.
    fn whole(&self) -> Result<Option<String>, Error> {
        let why = "is no whole digest; copy all of it from `portolan registry diff` or `portolan registry releases`";
        let wrong = |digest: &str| Error::Arguments(format!("`digest`: `{}` {why}", clip(digest, 80)));
        let read = |digest: &str| digest.parse::<Digest>().map(|digest| digest.to_string()).map_err(|_| wrong(digest));
        self.digest.as_deref().map(read).transpose()
    }
}

/// What to compare.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Compare {
    /// The server.
    #[serde(alias = "name")]
    server: String,
    /// The version or the digest of a release, or the beginning of that; what is held where it is left out.
    release: Option<String>,
}

/// What became of a release; `served` is the digest of the one that everybody gets.
fn state_of(head: &ReleaseHead, served: Option<&str>) -> &'static str {
    match head.state {
        ReleaseState::Approved if head.variant => "variant",
        ReleaseState::Approved if served == Some(head.digest.as_str()) => "served",
        ReleaseState::Approved if head.sunset_ms.is_some_and(|sunset| sunset <= now_ms()) => "ended",
        ReleaseState::Approved if head.sunset_ms.is_some() => "deprecated",
        ReleaseState::Approved => "superseded",
        ReleaseState::Held => "held",
        ReleaseState::Rejected => "rejected",
    }
}

async fn list(parts: Arc<Parts>, _: Principal, Server { server }: Server) -> Result<Value, Error> {
    let heads = parts.registry.releases(&server).await?;
    let base = parts.credentials.base();
    let name = format!("{}/{server}", namespace(&base));
    let current = parts.registry.catalog().servers.get(server.as_str()).and_then(|entry| Some(entry.release.as_ref()?.digest.to_string()));
    // What was never served is no version, and what was taken back is shown to whoever asks for it.
    let address = |head: &ReleaseHead| {
        let wish = if head.state == ReleaseState::Rejected { "?include_deleted=true" } else { "" };
        (!head.version.is_empty()).then(|| format!("{}{wish}", server_json(&base, &name, &head.version)))
    };
    let releases: Vec<Value> = heads
        .iter()
        .map(|head| {
            json!({
                "version": Some(&head.version).filter(|version| !version.is_empty()), "digest": head.digest,
                "state": state_of(head, current.as_deref()), "era": head.era,
                "captured_ms": head.captured_ms, "captured_by": head.captured_by, "decided_ms": head.decided_ms,
                "decided_by": head.decided_by, "sunset_ms": head.sunset_ms, "variant": head.variant,
                "server_json": address(head),
                "upstream_server_json": curated_as(&head.digest).map(Curated::upstream),
            })
        })
        .collect();
    Ok(json!({ "server": server, "releases": releases }))
}

async fn diff(parts: Arc<Parts>, _: Principal, Compare { server, release }: Compare) -> Result<Value, Error> {
    if let Some(release) = release {
        return diff_with(&parts, &server, &release).await;
    }
    let differences = parts.registry.held_differences(&server)?;
    let impact = parts.registry.impact(&server, &differences).await?;
    let variants = parts.registry.held_variants(&server)?.into_iter();
    let variants = variants
        .map(|(variant, differences)| json!({ "digest": variant.digest, "held_since_ms": variant.since_ms, "differences": differences }));
    let catalog = parts.registry.catalog();
    let entry = catalog.servers.get(server.as_str());
    Ok(json!({
        "server": server,
        "release": entry.and_then(|entry| entry.release.as_ref()).map(|release| release.version.to_string()),
        "held_since_ms": entry.and_then(|entry| entry.held.as_ref()).map(|held| held.since_ms),
        "digest": entry.and_then(|entry| entry.held.as_ref()).map(|held| held.digest.to_string()),
        "differences": differences,
        "impact": impact,
        "variants": variants.collect::<Vec<_>>(),
        "locked": parts.registry.is_locked(),
    }))
}

/// How a release on record differs from the served one, and which calls on record it would break.
async fn diff_with(parts: &Parts, server: &str, release: &str) -> Result<Value, Error> {
    let (head, differences) = parts.registry.differences_of(server, release).await?;
    let impact = parts.registry.impact(server, &differences).await?;
    let catalog = parts.registry.catalog();
    let served = catalog.server(server)?.release.as_ref();
    let digest = served.map(|release| release.digest.to_string());
    Ok(json!({
        "server": server, "release": served.map(|release| release.version.to_string()), "digest": head.digest,
        "version": Some(&head.version).filter(|version| !version.is_empty()), "state": state_of(&head, digest.as_deref()),
        "differences": differences, "impact": impact, "variants": [], "locked": parts.registry.is_locked(),
    }))
}

async fn approve(parts: Arc<Parts>, principal: Principal, decide: Decide) -> Result<Value, Error> {
    let server = &decide.server;
    let Approved { release, is_variant } = parts.registry.approve(server, decide.whole()?.as_deref(), principal.id()).await?;
    Ok(json!({
        "server": server, "release": release.version.to_string(), "digest": release.digest.to_string(), "variant": is_variant,
    }))
}

async fn reject(parts: Arc<Parts>, principal: Principal, decide: Decide) -> Result<Value, Error> {
    parts.registry.reject(&decide.server, decide.whole()?.as_deref(), principal.id()).await?;
    Ok(json!({ "server": decide.server, "rejected": true }))
}
