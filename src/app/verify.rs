//! `portolan registry verify` and `lock --live`: what the servers of a configuration offer now, held up to the lock file. No gateway runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::live::declared;
use crate::config::Config;
use crate::domain::{ServerName, ServerSpec, printable};
use crate::net::Net;
use crate::registry::{Difference, Lock, LockError, Locked, Manifest, Registry};
use crate::upstream::{self, Upstreams};

/// The longest a server may take to say what it offers.
const PATIENCE: Duration = Duration::from_secs(120);

/// How one server stands to the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It offers what is locked.
    Same,
    /// It offers something else.
    Changed,
    /// The file says nothing of it.
    NotLocked,
    /// The configuration says nothing of it, so that it cannot be asked.
    NotDeclared,
    /// What it offers could not be read.
    Unread,
}

/// One server, held up to the lock file.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// The server.
    pub server: ServerName,
    /// How it stands.
    pub standing: Standing,
    /// The version that is locked, or that was written.
    pub release: Option<String>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// The outcome for all servers.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// The lock file.
    pub file: PathBuf,
    /// Whether all of it holds.
    pub ok: bool,
    /// Each server, in the order of names.
    pub servers: Vec<Verified>,
    /// What the file is to hold, where it is written anew.
    #[serde(skip)]
    pub text: Option<String>,
}

/// Holds what the servers of a configuration offer now up to its lock file.
pub async fn verify(config: Option<&Path>, file: Option<PathBuf>) -> anyhow::Result<Verification> {
    let (config, file) = read(config, file)?;
    let lock = Lock::load(&file)?;
    let live = live(&declared(&config), &lock).await?;
    Ok(compare(file, &lock, live))
}

/// What the servers of a configuration offer now as its lock file, and how that differs from what was locked. There is no text where one of
/// them cannot be read.
pub async fn lock(config: Option<&Path>, file: Option<PathBuf>) -> anyhow::Result<Verification> {
    let (config, file) = read(config, file)?;
    let before = match Lock::load(&file) {
        Err(LockError::Unreadable { .. }) if !file.exists() => Lock::default(),
        lock => lock?,
    };
    // Nothing is locked of the code: the newest is to be, and of a curated server what was reviewed.
    let live = live(&declared(&config), &Lock::default()).await?;
    let mut next = Lock::default();
    for (name, manifest) in &live {
        if let Ok(manifest) = manifest {
            next.servers.insert(name.clone(), before.takes_up(name, manifest));
        }
    }
    let mut outcome = compare(file, &before, live);
    outcome.ok = outcome.servers.iter().all(|one| one.standing != Standing::Unread);
    for one in &mut outcome.servers {
        one.release = next.servers.get(&one.server).map(|locked: &Locked| locked.release.to_string()).or(one.release.take());
    }
    outcome.text = outcome.ok.then(|| next.to_text());
    Ok(outcome)
}

fn read(path: Option<&Path>, file: Option<PathBuf>) -> anyhow::Result<(Config, PathBuf)> {
    let config = match path {
        Some(path) => Config::load(path)?,
        None => anyhow::bail!("there is no configuration whose servers could be read; name one with --config"),
    };
    let file = file.unwrap_or_else(|| config.registry.lock_file());
    Ok((config, file))
}

/// What servers offer now, read from each of them; of their code, the version that is locked, else the newest.
async fn live(specs: &[ServerSpec], lock: &Lock) -> anyhow::Result<Vec<(ServerName, Result<Manifest, String>)>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let upstreams = Upstreams::new(Net::new()?, None, Arc::new(|_, _| {}));
    let read = async |spec: &ServerSpec| {
        let read = async {
            let code = lock.servers.get(&spec.name).and_then(|locked| locked.manifest().code());
            Registry::capture(&upstreams, spec, code.as_ref()).await.map_err(|error| match error {
                upstream::Error::LoginNeeded => "it wants a login, which only a running gateway has".to_owned(),
                error => printable(&error.to_string()),
            })
        };
        let outcome = tokio::time::timeout(PATIENCE, read).await;
        (spec.name.clone(), outcome.unwrap_or_else(|_| Err("it does not answer".to_owned())))
    };
    let all = futures::future::join_all(specs.iter().map(read)).await;
    Ok(all)
}

fn compare(file: PathBuf, lock: &Lock, live: Vec<(ServerName, Result<Manifest, String>)>) -> Verification {
    let mut servers: Vec<Verified> = Vec::new();
    let known: Vec<ServerName> = live.iter().map(|(name, _)| name.clone()).collect();
    for (server, manifest) in live {
        let locked = lock.servers.get(&server);
        let release = locked.map(|locked| locked.release.to_string());
        let (standing, error, differences) = match (manifest, locked) {
            (Err(why), _) => (Standing::Unread, Some(why), Vec::new()),
            (Ok(manifest), None) => (Standing::NotLocked, None, lock.takes_up(&server, &manifest).suspects()),
            (Ok(manifest), Some(locked)) => match locked.differences(&manifest) {
                none if none.is_empty() => (Standing::Same, None, none),
                some => (Standing::Changed, None, some),
            },
        };
        servers.push(Verified { server, standing, release, error, differences });
    }
    let unknown = lock.servers.iter().filter(|(name, _)| !known.contains(name));
    servers.extend(unknown.map(|(name, locked)| Verified {
        server: name.clone(),
        standing: Standing::NotDeclared,
        release: Some(locked.release.to_string()),
        error: None,
        differences: Vec::new(),
    }));
    servers.sort_by(|a, b| a.server.cmp(&b.server));
    let ok = servers.iter().all(|one| matches!(one.standing, Standing::Same | Standing::NotDeclared));
    Verification { file, ok, servers, text: None }
}
