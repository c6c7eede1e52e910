//! All issuers whose access tokens are accepted, and what was found of tokens already.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;

use super::denied::Denied;
use super::issuer::Issuer;
use super::token::{self, Claims, LEEWAY};
use crate::config;
use crate::domain::{Digest, Grants, Principal, clip, now_ms};
use crate::net::Net;

/// How long a token that was found good is not looked at again, should it last longer: so long may a key of its
/// issuer that was withdrawn still be believed.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// Most tokens that are known at a time.
const MOST: u64 = 20_000;

/// All issuers at one moment.
pub(super) struct Issuers {
    all: Vec<Arc<Issuer>>,
    found: Cache<Digest, Arc<Verdict>>,
}

/// What was found of a token.
struct Verdict {
    principal: Principal,
    audience: Vec<String>,
    /// In seconds since the Unix epoch.
    expires: u64,
}

impl Issuers {
    pub(super) fn new(issuers: &[config::Issuer], net: &Net) -> Self {
        let all = issuers.iter().map(|issuer| Arc::new(Issuer::new(issuer.clone(), net.clone()))).collect();
        Self { all, found: Cache::builder().max_capacity(MOST).time_to_live(KEPT).build() }
    }

    /// Whether these are the issuers of that configuration.
    pub(super) fn are_of(&self, issuers: &[config::Issuer]) -> bool {
        self.all.iter().map(|issuer| &issuer.config).eq(issuers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The issuers' identifiers.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|issuer| &*issuer.config.issuer)
    }

    /// The scopes that grant something.
    pub(super) fn scopes(&self, wanted: impl Fn(&Grants) -> bool) -> Vec<String> {
        let mut scopes = Vec::new();
        for issuer in &self.all {
            for scope in issuer.config.scopes.keys() {
                let grants = issuer.config.grants("", |name| name == scope).unwrap_or_default();
                if wanted(&grants) && !scopes.contains(scope) {
                    scopes.push(scope.clone());
                }
            }
        }
        scopes
    }

    /// Who holds a token, if it is good and for one of these resources.
    pub(super) async fn identify(&self, token: &str, resources: &[String]) -> Result<Principal, Denied> {
        let key = Digest::of("portolan/token", token.as_bytes());
        let verdict = match self.found.get(&key) {
            Some(verdict) => verdict,
            None => {
                let verdict = Arc::new(Box::pin(self.judge(token)).await?);
                self.found.insert(key, verdict.clone());
                verdict
            }
        };
        if verdict.expires.saturating_add(LEEWAY) < u64::try_from(now_ms() / 1000).unwrap_or_default() {
            return Err(Denied::Token("the token has ended"));
        }
        // Strings alone are compared (RFC 8707 §2): what is nearly the same is another resource.
        if !verdict.audience.iter().any(|audience| resources.contains(audience)) {
            return Err(Denied::Token("the token is for another resource"));
        }
        Ok(verdict.principal.clone())
    }

    /// Issuers that have judged a token already.
    #[cfg(test)]
    pub(super) fn that_know(token: &str, key: &token::Key) -> Self {
        let claims = token::verify(token, &token::look(token).unwrap(), key).unwrap();
        let found = Cache::new(MOST);
        let principal = Principal::token("https://login.example.com", &claims.subject, claims.expires, Grants::all(), BTreeMap::new());
        let verdict = Verdict { principal, audience: claims.audience, expires: claims.expires };
        found.insert(Digest::of("portolan/token", token.as_bytes()), Arc::new(verdict));
        Self { all: Vec::new(), found }
    }

    async fn judge(&self, token: &str) -> Result<Verdict, Denied> {
        let claimed = token::look(token).map_err(Denied::Token)?;
        let issuer = self.all.iter().find(|issuer| *issuer.config.issuer == *claimed.issuer);
        let issuer = issuer.ok_or(Denied::Token("the token's issuer is not one of ours"))?;
        if !claimed.typed && !issuer.config.untyped {
            return Err(Denied::Token("the token's header does not say that it is an access token (`at+jwt`)"));
        }
        let keys = issuer.keys(claimed.kid.as_deref()).await.ok_or(Denied::Unjudged)?;
        let mut last = "the token's key is not among those of its issuer";
        for key in keys {
            match token::verify(token, &claimed, &key) {
                Ok(claims) => return Ok(verdict(&issuer.config, claims)),
                Err(why) => last = why,
            }
        }
        Err(Denied::Token(last))
    }
}

fn verdict(issuer: &config::Issuer, claims: Claims) -> Verdict {
    let grants = issuer.grants("", |scope| claims.scopes.iter().any(|has| has == scope)).unwrap_or_default();
    let text = |claim: &Value| match claim {
        Value::String(text) => Some(clip(text, 256)),
        Value::Number(_) | Value::Bool(_) => Some(claim.to_string()),
        _ => None,
    };
    let tags = issuer.tags.iter().filter_map(|(tag, claim)| Some((tag.clone(), claims.all.get(&**claim).and_then(text)?)));
    let tags: BTreeMap<String, String> = tags.collect();
    let principal = Principal::token(&issuer.issuer, &claims.subject, claims.expires.saturating_add(LEEWAY), grants, tags);
    Verdict { principal, audience: claims.audience, expires: claims.expires }
}
