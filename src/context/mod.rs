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

use arc_swap::ArcSwapOption;

pub use fill::Query;
pub use outcome::{Error, Fetched, Outcome};
pub use tokens::tokens;

use crate::config::{OnError, Reads, Refresh, Sharing, Source, Variable};
use crate::domain::{Principal, clip};
use crate::federation::Federation;
use crate::llm::Providers;
use crate::net::Net;
use crate::policy::{Act, Blocks};
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
    blocks: Blocks,
    reader: Reader,
    texts: Texts,
}

/// A source, and what was learnt of it.
struct Known {
    name: Arc<str>,
    source: Source,
    /// Who shares its text, by its entry alone.
    sharing: Sharing,
    /// Whether it asks for what the person said.
    asks: bool,
    /// The key of its text where that is the same for everyone and every request.
    key: Option<cache::Key>,
    /// The text under that key, as it was last found.
    last: ArcSwapOption<Last>,
    /// Whether its server once said that an answer is for nobody but who asked.
    private: AtomicBool,
}

/// A text that was found, and how often all texts had been forgotten by then.
struct Last {
    epoch: u64,
    kept: Arc<Kept>,
}

/// A source that a request uses.
#[derive(Clone, Copy)]
pub struct Chosen<'c>(&'c Known);

impl<'c> Chosen<'c> {
    /// Its name.
    pub fn name(self) -> &'c str {
        &self.0.name
    }

    /// When it is to be fetched anew.
    pub fn refresh(self) -> Refresh {
        self.0.source.refresh
    }

    /// Whether it asks for what the person said.
    pub fn asks(self) -> bool {
        self.0.asks
    }
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
    pub fn new(config: &crate::config::Context, federation: Federation, net: Net, providers: Providers, blocks: Blocks) -> Self {
        let known = |name: &str, source: &Source| {
            let variables = source.variables();
            let values = Values { principal: &Principal::local(), query: Query::default() };
            let filled = variables.is_empty().then(|| values.fill(source).ok()).flatten();
            Known {
                name: name.into(),
                sharing: source.sharing(),
                asks: variables.iter().any(|variable| matches!(variable, Variable::Query | Variable::Embedding)),
                key: filled.map(|filled| key(name, Sharing::Shared, "", &filled.key())),
                last: ArcSwapOption::empty(),
                private: AtomicBool::new(false),
                source: source.clone(),
            }
        };
        Self(Arc::new(Inner {
            sources: config.sources.iter().map(|(name, source)| (name.clone(), known(name, source))).collect(),
            deadline: config.deadline.0,
            max_tokens: usize::try_from(config.max_tokens.get()).unwrap_or(usize::MAX),
            reader: Reader { federation, net, embedder: Embedder::new(providers, blocks.clone()) },
            blocks,
            texts: Texts::default(),
        }))
    }

    /// All sources.
    pub fn list(&self) -> impl Iterator<Item = Listed<'_>> {
        self.0.sources.iter().map(|(name, known)| Listed { name, source: &known.source, sharing: self.sharing(known) })
    }

    /// Forgets all texts.
    pub fn forget(&self) {
        self.0.texts.forget();
    }

    /// Tries an address that needs nothing of a request, for `portolan check`; none where that cannot be tried.
    pub async fn probe(source: &Source, net: &Net, patience: Duration) -> Option<Result<String, String>> {
        read::probe(source, net, patience).await
    }

    /// The sources of these names, each once, or why not all of them are to be had. `asked` are those the caller named
    /// itself, who must then be allowed to see the server behind them; `bound` are the operator's choice.
    pub fn choose(&self, principal: &Principal, bound: &[String], asked: &[String]) -> Result<Vec<Chosen<'_>>, Error> {
        let mut chosen: Vec<Chosen<'_>> = Vec::with_capacity(bound.len() + asked.len());
        for (at, name) in bound.iter().chain(asked).enumerate() {
            if chosen.iter().any(|source| source.name() == name) {
                continue;
            }
            let known = || self.0.sources.keys().cloned().collect();
            let source = self.0.sources.get(name).ok_or_else(|| Error::Unknown { name: clip(name, 64), known: known() })?;
            if at >= bound.len() && !self.may_ask(principal, &source.source) {
                return Err(Error::Forbidden(name.clone()));
            }
            chosen.push(Chosen(source));
        }
        Ok(chosen)
    }

    /// Fetches sources side by side, within the deadline and the budget of tokens, until the act they are for is blocked.
    pub async fn fetch(&self, act: &Act<'_>, sources: &[Chosen<'_>], query: Query<'_>) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = match self.at_hand(sources).await {
            Some(outcomes) => outcomes,
            // In a box: texts that are at hand need no room for all the ways to fetch one.
            None => {
                let mut fetching = Box::pin(self.side_by_side(sources, Values { principal: act.principal, query }));
                self.0.blocks.guard(act, fetching.as_mut()).await?
            }
        };
        self.keep_to_budget(&mut outcomes).await;
        for (outcome, Chosen(known)) in outcomes.iter().zip(sources) {
            if let (Err(why), OnError::Fail) = (&outcome.text, known.source.on_error) {
                return Err(Error::Failed { source_name: known.name.to_string(), why: why.clone() });
            }
        }
        Ok(outcomes)
    }

    /// All these texts, if each is at hand, the same for everyone, and holds.
    async fn at_hand(&self, sources: &[Chosen<'_>]) -> Option<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(sources.len());
        let now = Instant::now();
        for Chosen(known) in sources {
            let key = known.key.filter(|_| self.sharing(known) == Sharing::Shared)?;
            let kept = match self.last(known, now) {
                Some(kept) => kept,
                None => self.found(known, &key).await?,
            };
            outcomes.push(Outcome {
                source: known.name.clone(),
                text: Ok(kept.fetched.clone()),
                cached: true,
                stale: kept.stale,
                refresh: known.source.refresh,
                sharing: Sharing::Shared,
                ms: 0,
            });
        }
        Some(outcomes)
    }

    /// A text that is the same for everyone, without asking the cache.
    fn last(&self, known: &Known, now: Instant) -> Option<Arc<Kept>> {
        let last = known.last.load();
        let last = last.as_ref().filter(|last| last.epoch == self.0.texts.epoch())?;
        (now.saturating_duration_since(last.kept.at) < last.kept.ttl).then(|| last.kept.clone())
    }

    /// The same from the cache, for the next one.
    async fn found(&self, known: &Known, key: &cache::Key) -> Option<Arc<Kept>> {
        let epoch = self.0.texts.epoch();
        let kept = self.0.texts.held(key).await.filter(|kept| kept.only_for.is_none())?;
        known.last.store(Some(Arc::new(Last { epoch, kept: kept.clone() })));
        Some(kept)
    }

    async fn side_by_side(&self, sources: &[Chosen<'_>], values: Values<'_>) -> Vec<Outcome> {
        futures::future::join_all(sources.iter().map(|Chosen(known)| self.one(known, values))).await
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
        let apart = known.private.load(Ordering::Relaxed) || self.0.reader.keeps_apart(&known.source);
        if apart { Sharing::Caller } else { known.sharing }
    }

    async fn one(&self, known: &Known, values: Values<'_>) -> Outcome {
        let start = Instant::now();
        let found = self.text(known, values).await;
        let (text, cached, stale) = match found {
            Ok(kept) => (Ok(kept.fetched.clone()), kept.at < start, kept.stale),
            Err(why) => {
                tracing::warn!(context.source = %known.name, "the context source `{}` failed: {why}", known.name);
                (Err(why), false, false)
            }
        };
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Outcome { source: known.name.clone(), text, cached, stale, refresh: known.source.refresh, sharing: self.sharing(known), ms }
    }

    /// A source's text for this request: kept, fetched, or an older one where no newer can be had.
    async fn text(&self, known: &Known, values: Values<'_>) -> Result<Arc<Kept>, String> {
        let name = &*known.name;
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
                let epoch = self.0.texts.epoch();
                let found = self.0.reader.read(&known.source, sharing, values, &filled).await?;
                if self.0.texts.epoch() != epoch {
                    return Err(Missed::Failed("all texts were to be forgotten while it was fetched".to_owned()));
                }
                Ok(self.take_in(known, (sharing, caller, &question), found).await)
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
    async fn take_in(&self, known: &Known, asked: (Sharing, &str, &serde_json::Value), found: Found) -> Kept {
        let name = &*known.name;
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
