//! What people decide on: approve, reject, roll back, retire.

use std::sync::Arc;

use semver::Version;

use super::drift::differences;
use super::error::Error;
use super::on_record::on_record;
use super::records::{Records, read, settled};
use super::release::{Guard, Release};
use super::version::{FIRST, next, taken, version};
use crate::domain::{ServerName, now_ms};
use crate::store::{ReleaseHead, ReleaseRow, ReleaseState};

/// What came of an approval.
pub struct Approved {
    /// The release that everybody gets.
    pub release: Arc<Release>,
    /// Whether what was approved is no part of it, but of what some callers are offered.
    pub is_variant: bool,
}

impl Records {
    /// Makes what is held the approved release.
    pub(super) async fn approve(&self, name: &str, digest: Option<&str>, by: &str) -> Result<Approved, Error> {
        self.is_ours(name)?;
        let _turn = self.turn().await;
        let (own, variants) = self.meant_variants(name, digest)?;
        if !variants.is_empty() {
            self.decide_on(&own, &variants, ReleaseState::Approved, by).await?;
            return Ok(Approved { release: self.served(&own)?, is_variant: true });
        }
        let (name, row) = match self.held(name, digest).await {
            Err(error @ (Error::NothingHeld(_) | Error::ChangedAgain(_))) => self.rejected(name, digest).await?.ok_or(error)?,
            held => held?,
        };
        let manifest = read(&row)?;
        let served = self.catalog().server(name.as_str())?.release.clone();
        let version = match (Version::parse(&row.head.version), served) {
            // What was served before it was taken back is known by its version.
            (Ok(known), _) => known,
            (Err(_), None) => FIRST,
            (Err(_), Some(release)) => {
                let heads = self.store.releases(name.as_str()).await?;
                let differences = self.differences(&name, Some(&release.manifest), &manifest);
                next(&release.version, &differences, &taken(&heads, &row.head.digest))
            }
        };
        let row = decided(row, ReleaseState::Approved, by);
        // What everybody gets is not about to end.
        let head = ReleaseHead { version: version.to_string(), deprecated_ms: None, sunset_ms: None, ..row.head };
        self.store.put_release(&ReleaseRow { head, manifest: row.manifest }).await?;
        let live = self.catalog().server(name.as_str())?.live.clone();
        let is_live = live.is_some_and(|live| live.digest() == manifest.digest());
        self.serve(&name, version, manifest);
        // What was rejected before, or is other code, may be another thing than what is offered now; the next look says.
        self.edit(&name, |entry| if is_live { settled(entry) } else { entry.held = None });
        self.relist(&name).await?;
        self.repin(&name).await?;
        // It may have been removed meanwhile.
        Ok(Approved { release: self.served(&name)?, is_variant: false })
    }

    /// Refuses what is held.
    pub(super) async fn reject(&self, name: &str, digest: Option<&str>, by: &str) -> Result<(), Error> {
        self.is_ours(name)?;
        let _turn = self.turn().await;
        let (own, variants) = self.meant_variants(name, digest)?;
        if !variants.is_empty() {
            return self.decide_on(&own, &variants, ReleaseState::Rejected, by).await;
        }
        let (name, row) = self.held(name, digest).await?;
        let refused = read(&row)?;
        self.store.put_release(&decided(row, ReleaseState::Rejected, by)).await?;
        self.edit(&name, |entry| entry.held = None);
        self.take_back(&name, &[refused], by).await
    }

    /// Serves an earlier release again: the one that is named by version or digest, else the one before. Those after it are rejected, so
    /// that they are not taken up again because the server offers them.
    pub(super) async fn roll_back(&self, name: &str, to: Option<&str>, by: &str) -> Result<Arc<Release>, Error> {
        self.is_ours(name)?;
        let _turn = self.turn().await;
        let name = self.catalog().server(name)?.spec.name.clone();
        let heads = self.store.releases(name.as_str()).await?;
        let approved: Vec<ReleaseHead> = heads.into_iter().filter(|head| head.state == ReleaseState::Approved).collect();
        let at = match to {
            Some(to) => on_record(to, approved.iter().map(|head| (head.version.as_str(), head.digest.as_str()))),
            None => Some(1).filter(|at| *at < approved.len()),
        };
        let Some((later, target)) = at.filter(|at| *at > 0).and_then(|at| Some((approved.get(..at)?, approved.get(at)?))) else {
            return Err(Error::NoEarlier { name, to: to.map(ToOwned::to_owned) });
        };
        let served = self.catalog().server(name.as_str())?.release.clone();
        let mut refused = Vec::new();
        for head in later {
            let row = self.row(&name, &head.digest).await?;
            refused.push(read(&row)?);
            self.store.put_release(&decided(row, ReleaseState::Rejected, by)).await?;
        }
        // What everybody gets is not about to end.
        let mut row = decided(self.row(&name, &target.digest).await?, ReleaseState::Approved, by);
        (row.head.deprecated_ms, row.head.sunset_ms) = (None, None);
        self.store.put_release(&row).await?;
        let manifest = read(&row)?;
        let live = self.catalog().server(name.as_str())?.live.clone();
        // What was served a moment ago is what the server offers, unless a change of it was known.
        let live = live.or_else(|| served.map(|served| Arc::new(served.manifest.clone())));
        let guard = live.as_deref().and_then(|live| Guard::new(&differences(&manifest, live)));
        self.serve(&name, version(&row.head.version), manifest);
        self.edit(&name, |entry| (entry.held, entry.live, entry.guard) = (None, live.clone(), guard.clone()));
        self.take_back(&name, &refused, by).await?;
        self.relist(&name).await?;
        self.repin(&name).await?;
        let release = self.catalog().server(name.as_str())?.release.clone();
        release.ok_or(Error::NoEarlier { name, to: None })
    }

    /// Tells those who pin a release that it ends, or that it does not.
    pub(super) async fn retire(&self, name: &str, release: &str, sunset_ms: Option<i64>) -> Result<ReleaseHead, Error> {
        self.is_ours(name)?;
        let _turn = self.turn().await;
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        let name = entry.spec.name.clone();
        let versions: Vec<String> = entry.known.iter().map(|known| known.version.to_string()).collect();
        let known = versions.iter().zip(entry.known.iter()).map(|(version, known)| (version.as_str(), known.digest.as_str()));
        let Some(known) = on_record(release, known).and_then(|at| entry.known.get(at)) else {
            return Err(Error::NotApproved { name, release: release.to_owned() });
        };
        if entry.release.as_ref().is_some_and(|served| served.digest.to_string() == known.digest) {
            return Err(Error::Served { name, version: known.version.clone() });
        }
        let mut row = self.row(&name, &known.digest).await?;
        row.head.deprecated_ms = sunset_ms.map(|_| row.head.deprecated_ms.unwrap_or_else(now_ms));
        row.head.sunset_ms = sunset_ms;
        self.store.put_release(&row).await?;
        self.relist(&name).await?;
        self.repin(&name).await?;
        Ok(row.head)
    }

    /// Whether decisions are taken here, and not in a file.
    fn is_ours(&self, name: &str) -> Result<(), Error> {
        match self.locked() {
            None => Ok(()),
            Some(_) => Err(Error::Locked(self.catalog().server(name)?.spec.name.clone())),
        }
    }

    /// What is held, as it is on record.
    async fn held(&self, name: &str, digest: Option<&str>) -> Result<(ServerName, ReleaseRow), Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        let held = entry.held.as_ref().ok_or_else(|| Error::NothingHeld(entry.spec.name.clone()))?;
        let held = held.digest.to_string();
        if digest.is_some_and(|digest| digest != held) {
            return Err(Error::ChangedAgain(entry.spec.name.clone()));
        }
        Ok((entry.spec.name.clone(), self.row(&entry.spec.name, &held).await?))
    }

    /// A change that was rejected before, by its digest.
    async fn rejected(&self, name: &str, digest: Option<&str>) -> Result<Option<(ServerName, ReleaseRow)>, Error> {
        let catalog = self.catalog();
        let Some((entry, digest)) = catalog.servers.get(name).zip(digest) else { return Ok(None) };
        let row = self.store.release(name, digest).await?;
        Ok(row.filter(|row| row.head.state == ReleaseState::Rejected).map(|row| (entry.spec.name.clone(), row)))
    }
}

/// The same release, with a decision.
fn decided(row: ReleaseRow, state: ReleaseState, by: &str) -> ReleaseRow {
    let head = ReleaseHead { state, decided_ms: Some(now_ms()), decided_by: Some(by.to_owned()), ..row.head };
    ReleaseRow { head, ..row }
}
