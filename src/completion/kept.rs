//! Responses that clients may go on from by their ids, kept in the store.
//!
//! Each keeps what it added to the one before, so that a long conversation is not written anew with every turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;

use super::error::Error;
use crate::domain::{Principal, RawObject, clip, now_ms, raw};
use crate::llm::Request;
use crate::store::{ResponseRow, Store};

/// Most turns that are put together again.
const MOST: u32 = 1_000;
/// Largest history that is put together again, in bytes.
const MAX_CHAIN: u32 = 20 << 20;
/// Largest response that is kept, in bytes.
const MAX_ITEMS: usize = 8 << 20;
/// Longest id of one, in bytes.
const MAX_ID: usize = 128;
/// Most responses that are kept, whosever they are.
const MOST_KEPT: u32 = 100_000;
/// After so many new ones, the old ones are looked through.
const SWEEP: u64 = 64;

/// The responses that are kept, and for how long.
pub(super) struct Responses {
    store: Store,
    age: Duration,
    added: AtomicU64,
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
        Self { store, age, added: AtomicU64::new(0) }
    }

    /// Puts what was said before in front of a request that goes on from a response, and says what is to
    /// be kept of this one. True when a provider keeps the response that it goes on from; nobody goes on from what is
    /// not theirs, or from half a conversation.
    pub(super) async fn resume(&self, principal: &Principal, request: &mut Request) -> Result<(bool, Option<Keeping>), Error> {
        let wanted = request.get("store").is_none_or(|store| store == "true") && !self.age.is_zero();
        let input = request.items()?;
        let previous = request.field::<String>("previous_response_id");
        let keeping = Keeping { caller: principal.id().to_owned(), previous: previous.clone(), input: input.clone() };
        if let Some(id) = &previous {
            let chain = self.store.responses(principal.id(), &clip(id, MAX_ID), MOST, MAX_CHAIN).await.map_err(Error::Store)?;
            if chain.items.len() >= MOST as usize || chain.items.iter().map(String::len).sum::<usize>() > MAX_CHAIN as usize {
                let why = format!("the responses before this one are more than {MOST}, or larger than {MAX_CHAIN} bytes; begin anew");
                return Err(Error::invalid(why, "previous_response_id"));
            }
            match (chain.items.last(), &chain.before) {
                (None, _) => return Err(Error::Previous(clip(id, 80))),
                (Some(last), _) if last.is_empty() => return Ok((true, wanted.then_some(keeping))),
                (Some(_), Some(forgotten)) => return Err(Error::Previous(clip(forgotten, 80))),
                (Some(_), None) => {}
            }
            let mut items: Vec<Box<RawValue>> = Vec::new();
            for one in chain.items {
                let said: Vec<Box<RawValue>> = serde_json::from_str(&one).unwrap_or_default();
                items.extend(said);
            }
            items.extend(input);
            request.remove("previous_response_id");
            request.set_items(&items);
        }
        Ok((false, wanted.then_some(keeping)))
    }

    /// Notes whose a response is that its provider keeps.
    pub(super) async fn note(&self, keeping: Keeping, id: &str) {
        if !id.is_empty() && id.len() <= MAX_ID {
            self.add(keeping.caller, keeping.previous, id, String::new(), None).await;
        }
    }

    /// Keeps a response that is complete. What cannot be kept is told in the log: the answer is good all the same.
    /// `answer` is the whole of it, as the client gets it.
    pub(super) async fn keep(&self, keeping: Keeping, id: &str, output: &[Box<RawValue>], answer: &RawValue) {
        let mut items = keeping.input;
        items.extend(output.iter().map(|item| without_id(item)));
        let items = raw(&items).get().to_owned();
        if items.len() > MAX_ITEMS {
            tracing::warn!("the response `{id}` is larger than {MAX_ITEMS} bytes and is not kept");
            return;
        }
        let answer = Some(answer.get().to_owned()).filter(|answer| answer.len() <= MAX_ITEMS);
        self.add(keeping.caller, keeping.previous, id, items, answer).await;
    }

    async fn add(&self, caller: String, previous: Option<String>, id: &str, items: String, answer: Option<String>) {
        let created_ms = now_ms();
        let row = ResponseRow { id: id.to_owned(), caller, previous, items, created_ms, answer };
        if let Err(error) = self.store.add_response(&row).await {
            tracing::error!("the response `{id}` could not be kept: {error}");
        }
        if self.added.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP) {
            let age = i64::try_from(self.age.as_millis()).unwrap_or(i64::MAX);
            if let Err(error) = self.store.forget_responses(created_ms.saturating_sub(age), MOST_KEPT).await {
                tracing::warn!("old responses could not be forgotten: {error}");
            }
        }
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
