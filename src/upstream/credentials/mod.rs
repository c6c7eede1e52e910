//! The gateway's own logins at upstream servers, as an OAuth 2.1 client: a person agrees once, and tokens are renewed from then on.
//!
//! The tokens are the gateway's, for all who may use the server. A caller's token never goes to a server, and what a server asks
//! for never goes to a caller, who would get a token for something else.

mod flow;
mod holder;
mod place;
mod record;
mod wire;
mod words;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde_json::{Value, json};
use url::Url;

pub(super) use holder::{AtHand, Holder};
pub use place::{CALLBACK, DOCUMENT};

use crate::domain::{ServerName, ServerSpec, Transport};
use crate::net::Net;
use crate::store::{self, Store};
use flow::{Flow, Stopped};
use place::Place;
use record::Keeping;
use words::words;

/// How long a person has to agree.
const PATIENCE: Duration = Duration::from_secs(600);
/// Most logins that wait for a person; a newer one takes the place of the oldest.
const MOST: u64 = 100;

/// How long what is written just now is waited for.
const WRITING: Duration = Duration::from_secs(1);

/// The gateway's logins. Cheap to clone.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    store: Store,
    net: Net,
    place: ArcSwap<Place>,
    holders: Mutex<HashMap<ServerName, Arc<Holder>>>,
    /// By what the answer must bring.
    waiting: Cache<String, Arc<Waiting>>,
}

/// A login that waits for a person.
struct Waiting {
    flow: Flow,
    holder: Arc<Holder>,
    by: String,
}

/// Where a person agrees to a login, and how long they have.
pub struct Begun {
    /// The address for their browser.
    pub address: Url,
    /// How long it is waited for.
    pub lasts: Duration,
}

/// What came back from an authorization server (RFC 6749 §4.1.2, RFC 9207).
#[derive(Debug, Default, serde::Deserialize)]
pub struct Returned {
    /// What we gave it to bring back.
    #[serde(default)]
    pub state: String,
    /// A code for tokens.
    pub code: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
    /// Who answers.
    pub iss: Option<String>,
}

/// A login that is known here.
pub struct Known {
    /// Where it is for.
    pub server: ServerName,
    /// Who began it.
    pub by: String,
}

/// Why somebody cannot be logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A child process.
    #[error("a server that is a command takes its credentials from its environment, not by a login")]
    NotHttp,
    /// It has a header for that.
    #[error("this server has a header `Authorization` already; remove that to log in")]
    HasHeader,
    /// Nobody asked for this answer.
    #[error(
        "this login is not known here: it was finished, or is older than ten minutes, or the gateway was started again meanwhile; begin again with `portolan server login`"
    )]
    Unknown,
    /// It comes from somebody else than was asked.
    #[error(
        "this answer is not from the authorization server that was asked, and nothing was done with it; the login goes on waiting for the right one"
    )]
    Foreign,
    /// The authorization server says no.
    #[error("the authorization server refused: {0}")]
    Refused(String),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Credentials {
    /// No logins on their way; those that are kept lie in the store. `base` is where browsers reach the gateway.
    pub fn new(net: Net, store: Store, base: &str) -> Self {
        let waiting = Cache::builder().max_capacity(MOST).time_to_live(PATIENCE).eviction_policy(EvictionPolicy::lru()).build();
        let place = ArcSwap::from_pointee(Place::new(base));
        Self(Arc::new(Inner { store, net, place, holders: Mutex::default(), waiting }))
    }

    /// Browsers reach the gateway somewhere else now.
    pub fn reached_at(&self, base: &str) {
        self.0.place.store(Arc::new(Place::new(base)));
    }

    /// Where browsers reach the gateway.
    pub fn base(&self) -> String {
        self.0.place.load().base.clone()
    }

    /// What the world may know of us as a client, for authorization servers that fetch it (Client ID Metadata Document); none where
    /// it could not be fetched.
    pub fn document(&self) -> Option<Value> {
        let place = self.0.place.load();
        let id = place.document.as_ref()?;
        Some(json!({
            "client_id": id, "client_name": "Portolan", "redirect_uris": [place.redirect], "application_type": place.kind(),
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none",
        }))
    }

    /// The token for a server; none where it has a credential of its own, or takes none.
    pub(super) fn holder(&self, spec: &ServerSpec) -> Option<Arc<Holder>> {
        let Transport::Http { url, headers, oauth } = &spec.transport else { return None };
        if headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
            return None;
        }
        let mut holders = self.0.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |holder: &&Arc<Holder>| holder.url == *url && holder.oauth == *oauth && holder.reach == holder::reach(spec);
        let known = holders.get(&spec.name).filter(same);
        if let Some(holder) = known {
            return Some(holder.clone());
        }
        let address = Url::parse(url).ok()?;
        let holder = Arc::new(Holder::new(spec, url, address, oauth, self.0.net.clone(), self.0.store.clone()));
        holders.insert(spec.name.clone(), holder.clone());
        Some(holder)
    }

    /// Begins a login at a server, asking for these scopes, or for what the server names where there are none.
    pub async fn begin(&self, spec: &ServerSpec, scopes: &[String], by: &str) -> Result<Begun, LoginError> {
        let Transport::Http { oauth, .. } = &spec.transport else { return Err(LoginError::NotHttp) };
        let holder = self.holder(spec).ok_or(LoginError::HasHeader)?;
        let flow = Flow::begin(&holder, oauth, scopes, &self.0.place.load_full(), by).await;
        let flow = flow.map_err(|error| LoginError::Failed(words(&error)))?;
        holder.note(None);
        let (address, state) = (flow.address.clone(), flow.state.clone());
        self.0.waiting.insert(state, Arc::new(Waiting { flow, holder, by: by.to_owned() }));
        Ok(Begun { address, lasts: PATIENCE })
    }

    /// Whose login an answer is for.
    pub fn waiting(&self, returned: &Returned) -> Result<Known, LoginError> {
        let waiting = self.0.waiting.get(&returned.state).ok_or(LoginError::Unknown)?;
        Ok(Known { server: waiting.holder.server.clone(), by: waiting.by.clone() })
    }

    /// Finishes a login. When this returns, its tokens are kept and used. It must not be left half-way: a code is good once.
    pub async fn finish(&self, returned: Returned) -> Result<(), LoginError> {
        let waiting = self.0.waiting.get(&returned.state).ok_or(LoginError::Unknown)?;
        let _alone = waiting.holder.alone().await;
        // Another answer may have come first, or the server may be another one now.
        if !self.0.waiting.contains_key(&returned.state) || !self.is_current(&waiting.holder) {
            return Err(LoginError::Unknown);
        }
        let issuer = returned.iss.as_deref();
        let stopped = match (&returned.code, &returned.error) {
            (Some(code), None) => waiting.flow.finish(code, issuer).await.err(),
            (_, word) => Some(waiting.flow.refused(word.as_deref().unwrap_or_default(), issuer)),
        };
        let error = match stopped {
            None => None,
            Some(Stopped::Foreign) => return Err(LoginError::Foreign),
            Some(Stopped::Refused(word)) => Some(LoginError::Refused(word)),
            Some(Stopped::Failed(error)) => Some(LoginError::Failed(words(&error))),
        };
        self.0.waiting.invalidate(&returned.state);
        waiting.holder.note(error.as_ref().map(ToString::to_string));
        match error {
            Some(error) => Err(error),
            None => waiting.holder.reread().await.map_err(|error| LoginError::Failed(error.to_string())),
        }
    }

    /// Forgets the login at a server; false when there is none.
    pub async fn forget(&self, spec: &ServerSpec) -> Result<bool, LoginError> {
        let Some(holder) = self.holder(spec) else { return Ok(self.0.store.remove_login(spec.name.as_str()).await?) };
        let _alone = holder.alone().await;
        self.wait_no_more(&spec.name);
        let there = self.0.store.remove_login(spec.name.as_str()).await?;
        holder.note(None);
        holder.reread().await.map_err(|error| LoginError::Failed(error.to_string()))?;
        Ok(there)
    }

    /// A server is there no more: nothing that was got for it is used again, also not for another one of its name.
    pub(super) async fn removed(&self, server: &ServerName) {
        self.wait_no_more(server);
        let holder = self.0.holders.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
        if let Some(holder) = holder {
            holder.over.store(true, Ordering::Release);
            // What is being written just now is written before it is forgotten; what still waits for an answer writes nothing.
            let _ = tokio::time::timeout(WRITING, holder.alone()).await;
        }
    }

    fn wait_no_more(&self, server: &ServerName) {
        for (state, _) in self.0.waiting.iter().filter(|(_, waiting)| waiting.holder.server == *server) {
            self.0.waiting.invalidate(&*state);
        }
    }

    fn is_current(&self, holder: &Arc<Holder>) -> bool {
        let holders = self.0.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.get(&holder.server).is_some_and(|current| Arc::ptr_eq(current, holder))
    }

    /// How the login at a server stands, for administrators: never a token.
    pub async fn describe(&self, spec: &ServerSpec) -> Result<Value, LoginError> {
        let Some(holder) = self.holder(spec) else { return Ok(Value::Null) };
        let failed = holder.failed();
        let Some((record, row)) = Keeping::read(&self.0.store, &spec.name, &holder.url).await? else {
            return Ok(failed.map_or(Value::Null, |why| json!({ "state": "failed", "error": why })));
        };
        let state = if record.is_good() { "valid" } else { "ended" };
        Ok(json!({
            "state": state, "issuer": record.issuer, "client_id": record.client_id, "scopes": record.scopes(), "by": row.by,
            "at_ms": row.at_ms, "error": failed,
        }))
    }
}
