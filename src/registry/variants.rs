//! Variants on record: what was seen of callers' own lists, and what people decided on it.

use std::sync::Arc;

use tracing::{info, warn};

use super::catalog::{Catalog, Entry};
use super::definition::Manifest;
use super::drift::Difference;
use super::error::Error;
use super::own::{self, MOST, Variant, news};
use super::records::{Records, read};
use super::release::Release;
use crate::domain::{ServerName, Verdict, now_ms, raw};
use crate::store::{ReleaseHead, ReleaseRow, ReleaseState};

impl Records {
    /// The variants of a server that are on record.
    pub(super) async fn variants_of(&self, name: &ServerName) -> Result<Arc<[Variant]>, Error> {
        let mut variants = Vec::new();
        // Where a file says what is approved, nothing else is.
        let heads = if self.locked().is_some() { Vec::new() } else { self.store.variants(name.as_str()).await? };
        for head in heads {
            let manifest = Arc::new(read(&self.row(name, &head.digest).await?)?);
            variants.push(Variant { digest: head.digest, state: head.state, since_ms: head.captured_ms, manifest });
        }
        Ok(variants.into())
    }

    /// Takes note of what a caller's own connection lists, and judges what nobody has judged.
    pub(super) async fn saw_own(&self, name: &ServerName, whose: &str, live: Manifest) -> Result<(), Error> {
        let _turn = self.turn().await;
        let Some(entry) = self.catalog().servers.get(name).cloned() else { return Ok(()) };
        let judge = |before: &Manifest, news: &Manifest| self.differences(name, Some(before), news);
        if let Some((news, differences)) = news(&entry, &live, judge).filter(|_| self.locked().is_none()) {
            let digest = own::address(&news);
            let known = entry.variants.iter().any(|variant| variant.digest == digest);
            if !known && entry.variants.len() >= MOST {
                warn!(server.name = %name, "`{name}` offers callers more of their own than {MOST} different sets; what is new is shown to nobody");
            } else if !known {
                let state = match self.verdict(&entry.spec, &differences) {
                    Verdict::Accept => ReleaseState::Approved,
                    Verdict::Hold | Verdict::Block => ReleaseState::Held,
                };
                let head = ReleaseHead { digest, ..seen(name, state) };
                self.store.put_release(&ReleaseRow { head, manifest: raw(&news).get().to_owned() }).await?;
                self.put_variants(name).await?;
                match state {
                    ReleaseState::Held => {
                        warn!(server.name = %name, "`{name}` offers some callers what is in no release; it is held until somebody approves it, see `portolan registry diff {name}`");
                    }
                    _ => {
                        info!(server.name = %name, "`{name}` offers some callers what is in no release; policy accepts it, and they are shown it");
                    }
                }
            }
        }
        self.note_own(name, whose, live);
        Ok(())
    }

    /// The variants of a server that wait for a person, each with how it differs from the release.
    pub(super) fn held_variants(&self, entry: &Entry) -> Vec<(Variant, Vec<Difference>)> {
        let with = |variant: &Variant| {
            let before = variant.beside(entry.release.as_deref());
            (variant.clone(), self.differences(&entry.spec.name, Some(&before), &variant.manifest))
        };
        entry.variants.iter().filter(|variant| variant.is_held()).map(with).collect()
    }

    /// The variant that a decision is on: the one of that digest, else the only one that waits where no release does.
    pub(super) fn meant_variant(&self, name: &str, digest: Option<&str>) -> Result<Option<(ServerName, Variant)>, Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        let name = entry.spec.name.clone();
        if let Some(digest) = digest {
            return Ok(entry.variants.iter().find(|variant| variant.digest == digest).map(|variant| (name, variant.clone())));
        }
        let mut held = entry.variants.iter().filter(|variant| variant.is_held() && entry.held.is_none());
        match (held.next(), held.next()) {
            (Some(_), Some(_)) => Err(Error::SeveralHeld(name)),
            (one, _) => Ok(one.map(|one| (name, one.clone()))),
        }
    }

    /// Decides on a variant.
    pub(super) async fn decide_on(&self, name: &ServerName, variant: &Variant, state: ReleaseState, by: &str) -> Result<(), Error> {
        let row = self.row(name, &variant.digest).await?;
        let head = ReleaseHead { state, decided_ms: Some(now_ms()), decided_by: Some(by.to_owned()), ..row.head };
        self.store.put_release(&ReleaseRow { head, manifest: row.manifest }).await?;
        self.put_variants(name).await
    }

    /// The release beside which a variant stands.
    pub(super) fn served(&self, name: &ServerName) -> Result<Arc<Release>, Error> {
        let release = self.catalog().server(name.as_str())?.release.clone();
        release.ok_or_else(|| Error::NothingHeld(name.clone()))
    }

    /// Takes note of what a caller's own connection lists.
    fn note_own(&self, name: &ServerName, whose: &str, live: Manifest) {
        let live = Arc::new(live);
        if Catalog::clone(&self.catalog()).offers_own(name, whose, &live) {
            self.show(|catalog| {
                catalog.offers_own(name, whose, &live);
            });
        }
    }

    /// Forgets what was offered over connections that were somebody's own.
    pub(super) fn forget_own(&self, whose: &str) {
        if Catalog::clone(&self.catalog()).forget_own(|_, key| key == whose) {
            self.show(|catalog| {
                catalog.forget_own(|_, key| key == whose);
            });
        }
    }

    async fn put_variants(&self, name: &ServerName) -> Result<(), Error> {
        let variants = self.variants_of(name).await?;
        self.edit(name, |entry| entry.variants = variants.clone());
        Ok(())
    }
}

/// What is written of a variant that was seen just now.
fn seen(name: &ServerName, state: ReleaseState) -> ReleaseHead {
    let accepted = state == ReleaseState::Approved;
    ReleaseHead {
        server: name.to_string(),
        digest: String::new(),
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
