//! What was seen and decided: written to the store first, then shown in the catalog.

use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::{ArcSwap, ArcSwapOption};
use semver::Version;
use tokio::sync::watch;

use super::catalog::{Catalog, Changes, Entry};
use super::definition::Manifest;
use super::drift::{Difference, differences, mark};
use super::error::Error;
use super::lock::Lock;
use super::look::Look;
use super::pins::{Known, Wanted, known};
use super::release::{Guard, Held, Release};
use super::scan::Looks;
use super::version::{FIRST, next, taken, version};
use crate::domain::{Review, ServerName, ServerSpec, Toolsets, Verdict, lock, now_ms, raw};
use crate::policy::{Blocked, Blocks};
use crate::protocol::Era;
use crate::store::{ReleaseHead, ReleaseRow, ReleaseState, Store};

/// The written side of the registry.
#[derive(Clone)]
pub(super) struct Records {
    pub(super) store: Store,
    catalog: Arc<ArcSwap<Catalog>>,
    changed: watch::Sender<Changes>,
    /// Looks and decisions follow each other: each must see what the one before it wrote. Off the request path.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How changes are judged, where a server has no way of its own.
    review: Arc<ArcSwap<Review>>,
    /// The releases that are to be at hand beside the served ones.
    wanted: Arc<Mutex<Wanted>>,
    /// How the tools that are served look.
    pub(super) looks: Arc<Mutex<Looks>>,
    /// What is approved, where that stands in a file.
    lock: Arc<ArcSwapOption<Lock>>,
}

/// A change that waits, with what its server offers and takes meanwhile.
#[derive(Clone)]
struct Waiting {
    held: Held,
    live: Option<Arc<Manifest>>,
    guard: Option<Arc<Guard>>,
}

impl Waiting {
    fn show(self, entry: &mut Entry) {
        (entry.live, entry.guard, entry.held) = (self.live, self.guard, Some(self.held));
    }
}

/// One look at a server.
pub(super) struct Sight<'s> {
    pub(super) spec: &'s ServerSpec,
    pub(super) era: Era,
    pub(super) manifest: Manifest,
    /// Who had it looked at; nobody where the gateway did by itself.
    pub(super) by: Option<&'s str>,
}

impl Records {
    pub(super) fn new(store: Store, catalog: Arc<ArcSwap<Catalog>>, changed: watch::Sender<Changes>) -> Self {
        Self {
            store,
            catalog,
            changed,
            turn: Arc::default(),
            review: Arc::default(),
            wanted: Arc::default(),
            looks: Arc::default(),
            lock: Arc::default(),
        }
    }

    /// Sets how changes are judged from now on.
    pub(super) fn judge_by(&self, review: Review) {
        self.review.store(Arc::new(review));
    }

    /// How changes of a server are judged, and its calls are checked.
    pub(super) fn review(&self, spec: &ServerSpec) -> Review {
        spec.review.or(**self.review.load())
    }

    /// How what a server offers differs from what was approved of it, and what of it looks like something of another server.
    pub(super) fn differences(&self, name: &ServerName, approved: Option<&Manifest>, live: &Manifest) -> Vec<Difference> {
        let nothing = Manifest { definitions: Vec::new(), ..live.clone() };
        let mut all = differences(approved.unwrap_or(&nothing), live);
        mark(&mut all, &lock(&self.looks).like(name, live));
        all
    }

    /// Whether anything of a manifest looks like something of another server.
    pub(super) fn is_taken_for_others(&self, name: &ServerName, manifest: &Manifest) -> bool {
        !lock(&self.looks).like(name, manifest).is_empty()
    }

    /// What becomes of changes: the worst that becomes of any of them. Nobody but a person accepts what is suspect.
    pub(super) fn verdict(&self, spec: &ServerSpec, differences: &[Difference]) -> Verdict {
        let review = self.review(spec);
        let each = |one: &Difference| {
            let suspect = if one.suspect { Verdict::Hold } else { Verdict::Accept };
            let worst = one.changes.iter().map(|change| review.verdict(change.class, one.risky)).max();
            worst.unwrap_or(Verdict::Accept).max(suspect)
        };
        differences.iter().map(each).max().unwrap_or(Verdict::Accept)
    }

    /// Takes a file for what is approved.
    pub(super) fn lock(&self, lock: Lock) {
        self.lock.store(Some(Arc::new(lock)));
    }

    /// What is approved, where that stands in a file.
    pub(super) fn locked(&self) -> Option<Arc<Lock>> {
        self.lock.load_full()
    }

    /// The snapshot of this moment.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Waits until nobody else looks or decides.
    pub(super) async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    pub(super) fn wanted(&self) -> MutexGuard<'_, Wanted> {
        lock(&self.wanted)
    }

    /// A release that is on record.
    pub(super) async fn row(&self, name: &ServerName, digest: &str) -> Result<ReleaseRow, Error> {
        let row = self.store.release(name.as_str(), digest).await?;
        row.ok_or_else(|| crate::store::Error::Corrupt(format!("the release {digest} of {name} is gone")).into())
    }

    /// Shows a server with the release that was last approved.
    pub(super) async fn attach(&self, spec: Arc<ServerSpec>, enabled: bool) -> Result<(), Error> {
        let _turn = self.turn().await;
        let name = spec.name.clone();
        let heads = self.store.releases(name.as_str()).await?;
        let mut entry = Entry { era: self.era(&name).await, known: known(&heads), ..Entry::new(spec.clone(), enabled) };
        if let Some(lock) = self.locked() {
            let locked = lock.servers.get(&name);
            if let Some(locked) = locked {
                entry.serve(Arc::new(Release::new(name.clone(), locked.release.clone(), locked.manifest())));
            }
            entry.known = entry.release.iter().map(Known::of).collect();
        } else if let Some(head) = current(&heads) {
            // Why one cannot be read is said when the server is looked at.
            let manifest = self.row(&name, &head.digest).await.and_then(|row| read(&row));
            if let Ok(manifest) = manifest {
                entry.serve(Arc::new(Release::new(name.clone(), version(&head.version), manifest)));
            }
        }
        entry.variants = self.variants_of(&spec, entry.release.as_deref()).await?;
        if let Some(head) = heads.iter().find(|head| head.state == ReleaseState::Held && self.locked().is_none())
            && let Ok(manifest) = self.row(&name, &head.digest).await.and_then(|row| read(&row))
        {
            self.waiting(&spec, entry.release.as_deref(), manifest, head.captured_ms).show(&mut entry);
        }
        self.show(|catalog| {
            catalog.servers.insert(name.clone(), entry.clone());
            catalog.settle_own(&name);
        });
        self.index(&name);
        self.repin(&name).await
    }

    pub(super) fn detach(&self, name: &ServerName) {
        self.wanted().forget(name);
        lock(&self.looks).remove(name);
        self.show(|catalog| {
            catalog.servers.remove(name);
            catalog.forget_own(|server, _| server == name);
        });
    }

    /// The era a server last spoke.
    pub(super) async fn era(&self, name: &ServerName) -> Option<Era> {
        self.store.era(name.as_str()).await.ok().flatten()?.parse().ok()
    }

    /// Notes for administrators why a server cannot be used, or that it can.
    pub(super) fn problem(&self, name: &ServerName, problem: Option<String>) {
        let problem: Option<Arc<str>> = problem.map(Into::into);
        let same = self.catalog.load().servers.get(name).is_none_or(|entry| entry.problem == problem);
        if !same {
            self.note(name, |entry| entry.problem.clone_from(&problem));
        }
    }

    /// Notes why the version of a server's code is not known, or that it is.
    pub(super) fn unpinned(&self, name: &ServerName, why: Option<&str>) {
        let same = self.catalog.load().servers.get(name).is_none_or(|entry| entry.unpinned.as_deref() == why);
        if !same {
            self.note(name, |entry| entry.unpinned = why.map(Into::into));
        }
    }

    /// Compares what a server offers now with what was approved, and decides.
    pub(super) async fn saw(&self, sight: Sight<'_>) -> Result<Look, Error> {
        let _turn = self.turn().await;
        let name = sight.spec.name.clone();
        let look = self.judge(sight).await?;
        self.repin(&name).await?;
        Ok(look)
    }

    async fn judge(&self, sight: Sight<'_>) -> Result<Look, Error> {
        let (spec, name, manifest) = (sight.spec, &sight.spec.name, &sight.manifest);
        if self.catalog.load().servers.get(name).is_some_and(|entry| entry.era != Some(sight.era)) {
            self.store.set_era(name.as_str(), sight.era.as_str()).await?;
            self.edit(name, |entry| entry.era = Some(sight.era));
        }
        if self.locked().is_some() {
            return Ok(self.hold_to_the_lock(sight));
        }
        let mut heads = self.store.releases(name.as_str()).await?;
        if current(&heads).is_none() && spec.curated.is_some() {
            if let Some(look) = self.adopt(&sight, &heads).await? {
                return Ok(look);
            }
            heads = self.store.releases(name.as_str()).await?;
        }
        let digest = manifest.digest().to_string();
        let before = heads.iter().find(|head| head.digest == digest);
        match (current(&heads), before.map(|head| head.state)) {
            (None, _) if spec.starts_held || self.differences(name, None, manifest).iter().any(|one| one.suspect) => {
                self.hold(sight, before).await
            }
            (None, _) => self.accept(sight, before, FIRST, "the first registration").await,
            (Some(current), Some(ReleaseState::Approved)) if current.digest == digest => {
                // Other code that waits goes on waiting.
                if self.catalog.load().servers.get(name).is_some_and(|entry| entry.live.is_some()) {
                    self.store.drop_held(name.as_str()).await?;
                    self.edit(name, settled);
                }
                // What is left out is no part of a release, but people want to know of it.
                self.serve(name, version(&current.version), sight.manifest);
                Ok(Look::Same)
            }
            // The server went back to words that were approved before; whoever pins these is told that they end.
            (Some(_), Some(ReleaseState::Approved)) if before.is_some_and(|head| head.sunset_ms.is_some()) => {
                self.hold(sight, before).await
            }
            (Some(_), Some(ReleaseState::Approved)) => {
                let version = before.map_or(FIRST, |head| version(&head.version));
                self.accept(sight, before, version, "an earlier approval").await
            }
            (Some(_), Some(ReleaseState::Rejected)) => Ok(self.refused(spec, sight.manifest)),
            (Some(current), _) => {
                let approved = read(&self.row(name, &current.digest).await?)?;
                let differences = self.differences(name, Some(&approved), manifest);
                match self.verdict(spec, &differences) {
                    Verdict::Accept => {
                        let next = next(&version(&current.version), &differences, &taken(&heads, &digest));
                        self.accept(sight, before, next, "policy").await
                    }
                    Verdict::Hold | Verdict::Block => self.hold(sight, before).await,
                }
            }
        }
    }

    /// Where a file says what is approved, all else is held.
    fn hold_to_the_lock(&self, sight: Sight<'_>) -> Look {
        let name = &sight.spec.name;
        let Some(entry) = self.catalog().servers.get(name).cloned() else { return Look::Same };
        let digest = sight.manifest.digest();
        if let Some(release) = entry.release.filter(|release| release.digest == digest) {
            self.serve(name, release.version.clone(), sight.manifest);
            if entry.live.is_some() {
                self.edit(name, settled);
            }
            return Look::Same;
        }
        // Nothing is written: what is on record are decisions, and none is taken here.
        let since = entry.held.filter(|held| held.digest == digest).map_or_else(now_ms, |held| held.since_ms);
        self.wait(sight.spec, sight.manifest, since)
    }

    pub(super) async fn accept(&self, sight: Sight<'_>, before: Option<&ReleaseHead>, version: Version, by: &str) -> Result<Look, Error> {
        let name = &sight.spec.name;
        let head = ReleaseHead {
            version: version.to_string(),
            state: ReleaseState::Approved,
            decided_ms: Some(now_ms()),
            decided_by: Some(by.to_owned()),
            // When and by whom it was first seen does not change.
            ..before.cloned().unwrap_or_else(|| seen(&sight))
        };
        self.write(head, &sight.manifest).await?;
        self.serve(name, version.clone(), sight.manifest);
        self.edit(name, settled);
        self.relist(name).await?;
        Ok(Look::Accepted(version))
    }

    async fn hold(&self, sight: Sight<'_>, before: Option<&ReleaseHead>) -> Result<Look, Error> {
        if before.is_some_and(|head| head.state == ReleaseState::Rejected) {
            return Ok(self.refused(sight.spec, sight.manifest));
        }
        let since = match before {
            Some(head) => head.captured_ms,
            None => self.write(seen(&sight), &sight.manifest).await?,
        };
        Ok(self.wait(sight.spec, sight.manifest, since))
    }

    /// Shows that something is held.
    fn wait(&self, spec: &ServerSpec, manifest: Manifest, since_ms: i64) -> Look {
        let shown = self.catalog.load().servers.get(&spec.name).cloned();
        let release = shown.as_ref().and_then(|entry| entry.release.as_deref());
        let waiting = self.waiting(spec, release, manifest, since_ms);
        if shown.is_some_and(|entry| entry.held.as_ref() != Some(&waiting.held)) {
            self.edit(&spec.name, |entry| waiting.clone().show(entry));
        }
        Look::Held
    }

    /// What somebody refused is not held, but the server takes what it takes.
    fn refused(&self, spec: &ServerSpec, manifest: Manifest) -> Look {
        let shown = self.catalog.load().servers.get(&spec.name).cloned();
        let same = |entry: &Entry| entry.held.is_none() && entry.live.as_ref().is_some_and(|live| live.digest() == manifest.digest());
        if let Some(entry) = shown.filter(|entry| !same(entry)) {
            let waiting = self.waiting(spec, entry.release.as_deref(), manifest, 0);
            self.edit(&spec.name, |entry| {
                waiting.clone().show(entry);
                entry.held = None;
            });
        }
        Look::Rejected
    }

    /// What waits for a person, and what the server offers and takes meanwhile.
    fn waiting(&self, spec: &ServerSpec, approved: Option<&Release>, manifest: Manifest, since_ms: i64) -> Waiting {
        let approved = approved.map(|release| &release.manifest);
        let differences = self.differences(&spec.name, approved, &manifest);
        let blocked = differences.iter().filter(|one| self.verdict(spec, std::slice::from_ref(one)) == Verdict::Block);
        let blocked = blocked.map(|one| (one.kind, one.name.clone())).collect();
        // Other code is not run before somebody has decided: what is approved is what the server offers until then.
        let is_run = approved.is_none_or(|approved| approved.code().is_none() || approved.code() == manifest.code());
        let held = Held::new(manifest, since_ms, differences.len(), blocked);
        let live = is_run.then(|| held.manifest.clone());
        Waiting { guard: live.as_ref().and_then(|_| Guard::new(&differences)), live, held }
    }

    pub(super) async fn write(&self, head: ReleaseHead, manifest: &Manifest) -> Result<i64, Error> {
        let captured = head.captured_ms;
        self.store.put_release(&ReleaseRow { head, manifest: raw(manifest).get().to_owned() }).await?;
        Ok(captured)
    }

    /// Reads again which releases can be pinned.
    pub(super) async fn relist(&self, name: &ServerName) -> Result<(), Error> {
        let known = known(&self.store.releases(name.as_str()).await?);
        if self.catalog.load().servers.get(name).is_some_and(|entry| entry.known != known) {
            self.note(name, |entry| entry.known = known.clone());
        }
        Ok(())
    }

    /// Shows a release; nothing changes when it is the one that is shown, with the same things left out.
    pub(super) fn serve(&self, name: &ServerName, version: Version, manifest: Manifest) {
        let shown = self.catalog.load().servers.get(name).and_then(|entry| entry.release.clone());
        let leaves_out = |manifest: &Manifest| manifest.dropped.iter().map(|dropped| dropped.name.clone()).collect::<Vec<_>>();
        if shown.is_some_and(|release| {
            release.version == version
                && release.digest == manifest.digest()
                && release.manifest.capabilities.get() == manifest.capabilities.get()
                && leaves_out(&release.manifest) == leaves_out(&manifest)
        }) {
            return;
        }
        let release = Arc::new(Release::new(name.clone(), version, manifest));
        self.edit(name, |entry| entry.serve(release.clone()));
        self.index(name);
    }

    /// Hides what is blocked, and shows again what is not.
    pub(super) fn hide(&self, blocks: &Blocks) {
        // The list as it is then: of two changes at a time the later one must not be hidden by the earlier one.
        self.show(|catalog| catalog.blocks = blocks.list());
    }

    /// Puts toolsets in the place of those that there were.
    pub(super) fn group(&self, toolsets: &Toolsets) {
        if self.catalog.load().toolsets != *toolsets {
            self.show(|catalog| catalog.toolsets = toolsets.clone());
        }
    }

    /// Why a server is not to be looked at now.
    pub(super) fn blocked(&self, name: &ServerName) -> Option<Blocked> {
        self.catalog.load().blocks.of_server(name.as_str())
    }

    /// Changes what callers see of a server.
    pub(super) fn edit(&self, name: &ServerName, edit: impl Fn(&mut Entry)) {
        self.show(|catalog| {
            if let Some(entry) = catalog.servers.get_mut(name) {
                edit(entry);
                catalog.settle_own(name);
            }
        });
    }

    /// Changes what only administrators see of a server.
    fn note(&self, name: &ServerName, edit: impl Fn(&mut Entry)) {
        self.catalog.rcu(|catalog| {
            let mut next = Catalog::clone(catalog);
            if let Some(entry) = next.servers.get_mut(name) {
                edit(entry);
            }
            next
        });
    }

    pub(super) fn show(&self, change: impl Fn(&mut Catalog)) {
        let before = self.catalog.rcu(|catalog| {
            let mut next = Catalog::clone(catalog);
            change(&mut next);
            next.edition += 1;
            next
        });
        self.changed.send_modify(|changes| changes.edition = changes.edition.max(before.edition + 1));
    }
}

/// The manifest of a release that is on record.
pub(super) fn read(row: &ReleaseRow) -> Result<Manifest, Error> {
    serde_json::from_str(&row.manifest)
        .map_err(|error| crate::store::Error::Corrupt(format!("a release of {}, {}: {error}", row.head.server, row.head.digest)).into())
}

/// The release that was approved last.
fn current(heads: &[ReleaseHead]) -> Option<&ReleaseHead> {
    heads.iter().find(|head| head.state == ReleaseState::Approved)
}

/// A server that offers what is served.
pub(super) fn settled(entry: &mut Entry) {
    (entry.held, entry.live, entry.guard) = (None, None, None);
}

/// What is written of a look that nobody has decided on.
fn seen(sight: &Sight<'_>) -> ReleaseHead {
    ReleaseHead {
        server: sight.spec.name.to_string(),
        digest: sight.manifest.digest().to_string(),
        version: String::new(),
        state: ReleaseState::Held,
        era: Some(sight.era.as_str().to_owned()),
        captured_ms: now_ms(),
        captured_by: sight.by.map(ToOwned::to_owned),
        decided_ms: None,
        decided_by: None,
        deprecated_ms: None,
        sunset_ms: None,
        variant: false,
    }
}
