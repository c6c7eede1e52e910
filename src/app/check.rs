//! `portolan check`: reads a configuration as a start would, and tries what it names.

use std::fs::{Metadata, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::live::{declared, providers};
use crate::config::{Config, strays};
use crate::context::Context;
use crate::domain::printable;
use crate::llm::Providers;
use crate::net::Net;
use crate::upstream::{Identity, Upstreams};

/// One thing that was looked at.
pub struct Checked {
    /// `storage`, `provider`, `server`, `context` or `model`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How it fared.
    pub state: State,
    /// What was found, or what is wrong.
    pub detail: String,
}

/// How one thing fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Good,
    /// It was not tried.
    Skipped,
    /// It may be a mistake.
    Warning,
    /// It does not work.
    Failed,
}

impl State {
    /// As people and scripts read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Checked {
    fn tried(kind: &'static str, name: impl Into<String>, outcome: Result<String, String>) -> Self {
        let state = if outcome.is_ok() { State::Good } else { State::Failed };
        Self { kind, name: name.into(), state, detail: outcome.unwrap_or_else(|why| why) }
    }

    fn skipped(kind: &'static str, name: impl Into<String>, why: &str) -> Self {
        Self { kind, name: name.into(), state: State::Skipped, detail: format!("not tried: {why}") }
    }
}

/// Checks a file, and unless `offline` also its providers and servers.
pub async fn check(path: Option<&Path>, offline: bool) -> anyhow::Result<Vec<Checked>> {
    let config = match path {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    let mut checked = storage(&config)?;
    checked.extend(files(&config));
    if !offline {
        checked.extend(online(&config).await?);
    }
    let unknown = strays(&config.mcp.servers, &config.context.sources, &config.models);
    checked.extend(unknown.into_iter().map(|stray| Checked {
        kind: stray.kind,
        name: stray.name,
        state: State::Warning,
        detail: stray.why,
    }));
    Ok(checked)
}

async fn online(config: &Config) -> anyhow::Result<Vec<Checked>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let net = Net::new()?;
    let (all, _) = providers(config);
    let tried = Providers::new(&net, all.iter(), config.limits.stream_idle.0);
    let addresses = addresses(config, &net).await;
    let upstreams = Upstreams::new(net, Arc::new(|_, _| {}));
    let providers = futures::future::join_all(all.keys().map(async |name| {
        let outcome = tried.listed(name).await.map(|models| format!("{} models", models.len()));
        Checked::tried("provider", name, outcome.map_err(|why| printable(&why)))
    }));
    let specs = declared(config);
    let servers = futures::future::join_all(specs.iter().map(async |spec| {
        let opening = upstreams.connection(spec, Identity::default(), None);
        let outcome = match tokio::time::timeout(Duration::from_secs(120), opening).await {
            Ok(Ok(connection)) => Ok(format!("speaks {}", connection.peer().era)),
            Ok(Err(error)) => Err(printable(&error.to_string())),
            Err(_) => Err("does not answer".to_owned()),
        };
        Checked::tried("server", spec.name.to_string(), outcome)
    }));
    let (providers, servers) = futures::join!(providers, servers);
    upstreams.close_all().await;
    Ok(providers.into_iter().chain(servers).chain(addresses).collect())
}

/// The addresses that context comes from; those that need something of a request can only be looked at.
async fn addresses(config: &Config, net: &Net) -> Vec<Checked> {
    let tried = config.context.sources.iter().map(async |(name, source)| match &source.server {
        // One that is not declared has a warning of its own.
        Some(server) if config.mcp.servers.contains_key(server) => {
            Some(Checked::skipped("context", name, "it is read when it is asked for"))
        }
        Some(_) => None,
        None if source.url.is_none() => None,
        None => match Context::probe(source, net, config.context.deadline.0).await {
            Some(outcome) => Some(Checked::tried("context", name, outcome)),
            None => Some(Checked::skipped("context", name, "it needs a request")),
        },
    });
    futures::future::join_all(tried).await.into_iter().flatten().collect()
}

/// The files that context comes from.
fn files(config: &Config) -> Vec<Checked> {
    let files = config.context.sources.iter().filter_map(|(name, source)| Some((name, source.file.as_ref()?)));
    let tried = files.map(|(name, path)| {
        let outcome = match std::fs::read_to_string(path) {
            Ok(text) => Ok(format!("{} bytes", text.len())),
            Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        };
        Checked::tried("context", name, outcome)
    });
    tried.collect()
}

/// The database of the file, if it names one. Nothing is made where there is none yet.
fn storage(config: &Config) -> anyhow::Result<Vec<Checked>> {
    if !config.storage.is_named() {
        return Ok(Vec::new());
    }
    let path = config.storage.file(Path::new("."))?;
    let shown = path.display();
    let outcome = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(_) => Ok(format!("{shown} can be opened")),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{shown} cannot be opened: {error}")),
        Err(_) => match path.parent().map(std::fs::metadata) {
            Some(Ok(parent)) if !parent.is_dir() => Err(format!("{shown} cannot be made: what it should lie in is no directory")),
            Some(Ok(parent)) if is_closed(&parent) => Err(format!("{shown} cannot be made: its directory is read-only")),
            Some(Err(error)) => Err(format!("{shown} cannot be made, for its directory cannot be used: {error}")),
            _ => Ok(format!("{shown} will be made")),
        },
    };
    Ok(vec![Checked::tried("storage", "url", outcome)])
}

/// Whether nobody may write there. Whether it is us who may, only writing would tell.
fn is_closed(parent: &Metadata) -> bool {
    parent.permissions().readonly()
}
