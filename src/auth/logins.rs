//! Logins of browsers: a link that works once becomes a session, which may do what the key may that it was asked for with.
//!
//! Of links and sessions only keyed hashes are held, as of keys. A session has two halves, and both must be shown: a cookie,
//! which a browser keeps from scripts but sends to every port of a host, and a token, which only scripts of the page's own
//! origin can have. All of it is in memory: a restart ends it.

use std::time::{Duration, Instant};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::api_key::{Pepper, random, same};

/// How long a link waits for whoever follows it.
pub(super) const LINK: Duration = Duration::from_secs(120);
/// How long a session holds.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Most links and most sessions; a newer one takes the place of the longest unused.
const MOST: u64 = 1_000;
/// Letters and digits in a link and in each half of a session: 190 bits.
const LENGTH: usize = 32;

/// A session that just began; its halves are here and nowhere else.
pub struct Session {
    /// For the cookie.
    pub cookie: String,
    /// For the page.
    pub token: String,
    /// How long it holds.
    pub lasts: Duration,
}

/// Whose key a link or a session is of: a name, and the hash of the very key.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) key: [u8; 32],
}

/// A link as it is held.
#[derive(Clone)]
struct Invited {
    holder: Holder,
    /// What is taken out of a cache may be older than the cache's own time.
    ends: Instant,
}

/// A session as it is held.
#[derive(Clone)]
struct Held {
    holder: Holder,
    token: [u8; 32],
    ends: Instant,
}

/// Links and sessions.
pub(super) struct Logins {
    /// By the link's hash.
    links: Cache<[u8; 32], Invited>,
    /// By the cookie's hash.
    sessions: Cache<[u8; 32], Held>,
}

impl Default for Logins {
    fn default() -> Self {
        let links = Cache::builder().max_capacity(MOST).time_to_live(LINK).eviction_policy(EvictionPolicy::lru()).build();
        let sessions = Cache::builder().max_capacity(MOST).time_to_live(SESSION).eviction_policy(EvictionPolicy::lru()).build();
        Self { links, sessions }
    }
}

impl Logins {
    /// A link for the holder of a key.
    pub(super) fn invite(&self, pepper: &Pepper, holder: Holder) -> String {
        self.invite_until(pepper, holder, Instant::now() + LINK)
    }

    fn invite_until(&self, pepper: &Pepper, holder: Holder, ends: Instant) -> String {
        let link = random(LENGTH);
        self.links.insert(pepper.hash(&link), Invited { holder, ends });
        link
    }

    /// Who was invited by this link, and their session; none when it is unknown, too old, or was used.
    pub(super) fn enter(&self, pepper: &Pepper, link: &str) -> Option<(Holder, Session)> {
        let Invited { holder, .. } = self.links.remove(&pepper.hash(link)).filter(|invited| Instant::now() < invited.ends)?;
        let session = Session { cookie: random(LENGTH), token: random(LENGTH), lasts: SESSION };
        let held = Held { holder: holder.clone(), token: pepper.hash(&session.token), ends: Instant::now() + SESSION };
        self.sessions.insert(pepper.hash(&session.cookie), held);
        Some((holder, session))
    }

    /// Whose session this is.
    pub(super) fn holder(&self, pepper: &Pepper, cookie: &str, token: &str) -> Option<Holder> {
        let held = self.sessions.get(&pepper.hash(cookie)).filter(|held| Instant::now() < held.ends)?;
        same(&held.token, &pepper.hash(token)).then_some(held.holder)
    }

    /// Ends a session.
    pub(super) fn leave(&self, pepper: &Pepper, cookie: &str) {
        self.sessions.invalidate(&pepper.hash(cookie));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_too_old_opens_nothing_also_where_nobody_tidied_up() {
        let (logins, pepper) = (Logins::default(), Pepper::generate());
        let holder = || Holder { name: "owner".to_owned(), key: [0; 32] };
        let old = logins.invite_until(&pepper, holder(), Instant::now());
        assert!(logins.enter(&pepper, &old).is_none());
        let link = logins.invite(&pepper, holder());
        assert!(logins.enter(&pepper, &link).is_some());
        assert!(logins.enter(&pepper, &link).is_none(), "it works once");
    }
}
