//! Variants on record: what was seen of callers' own lists, and what people decided on it.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use tracing::{info, warn};

use super::catalog::Entry;
use super::definition::{Definition, Kind, Manifest};
use super::drift::{Difference, differences, mark};
use super::error::Error;
use super::records::{Records, read};
use super::release::Release;
use super::variant::{Variant, address};
use crate::domain::{ServerName, ServerSpec, Verdict, lock, now_ms, raw};
use crate::store::{ReleaseHead, ReleaseRow, ReleaseState};
use crate::upstream::Connection;

/// Most variants of a server that wait for a person, and most that are on record.
const MOST_HELD: usize = 256;
const MOST: usize = 4_096;

/// A list that was read over a caller's own connection.
pub(super) struct Listed {
    pub(super) whose: Box<str>,
    pub(super) connection: Weak<Connection>,
    pub(super) manifest: Arc<Manifest>,
}

impl Records {
    /// The variants of a server that are on record.
    pub(super) async fn variants_of(&self, spec: &ServerSpec, release: Option<&Release>) -> Result<Arc<[Variant]>, Error> {
        let name = &spec.name;
        let mut variants = Vec::new();
        // Where a file says what is approved, nothing else is.
        let heads = if self.locked().is_some() { Vec::new() } else { self.store.variants(name.as_str()).await? };
        for head in heads {
            let manifest = Arc::new(read(&self.row(name, &head.digest).await?)?);
            let held = head.state == ReleaseState::Held;
            let is_blocked = held && self.verdict(spec, &differences(&beside(release, &manifest), &manifest)) == Verdict::Block;
            variants.push(Variant { digest: head.digest, state: head.state, since_ms: head.captured_ms, is_blocked, manifest });
        }
        Ok(variants.into())
    }

    /// Whether a caller is offered what nobody has judged.
    pub(super) fn is_unjudged(&self, name: &ServerName, live: &Manifest) -> bool {
        self.locked().is_none() && self.catalog().servers.get(name).is_some_and(|entry| !entry.unjudged(live).is_empty())
    }

    /// Takes note of what callers' own connections list, and judges what nobody has judged.
    pub(super) async fn saw_own(&self, spec: &ServerSpec, lists: &[Listed]) -> Result<(), Error> {
        let _turn = self.turn().await;
        let name = &spec.name;
        for list in lists {
            // It may be another server by now.
            let Some(entry) = self.catalog().servers.get(name).cloned().filter(|entry| *entry.spec == *spec) else { return Ok(()) };
            if self.locked().is_none() {
                self.judge_own(&entry, &list.manifest).await?;
            }
        }
        let is_open = |list: &&Listed| list.connection.upgrade().is_some_and(|connection| !connection.is_closed());
        let open: Vec<&Listed> = lists.iter().filter(is_open).collect();
        if !open.is_empty() {
            self.show(|catalog| {
                for list in &open {
                    catalog.offers_own(name, &list.whose, &list.connection, &list.manifest);
                }
            });
        }
        Ok(())
    }

    async fn judge_own(&self, entry: &Entry, live: &Manifest) -> Result<(), Error> {
        let name = &entry.spec.name;
        let (mut held, mut accepted) = (0_usize, 0_usize);
        for one in entry.unjudged(live) {
            if entry.held_variants().count() + held >= MOST_HELD || entry.variants.len() + held + accepted >= MOST {
                warn!(server.name = %name, "`{name}` offers its callers too many things of their own; what is new is shown to nobody until somebody decides on those that wait, see `portolan registry diff {name}`");
                break;
            }
            let state = match self.verdict(&entry.spec, &self.judged(entry, &one, live)) {
                Verdict::Accept => ReleaseState::Approved,
                Verdict::Hold | Verdict::Block => ReleaseState::Held,
            };
            *(if state == ReleaseState::Held { &mut held } else { &mut accepted }) += 1;
            let head = seen(name, &one, state);
            self.store.put_release(&ReleaseRow { head, manifest: raw(&one).get().to_owned() }).await?;
        }
        if held > 0 {
            warn!(server.name = %name, "`{name}` offers some callers what is in no release; it is held until somebody approves it, see `portolan registry diff {name}`");
        }
        if accepted > 0 {
            info!(server.name = %name, "`{name}` offers some callers what is in no release; policy accepts it, and they are shown it");
        }
        if held + accepted > 0 {
            self.put_variants(name).await?;
        }
        Ok(())
    }

    /// How a variant differs from the release, and what of it looks like something else that callers may see.
    pub(super) fn judged(&self, entry: &Entry, one: &Manifest, live: &Manifest) -> Vec<Difference> {
        let mut all = differences(&beside(entry.release.as_deref(), one), one);
        mark(&mut all, &lock(&self.looks).like(&entry.spec.name, &everything(entry, Some(live))));
        all
    }

    /// The variants of a server that wait for a person, each with how it differs from the release.
    pub(super) fn held_variants(&self, entry: &Entry) -> Vec<(Variant, Vec<Difference>)> {
        entry.held_variants().map(|variant| (variant.clone(), self.judged(entry, &variant.manifest, &variant.manifest))).collect()
    }

    /// The variants that a decision is on: the one of that digest, else those that wait where no release does.
    pub(super) fn meant_variants(&self, name: &str, digest: Option<&str>) -> Result<(ServerName, Vec<Variant>), Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        let meant: Vec<Variant> = match digest {
            Some(digest) => entry.variants.iter().filter(|variant| variant.digest == digest).cloned().collect(),
            None if entry.held.is_some() => Vec::new(),
            None => entry.held_variants().cloned().collect(),
        };
        Ok((entry.spec.name.clone(), meant))
    }

    /// Decides on variants.
    pub(super) async fn decide_on(&self, name: &ServerName, variants: &[Variant], state: ReleaseState, by: &str) -> Result<(), Error> {
        for variant in variants {
            let row = self.row(name, &variant.digest).await?;
            let head = ReleaseHead { state, decided_ms: Some(now_ms()), decided_by: Some(by.to_owned()), ..row.head };
            self.store.put_release(&ReleaseRow { head, manifest: row.manifest }).await?;
        }
        self.put_variants(name).await
    }

    /// Takes approvals of variants back, where a release was refused that has them and the one that is served has not.
    pub(super) async fn take_back(&self, name: &ServerName, refused: &[Manifest], by: &str) -> Result<(), Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name.as_str())?;
        let kept = |variant: &Variant| entry.release.as_ref().is_some_and(|release| variant.is_in(&release.manifest));
        let gone = |variant: &&Variant| {
            let refused = || refused.iter().any(|manifest| variant.is_in(manifest));
            variant.state != ReleaseState::Rejected && refused() && !kept(variant)
        };
        let gone: Vec<Variant> = entry.variants.iter().filter(gone).cloned().collect();
        if gone.is_empty() { Ok(()) } else { self.decide_on(name, &gone, ReleaseState::Rejected, by).await }
    }

    /// The release beside which variants stand.
    pub(super) fn served(&self, name: &ServerName) -> Result<Arc<Release>, Error> {
        let release = self.catalog().server(name.as_str())?.release.clone();
        release.ok_or_else(|| Error::NothingHeld(name.clone()))
    }

    async fn put_variants(&self, name: &ServerName) -> Result<(), Error> {
        let Some(entry) = self.catalog().servers.get(name).cloned() else { return Ok(()) };
        let variants = self.variants_of(&entry.spec, entry.release.as_deref()).await?;
        self.edit(name, |entry| entry.variants = variants.clone());
        self.index(name);
        Ok(())
    }

    /// Notes how the tools look that callers of a server may see.
    pub(super) fn index(&self, name: &ServerName) {
        if let Some(entry) = self.catalog().servers.get(name) {
            lock(&self.looks).put(name, &everything(entry, None));
        }
    }
}

/// What a release says under the names of a set.
fn beside(release: Option<&Release>, set: &Manifest) -> Manifest {
    let named = |one: &&Definition| set.definitions.iter().any(|new| (new.kind, &new.name) == (one.kind, &one.name));
    let of_release = release.into_iter().flat_map(|release| &release.manifest.definitions);
    Manifest { definitions: of_release.filter(named).cloned().collect(), ..set.clone() }
}

/// All tools that callers of a server may see, one of each name, with what is listed besides.
fn everything(entry: &Entry, live: Option<&Manifest>) -> Manifest {
    let nothing = || raw(&serde_json::json!({}));
    let approved = entry.variants.iter().filter(|variant| variant.state == ReleaseState::Approved).map(|variant| &*variant.manifest);
    let sets = entry.release.iter().map(|release| &release.manifest).chain(approved).chain(live);
    let mut names = HashSet::new();
    let tools = sets.flat_map(|set| set.of(Kind::Tool)).filter(|tool| names.insert(tool.name.as_str()));
    Manifest { definitions: tools.cloned().collect(), dropped: Vec::new(), info: nothing(), capabilities: nothing() }
}

/// What is written of a variant that was seen just now.
fn seen(name: &ServerName, manifest: &Manifest, state: ReleaseState) -> ReleaseHead {
    let accepted = state == ReleaseState::Approved;
    ReleaseHead {
        server: name.to_string(),
        digest: address(manifest),
        version: String::new(),
        state,
        era: None,
        captured_ms: now_ms(),
        captured_by: None,
        decided_ms: accepted.then(now_ms),
        decided_by: accepted.then(|| "policy".to_owned()),
        deprecated_ms: None,
        sunset_ms: None,
        variant: true,
    }
}
