//! Context sources: texts that can be put into completions, fetched, kept and attributed.
//!
//! To add a kind of source: `context/<kind>.rs`, and one arm in [`Context::read`].

mod file;
mod mcp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

use crate::config::{OnError, Source};
use crate::domain::{Digest, Principal};
use crate::federation::Federation;

/// Most bytes that are taken from one source.
const MAX_TEXT: usize = 256 << 10;

/// A text from a source, with where it came from.
#[derive(Debug)]
pub struct Fetched {
    /// The text.
    pub text: String,
    /// Its digest.
    pub digest: Digest,
    /// Where it came from: a file, or a server and what was asked of it.
    pub origin: String,
    /// Whether it was longer and was cut.
    pub cut: bool,
    at: Instant,
    ttl: Duration,
}

/// How one source fared in one completion.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The source.
    pub source: String,
    /// Its text, or why there is none.
    pub text: Result<Arc<Fetched>, String>,
    /// Whether the text was at hand.
    pub cached: bool,
}

/// Why context stops a completion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No source of that name.
    #[error("there is no context source `{name}`{}", there_are(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The caller may not use it.
    #[error("the context source `{0}` is not for this caller")]
    Forbidden(String),
    /// It failed, and the operator wants that to stop completions.
    #[error("the context source `{source_name}` failed: {why}")]
    Failed {
        /// The source.
        source_name: String,
        /// Why.
        why: String,
    },
}

fn there_are(names: &[String]) -> String {
    if names.is_empty() { "; none are configured".to_owned() } else { format!("; there are: {}", names.join(", ")) }
}

/// All sources. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    sources: BTreeMap<String, Source>,
    deadline: Duration,
    federation: Federation,
    cache: Cache<String, Arc<Fetched>>,
}

/// An entry lives as long as its source says.
struct Lifetime;

impl Expiry<String, Arc<Fetched>> for Lifetime {
    fn expire_after_create(&self, _: &String, fetched: &Arc<Fetched>, _: Instant) -> Option<Duration> {
        Some(fetched.ttl)
    }

    fn expire_after_update(&self, _: &String, fetched: &Arc<Fetched>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(fetched.ttl)
    }
}

impl Context {
    /// The sources of a configuration.
    pub fn new(config: &crate::config::Context, federation: Federation) -> Self {
        let weigh = |_: &String, fetched: &Arc<Fetched>| u32::try_from(fetched.text.len()).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(64 << 20).weigher(weigh).expire_after(Lifetime).build();
        Self(Arc::new(Inner { sources: config.sources.clone(), deadline: config.deadline.0, federation, cache }))
    }

    /// All sources, with a line on each for people.
    pub fn list(&self) -> Vec<(String, String)> {
        self.0.sources.iter().map(|(name, source)| (name.clone(), origin(source))).collect()
    }

    /// Fetches sources side by side, within the deadline. `asked` are those the caller named itself,
    /// who must then be allowed to see the server behind them; `bound` are the operator's choice.
    pub async fn fetch(&self, principal: &Principal, bound: &[String], asked: &[String]) -> Result<Vec<Outcome>, Error> {
        let mut names: Vec<&String> = Vec::new();
        for name in bound.iter().chain(asked) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut sources = Vec::with_capacity(names.len());
        for name in names {
            let known = || self.0.sources.keys().cloned().collect();
            let source = self.0.sources.get(name).ok_or_else(|| Error::Unknown { name: crate::domain::clip(name, 64), known: known() })?;
            let bound = bound.contains(name);
            if !bound && source.server.as_ref().is_some_and(|server| !principal.grants().server(server.as_str())) {
                return Err(Error::Forbidden(name.clone()));
            }
            sources.push((name, source));
        }
        let fetching = sources.iter().map(|(name, source)| self.one(name, source));
        let outcomes = futures::future::join_all(fetching).await;
        for (outcome, (name, source)) in outcomes.iter().zip(&sources) {
            if let (Err(why), OnError::Fail) = (&outcome.text, source.on_error) {
                return Err(Error::Failed { source_name: (*name).clone(), why: why.clone() });
            }
        }
        Ok(outcomes)
    }

    async fn one(&self, name: &str, source: &Source) -> Outcome {
        let start = Instant::now();
        // One loader per source: those who come meanwhile wait for it.
        let loading = self.0.cache.try_get_with(name.to_owned(), async {
            let (text, origin) = self.read(source).await?;
            let cut = text.len() > MAX_TEXT;
            let text = if cut { crate::domain::clip(&text, MAX_TEXT) } else { text };
            let digest = Digest::of("portolan/context", text.as_bytes());
            Ok::<_, String>(Arc::new(Fetched { text, digest, origin, cut, at: Instant::now(), ttl: source.ttl.0 }))
        });
        let text = match tokio::time::timeout(self.0.deadline, loading).await {
            Ok(Ok(fetched)) => Ok(fetched),
            Ok(Err(why)) => Err((*why).clone()),
            Err(_) => Err(format!("it was not there within {:?}", self.0.deadline)),
        };
        if let Err(why) = &text {
            tracing::warn!(context.source = %name, "the context source `{name}` failed: {why}");
        }
        let cached = text.as_ref().is_ok_and(|fetched| fetched.at < start);
        Outcome { source: name.to_owned(), text, cached }
    }

    async fn read(&self, source: &Source) -> Result<(String, String), String> {
        let text = match (&source.server, &source.resource, &source.prompt, &source.file) {
            (Some(server), Some(uri), ..) => mcp::resource(&self.0.federation, server, uri).await?,
            (Some(server), None, Some(prompt), _) => mcp::prompt(&self.0.federation, server, prompt, &source.arguments).await?,
            (.., Some(path)) => file::read(path, MAX_TEXT).await?,
            _ => return Err("it names nothing to read".to_owned()),
        };
        Ok((text, origin(source)))
    }
}

fn origin(source: &Source) -> String {
    match (&source.server, &source.resource, &source.prompt, &source.file) {
        (Some(server), Some(uri), ..) => format!("{server} {uri}"),
        (Some(server), None, Some(prompt), _) => format!("{server} prompt {prompt}"),
        (.., Some(path)) => format!("file {}", path.file_name().unwrap_or_default().to_string_lossy()),
        _ => String::new(),
    }
}
