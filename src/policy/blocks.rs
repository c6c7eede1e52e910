//! The kill switch: blocks that are kept over restarts, and that those at work hear of at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use super::act::Act;
use super::list::{Block, Blocked, List};
use super::target::Target;
use crate::domain::now_ms;
use crate::store::{BlockRow, Error, Store, apart};

/// Most blocks: each is looked at with each request.
const MOST: usize = 1_000;

/// The kill switch. Cheap to clone.
#[derive(Clone)]
pub struct Blocks(Arc<Inner>);

struct Inner {
    store: Store,
    list: watch::Sender<Arc<List>>,
    changing: Mutex<()>,
}

impl Blocks {
    /// The blocks that the store holds.
    pub async fn open(store: Store) -> Result<Self, Error> {
        let list = watch::Sender::new(Arc::new(read(&store).await?));
        Ok(Self(Arc::new(Inner { store, list, changing: Mutex::default() })))
    }

    /// The blocks of this moment.
    pub fn list(&self) -> Arc<List> {
        self.0.list.borrow().clone()
    }

    /// Blocks something, from when this returns, also over restarts; false when it was blocked already, and keeps its time and
    /// its reason.
    pub async fn add(&self, target: Target, by: &str, reason: &str) -> Result<bool, Error> {
        let row = BlockRow { target: target.to_string(), by: by.to_owned(), at_ms: now_ms(), reason: reason.to_owned() };
        self.change(async move |store, list| {
            if list.all().iter().any(|block| block.target == target) {
                return Ok(false);
            }
            if list.all().len() >= MOST {
                return Err(Error::Full(format!("there are {MOST} blocks already; lift some, or block what they have in common")));
            }
            store.add_block(&row).await?;
            Ok(true)
        })
        .await
    }

    /// Lifts a block; false when there is none.
    pub async fn remove(&self, target: &Target) -> Result<bool, Error> {
        let target = target.clone();
        self.change(async move |store, list| {
            let there = list.all().iter().any(|block| block.target == target);
            store.remove_block(&target.to_string()).await?;
            Ok(there)
        })
        .await
    }

    /// Makes a change, and shows it where it is one. One after the other, so that each knows what was before, and what is shown is
    /// never older than what was shown before.
    async fn change<C, W>(&self, change: C) -> Result<bool, Error>
    where
        C: FnOnce(Store, Arc<List>) -> W + Send + 'static,
        W: Future<Output = Result<bool, Error>> + Send,
    {
        let inner = self.0.clone();
        apart(async move {
            let _alone = inner.changing.lock().await;
            let list = inner.list.borrow().clone();
            let changed = change(inner.store.clone(), list).await?;
            if changed {
                inner.list.send_replace(Arc::new(read(&inner.store).await?));
            }
            Ok(changed)
        })
        .await
    }

    /// Refuses what is blocked.
    pub fn check(&self, act: &Act<'_>) -> Result<(), Blocked> {
        self.0.list.borrow().of(act).map_or(Ok(()), Err)
    }

    /// Waits until an act is blocked.
    pub async fn until(&self, act: &Act<'_>) -> Blocked {
        let mut changes = self.0.list.subscribe();
        loop {
            if let Some(blocked) = changes.borrow_and_update().of(act) {
                return blocked;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Does work that ends as soon as the act is blocked.
    pub async fn guard<W: Future>(&self, act: &Act<'_>, work: Pin<&mut W>) -> Result<W::Output, Blocked> {
        self.check(act)?;
        tokio::select! {
            // What is done is done, also when it was blocked meanwhile.
            biased;
            done = work => Ok(done),
            blocked = self.until(act) => Err(blocked),
        }
    }
}

async fn read(store: &Store) -> Result<List, Error> {
    let mut blocks = Vec::new();
    for row in store.blocks().await? {
        match row.target.parse() {
            Ok(target) => blocks.push(Block { target, by: row.by, at_ms: row.at_ms, reason: row.reason }),
            // Nobody can say what it was meant to keep out.
            Err(why) => return Err(Error::Corrupt(format!("a block that cannot be read: {why}"))),
        }
    }
    blocks.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(List(blocks))
}
