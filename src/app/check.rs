//! `portolan check`: reads a configuration as a start would, and tries what it names.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::live::{declared, providers};
use crate::config::Config;
use crate::context::Context;
use crate::domain::printable;
use crate::llm::Providers;
use crate::net::Net;
use crate::upstream::{Identity, Upstreams};

/// One thing that was tried.
pub struct Checked {
    /// `provider`, `server` or `context`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What was found, or what is wrong.
    pub outcome: Result<String, String>,
}

/// Checks a file, and unless `offline` also its providers and servers.
pub async fn check(path: Option<&Path>, offline: bool) -> anyhow::Result<Vec<Checked>> {
    let config = match path {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    let mut checked = files(&config);
    if offline {
        return Ok(checked);
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let net = Net::new()?;
    let (all, _) = providers(&config);
    let tried = Providers::new(&net, all.iter(), config.limits.stream_idle.0);
    let addresses = addresses(&config, &net).await;
    let upstreams = Upstreams::new(net, Arc::new(|_, _| {}));
    let providers = futures::future::join_all(all.keys().map(async |name| {
        let models = tried.models(name).await;
        let outcome = if models.is_empty() {
            Err("lists no models: it cannot be reached, or refuses the key".to_owned())
        } else {
            Ok(format!("{} models", models.len()))
        };
        Checked { kind: "provider", name: name.clone(), outcome }
    }));
    let specs = declared(&config);
    let servers = futures::future::join_all(specs.iter().map(async |spec| {
        let opening = upstreams.connection(spec, Identity::default(), None);
        let outcome = match tokio::time::timeout(Duration::from_secs(120), opening).await {
            Ok(Ok(connection)) => Ok(format!("speaks {}", connection.peer().era)),
            Ok(Err(error)) => Err(printable(&error.to_string())),
            Err(_) => Err("does not answer".to_owned()),
        };
        Checked { kind: "server", name: spec.name.to_string(), outcome }
    }));
    let (providers, servers) = futures::join!(providers, servers);
    checked.extend(providers);
    checked.extend(servers);
    checked.extend(addresses);
    upstreams.close_all().await;
    Ok(checked)
}

/// The addresses that context comes from; those that need something of a request can only be looked at.
async fn addresses(config: &Config, net: &Net) -> Vec<Checked> {
    let sources = config.context.sources.iter().filter(|(_, source)| source.url.is_some());
    let tried = sources.map(async |(name, source)| {
        let tried = Context::probe(source, net, config.context.deadline.0).await;
        let outcome = tried.unwrap_or_else(|| Ok("not tried: it needs a request".to_owned()));
        Checked { kind: "context", name: name.clone(), outcome }
    });
    futures::future::join_all(tried).await
}

/// The files that context comes from.
fn files(config: &Config) -> Vec<Checked> {
    let files = config.context.sources.iter().filter_map(|(name, source)| Some((name, source.file.as_ref()?)));
    let tried = files.map(|(name, path)| {
        let outcome = match std::fs::read_to_string(path) {
            Ok(text) => Ok(format!("{} bytes", text.len())),
            Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        };
        Checked { kind: "context", name: name.clone(), outcome }
    });
    tried.collect()
}
