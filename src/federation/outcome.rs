//! What an aggregate says of the servers that are not served now, or not as they are now, so that a list which lacks something does not
//! look whole.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::listing::Listing;
use super::scope::Scope;
use super::upstreams::Road;
use super::view::View;
use crate::domain::ReleasePin;
use crate::registry::{Catalog, Entry, Pinned};
use crate::upstream::State;

/// The member of a list's `_meta` that says so, by server.
const KEY: &str = "dev.portolan/servers";
/// The one that says which releases end, by server.
const ENDING: &str = "dev.portolan/deprecated";

impl Road {
    /// The servers of an aggregate that are not served now and may offer a capability, and why in words for everybody; and those of which
    /// changes are held, and how many. Only those
    /// that the caller may see; none at all where one server is asked by itself, for that answers with its error.
    pub(super) fn absent(&self, view: &View, listing: &Listing<'_>, capability: &str) -> Map<String, Value> {
        let Listing { principal, scope, catalog, .. } = *listing;
        let grants = principal.grants();
        let within = |name: &str| match scope {
            Scope::All => true,
            Scope::One(_) | Scope::At(_) => false,
            Scope::Set(set) => view.set(set).is_some_and(|set| match capability {
                "tools" => set.toolset().may_take_of(name),
                _ => set.toolset().takes_server(name),
            }),
        };
        let mut absent = Map::new();
        for entry in catalog.servers.values() {
            let name = entry.spec.name.as_str();
            let may_offer = || entry.release.as_ref().is_none_or(|release| release.manifest.has(capability));
            let held = || entry.held_count().map(|count| json!({ "state": "ready", "held": count }));
            let told = self.wrong(catalog, entry).map(|(state, why)| said(state, &why)).or_else(held);
            if let Some(told) = told.filter(|_| grants.server(name) && within(name) && may_offer()) {
                absent.insert(name.to_owned(), told);
            }
        }
        absent
    }

    /// What is wrong with a server, as a word and in words.
    fn wrong(&self, catalog: &Catalog, entry: &Entry) -> Option<(&'static str, String)> {
        let name = &entry.spec.name;
        if let Some(blocked) = catalog.blocks.of_server(name.as_str()) {
            return Some(("blocked", blocked.to_string()));
        }
        match (entry.enabled, &entry.release, &entry.held, &entry.problem) {
            (false, ..) => Some(("disabled", "its operator has disabled it".to_owned())),
            (true, None, Some(_), _) => Some(("held", "what it offers waits for its operator's approval".to_owned())),
            (true, _, _, Some(_)) => Some(("failed", self.failure(entry))),
            (true, None, None, None) if entry.live.is_some() => Some(("rejected", "its operator has rejected what it offers".to_owned())),
            (true, None, None, None) => Some(("connecting", "it has not answered yet".to_owned())),
            (true, Some(_), _, None) => None,
        }
    }

    /// Why a server cannot be used, with nothing of what lies behind it.
    fn failure(&self, entry: &Entry) -> String {
        match self.upstreams.state(&entry.spec.name) {
            State::Failed(error) => error.public().message,
            _ => "it could not be used when it was last looked at".to_owned(),
        }
    }
}

/// What is said of one server.
pub(super) fn said(state: &str, why: &str) -> Value {
    json!({ "state": state, "error": why })
}

/// The releases at an endpoint that end, by server: only of servers that the caller may see.
pub(super) fn ending(view: &View, listing: &Listing<'_>) -> Map<String, Value> {
    let pinned: Vec<(&str, &ReleasePin)> = match listing.scope {
        Scope::At(at) => vec![(at.server, at.release)],
        Scope::Set(name) => view.set(name).iter().flat_map(|set| set.toolset().pins()).map(|(name, pin)| (name.as_str(), pin)).collect(),
        Scope::All | Scope::One(_) => Vec::new(),
    };
    let mut ending = Map::new();
    for (server, pin) in pinned {
        let Some(entry) = view.catalog().usable(server).filter(|_| listing.principal.grants().server(server)) else { continue };
        if let Some((Pinned { release, retiring: Some(retiring), .. }, served)) = entry.pins.get(pin).zip(entry.release.as_ref()) {
            let sunset = DateTime::from_timestamp_millis(retiring.sunset_ms).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            let (release, served) = (release.version.to_string(), served.version.to_string());
            ending.insert(server.to_owned(), json!({ "release": release, "sunset": sunset, "served": served }));
        }
    }
    ending
}

/// The `_meta` of a list; none where all is well.
pub(super) fn meta(absent: &Map<String, Value>, ending: &Map<String, Value>) -> Option<Value> {
    let all = [(KEY, absent), (ENDING, ending)].into_iter().filter(|(_, said)| !said.is_empty());
    let meta: Map<String, Value> = all.map(|(key, said)| (key.to_owned(), Value::Object(said.clone()))).collect();
    (!meta.is_empty()).then_some(Value::Object(meta))
}
