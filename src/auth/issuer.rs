//! An issuer's keys: found by its metadata, kept, and asked for anew when a token names one that is not among them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use url::Url;

use super::token::Key;
use crate::config;
use crate::domain::clip;
use crate::net::{self, Net, Reach};

/// How often an issuer is asked at most.
const PAUSE: Duration = Duration::from_secs(30);
/// How old keys may be before they are asked for anew, so that one that was withdrawn is not believed for long.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How old they may be at most, should the issuer not answer.
const WITHDRAWN: Duration = Duration::from_secs(60 * 60);
/// How long an issuer has for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 << 10;
/// Most keys of an issuer.
const MAX_KEYS: usize = 64;

/// An issuer whose tokens are accepted.
pub(super) struct Issuer {
    pub(super) config: config::Issuer,
    net: Net,
    keys: ArcSwapOption<Keys>,
    /// When it was asked last; whoever holds it asks.
    asked: Mutex<Option<Instant>>,
}

struct Keys {
    all: Vec<Arc<Key>>,
    since: Instant,
}

impl Issuer {
    pub(super) fn new(config: config::Issuer, net: Net) -> Self {
        Self { config, net, keys: ArcSwapOption::empty(), asked: Mutex::default() }
    }

    /// The keys that a token may be signed with: the one it names, or all where it names none. None at all when the
    /// issuer cannot be asked.
    pub(super) async fn keys(self: &Arc<Self>, kid: Option<&str>) -> Option<Vec<Arc<Key>>> {
        let known = self.keys.load_full();
        let found = known.as_ref().map(|known| known.of(kid)).unwrap_or_default();
        let age = known.as_ref().map(|known| known.since.elapsed());
        if !found.is_empty() && age.is_some_and(|age| age < WITHDRAWN) {
            if age.is_some_and(|age| age >= FRESH) {
                // Nobody waits for it: these still do.
                drop(self.renew(known));
            }
            return Some(found);
        }
        let _ = self.renew(known).await;
        self.keys.load().as_ref().filter(|known| known.since.elapsed() < WITHDRAWN).map(|known| known.of(kid))
    }

    /// Asks for the keys, unless someone did since these were seen, or a short time ago. In a task of its own: whoever asks
    /// and leaves must not keep the others from it, nor make them ask again.
    fn renew(self: &Arc<Self>, seen: Option<Arc<Keys>>) -> JoinHandle<()> {
        let this = self.clone();
        tokio::spawn(async move {
            let mut asked = this.asked.lock().await;
            let seen = seen.map(|seen| seen.since);
            let renewed = this.keys.load().as_ref().map(|known| known.since) != seen;
            if renewed || asked.is_some_and(|at| at.elapsed() < PAUSE) {
                return;
            }
            match this.fetch().await {
                Ok(all) => {
                    this.keys.store(Some(Arc::new(Keys { all, since: Instant::now() })));
                    // Who begins asks once more soon: between the first keys and the next, a token may name a newer one.
                    if seen.is_none() {
                        return;
                    }
                }
                Err(why) => {
                    let issuer = &this.config.issuer;
                    tracing::warn!(%issuer, "the keys of the issuer `{issuer}` are not to be had: {why}");
                }
            }
            *asked = Some(Instant::now());
        })
    }

    /// Its keys as they are now.
    pub(super) async fn fetch(&self) -> Result<Vec<Arc<Key>>, String> {
        tokio::time::timeout(PATIENCE, self.ask()).await.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
    }

    async fn ask(&self) -> Result<Vec<Arc<Key>>, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let place = match &self.config.jwks_uri {
            Some(uri) => Url::parse(uri).map_err(|error| error.to_string())?,
            None => self.discover().await?,
        };
        let set: Set = self.get(place).await?;
        // One key that is not understood is no reason to do without the others.
        Ok(set.keys.into_iter().take(MAX_KEYS).filter_map(Key::read).map(Arc::new).collect())
    }

    /// Where its keys are, by its metadata: RFC 8414 §3 first, then OpenID Connect Discovery in both its forms.
    async fn discover(&self) -> Result<Url, String> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: String,
        }
        let issuer = Url::parse(&self.config.issuer).map_err(|error| error.to_string())?;
        let path = issuer.path().trim_end_matches('/');
        let inserted = |kind: &str| format!("/.well-known/{kind}{path}");
        let (mut last, mut another) = (String::new(), None);
        for place in
            [inserted("oauth-authorization-server"), inserted("openid-configuration"), format!("{path}/.well-known/openid-configuration")]
        {
            let mut url = issuer.clone();
            url.set_path(&place);
            match self.get::<Metadata>(url).await {
                Ok(metadata) if metadata.issuer != *self.config.issuer => {
                    another = Some(format!("its metadata is that of another issuer, `{}`", clip(&metadata.issuer, 120)));
                }
                Ok(metadata) => return Url::parse(&metadata.jwks_uri).map_err(|_| "its `jwks_uri` is not a URL".to_owned()),
                Err(why) => last = why,
            }
        }
        Err(another.unwrap_or(last))
    }

    /// An answer of the issuer. What lies elsewhere than the operator wrote is asked like any stranger.
    async fn get<T: serde::de::DeserializeOwned>(&self, url: Url) -> Result<T, String> {
        let written = |text: &str| Url::parse(text).is_ok_and(|written| written.origin() == url.origin());
        let trusted = written(&self.config.issuer) || self.config.jwks_uri.as_deref().is_some_and(written);
        let reach = if trusted { Reach::Operator } else { Reach::Public };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let told = |error: net::Error| error.to_string();
        let reply = self.net.to(url, reach).map_err(told)?.send(Method::GET, &net::dressed(&headers), Bytes::new()).await.map_err(told)?;
        if !reply.status.is_success() {
            return Err(format!("it answered with status {}", reply.status.as_u16()));
        }
        let body = reply.whole(MAX_ANSWER).await.map_err(told)?;
        serde_json::from_slice(&body).map_err(|_| "its answer is not the JSON that was asked for".to_owned())
    }
}

impl Keys {
    fn of(&self, kid: Option<&str>) -> Vec<Arc<Key>> {
        let fits = |key: &&Arc<Key>| kid.is_none() || key.kid.as_deref() == kid;
        self.all.iter().filter(fits).cloned().collect()
    }
}
