//! Responses that clients may go on from by their ids, kept in the store.
//!
//! Each keeps what it added to the one before, so that a long conversation is not written anew with every turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::error::Error;
use crate::domain::{Principal, RawObject, clip, now_ms, raw};
use crate::llm::{Request, Target};
use crate::store::{Bounds, Elsewhere, Holding, ResponseRow, Store};

/// Most turns that are put together again.
const MOST: u32 = 1_000;
/// Largest history that is put together again, in bytes.
const MAX_CHAIN: u32 = 20 << 20;
/// Largest response that is kept, in bytes.
const MAX_ITEMS: usize = 8 << 20;
/// Longest id of one, in bytes.
const MAX_ID: usize = 128;
/// Most that is kept of one caller.
const OF_ONE: Holding = Holding { responses: 10_000, bytes: 512 << 20 };
/// Most responses that are kept, whosever they are.
const OF_ALL: i64 = 100_000;
/// After so many new ones, the old ones are looked through.
const SWEEP: u64 = 64;
/// Most steps of one sweep, each of which takes a few away.
const STEPS: usize = 64;

/// The responses that are kept, and for how long.
pub(super) struct Responses {
    store: Store,
    age: Duration,
    added: AtomicU64,
    /// One sweep at a time.
    sweeping: Arc<Semaphore>,
}

/// A response that is being made.
pub(super) struct Keeping {
    caller: String,
    previous: Option<String>,
    input: Vec<Box<RawValue>>,
}

impl Responses {
    /// Keeps responses in a store; a time of zero keeps none.
    pub(super) fn new(store: Store, age: Duration) -> Self {
        Self { store, age, added: AtomicU64::new(0), sweeping: Arc::new(Semaphore::new(1)) }
    }

    /// Puts what was said before in front of a request that goes on from a response, and says what is to
    /// be kept of this one. Also the response that a provider keeps, where it goes on from one; nobody goes on from what is
    /// not theirs, or from half a conversation.
    pub(super) async fn resume(&self, principal: &Principal, request: &mut Request) -> Result<(Option<Elsewhere>, Option<Keeping>), Error> {
        let wanted = request.get("store").is_none_or(|store| store == "true") && !self.age.is_zero();
        let input = request.items()?;
        let previous = request.field::<String>("previous_response_id");
        let keeping = Keeping { caller: principal.id().to_owned(), previous: previous.clone(), input: input.clone() };
        let keeping = wanted.then_some(keeping);
        let Some(id) = previous else { return Ok((None, keeping)) };
        let chain = self.store.responses(principal.id(), &clip(&id, MAX_ID), MOST, MAX_CHAIN).await.map_err(Error::Store)?;
        if chain.items.len() >= MOST as usize || chain.items.iter().map(String::len).sum::<usize>() > MAX_CHAIN as usize {
            let why = format!("the responses before this one are more than {MOST}, or larger than {MAX_CHAIN} bytes; begin anew");
            return Err(Error::invalid(why, "previous_response_id"));
        }
        if let Some(forgotten) = &chain.before {
            return Err(Error::Previous(clip(forgotten, 80)));
        }
        match &chain.elsewhere {
            Some(_) if chain.items.is_empty() => return Ok((chain.elsewhere, keeping)),
            // What was said there cannot be put in front of what is kept here.
            Some(elsewhere) => return Err(Error::Previous(clip(&elsewhere.id, 80))),
            None if chain.items.is_empty() => return Err(Error::Previous(clip(&id, 80))),
            None => drop(request.remove("previous_response_id")),
        }
        let mut items: Vec<Box<RawValue>> = Vec::new();
        for one in chain.items {
            let said: Vec<Box<RawValue>> = serde_json::from_str(&one).unwrap_or_default();
            items.extend(said);
        }
        items.extend(input);
        request.set_items(&items);
        Ok((None, keeping))
    }

    /// Notes whose a response is that its provider keeps, and which target that is.
    pub(super) async fn note(&self, keeping: Keeping, id: &str, target: &Target) {
        if !id.is_empty() && id.len() <= MAX_ID {
            self.add(keeping, id, String::new(), None, Some(target.to_string())).await;
        }
    }

    /// Keeps a response that is complete. What cannot be kept is told in the log: the answer is good all the same.
    /// `answer` is the whole of it, as the client gets it.
    pub(super) async fn keep(&self, mut keeping: Keeping, id: &str, output: &[Box<RawValue>], answer: &RawValue) {
        let mut items = std::mem::take(&mut keeping.input);
        items.extend(output.iter().map(|item| without_id(item)));
        let items = raw(&items).get().to_owned();
        if items.len() > MAX_ITEMS {
            tracing::warn!("the response `{id}` is larger than {MAX_ITEMS} bytes and is not kept");
            return;
        }
        let answer = Some(answer.get().to_owned()).filter(|answer| answer.len() <= MAX_ITEMS);
        if answer.is_none() {
            tracing::warn!("the answer `{id}` is larger than {MAX_ITEMS} bytes and cannot be read again; only what it adds is kept");
        }
        self.add(keeping, id, items, answer, None).await;
    }

    async fn add(&self, keeping: Keeping, id: &str, items: String, answer: Option<String>, target: Option<String>) {
        let Keeping { caller, previous, .. } = keeping;
        let row = ResponseRow { id: id.to_owned(), caller, previous, items, created_ms: now_ms(), answer, target };
        let too_much = match self.store.add_response(&row).await {
            Ok(holding) => holding.exceeds(&OF_ONE),
            Err(error) => {
                tracing::error!("the response `{id}` could not be kept: {error}");
                false
            }
        };
        let aged = self.added.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP);
        if aged || too_much {
            self.sweep(aged);
        }
    }

    /// Forgets what is too much, or also what is too old, while answers go on. What one sweep leaves, the next one finds.
    fn sweep(&self, aged: bool) {
        let Ok(turn) = self.sweeping.clone().try_acquire_owned() else { return };
        let store = self.store.clone();
        let age = i64::try_from(self.age.as_millis()).unwrap_or(i64::MAX);
        let bounds = Bounds { before_ms: aged.then(|| now_ms().saturating_sub(age)), of_one: OF_ONE, of_all: OF_ALL };
        tokio::spawn(async move {
            for _ in 0..STEPS {
                match store.forget_responses(&bounds).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!("old responses could not be forgotten: {error}");
                        break;
                    }
                }
            }
            drop(turn);
        });
    }

    /// A response of this caller, as it was answered; the error is that there is none.
    pub(super) async fn show(&self, principal: &Principal, id: &str) -> Result<String, Error> {
        let id = clip(id, MAX_ID);
        let answer = self.store.answer(principal.id(), &id).await?;
        answer.ok_or(Error::Response(id))
    }

    /// Forgets a response of this caller; the error is that there is none.
    pub(super) async fn remove(&self, principal: &Principal, id: &str) -> Result<(), Error> {
        let id = clip(id, MAX_ID);
        if self.store.remove_response(principal.id(), &id).await? { Ok(()) } else { Err(Error::Response(id)) }
    }
}

/// An output item as an input item. Its id means nothing to a provider; that of a call we ran names its result.
fn without_id(item: &RawValue) -> Box<RawValue> {
    let Ok(mut object) = RawObject::parse(item.get()) else { return item.to_owned() };
    if object.string("type").as_deref() != Some("mcp_call") {
        object.remove("id");
    }
    object.to_raw()
}
