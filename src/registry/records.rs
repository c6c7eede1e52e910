//! What was seen and decided: written to the store first, then shown in the catalog.

use std::sync::Arc;

use arc_swap::ArcSwap;
use semver::Version;
use tokio::sync::watch;

use super::catalog::{Catalog, Changes, Entry};
use super::definition::Manifest;
use super::drift::{Difference, differences, mark};
use super::error::Error;
use super::look::Look;
use super::release::{Held, Release};
use super::scan;
use crate::domain::{Class, Review, ServerName, ServerSpec, Toolsets, Verdict, now_ms, raw};
use crate::policy::{Blocked, Blocks};
use crate::protocol::Era;
use crate::store::{ReleaseRow, ReleaseState, Store};

/// The written side of the registry.
#[derive(Clone)]
pub(super) struct Records {
    store: Store,
    catalog: Arc<ArcSwap<Catalog>>,
    changed: watch::Sender<Changes>,
    /// Looks and decisions follow each other: each must see what the one before it wrote. Off the request path.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How changes are judged, where a server has no way of its own.
    review: Arc<ArcSwap<Review>>,
}

impl Records {
    pub(super) fn new(store: Store, catalog: Arc<ArcSwap<Catalog>>, changed: watch::Sender<Changes>) -> Self {
        Self { store, catalog, changed, turn: Arc::default(), review: Arc::default() }
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
        let catalog = self.catalog.load();
        let others = catalog.servers.values().filter_map(|entry| Some((entry.spec.name.as_str(), &entry.release.as_ref()?.manifest)));
        mark(&mut all, &scan::lookalikes(name.as_str(), live, others));
        all
    }

    /// What becomes of changes: the worst that becomes of any of them. Nobody but a person accepts what is suspect.
    fn verdict(&self, spec: &ServerSpec, differences: &[Difference]) -> Verdict {
        let review = self.review(spec);
        let each = |one: &Difference| {
            let suspect = if one.suspect { Verdict::Hold } else { Verdict::Accept };
            let worst = one.changes.iter().map(|change| review.verdict(change.class, one.risky)).max();
            worst.unwrap_or(Verdict::Accept).max(suspect)
        };
        differences.iter().map(each).max().unwrap_or(Verdict::Accept)
    }

    /// Shows a server with the release that was last approved.
    pub(super) async fn attach(&self, spec: Arc<ServerSpec>, enabled: bool) -> Result<(), Error> {
        let name = spec.name.clone();
        let rows = self.store.releases(name.as_str()).await?;
        let mut entry = Entry { spec: spec.clone(), enabled, release: None, held: None, era: self.era(&name).await, problem: None };
        let mut held = None;
        for row in rows {
            let Ok(manifest) = serde_json::from_str::<Manifest>(&row.manifest) else { continue };
            match row.state {
                ReleaseState::Approved if entry.release.is_none() => {
                    let version = Version::parse(&row.version).unwrap_or(FIRST);
                    entry.release = Some(Arc::new(Release::new(name.clone(), version, manifest)));
                }
                ReleaseState::Held => held = Some((manifest, row.captured_ms)),
                ReleaseState::Approved | ReleaseState::Rejected => {}
            }
        }
        entry.held = held.map(|(manifest, since)| self.waiting(&spec, entry.release.as_deref(), manifest, since));
        self.show(|catalog| {
            catalog.servers.insert(name.clone(), entry.clone());
        });
        Ok(())
    }

    pub(super) fn detach(&self, name: &ServerName) {
        self.show(|catalog| {
            catalog.servers.remove(name);
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

    /// Compares what a server offers now with what was approved, and decides.
    pub(super) async fn saw(&self, spec: &ServerSpec, era: Era, manifest: Manifest) -> Result<Look, Error> {
        let _turn = self.turn.lock().await;
        let name = &spec.name;
        if self.catalog.load().servers.get(name).is_some_and(|entry| entry.era != Some(era)) {
            self.store.set_era(name.as_str(), era.as_str()).await?;
            self.edit(name, |entry| entry.era = Some(era));
        }
        let rows = self.store.releases(name.as_str()).await?;
        let digest = manifest.digest();
        let current = rows.iter().find(|row| row.state == ReleaseState::Approved);
        let known = rows.iter().find(|row| row.digest == digest.to_string());
        match (current, known.map(|row| row.state)) {
            (None, _) if spec.starts_held || self.differences(name, None, &manifest).iter().any(|one| one.suspect) => {
                self.hold(spec, manifest, known).await
            }
            (None, _) => self.accept(name, FIRST, manifest, "the first registration").await,
            (Some(current), Some(ReleaseState::Approved)) if current.digest == digest.to_string() => {
                if self.catalog.load().servers.get(name).is_some_and(|entry| entry.held.is_some()) {
                    self.store.drop_held(name.as_str()).await?;
                    self.edit(name, |entry| entry.held = None);
                }
                // What is left out is no part of a release, but people want to know of it.
                self.serve(name, version(&current.version), manifest);
                Ok(Look::Same)
            }
            // The server went back to words that were approved before.
            (Some(_), Some(ReleaseState::Approved)) => {
                let version = known.map_or(FIRST, |row| version(&row.version));
                self.accept(name, version, manifest, "an earlier approval").await
            }
            (Some(_), Some(ReleaseState::Rejected)) => Ok(Look::Rejected),
            (Some(current), _) => {
                let approved = read(current)?;
                let differences = self.differences(name, Some(&approved), &manifest);
                match self.verdict(spec, &differences) {
                    Verdict::Accept => {
                        let next = next(&version(&current.version), &differences);
                        self.accept(name, next, manifest, "policy").await
                    }
                    Verdict::Hold | Verdict::Block => self.hold(spec, manifest, known).await,
                }
            }
        }
    }

    async fn accept(&self, name: &ServerName, version: Version, manifest: Manifest, by: &str) -> Result<Look, Error> {
        self.write(name, &manifest, &version.to_string(), ReleaseState::Approved, Some(by)).await?;
        self.serve(name, version.clone(), manifest);
        self.edit(name, |entry| entry.held = None);
        Ok(Look::Accepted(version))
    }

    async fn hold(&self, spec: &ServerSpec, manifest: Manifest, known: Option<&ReleaseRow>) -> Result<Look, Error> {
        let name = &spec.name;
        if known.is_some_and(|row| row.state == ReleaseState::Rejected) {
            return Ok(Look::Rejected);
        }
        let since = match known {
            Some(row) => row.captured_ms,
            None => self.write(name, &manifest, "", ReleaseState::Held, None).await?,
        };
        let shown = self.catalog.load().servers.get(name).cloned();
        let held = self.waiting(spec, shown.as_ref().and_then(|entry| entry.release.as_deref()), manifest, since);
        if shown.is_some_and(|entry| entry.held.as_ref() != Some(&held)) {
            self.edit(name, |entry| entry.held = Some(held.clone()));
        }
        Ok(Look::Held)
    }

    /// What waits for a person, and what of it is not served meanwhile.
    fn waiting(&self, spec: &ServerSpec, approved: Option<&Release>, manifest: Manifest, since_ms: i64) -> Held {
        let approved = approved.map(|release| &release.manifest);
        let differences = self.differences(&spec.name, approved, &manifest);
        let blocked = differences.iter().filter(|one| self.verdict(spec, std::slice::from_ref(one)) == Verdict::Block);
        let blocked = blocked.map(|one| (one.kind, one.name.clone())).collect();
        Held::new(manifest, since_ms, &differences, blocked)
    }

    /// Makes what is held the approved release.
    pub(super) async fn approve(&self, name: &str, digest: Option<&str>, by: &str) -> Result<Arc<Release>, Error> {
        let _turn = self.turn.lock().await;
        let (name, entry, held) = match self.held(name, digest) {
            Err(error @ (Error::NothingHeld(_) | Error::ChangedAgain(_))) => self.rejected(name, digest).await?.ok_or(error)?,
            held => held?,
        };
        let version = match &entry.release {
            None => FIRST,
            Some(release) => next(&release.version, &self.differences(&name, Some(&release.manifest), &held.manifest)),
        };
        let manifest = (*held.manifest).clone();
        self.write(&name, &manifest, &version.to_string(), ReleaseState::Approved, Some(by)).await?;
        self.serve(&name, version, manifest);
        self.edit(&name, |entry| entry.held = None);
        // It may have been removed meanwhile.
        let release = self.catalog.load().server(name.as_str())?.release.clone();
        release.ok_or(Error::NothingHeld(name))
    }

    /// Refuses what is held.
    pub(super) async fn reject(&self, name: &str, digest: Option<&str>, by: &str) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let (name, _, held) = self.held(name, digest)?;
        self.write(&name, &held.manifest, "", ReleaseState::Rejected, Some(by)).await?;
        self.edit(&name, |entry| entry.held = None);
        Ok(())
    }

    /// Serves an earlier release again: the one that is named by version or digest, else the one before. Those after it are rejected, so
    /// that they are not taken up again because the server offers them.
    pub(super) async fn roll_back(&self, name: &str, to: Option<&str>, by: &str) -> Result<Arc<Release>, Error> {
        let _turn = self.turn.lock().await;
        let name = self.catalog.load().server(name)?.spec.name.clone();
        let rows = self.store.releases(name.as_str()).await?;
        let approved: Vec<ReleaseRow> = rows.into_iter().filter(|row| row.state == ReleaseState::Approved).collect();
        let at = match to {
            Some(to) => approved.iter().position(|row| row.version == to || row.digest == to),
            None => Some(1).filter(|at| *at < approved.len()),
        };
        let Some(at) = at.filter(|at| *at > 0) else {
            return Err(Error::NoEarlier { name, to: to.map(ToOwned::to_owned) });
        };
        let (later, target) = (approved.iter().take(at), approved.get(at));
        let now = now_ms();
        let decided = |row: &ReleaseRow, state| ReleaseRow { state, decided_ms: Some(now), decided_by: Some(by.to_owned()), ..row.clone() };
        for row in later {
            self.store.put_release(&decided(row, ReleaseState::Rejected)).await?;
        }
        if let Some(row) = target {
            self.store.put_release(&decided(row, ReleaseState::Approved)).await?;
            self.serve(&name, version(&row.version), read(row)?);
        }
        self.edit(&name, |entry| entry.held = None);
        let release = self.catalog.load().server(name.as_str())?.release.clone();
        release.ok_or(Error::NoEarlier { name, to: None })
    }

    fn held(&self, name: &str, digest: Option<&str>) -> Result<(ServerName, Entry, Held), Error> {
        let catalog = self.catalog.load_full();
        let entry = catalog.server(name)?;
        let held = entry.held.clone().ok_or_else(|| Error::NothingHeld(entry.spec.name.clone()))?;
        if digest.is_some_and(|digest| digest != held.digest.to_string()) {
            return Err(Error::ChangedAgain(entry.spec.name.clone()));
        }
        Ok((entry.spec.name.clone(), entry.clone(), held))
    }

    /// A change that was rejected before, by its digest.
    async fn rejected(&self, name: &str, digest: Option<&str>) -> Result<Option<(ServerName, Entry, Held)>, Error> {
        let catalog = self.catalog.load_full();
        let Some((entry, digest)) = catalog.servers.get(name).zip(digest) else { return Ok(None) };
        let rows = self.store.releases(name).await?;
        let row = rows.into_iter().find(|row| row.state == ReleaseState::Rejected && row.digest == digest);
        let Some(row) = row else { return Ok(None) };
        let held = self.waiting(&entry.spec, entry.release.as_deref(), read(&row)?, row.captured_ms);
        Ok(Some((entry.spec.name.clone(), entry.clone(), held)))
    }

    async fn write(
        &self,
        name: &ServerName,
        manifest: &Manifest,
        version: &str,
        state: ReleaseState,
        by: Option<&str>,
    ) -> Result<i64, Error> {
        let now = now_ms();
        let row = ReleaseRow {
            server: name.to_string(),
            digest: manifest.digest().to_string(),
            version: version.to_owned(),
            state,
            manifest: raw(manifest).get().to_owned(),
            captured_ms: now,
            decided_ms: by.map(|_| now),
            decided_by: by.map(ToOwned::to_owned),
        };
        self.store.put_release(&row).await?;
        Ok(now)
    }

    /// Shows a release; nothing changes when it is the one that is shown, with the same things left out.
    fn serve(&self, name: &ServerName, version: Version, manifest: Manifest) {
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
        self.edit(name, |entry| entry.release = Some(release.clone()));
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
    fn edit(&self, name: &ServerName, edit: impl Fn(&mut Entry)) {
        self.show(|catalog| {
            if let Some(entry) = catalog.servers.get_mut(name) {
                edit(entry);
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

    fn show(&self, change: impl Fn(&mut Catalog)) {
        let before = self.catalog.rcu(|catalog| {
            let mut next = Catalog::clone(catalog);
            change(&mut next);
            next.edition += 1;
            next
        });
        self.changed.send_modify(|changes| changes.edition = changes.edition.max(before.edition + 1));
    }
}

const FIRST: Version = Version::new(1, 0, 0);

fn read(row: &ReleaseRow) -> Result<Manifest, Error> {
    serde_json::from_str(&row.manifest)
        .map_err(|error| crate::store::Error::Corrupt(format!("a release of {}, {}: {error}", row.server, row.digest)).into())
}

/// The version of the next release: a change that breaks callers raises the major number, one that adds the minor, any other the patch.
fn next(current: &Version, differences: &[Difference]) -> Version {
    let any = |class: Class| differences.iter().flat_map(|one| &one.changes).any(|change| change.class == class);
    match (any(Class::Breaking), any(Class::Minor)) {
        (true, _) => Version::new(current.major + 1, 0, 0),
        (false, true) => Version::new(current.major, current.minor + 1, 0),
        (false, false) => Version::new(current.major, current.minor, current.patch + 1),
    }
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap_or(FIRST)
}
