//! The memory of conversations: what the gateway put into one stands at the same place on every later turn.
//!
//! Clients send their whole history each time, without the context and the tool turns that the gateway
//! put in between. Left out, the model would not know what it did, and its provider's prompt cache, which
//! goes by the bytes at the beginning, would start anew. So both are kept by the hash of the history that
//! the client sent, and put back byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::Error;
use super::marks::{History, instructions, said_after};
use crate::context::{Fetched, Outcome};
use crate::domain::{Digest, Principal};
use crate::llm::{self, Dialect, Part, Request};

/// Most bytes of all conversations together.
const CAPACITY: u64 = 64 << 20;
/// How long a conversation that nobody goes on with is kept.
const IDLE: Duration = Duration::from_secs(2 * 60 * 60);
/// So many hold a text that nobody shares: caches, and the completion that puts it in.
const FEW: usize = 16;
/// How many answers back a turn that is remembered may lie.
const BACK: usize = 256;

/// What is remembered of all conversations, and how often all of it was forgotten. Cheap to clone.
#[derive(Clone)]
pub(super) struct Memo(Cache<Digest, Arc<Entry>>, Arc<AtomicU64>);

/// What is remembered of one.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// The context that is fetched once, as it was then.
    context: Vec<Outcome>,
    inserts: Vec<Arc<Insert>>,
}

/// Something that was put in, and before which of the client's items.
#[derive(Clone, Debug)]
struct Insert {
    at: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// Context of one turn, with what the person said there.
    Beside(String),
    /// What the gateway did before the model gave the answer that stands there; the digest is that of the answer.
    Turns(Vec<Box<RawValue>>, Digest),
    /// Thoughts that the answer there came with, and that the client could not keep.
    Thoughts(Vec<Part>, Digest),
}

/// Whether a conversation was remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has just begun.
    New,
    /// It was.
    Kept,
    /// It was not, though it did not begin here.
    Lost,
}

/// One turn of a conversation.
pub(super) struct Turn {
    memo: Memo,
    /// How often all was forgotten before it.
    epoch: u64,
    key: Digest,
    entry: Arc<Entry>,
    /// How many items the client sent.
    sent: usize,
    /// How many there are with those that were put in; none where the gateway adds nothing.
    begun: usize,
    pub(super) state: State,
}

impl Default for Memo {
    fn default() -> Self {
        let weigh = |_: &Digest, entry: &Arc<Entry>| u32::try_from(entry.weight()).unwrap_or(u32::MAX);
        Self(Cache::builder().weigher(weigh).max_capacity(CAPACITY).time_to_idle(IDLE).build(), Arc::default())
    }
}

impl Entry {
    fn weight(&self) -> usize {
        let insert = |insert: &Arc<Insert>| match &insert.what {
            What::Beside(text) => text.len(),
            What::Turns(items, _) => items.iter().map(|item| item.get().len()).sum(),
            What::Thoughts(parts, _) => parts.iter().map(|part| format!("{part:?}").len()).sum(),
        };
        // A text that many conversations hold counts for its share in each of them; the first ones count it whole.
        let share = |fetched: &Arc<Fetched>| match Arc::strong_count(fetched) {
            few if few <= FEW => 1,
            holders => holders,
        };
        let text = |outcome: &Outcome| outcome.text.as_ref().map_or(0, |fetched| 64 + fetched.weight() / share(fetched));
        256 + self.inserts.iter().map(insert).sum::<usize>() + self.context.iter().map(text).sum::<usize>()
    }
}

impl Memo {
    /// Forgets all conversations, those that are under way as well.
    pub(super) fn forget(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.invalidate_all();
    }

    /// Looks for what is known of the conversation that a request goes on with.
    pub(super) fn open(&self, principal: &Principal, request: &Request, tags: &BTreeMap<String, String>) -> Result<Turn, Error> {
        let epoch = self.1.load(Ordering::Relaxed);
        let items = request.said()?;
        // Many people may come with one key: what an application says of them keeps them apart.
        let system = request.get("system").or_else(|| request.get("instructions")).unwrap_or_default();
        let base = format!("{}\n{}\n{}\n{tags:?}\n{}", principal.id(), request.model(), request.dialect(), instructions(system));
        let History { prefixes, answers } = History::read(Digest::of("portolan/conversation", base.as_bytes()), &items);
        let sent = items.len();
        // A turn is remembered by all that came before its answer. Without an answer it is the first turn,
        // even where another conversation once began with the same words.
        let answers: Vec<usize> = answers.into_iter().filter(|at| *at > 0).collect();
        let known = answers.iter().rev().take(BACK).find_map(|at| self.0.get(prefixes.get(*at)?));
        let state = match known {
            Some(_) => State::Kept,
            None if answers.is_empty() => State::New,
            None => State::Lost,
        };
        let mut entry = known.unwrap_or_default();
        // What belongs to an answer that the client did not get, or went back behind, is not put back.
        let stands = |insert: &Arc<Insert>| match &insert.what {
            What::Beside(_) => insert.at < sent,
            What::Turns(_, answer) | What::Thoughts(_, answer) => insert.at < sent && said_after(&items, insert.at) == *answer,
        };
        if !entry.inserts.is_empty() {
            Arc::make_mut(&mut entry).inserts.retain(stands);
        }
        let key = prefixes.last().copied().unwrap_or_else(|| Digest::of("portolan/conversation", b""));
        Ok(Turn { memo: self.clone(), epoch, key, entry, sent, begun: 0, state })
    }
}

impl Turn {
    /// The context that is fetched once in a conversation, as far as it was.
    pub(super) fn context(&self) -> &[Outcome] {
        &self.entry.context
    }

    /// Remembers context that is fetched once.
    pub(super) fn keep_context(&mut self, context: &[Outcome]) {
        // On the next turn it is at hand.
        let kept = |outcome: &Outcome| Outcome { cached: true, ms: 0, ..outcome.clone() };
        Arc::make_mut(&mut self.entry).context = context.iter().filter(|outcome| outcome.text.is_ok()).map(kept).collect();
    }

    /// Whether context stands with the newest thing the person said already.
    pub(super) fn has_beside(&self, request: &Request) -> Result<bool, Error> {
        let newest = request.said()?.iter().rposition(|item| Request::human(item).is_some());
        Ok(self.entry.inserts.iter().any(|insert| matches!(insert.what, What::Beside(_)) && Some(insert.at) == newest))
    }

    /// Puts context with the newest thing the person said.
    pub(super) fn put_beside(&mut self, request: &Request, text: String) -> Result<(), Error> {
        let newest = request.said()?.iter().rposition(|item| Request::human(item).is_some());
        self.insert(newest.unwrap_or(self.sent.saturating_sub(1)), What::Beside(text));
        Ok(())
    }

    /// Puts everything back where it stood, and remembers the turn as far as it is known.
    pub(super) fn put_back(&mut self, request: &mut Request) -> Result<(), Error> {
        let mut inserts: Vec<&Insert> = self.entry.inserts.iter().map(AsRef::as_ref).collect();
        // From the end to the beginning, so that places keep their numbers; and an answer gets its thoughts
        // before anything is put in front of it.
        inserts.sort_by_key(|insert| (std::cmp::Reverse(insert.at), matches!(insert.what, What::Turns(..))));
        if !inserts.is_empty() {
            let mut items = request.items()?;
            for insert in inserts {
                insert.apply(request.dialect(), &mut items)?;
            }
            request.set_items(&items);
        }
        self.save();
        Ok(())
    }

    /// Says that the gateway may add turns of its own from here on.
    pub(super) fn begin(&mut self, request: &Request) -> Result<(), Error> {
        self.begun = request.said()?.len();
        Ok(())
    }

    /// Remembers what the gateway did in this turn before the model gave its answer. `said` is what the client saw
    /// of it, and `last` are the parts of the turn that was the answer.
    pub(super) fn done(mut self, request: &Request, said: &llm::Answer, last: &[Part], shown: bool) {
        let answer = super::marks::answer(said);
        let items = if self.begun > 0 && !shown { request.items().unwrap_or_default() } else { Vec::new() };
        let turns: Vec<_> = items.get(self.begun..).unwrap_or_default().to_vec();
        if !turns.is_empty() {
            self.insert(self.sent, What::Turns(turns, answer));
        }
        let sealed = |part: &&Part| matches!(part, Part::Thinking(_, Some(_)) | Part::Redacted(_));
        let thoughts: Vec<Part> = last.iter().filter(sealed).cloned().collect();
        if !thoughts.is_empty() && request.dialect() != Dialect::Messages {
            self.insert(self.sent, What::Thoughts(thoughts, answer));
        }
        self.save();
    }

    /// Also when there is nothing to put back: then that is what is known.
    fn save(&self) {
        // What was to be forgotten meanwhile does not come back by this.
        if self.memo.1.load(Ordering::Relaxed) == self.epoch {
            self.memo.0.insert(self.key, self.entry.clone());
        }
    }

    fn insert(&mut self, at: usize, what: What) {
        Arc::make_mut(&mut self.entry).inserts.push(Arc::new(Insert { at, what }));
    }
}

impl Insert {
    fn apply(&self, dialect: Dialect, items: &mut Vec<Box<RawValue>>) -> Result<(), Error> {
        let at = self.at.min(items.len());
        match &self.what {
            What::Beside(text) => llm::beside(dialect, items, at, text)?,
            What::Turns(turns, _) => drop(items.splice(at..at, turns.iter().cloned())),
            What::Thoughts(parts, _) => {
                let Some(item) = items.get_mut(at) else { return Ok(()) };
                let thinks = serde_json::from_str::<Value>(item.get()).is_ok_and(|item| {
                    item.get("thinking_blocks").is_some() || item.get("type").and_then(Value::as_str) == Some("reasoning")
                });
                if !thinks {
                    llm::with_thoughts(dialect, items, at, parts);
                }
            }
        }
        Ok(())
    }
}
