//! `portolan check`: reads a configuration as a start would, and tries what it names.

use std::collections::BTreeMap;
use std::fs::{Metadata, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::checked::{Checked, State};
use super::live::{declared, providers};
use super::names;
use super::toolsets;
use crate::auth::Auth;
use crate::config::{Config, ECHO, Provider, stray_toolsets, strays};
use crate::context::Context;
use crate::domain::{ServerName, meant, printable};
use crate::llm::Providers;
use crate::net::Net;
use crate::registry::{Lock, resolve_curated};
use crate::telemetry;
use crate::upstream::{self, Identity, Upstreams};

/// Checks a file, and unless `offline` also its providers and servers.
pub async fn check(path: Option<&Path>, offline: bool) -> anyhow::Result<Vec<Checked>> {
    let config = match path {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    let mut checked = storage(&config)?;
    checked.extend(files(&config));
    let (found, _) = providers(&config);
    checked.extend(missing(&config, &found));
    checked.extend(unanswered(&config, &found));
    checked.extend(lock(&config));
    if !offline {
        checked.extend(online(&config, &found).await?);
    }
    let toolsets = config.mcp.chosen();
    let unknown = strays(&config.mcp.servers, &toolsets, &config.context.sources, &config.models);
    let unknown = unknown.into_iter().chain(stray_toolsets(&config.mcp.servers, &toolsets));
    checked.extend(unknown.map(|stray| Checked { kind: stray.kind, name: stray.name, state: State::Warning, detail: stray.why }));
    Ok(checked)
}

/// The file that says what is approved, where one does.
fn lock(config: &Config) -> Option<Checked> {
    let path = config.registry.locked_by()?;
    let (state, detail) = match Lock::load(&path) {
        Ok(lock) => (State::Good, format!("{} servers", lock.servers.len())),
        Err(why) => (State::Failed, why.to_string()),
    };
    Some(Checked { kind: "lock", name: path.display().to_string(), state, detail })
}

/// The models whose provider is one of those that are found by their key, and was not.
fn missing(config: &Config, found: &BTreeMap<String, Provider>) -> Vec<Checked> {
    let mut checked = Vec::new();
    for (name, model) in &config.models {
        let absent = model.targets.iter().map(|target| &*target.provider).find(|provider| !found.contains_key(*provider));
        if let Some((provider, mend)) = absent.and_then(|provider| Some((provider, Provider::found_by(provider)?))) {
            let detail = format!("`targets`: no provider `{provider}` was found; {mend}, or declare it under `providers:`");
            checked.push(Checked { kind: "model", name: name.clone(), state: State::Warning, detail });
        }
    }
    checked
}

/// The servers whose questions a model is to answer that there is not.
fn unanswered(config: &Config, found: &BTreeMap<String, Provider>) -> Vec<Checked> {
    let there = |model: &str| {
        let direct = model.split_once('/').is_some_and(|(provider, _)| found.contains_key(provider));
        direct || model == ECHO || config.models.contains_key(model)
    };
    let servers = config.mcp.servers.iter().filter_map(|(name, server)| Some((name, &*server.sampling.as_ref()?.model)));
    let absent = servers.filter(|(_, model)| !there(model));
    let warn = |(name, model): (&ServerName, &str)| {
        let like = meant(model, config.models.keys().map(String::as_str));
        let detail = format!("`sampling.model`: there is no model `{}`{like}; nobody answers what the server asks", printable(model));
        Checked { kind: "server", name: name.to_string(), state: State::Warning, detail }
    };
    absent.map(warn).collect()
}

async fn online(config: &Config, all: &BTreeMap<String, Provider>) -> anyhow::Result<Vec<Checked>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let net = Net::new()?;
    let tried = Providers::new(&net, all.iter(), config.limits.stream_idle.0);
    let (addresses, issuers) = futures::join!(addresses(config, &net), issuers(config, &net));
    let collector = collector(config, &net).await;
    let upstreams = Upstreams::new(net, None, Arc::new(|_, _| {}));
    let providers = futures::future::join_all(all.keys().map(async |name| {
        let outcome = tried.listed(name).await.map(|models| format!("{} models", models.len()));
        Checked::tried("provider", name, outcome.map_err(|why| printable(&why)))
    }));
    let specs = declared(config);
    let servers = futures::future::join_all(specs.iter().map(async |spec| {
        // Of a curated server what was reviewed, as the gateway runs it, and nothing else.
        let runs = match &spec.curated {
            Some(_) => match resolve_curated(spec).await {
                Ok((runs, _)) => Some(runs),
                Err(error) => {
                    let server = Checked::tried("server", spec.name.to_string(), Err(printable(&error.to_string())));
                    return (std::iter::once(server).chain(unread(config, &spec.name)).collect(), None);
                }
            },
            None => None,
        };
        let opening = upstreams.connection(runs.as_ref().unwrap_or(spec), Identity::default(), None);
        let opened = tokio::time::timeout(Duration::from_secs(120), opening).await;
        // Logins are the running gateway's: whether there is one cannot be seen from here.
        if matches!(&opened, Ok(Err(error)) if matches!(**error, upstream::Error::LoginNeeded)) {
            let why = format!("wants a login, which only the running gateway has: portolan server login {}", spec.name);
            let server = Checked::skipped("server", spec.name.to_string(), &why);
            return (std::iter::once(server).chain(unread(config, &spec.name)).collect(), None);
        }
        let (outcome, (mut named, tools)) = match opened {
            Ok(Ok(connection)) => {
                (Ok(format!("speaks {}", connection.peer().era)), names::compare(config, spec.name.as_str(), &connection).await)
            }
            Ok(Err(error)) => (Err(printable(&error.to_string())), (unread(config, &spec.name), None)),
            Err(_) => (Err("does not answer".to_owned()), (unread(config, &spec.name), None)),
        };
        named.insert(0, Checked::tried("server", spec.name.to_string(), outcome));
        (named, tools)
    }));
    let (providers, servers) = futures::join!(providers, servers);
    upstreams.close_all().await;
    let (servers, tools): (Vec<Vec<Checked>>, Vec<Option<Vec<String>>>) = servers.into_iter().unzip();
    let listed = specs.iter().zip(tools).map(|(spec, tools)| (spec.name.clone(), tools)).collect();
    let toolsets = toolsets::compare(config, &listed);
    let of_servers = servers.into_iter().flatten().chain(toolsets);
    Ok(providers.into_iter().chain(of_servers).chain(addresses).chain(issuers).chain(collector).collect())
}

/// The issuers whose access tokens are accepted, by the keys that their tokens are judged with.
async fn issuers(config: &Config, net: &Net) -> Vec<Checked> {
    let tried = config.auth.issuers.iter().map(async |issuer| {
        let outcome = Auth::probe(issuer, net).await.map(|keys| if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") });
        Checked::tried("issuer", &*issuer.issuer, outcome.map_err(|why| printable(&why)))
    });
    futures::future::join_all(tried).await
}

/// The collector of traces.
async fn collector(config: &Config, net: &Net) -> Option<Checked> {
    let outcome = telemetry::probe(config.telemetry.otlp.as_ref()?, net).await;
    Some(Checked::tried("telemetry", "otlp", outcome.map_err(|why| printable(&why))))
}

/// The sources that read from a server which does not answer.
fn unread(config: &Config, server: &ServerName) -> Vec<Checked> {
    let own = config.context.sources.iter().filter(|(_, source)| source.server.as_ref() == Some(server));
    own.map(|(name, _)| Checked::skipped("context", name, "its server does not answer")).collect()
}

/// The addresses that context comes from; those that need something of a request can only be looked at.
async fn addresses(config: &Config, net: &Net) -> Vec<Checked> {
    let own = config.context.sources.iter().filter(|(_, source)| source.url.is_some());
    let tried = own.map(async |(name, source)| match Context::probe(source, net, config.context.deadline.0).await {
        Some(outcome) => Checked::tried("context", name, outcome),
        None => Checked::skipped("context", name, "it needs a request"),
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
