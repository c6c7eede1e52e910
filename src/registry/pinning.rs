//! Has those releases at hand that a caller or the configuration pins, beside the one that everybody gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use semver::Version;
use tracing::warn;

use super::catalog::Entry;
use super::drift::differences;
use super::error::Error;
use super::pins::{Known, Pinned};
use super::records::{Records, read};
use super::release::{Guard, Release};
use crate::domain::{ReleasePin, ServerName};

/// The newest release that a pin means and that has not ended.
fn meant<'e>(entry: &'e Entry, pin: &ReleasePin) -> Option<&'e Known> {
    let lives = |known: &&Known| known.retiring.is_none_or(|retiring| !retiring.is_over());
    entry.known.iter().filter(|known| pin.takes(&known.version, &known.digest)).filter(lives).max_by(|a, b| a.version.cmp(&b.version))
}

impl Records {
    /// Has a release at hand for those who pin it.
    pub(super) async fn pin(&self, name: &str, pin: &ReleasePin) -> Result<(), Error> {
        let catalog = self.catalog();
        let entry = catalog.server(name)?;
        let Some(known) = meant(entry, pin) else { return Err(refused(entry, pin)) };
        let same = |pinned: &Pinned| pinned.release.digest.to_string() == known.digest;
        if entry.pins.get(pin).is_some_and(same) {
            return Ok(());
        }
        let _turn = self.turn().await;
        self.wanted().ask(&entry.spec.name, pin);
        self.repin(&entry.spec.name).await
    }

    /// Has the releases at hand that the configuration pins, and no others of it.
    pub(super) async fn pin_declared(&self, pins: impl IntoIterator<Item = (ServerName, ReleasePin)>) -> Result<(), Error> {
        let mut declared: BTreeMap<ServerName, BTreeSet<ReleasePin>> = BTreeMap::new();
        for (server, pin) in pins {
            declared.entry(server).or_default().insert(pin);
        }
        let _turn = self.turn().await;
        let before = std::mem::replace(&mut self.wanted().declared, declared.clone());
        for server in before.keys().chain(declared.keys()).collect::<BTreeSet<_>>() {
            self.repin(server).await?;
        }
        let catalog = self.catalog();
        let pins = declared.iter().filter_map(|(server, pins)| Some((catalog.servers.get(server)?, pins)));
        for (entry, pins) in pins.filter(|(entry, _)| !entry.known.is_empty()) {
            pins.iter().filter(|pin| meant(entry, pin).is_none()).for_each(|pin| miss(entry, pin));
        }
        Ok(())
    }

    /// Has exactly those releases at hand that are pinned, as they stand now.
    pub(super) async fn repin(&self, name: &ServerName) -> Result<(), Error> {
        let wanted = self.wanted().of(name);
        let catalog = self.catalog();
        let Some(entry) = catalog.servers.get(name) else { return Ok(()) };
        let mut pins = BTreeMap::new();
        for pin in wanted {
            match meant(entry, &pin) {
                Some(known) => drop(pins.insert(pin, self.pinned(entry, known).await?)),
                // A moment ago it was there.
                None if entry.pins.contains_key(&pin) => miss(entry, &pin),
                None => {}
            }
        }
        let same = |(a, b): ((&ReleasePin, &Pinned), (&ReleasePin, &Pinned))| {
            a.0 == b.0
                && Arc::ptr_eq(&a.1.release, &b.1.release)
                && a.1.guard.is_none() == b.1.guard.is_none()
                && a.1.retiring == b.1.retiring
        };
        let unchanged = entry.pins.len() == pins.len() && entry.pins.iter().zip(&pins).all(same);
        if !unchanged || pins.values().any(|pinned| pinned.guard.is_some()) {
            let pins = Arc::new(pins);
            self.edit(name, |entry| entry.pins = pins.clone());
        }
        Ok(())
    }

    async fn pinned(&self, entry: &Entry, known: &Known) -> Result<Pinned, Error> {
        let is_it = |release: &&Arc<Release>| release.digest.to_string() == known.digest;
        if let Some(release) = entry.release.as_ref().filter(is_it) {
            return Ok(Pinned { release: release.clone(), guard: entry.guard.clone(), retiring: known.retiring });
        }
        let at_hand = entry.pins.values().map(|pinned| &pinned.release).find(is_it).cloned();
        let release = match at_hand {
            Some(release) => release,
            None => {
                let row = self.row(&entry.spec.name, &known.digest).await?;
                Arc::new(Release::new(entry.spec.name.clone(), known.version.clone(), read(&row)?))
            }
        };
        let live = entry.live.as_deref().or(entry.release.as_ref().map(|release| &release.manifest));
        let guard = live.and_then(|live| Guard::new(&differences(&release.manifest, live)));
        Ok(Pinned { release, guard, retiring: known.retiring })
    }
}

/// Tells the operator of a pin behind which there is nothing: what is pinned so is shown to nobody.
fn miss(entry: &Entry, pin: &ReleasePin) {
    warn!(server.name = %entry.spec.name, "what is pinned at it is not served: {}", refused(entry, pin));
}

fn refused(entry: &Entry, pin: &ReleasePin) -> Error {
    let (name, pin) = (entry.spec.name.clone(), pin.clone());
    let ended = entry.known.iter().any(|known| pin.takes(&known.version, &known.digest));
    let lives = entry.known.iter().filter(|known| known.retiring.is_none_or(|retiring| !retiring.is_over()));
    let mut versions: Vec<&Version> = lives.map(|known| &known.version).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let there = versions.iter().take(8).map(|version| format!("`{version}`")).collect::<Vec<_>>().join(", ");
    if ended { Error::Ended { name, pin, there } } else { Error::NoRelease { name, pin, there } }
}
