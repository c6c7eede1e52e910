//! Context sources: texts that can be put into completions, fetched, kept and attributed.
//!
//! To add a kind of source: `context/<kind>.rs`, its fields in `config/source.rs`, what it needs of a request in
//! `fill.rs`, and one arm in `read.rs`.

mod answer;
mod cache;
mod embed;
mod file;
mod fill;
mod mcp;
mod outcome;
mod read;
mod tokens;
mod web;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use fill::Query;
pub use outcome::{Error, Fetched, Outcome};
pub use tokens::tokens;

use crate::config::{OnError, Reads, Refresh, Sharing, Source, Variable};
use crate::domain::{Principal, clip};
use crate::federation::Federation;
use crate::llm::Providers;
use crate::net::Net;
use cache::{Kept, Missed, Texts, key};
use embed::Embedder;
use fill::Values;
use read::{Found, Reader};

/// Fewer tokens than these are not worth their delimiters.
const LEAST: usize = 16;

/// All sources. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    sources: BTreeMap<String, Known>,
    deadline: Duration,
    max_tokens: usize,
    reader: Reader,
    texts: Texts,
}

/// A source, and what was learnt of it.
struct Known {
    name: Arc<str>,
    source: Source,
    /// The key of its text where that is the same for everyone and every request.
    key: Option<cache::Key>,
    /// Whether its server once said that an answer is for nobody but who asked.
    private: AtomicBool,
}

/// A source as administrators see it.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'c> {
    /// Its name.
    pub name: &'c str,
    /// Its entry in the configuration.
    pub source: &'c Source,
    /// Who shares its text.
    pub sharing: Sharing,
}

impl Listed<'_> {
    /// Where its texts come from, in the words of the configuration.
    pub fn origin(&self) -> String {
        read::addressed(self.source)
    }
}

impl Context {
    /// The sources of a configuration.
    pub fn new(config: &crate::config::Context, federation: Federation, net: Net, providers: Providers) -> Self {
        let known = |name: &str, source: &Source| {
            let values = Values { principal: &Principal::local(), query: Query::default() };
            let filled = source.variables().is_empty().then(|| values.fill(source).ok()).flatten();
            let key = filled.map(|filled| key(name, Sharing::Shared, "", &filled.key()));
            Known { name: name.into(), source: source.clone(), key, private: AtomicBool::new(false) }
        };
        Self(Arc::new(Inner {
            sources: config.sources.iter().map(|(name, source)| (name.clone(), known(name, source))).collect(),
            deadline: config.deadline.0,
            max_tokens: usize::try_from(config.max_tokens.get()).unwrap_or(usize::MAX),
            reader: Reader { federation, net, embedder: Embedder::new(providers) },
            texts: Texts::default(),
        }))
    }

    /// All sources.
    pub fn list(&self) -> impl Iterator<Item = Listed<'_>> {
        self.0.sources.iter().map(|(name, known)| Listed { name, source: &known.source, sharing: self.sharing(known) })
    }

    /// When a source is to be fetched anew; none when there is no such source.
    pub fn refresh(&self, name: &str) -> Option<Refresh> {
        self.0.sources.get(name).map(|known| known.source.refresh)
    }

    /// Whether a source asks for what the person said.
    pub fn asks(&self, name: &str) -> bool {
        let says = |variable: &&Variable| matches!(variable, Variable::Query | Variable::Embedding);
        self.0.sources.get(name).is_some_and(|known| known.source.variables().iter().any(says))
    }

    /// Tries an address that needs nothing of a request, for `portolan check`; none where that cannot be tried.
    pub async fn probe(source: &Source, net: &Net, patience: Duration) -> Option<Result<String, String>> {
        read::probe(source, net, patience).await
    }

    /// Fetches sources side by side, within the deadline and the budget of tokens. `asked` are those the caller named
    /// itself, who must then be allowed to see the server behind them; `bound` are the operator's choice.
    pub async fn fetch(&self, principal: &Principal, bound: &[String], asked: &[String], query: Query<'_>) -> Result<Vec<Outcome>, Error> {
        let sources = self.chosen(principal, bound, asked)?;
        let values = Values { principal, query };
        let fetching = sources.iter().map(|(name, known)| self.one(name, known, values));
        let mut outcomes = futures::future::join_all(fetching).await;
        self.keep_to_budget(&mut outcomes).await;
        for (outcome, (name, known)) in outcomes.iter().zip(&sources) {
            if let (Err(why), OnError::Fail) = (&outcome.text, known.source.on_error) {
                return Err(Error::Failed { source_name: (*name).to_owned(), why: why.clone() });
            }
        }
        Ok(outcomes)
    }

    /// Refuses sources that are not there, or not for this caller.
    pub fn check(&self, principal: &Principal, bound: &[String], asked: &[String]) -> Result<(), Error> {
        self.chosen(principal, bound, asked).map(drop)
    }

    fn chosen<'n>(&self, principal: &Principal, bound: &'n [String], asked: &'n [String]) -> Result<Vec<(&'n str, &Known)>, Error> {
        let mut names: Vec<&String> = Vec::new();
        for name in bound.iter().chain(asked) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut sources = Vec::with_capacity(names.len());
        for name in names {
            let known = || self.0.sources.keys().cloned().collect();
            let source = self.0.sources.get(name).ok_or_else(|| Error::Unknown { name: clip(name, 64), known: known() })?;
            if !bound.contains(name) && !self.may_ask(principal, &source.source) {
                return Err(Error::Forbidden(name.clone()));
            }
            sources.push((name.as_str(), source));
        }
        Ok(sources)
    }

    /// Whether a caller may name a source by itself.
    fn may_ask(&self, principal: &Principal, source: &Source) -> bool {
        match source.reads() {
            Some(Reads::Tool(server, tool)) => self.0.reader.federation.may_call(principal, server.as_str(), tool),
            Some(Reads::Resource(server, _) | Reads::Prompt(server, _)) => principal.grants().server(server.as_str()),
            Some(Reads::Url(_) | Reads::File(_)) | None => true,
        }
    }

    fn sharing(&self, known: &Known) -> Sharing {
        if known.private.load(Ordering::Relaxed) { Sharing::Caller } else { self.0.reader.sharing(&known.source) }
    }

    async fn one(&self, name: &str, known: &Known, values: Values<'_>) -> Outcome {
        let start = Instant::now();
        let found = self.text(name, known, values).await;
        if let Err(why) = &found {
            tracing::warn!(context.source = %name, "the context source `{name}` failed: {why}");
        }
        let (text, cached, stale) = match found {
            Ok(kept) => (Ok(kept.fetched.clone()), kept.at < start, kept.stale),
            Err(why) => (Err(why), false, false),
        };
        Outcome {
            source: known.name.clone(),
            text,
            cached,
            stale,
            refresh: known.source.refresh,
            sharing: self.sharing(known),
            ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// A source's text for this request: kept, fetched, or an older one where no newer can be had.
    async fn text(&self, name: &str, known: &Known, values: Values<'_>) -> Result<Arc<Kept>, String> {
        let shared = known.key.filter(|_| self.sharing(known) == Sharing::Shared);
        if let Some(key) = shared
            && let Some(kept) = self.0.texts.held(&key).await
            && kept.only_for.is_none()
        {
            return Ok(kept);
        }
        // In a box: a text that is at hand needs no room for all the ways to fetch one.
        Box::pin(self.kept_or_fetched(name, known, values)).await
    }

    async fn kept_or_fetched(&self, name: &str, known: &Known, values: Values<'_>) -> Result<Arc<Kept>, String> {
        let filled = values.fill(&known.source)?;
        let question = filled.key();
        let caller = values.principal.id();
        let end = tokio::time::Instant::now() + self.0.deadline;
        let mut sharing = self.sharing(known);
        loop {
            let key = key(name, sharing, caller, &question);
            let fetch = async {
                // Whoever fetched it just now may have learnt that it is not for all.
                if sharing == Sharing::Shared && self.sharing(known) == Sharing::Caller {
                    return Err(Missed::Narrowed);
                }
                let found = self.0.reader.read(&known.source, sharing, values, &filled).await?;
                Ok(self.take_in(name, known, (sharing, caller, &question), found).await)
            };
            let fetched = match tokio::time::timeout_at(end, self.0.texts.get(key, fetch)).await {
                Ok(fetched) => fetched,
                Err(_) => Err(Missed::Failed(format!("it was not there within {:?}", self.0.deadline))),
            };
            match fetched {
                // One fetched it for all, and then it was not for all.
                Ok(kept) if kept.only_for.as_deref().is_some_and(|only| only != caller) => sharing = Sharing::Caller,
                Ok(kept) => return Ok(kept),
                Err(Missed::Narrowed) => sharing = Sharing::Caller,
                Err(Missed::Failed(why)) => {
                    let older = self.0.texts.stand_in(key, known.source.ttl.0).await.ok_or_else(|| why.clone())?;
                    tracing::warn!(context.source = %name, "the context source `{name}` failed, and an older text stands in: {why}");
                    return Ok(older);
                }
            }
        }
    }

    /// Keeps what was found, where those may find it who may see it.
    async fn take_in(&self, name: &str, known: &Known, asked: (Sharing, &str, &serde_json::Value), found: Found) -> Kept {
        let Found { kept, private } = found;
        let (sharing, caller, question) = asked;
        let lifetime = known.source.ttl.0;
        if sharing == Sharing::Shared && private {
            known.private.store(true, Ordering::Relaxed);
            let own = key(name, Sharing::Caller, caller, question);
            self.0.texts.keep(own, &kept, lifetime).await;
            self.0.texts.put(own, kept.clone()).await;
            // Whoever waited for the shared text must not use it, and nobody finds it again.
            return Kept { ttl: Duration::ZERO, only_for: Some(caller.to_owned()), ..kept };
        }
        self.0.texts.keep(key(name, sharing, caller, question), &kept, lifetime).await;
        kept
    }

    /// Gives the budget out in order: what does not fit is cut, and left out when nothing useful would be left of it.
    async fn keep_to_budget(&self, outcomes: &mut [Outcome]) {
        let mut room = self.0.max_tokens;
        for outcome in outcomes {
            let Ok(fetched) = &outcome.text else { continue };
            if fetched.tokens > room && room < LEAST {
                outcome.text = Err(format!("it is left out: the {} tokens of `context.max_tokens` are used up", self.0.max_tokens));
                continue;
            }
            if fetched.tokens > room {
                let measured = tokens::measure(fetched.text.clone(), Some(room)).await;
                let cut = Fetched::new(measured.text, measured.tokens, true, fetched.origin.clone(), fetched.trust);
                outcome.text = Ok(Arc::new(cut));
            }
            room = room.saturating_sub(outcome.text.as_ref().map_or(0, |fetched| fetched.tokens));
        }
    }
}
