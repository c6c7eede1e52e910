//! Which definitions are trusted, by release: the point where everything callers see is decided.
//!
//! Each server has a keeper, a task that connects to it, reads its definitions, compares them with
//! the approved release and does so again when the server tells of a change, at intervals, and when
//! asked. Requests never wait for it: they read the [`Catalog`], one immutable snapshot.

mod catalog;
#[cfg(test)]
mod cost;
mod curated;
mod decide;
mod definition;
mod drift;
mod error;
mod impact;
mod intake;
mod keeper;
mod keepers;
mod lock;
mod look;
mod on_record;
mod own;
mod own_asks;
mod own_looks;
mod pinning;
mod pins;
mod published;
mod records;
mod release;
mod scan;
mod variant;
mod variants;
mod version;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

pub use catalog::{Catalog, Changes, Entry};
pub use curated::{approved, curated_as, manifest_text, resolve as resolve_curated};
pub use decide::Approved;
pub use definition::{Definition, Kind, Manifest};
pub use drift::Difference;
pub use error::Error;
pub use impact::Impact;
pub use lock::{Lock, LockError, Locked};
pub use look::Look;
pub use pins::{Pinned, Retiring};
pub use published::Published;
pub use release::{Guard, Outgrown, Refused, Release, Tool, Unkept};
pub use variant::{Variant, Whose};

use crate::domain::{Adjustable, ReleasePin, Review, ServerName, ServerSpec, Toolsets, lock};
use crate::policy::Blocks;
use crate::schema::Validators;
use crate::store::{ReleaseHead, ServerRow, Store};
use crate::upstream::{self, Change, Code, Upstreams};
use keeper::Ask;
use keepers::Keepers;
use records::Records;

/// The registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    store: Store,
    upstreams: Upstreams,
    records: Records,
    validators: Validators,
    catalog: Arc<ArcSwap<Catalog>>,
    changed: watch::Sender<Changes>,
    keepers: Keepers,
    /// How often each server told that one of its resources says something else now.
    updates: Mutex<HashMap<ServerName, u64>>,
}

impl Registry {
    /// A registry without servers; each is looked at again at least every `refresh`.
    pub fn new(store: Store, upstreams: Upstreams, refresh: Adjustable) -> Self {
        let catalog = Arc::new(ArcSwap::from_pointee(Catalog::default()));
        let (changed, _) = watch::channel(Changes::default());
        let records = Records::new(store.clone(), catalog.clone(), changed.clone());
        let (validators, updates) = (Validators::default(), Mutex::default());
        let keepers = Keepers::new(upstreams.clone(), records.clone(), validators.clone(), refresh);
        Self(Arc::new(Inner { store, upstreams, records, validators, catalog, changed, keepers, updates }))
    }

    /// The servers and releases of this moment.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.0.catalog.load_full()
    }

    /// Counts up whenever callers may see something else than before.
    pub fn changes(&self) -> watch::Receiver<Changes> {
        self.0.changed.subscribe()
    }

    /// The compiled validators.
    pub fn validators(&self) -> &Validators {
        &self.0.validators
    }

    /// Sets how changes are judged from now on, where a server has no way of its own.
    pub fn judge_by(&self, review: Review) {
        self.0.records.judge_by(review);
    }

    /// Takes a file for what is approved, from now on; nothing else is then. Servers that are there are shown as it says at once.
    pub async fn lock(&self, lock: Lock) -> Result<(), Error> {
        if self.0.records.locked().is_some_and(|known| *known == lock) {
            return Ok(());
        }
        self.0.records.lock(lock);
        for entry in self.catalog().servers.values() {
            self.0.records.attach(entry.spec.clone(), entry.enabled).await?;
            self.run_again(&entry.runs).await;
            self.0.keepers.soon(&entry.spec.name);
        }
        Ok(())
    }

    /// Whether a file says what is approved.
    pub fn is_locked(&self) -> bool {
        self.0.records.locked().is_some()
    }

    /// What is approved of every server now, and with `held` what is held instead, as a file holds it.
    pub fn to_lock(&self, held: bool) -> Lock {
        let mut lock = Lock::default();
        for entry in self.catalog().servers.values() {
            let name = &entry.spec.name;
            if let Some(release) = &entry.release {
                lock.servers.insert(name.clone(), Locked::new(release.version.clone(), &release.manifest));
            }
            if let Some(waits) = entry.held.as_ref().filter(|_| held) {
                lock.servers.insert(name.clone(), lock.takes_up(name, &waits.manifest));
            }
        }
        lock
    }

    /// What a server offers, read over a connection of its own; of its code, the version that is given, else the one
    /// of its curated manifest, else the newest.
    pub async fn capture(upstreams: &Upstreams, spec: &ServerSpec, code: Option<&Code>) -> Result<Manifest, upstream::Error> {
        let (runs, code) = if code.is_none() && spec.curated.is_some() {
            let (runs, code) = curated::resolve(spec).await?;
            (runs, Some(code))
        } else {
            let pinned = code.and_then(|code| code.run_by(spec));
            // Also where the version is given: what it holds is asked again.
            let code = Code::resolve(pinned.as_ref().unwrap_or(spec)).await.transpose().map_err(upstream::Error::Unresolved)?;
            (code.as_ref().and_then(|code| code.run_by(spec)).unwrap_or_else(|| spec.clone()), code)
        };
        let connection = upstreams.apart(&runs).await?;
        let manifest = intake::read(&connection, &Validators::default()).await;
        connection.close().await;
        let mut manifest = manifest?;
        if let Some(code) = &code {
            manifest.spoken_by(code);
        }
        Ok(manifest)
    }

    /// How changes of a server are judged, and its calls are checked.
    pub fn review(&self, spec: &ServerSpec) -> Review {
        self.0.records.review(spec)
    }

    /// Takes up the servers of the store and of the operator's file. Their approved releases are
    /// served at once; the servers themselves are looked at in the background, once all releases are at hand.
    pub async fn load(&self, declared: Vec<ServerSpec>, toolsets: &Toolsets) -> Result<(), Error> {
        self.0.records.group(toolsets);
        let mut all = Vec::new();
        for row in self.0.store.servers().await? {
            match serde_json::from_str::<ServerSpec>(&row.spec) {
                Ok(spec) if toolsets.contains_key(&spec.name) => covered(&spec.name),
                Ok(spec) if !declared.iter().any(|known| known.name == spec.name) => all.push((Arc::new(spec), row.enabled)),
                Ok(spec) => {
                    tracing::warn!(server.name = %spec.name, "`{}` is declared in the configuration; the one added at run time is not used", spec.name);
                }
                Err(error) => tracing::error!("the server `{}` cannot be read from the database: {error}", row.name),
            }
        }
        all.extend(declared.into_iter().map(|spec| (Arc::new(spec), true)));
        for (spec, enabled) in &all {
            self.0.records.attach(spec.clone(), *enabled).await?;
        }
        for (spec, _) in all.into_iter().filter(|(_, enabled)| *enabled) {
            self.0.keepers.keep(spec, None);
        }
        Ok(())
    }

    /// Brings the declared servers in line with a configuration that was read again.
    pub async fn redeclare(&self, declared: Vec<ServerSpec>, toolsets: &Toolsets) -> Result<(), Error> {
        self.0.records.group(toolsets);
        let catalog = self.catalog();
        for name in catalog.servers.keys().filter(|name| toolsets.contains_key(*name)) {
            if catalog.servers.get(name).is_some_and(|entry| !entry.spec.declared) {
                covered(name);
                self.detach(name).await;
            }
        }
        for entry in catalog.servers.values().filter(|entry| entry.spec.declared) {
            if !declared.iter().any(|spec| *spec == *entry.spec) {
                self.detach(&entry.spec.name).await;
            }
        }
        // What was added at run time comes back when the file no longer stands before it.
        for row in self.0.store.servers().await? {
            let spec = serde_json::from_str::<ServerSpec>(&row.spec).ok();
            let free = |spec: &ServerSpec| {
                let taken = declared.iter().any(|known| known.name == spec.name) || toolsets.contains_key(&spec.name);
                !taken && !self.catalog().servers.contains_key(&spec.name)
            };
            if let Some(spec) = spec.filter(free) {
                self.attach(spec, row.enabled, None).await?;
            }
        }
        for spec in declared {
            if self.catalog().servers.get(&spec.name).is_none_or(|entry| *entry.spec != spec) {
                self.detach(&spec.name).await;
                self.attach(spec, true, None).await?;
            }
        }
        Ok(())
    }

    /// Adds a server at run time and waits for the first look at it. One that cannot be looked at is not kept.
    pub async fn add(&self, spec: ServerSpec, by: &str) -> Result<Look, Error> {
        let (this, by) = (self.clone(), Arc::from(by));
        // In a task of its own: whoever stops waiting must not leave it half done.
        tokio::spawn(async move { this.add_and_look(spec, by).await }).await.unwrap_or(Err(Error::Stopping))
    }

    async fn add_and_look(&self, spec: ServerSpec, by: Arc<str>) -> Result<Look, Error> {
        let name = spec.name.clone();
        let catalog = self.catalog();
        if catalog.toolsets.contains_key(&name) {
            return Err(Error::Toolset(name));
        }
        if catalog.servers.contains_key(&name) {
            return Err(Error::Exists(name));
        }
        let row = ServerRow { name: name.to_string(), spec: crate::domain::raw(&spec).get().to_owned(), enabled: true };
        self.0.store.add_server(&row).await.map_err(|error| match error {
            crate::store::Error::Exists => Error::Exists(name.clone()),
            other => Error::Store(other),
        })?;
        // Nor is anything of another server that once had this name at hand.
        self.0.upstreams.remove(&name).await;
        let (first, found) = oneshot::channel();
        self.attach(spec, true, Some((first, Some(by)))).await?;
        let looked = found.await.map_err(|_| Error::Stopping)?.map_err(Error::Upstream);
        // One that wants a login is kept: there is nothing to log in to before.
        if matches!(&looked, Err(Error::Upstream(why)) if matches!(**why, upstream::Error::LoginNeeded)) {
            return Ok(Look::LoginNeeded);
        }
        if looked.is_err() {
            self.detach(&name).await;
            self.0.upstreams.remove(&name).await;
            self.0.store.remove_server(name.as_str()).await?;
        }
        looked
    }

    /// Removes a server that was added at run time, with its releases.
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        let name = self.at_run_time(name)?;
        // First nobody looks at it any more, then it is forgotten: a late look must not write it back.
        self.detach(&name).await;
        self.0.upstreams.remove(&name).await;
        self.0.store.remove_server(name.as_str()).await?;
        Ok(())
    }

    /// Enables or disables a server that was added at run time.
    pub async fn enable(&self, name: &str, enabled: bool) -> Result<(), Error> {
        let name = self.at_run_time(name)?;
        self.0.store.enable_server(name.as_str(), enabled).await?;
        let entry = self.catalog().server(name.as_str())?.clone();
        self.detach(&name).await;
        self.attach((*entry.spec).clone(), enabled, None).await
    }

    fn at_run_time(&self, name: &str) -> Result<ServerName, Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        if entry.spec.declared { Err(Error::Declared(entry.spec.name.clone())) } else { Ok(entry.spec.name.clone()) }
    }

    /// Looks at a server now for somebody, and says what was found.
    pub async fn refresh(&self, name: &str, by: Option<&str>) -> Result<Look, Error> {
        let (reply, answer) = oneshot::channel();
        self.asks(name)?.send(Ask::Now(reply, by.map(Into::into))).await.map_err(|_| Error::Stopping)?;
        answer.await.map_err(|_| Error::Stopping)?.map_err(Error::Upstream)
    }

    /// Looks at what the newest version of a server's code offers, for somebody. Once that is accepted, it is run.
    pub async fn upgrade(&self, name: &str, by: &str) -> Result<Look, Error> {
        let (reply, answer) = oneshot::channel();
        self.asks(name)?.send(Ask::Upgrade(reply, Some(by.into()))).await.map_err(|_| Error::Stopping)?;
        answer.await.map_err(|_| Error::Stopping)?.map_err(Error::Upstream)
    }

    fn asks(&self, name: &str) -> Result<mpsc::Sender<Ask>, Error> {
        let name = &self.catalog().server(name)?.spec.name.clone();
        self.0.keepers.of(name).ok_or_else(|| Error::Disabled(name.clone()))
    }

    /// Has a server run the code that belongs to its release, where that is another one than before.
    async fn run_again(&self, before: &Arc<ServerSpec>) {
        let name = &before.name;
        if self.catalog().servers.get(name).is_some_and(|entry| entry.runs != *before) {
            self.0.upstreams.close(name).await;
            self.0.keepers.soon(name);
        }
    }

    /// Takes note that a server told of a change.
    pub fn notice(&self, server: &ServerName, change: &Change) {
        match change {
            Change::Definitions => {}
            Change::Resources => {
                return self.0.changed.send_modify(|changes| *changes.resources.entry(server.clone()).or_default() += 1);
            }
            // What a resource says is the business of those who follow it, and of what is kept of it.
            Change::Updated(_) => {
                *lock(&self.0.updates).entry(server.clone()).or_default() += 1;
                return;
            }
            Change::Own(whose) => return self.0.keepers.own(server, whose),
        }
        self.0.keepers.soon(server);
    }

    /// The variants of a server that wait for a person, each with how it differs from the release.
    pub fn held_variants(&self, name: &str) -> Result<Vec<(Variant, Vec<Difference>)>, Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        Ok(self.0.records.held_variants(entry))
    }

    /// How often a server told that its resources are others now, and that one of them says something else.
    pub fn resource_changes(&self, server: &ServerName) -> (u64, u64) {
        let lists = self.0.changed.borrow().resources.get(server).copied().unwrap_or_default();
        (lists, lock(&self.0.updates).get(server).copied().unwrap_or_default())
    }

    /// Hides what is blocked from callers, who hear of it as of any change, and closes the connections to servers that are.
    /// They are opened again once they are not.
    pub async fn hide(&self, blocks: &Blocks) {
        self.0.records.hide(blocks);
        let catalog = self.catalog();
        for name in catalog.servers.keys() {
            let closed = catalog.blocks.of_server(name.as_str()).is_some();
            if closed {
                self.0.upstreams.close(name).await;
            } else {
                self.0.keepers.soon(name);
            }
        }
    }

    /// The differences between what is served and what is held.
    pub fn held_differences(&self, name: &str) -> Result<Vec<Difference>, Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        let Some(held) = &entry.held else { return Ok(Vec::new()) };
        let approved = entry.release.as_ref().map(|release| &release.manifest);
        Ok(self.0.records.differences(&entry.spec.name, approved, &held.manifest))
    }

    /// A release on record by its version, or by its digest or the beginning of that, and how it differs from the one that is served. It
    /// may be one that is held, was rejected, or was served before, or a variant.
    pub async fn differences_of(&self, name: &str, release: &str) -> Result<(ReleaseHead, Vec<Difference>), Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        let name = &entry.spec.name;
        let mut heads = self.releases(name.as_str()).await?;
        let at = on_record::on_record(release, heads.iter().map(|head| (head.version.as_str(), head.digest.as_str())));
        let absent = || Error::NotOnRecord { name: name.clone(), release: release.to_owned() };
        let head = heads.swap_remove(at.ok_or_else(absent)?);
        let row = self.0.store.release(name.as_str(), &head.digest).await?.ok_or_else(absent)?;
        let manifest = records::read(&row)?;
        let served = entry.release.as_ref().map(|release| &release.manifest);
        let differences = if head.variant {
            self.0.records.judged(entry, &manifest, &manifest)
        } else {
            self.0.records.differences(name, served, &manifest)
        };
        Ok((head, differences))
    }

    /// Which calls on record the differences of a server would break, and whose they are.
    pub async fn impact(&self, name: &str, differences: &[Difference]) -> Result<Vec<Impact>, Error> {
        if differences.is_empty() {
            return Ok(Vec::new());
        }
        Ok(impact::impact(name, differences, self.0.store.shapes(name).await?))
    }

    /// Approves what is held: it is served from now on.
    ///
    /// With a `digest`, only that very change: what a person has seen, and not what came after. That
    /// may also be a change that was rejected before.
    pub async fn approve(&self, name: &str, digest: Option<&str>, by: &str) -> Result<Approved, Error> {
        let before = self.catalog().server(name)?.runs.clone();
        let approved = self.0.records.approve(name, digest, by).await?;
        self.run_again(&before).await;
        Ok(approved)
    }

    /// Refuses what is held: the approved release goes on being served, and that very change is not held again.
    pub async fn reject(&self, name: &str, digest: Option<&str>, by: &str) -> Result<(), Error> {
        self.0.records.reject(name, digest, by).await
    }

    /// Serves an earlier release again, by its version or digest, or the one before; later ones are rejected.
    pub async fn roll_back(&self, name: &str, to: Option<&str>, by: &str) -> Result<Arc<Release>, Error> {
        let before = self.catalog().server(name)?.runs.clone();
        let release = self.0.records.roll_back(name, to, by).await?;
        self.run_again(&before).await;
        Ok(release)
    }

    /// Has a release of a server at hand, beside the one that is served; an error says which ones there are.
    pub async fn pin(&self, name: &str, pin: &ReleasePin) -> Result<(), Error> {
        self.0.records.pin(name, pin).await
    }

    /// Has the releases at hand that the configuration pins, and no others of it.
    pub async fn pin_declared(&self, pins: impl IntoIterator<Item = (ServerName, ReleasePin)>) -> Result<(), Error> {
        self.0.records.pin_declared(pins).await
    }

    /// Tells those who pin a release that it ends at a time, or that it does not end after all.
    pub async fn retire(&self, name: &str, release: &str, sunset_ms: Option<i64>) -> Result<ReleaseHead, Error> {
        self.0.records.retire(name, release, sunset_ms).await
    }

    /// All releases of a server, the latest decided first, and then its variants.
    pub async fn releases(&self, name: &str) -> Result<Vec<ReleaseHead>, Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        let (name, store) = (entry.spec.name.as_str(), &self.0.store);
        Ok([store.releases(name).await?, store.variants(name).await?].concat())
    }

    /// The releases of a server that are or were served, the latest decided first.
    pub async fn published(&self, name: &ServerName) -> Result<Vec<Published>, Error> {
        let served = self.catalog().servers.get(name).and_then(|entry| Some(entry.release.as_ref()?.digest.to_string()));
        let mut all = Vec::new();
        for head in self.0.store.releases(name.as_str()).await?.iter().filter(|head| Published::is(head)) {
            let row = self.0.store.release(name.as_str(), &head.digest).await?;
            all.extend(row.and_then(|row| Published::of(name, &row, served.as_deref())));
        }
        Ok(all)
    }

    async fn attach(&self, spec: ServerSpec, enabled: bool, first: Option<keeper::First>) -> Result<(), Error> {
        let spec = Arc::new(spec);
        self.0.records.attach(spec.clone(), enabled).await?;
        if enabled {
            self.0.keepers.keep(spec, first);
        }
        Ok(())
    }

    async fn detach(&self, name: &ServerName) {
        self.0.keepers.let_go(name);
        self.0.records.detach(name);
        self.0.upstreams.close(name).await;
    }

    /// Stops looking at servers.
    pub fn stop(&self) {
        self.0.keepers.stop();
    }
}

/// Tells that a server which was added at run time stands behind a toolset.
fn covered(name: &ServerName) {
    tracing::warn!(server.name = %name, "the configuration has a toolset `{name}`; the server of that name, which was added at run time, is not used. Rename the toolset, or remove the server and add it under another name");
}
