//! Credentials become a [`Principal`]: keys of ours, and access tokens of the issuers that the operator trusts.
//!
//! Keys are random, so a keyed hash is enough: stored is HMAC-SHA-256 under a pepper that lies beside
//! the database and not in it. A key is found by its public part and compared in constant time.

mod api_key;
#[cfg(test)]
mod cost;
mod denied;
mod files;
mod issuer;
mod issuers;
mod logins;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use api_key::{ApiKey, Pepper};
pub use denied::Denied;
pub use files::Error;
pub use logins::Session;

use issuer::Issuer;
use issuers::Issuers;
use logins::{Holder, Logins};

use crate::config;
use crate::domain::{Grants, Principal, now_ms, raw};
use crate::net::Net;
use crate::store::{self, KeyRow, Store};

/// The judge of credentials. Cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    store: Store,
    pepper: Pepper,
    owner: [u8; 32],
    owner_file: PathBuf,
    net: Net,
    known: ArcSwap<Known>,
    issuers: ArcSwap<Issuers>,
    logins: Logins,
}

/// All keys at one moment.
#[derive(Clone, Default)]
struct Known {
    /// Made at run time, by their public part.
    made: HashMap<String, ([u8; 32], Principal)>,
    /// Declared in the file, by their hash.
    declared: HashMap<[u8; 32], Principal>,
}

impl Auth {
    /// Reads or makes pepper and owner key in the data directory, and reads the keys of the store.
    /// The second part is the owner key when it was made just now.
    pub async fn open(data_dir: &Path, store: Store, net: Net, declared: &config::Auth) -> Result<(Self, Option<String>), Error> {
        let pepper = files::pepper(data_dir)?;
        let (owner, made) = files::owner(data_dir)?;
        let owner_file = data_dir.join(files::OWNER);
        let issuers = ArcSwap::from_pointee(Issuers::new(&declared.issuers, &net));
        let inner = Inner {
            store,
            owner: pepper.hash(&owner),
            pepper,
            owner_file,
            net,
            known: ArcSwap::default(),
            issuers,
            logins: Logins::default(),
        };
        let auth = Self(Arc::new(inner));
        auth.declare(declared)?;
        auth.load().await?;
        Ok((auth, made.then_some(owner)))
    }

    /// How many keys an issuer shows that its tokens can be judged with, for `portolan check`; or why none.
    pub async fn probe(issuer: &config::Issuer, net: &Net) -> Result<usize, String> {
        let keys = Issuer::new(issuer.clone(), net.clone()).fetch().await?.len();
        if keys == 0 { Err("it has no key that signatures can be checked with".to_owned()) } else { Ok(keys) }
    }

    /// Where the owner key lies.
    pub fn owner_file(&self) -> &Path {
        &self.0.owner_file
    }

    /// Takes over the keys and the issuers of a configuration.
    pub fn declare(&self, declared: &config::Auth) -> Result<(), Error> {
        let mut keys = HashMap::new();
        for (id, key) in &declared.keys {
            let tags: BTreeMap<String, String> = key.tags.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
            let principal = Principal::key(id, key.grants(id)?, tags);
            keys.insert(self.0.pepper.hash(key.key.secret().reveal()), principal);
        }
        self.0.known.rcu(|known| Known { declared: keys.clone(), made: known.made.clone() });
        // What is known of an issuer's keys and tokens stays, unless something changed that they were judged by.
        if !self.0.issuers.load().are_of(&declared.issuers) {
            self.0.issuers.store(Issuers::new(&declared.issuers, &self.0.net).into());
        }
        Ok(())
    }

    /// Whether the operator declared keys or issuers; then no door is open without a credential.
    pub fn is_declared(&self) -> bool {
        self.has_issuers() || !self.0.known.load().declared.is_empty()
    }

    /// Whether access tokens are accepted.
    pub fn has_issuers(&self) -> bool {
        !self.0.issuers.load().is_empty()
    }

    /// The identifiers of the issuers whose access tokens are accepted.
    pub fn issuers(&self) -> Vec<String> {
        self.0.issuers.load().names().map(str::to_owned).collect()
    }

    /// The scopes of access tokens that grant what is wanted.
    pub fn scopes(&self, wanted: impl Fn(&Grants) -> bool) -> Vec<String> {
        self.0.issuers.load().scopes(wanted)
    }

    async fn load(&self) -> Result<(), store::Error> {
        let mut made = HashMap::new();
        for row in self.0.store.keys().await?.into_iter().filter(|row| row.revoked_ms.is_none()) {
            let grants: Result<Grants, _> = serde_json::from_str(&row.grants);
            let mut hash = [0; 32];
            let (Ok(grants), Ok(())) = (grants, hex::decode_to_slice(&row.hash, &mut hash)) else {
                tracing::error!("the key `{}` cannot be read from the database; it is refused", row.id);
                continue;
            };
            made.insert(row.id.clone(), (hash, Principal::key(&row.id, grants, BTreeMap::new())));
        }
        self.0.known.rcu(|known| Known { made: made.clone(), declared: known.declared.clone() });
        Ok(())
    }

    /// Whether a credential is an access token, where such are accepted; else it is a key.
    pub fn is_token(&self, credential: &str) -> bool {
        token::is_token(credential) && self.has_issuers()
    }

    /// Who bears this access token, which must be for one of `resources`.
    pub async fn bearer(&self, token: &str, resources: &[String]) -> Result<Principal, Denied> {
        self.0.issuers.load_full().identify(token, resources).await
    }

    /// Who holds this key.
    pub fn holder(&self, credential: &str) -> Result<Principal, Denied> {
        let hash = self.0.pepper.hash(credential);
        if api_key::same(&hash, &self.0.owner) {
            return Ok(Principal::owner());
        }
        let known = self.0.known.load();
        if let Some(principal) = known.declared.get(&hash) {
            return Ok(principal.clone());
        }
        let id = ApiKey::id_of(credential).ok_or(Denied::Invalid)?;
        match known.made.get(id) {
            Some((stored, principal)) if api_key::same(&hash, stored) => Ok(principal.clone()),
            _ => Err(Denied::Invalid),
        }
    }

    /// The holder of the key of this id, declared or made. It is not a credential: it lets nobody in who has not shown one.
    pub fn by_id(&self, id: &str) -> Option<Principal> {
        self.named(&format!("key:{id}")).map(|(_, principal)| principal)
    }

    /// A link by which a browser logs in once, as this caller, and how long it waits; none for who has no key of ours, as nobody
    /// could say when their session must end.
    pub fn invite(&self, principal: &Principal) -> Option<(String, Duration)> {
        let (key, _) = self.named(principal.id())?;
        let holder = Holder { name: principal.id().to_owned(), key };
        Some((self.0.logins.invite(&self.0.pepper, holder), logins::LINK))
    }

    /// Logs a browser in; none when the link is unknown, too old, or was used.
    pub fn enter(&self, link: &str) -> Option<(Principal, Session)> {
        let (holder, session) = self.0.logins.enter(&self.0.pepper, link)?;
        Some((self.still(&holder)?, session))
    }

    /// Who is logged in, by both halves of a session; none when it ended, or the key did that it is of.
    pub fn visitor(&self, cookie: &str, token: &str) -> Option<Principal> {
        self.still(&self.0.logins.holder(&self.0.pepper, cookie, token)?)
    }

    /// Logs a browser out.
    pub fn leave(&self, cookie: &str) {
        self.0.logins.leave(&self.0.pepper, cookie);
    }

    /// The holder of a key, as long as it is that very key.
    fn still(&self, holder: &Holder) -> Option<Principal> {
        self.named(&holder.name).filter(|(key, _)| api_key::same(key, &holder.key)).map(|(_, principal)| principal)
    }

    /// A key of ours by the name that its holder has in the journal: its hash, and the holder.
    fn named(&self, name: &str) -> Option<([u8; 32], Principal)> {
        let owner = Principal::owner();
        if name == owner.id() {
            return Some((self.0.owner, owner));
        }
        let known = self.0.known.load();
        let declared =
            known.declared.iter().find(|(_, principal)| principal.id() == name).map(|(key, principal)| (*key, principal.clone()));
        declared.or_else(|| known.made.get(name.strip_prefix("key:")?).cloned())
    }

    /// Makes a key; the secret is in the result and nowhere else.
    pub async fn create(&self, name: &str, grants: &Grants) -> Result<ApiKey, store::Error> {
        let key = ApiKey::generate();
        let row = KeyRow {
            id: key.id().to_owned(),
            name: name.to_owned(),
            hash: hex::encode(self.0.pepper.hash(key.reveal())),
            grants: raw(grants).get().to_owned(),
            created_ms: now_ms(),
            revoked_ms: None,
        };
        let (this, grants) = (self.clone(), grants.clone());
        // Once it is written, the key is known.
        store::apart(async move {
            this.0.store.add_key(&row).await?;
            let (id, hash) = (row.id, this.0.pepper.hash(key.reveal()));
            let principal = Principal::key(&id, grants, BTreeMap::new());
            this.edit(|made| {
                made.insert(id.clone(), (hash, principal.clone()));
            });
            Ok(key)
        })
        .await
    }

    /// All keys, newest first.
    pub async fn list(&self) -> Result<Vec<KeyRow>, store::Error> {
        self.0.store.keys().await
    }

    /// Revokes a key; false when there is no such valid key.
    pub async fn revoke(&self, id: &str) -> Result<bool, store::Error> {
        let (this, id) = (self.clone(), id.to_owned());
        store::apart(async move {
            let done = this.0.store.revoke_key(&id, now_ms()).await?;
            this.edit(|made| {
                made.remove(&id);
            });
            Ok(done)
        })
        .await
    }

    /// Changes one key in what is known, so that two changes at the same time do not undo each other.
    fn edit(&self, change: impl Fn(&mut HashMap<String, ([u8; 32], Principal)>)) {
        self.0.known.rcu(|known| {
            let mut next = Known::clone(known);
            change(&mut next.made);
            next
        });
    }
}
