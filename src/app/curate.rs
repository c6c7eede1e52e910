//! `portolan registry curate`: what the version of a server offers that its `server.json` names, as a curated manifest. No gateway runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::value::RawValue;

use super::verify::{Standing, Verification, Verified};
use crate::curated::{ServerJson, Written};
use crate::domain::{ServerName, ServerSpec, Transport, printable, raw_string};
use crate::net::Net;
use crate::registry::{Lock, Locked, Manifest, Registry, approved, manifest_text};
use crate::upstream::Upstreams;

/// The longest a server may take to say what it offers; its package may have to be fetched.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is to be curated.
#[derive(Debug)]
pub struct Curate {
    /// A `server.json`, or the curated manifest of one.
    pub file: PathBuf,
    /// The folder of all curated manifests.
    pub out: PathBuf,
    /// Variables for the server.
    pub env: BTreeMap<String, String>,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Reads what a server offers, and how that stands to the curated manifest that there is. Its text is what is to be written.
pub async fn curate(wish: Curate) -> anyhow::Result<Verification> {
    let text = std::fs::read_to_string(&wish.file).with_context(|| format!("{} cannot be read", wish.file.display()))?;
    let written: Option<Written> = serde_json::from_str(&text).ok();
    let raw: Box<RawValue> = match &written {
        Some(written) => written.server.clone(),
        None => raw_string(text).with_context(|| format!("{} is no JSON", wish.file.display()))?,
    };
    let server = ServerJson::parse(raw.get()).with_context(|| wish.file.display().to_string())?;
    let name: ServerName = server.short().to_ascii_lowercase().parse().with_context(|| format!("`{}` names no server", server.name))?;
    let manifest = offered(&name, &server, &wish).await?;
    let file = wish.out.join(&server.name).join(format!("{}.json", server.version));
    let before = before(&file)?;
    // The first release of everybody who adds it.
    let now = Lock::default().takes_up(&name, &manifest);
    let differences = match &before {
        Some(before) => before.differences(&manifest),
        None => now.suspects(),
    };
    let standing = match before {
        None => Standing::NotLocked,
        Some(before) if before == now => Standing::Same,
        Some(_) => Standing::Changed,
    };
    let (ok, text) = (standing == Standing::Same, manifest_text(&raw, &now));
    let verified = Verified { server: name, standing, release: Some(server.version), error: None, differences };
    Ok(Verification { file, ok, servers: vec![verified], text: Some(text) })
}

/// What stands in the file that there is.
fn before(file: &Path) -> anyhow::Result<Option<Locked>> {
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let written: Written = serde_json::from_str(&text).with_context(|| format!("{} is no curated manifest", file.display()))?;
    let Some(locked) = approved(&written) else {
        bail!("{} does not fit its digest; it was changed by hand, so remove it and write it anew", file.display())
    };
    Ok(Some(locked))
}

/// What the very version that is named offers.
async fn offered(name: &ServerName, server: &ServerJson, wish: &Curate) -> anyhow::Result<Manifest> {
    let package = server.package()?;
    let missing = package.missing(&wish.arguments, &wish.env);
    if !missing.is_empty() {
        bail!("{} needs {}; write arguments behind `--`, and variables as --env", server.name, missing.join(", and "));
    }
    let mut env = package.variables();
    env.extend(wish.env.clone());
    let spec = ServerSpec {
        declared: true,
        ..ServerSpec::new(name.clone(), Transport::Stdio { command: package.command(true, &wish.arguments), env })
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let upstreams = Upstreams::new(Net::new()?, None, Arc::new(|_, _| {}));
    let read = tokio::time::timeout(PATIENCE, Registry::capture(&upstreams, &spec, None)).await;
    let manifest = read.context("the server does not answer")?.map_err(|error| anyhow::anyhow!(printable(&error.to_string())))?;
    if let Some(dropped) = manifest.dropped.first() {
        bail!(
            "the {} `{}` would be left out, for it {}; such a server is not curated",
            dropped.kind.as_str(),
            dropped.name,
            dropped.reason
        );
    }
    Ok(manifest)
}
