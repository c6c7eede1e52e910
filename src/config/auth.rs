//! `auth:`: who may call.

use std::collections::{BTreeMap, HashMap};
use std::num::{NonZeroU32, NonZeroU64};

use schemars::JsonSchema;
use serde::Deserialize;
use url::{Host, Url};

use super::error::Error;
use super::value::{SecretText, Text};
use crate::domain::{Globs, Grants};

/// Who may call. Declaring a key or an issuer closes the open loopback doors.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The OAuth 2.1 issuers whose access tokens are accepted.
    pub issuers: Vec<Issuer>,
    /// What a token must be for: one resource for all of MCP, or one for each path below `/mcp`.
    pub resource: Resource,
    /// Keys declared here, by id, beside those made at run time.
    pub keys: BTreeMap<String, DeclaredKey>,
}

/// What an access token of an issuer must be for (RFC 8707, RFC 9068 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// `public_url/mcp` covers every path below it, and `public_url/v1` all models.
    #[default]
    Shared,
    /// Each path below `/mcp` is a resource of its own; `public_url/v1` covers all models.
    PerPath,
}

/// An authorization server that the operator trusts to say who somebody is.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names)] // The name that its metadata and its tokens give it.
pub struct Issuer {
    /// Its identifier, exactly as it stands in the tokens' `iss`; `https`, or `http` on this machine.
    pub issuer: Text,
    /// What each scope of a token grants: any of `mcp`, `models`, `registry`, `admin`.
    pub scopes: BTreeMap<String, Vec<Text>>,
    /// Where its keys are; by its metadata (RFC 8414, or OpenID Connect Discovery) where it is not said.
    pub jwks_uri: Option<Text>,
    /// Tags of a caller, each with the claim it is taken from; for conditions and context sources.
    #[serde(default)]
    pub tags: BTreeMap<String, Text>,
    /// Whether tokens are accepted whose header names the type `JWT`, or none, instead of `at+jwt` (RFC 9068 §2.1): some
    /// issuers write no better, and then an id token is told apart by its audience alone.
    #[serde(default)]
    pub untyped: bool,
}

/// A key that the operator chose.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredKey {
    /// The secret that callers send; at least 16 characters.
    pub key: SecretText,
    /// Any of `mcp`, `models`, `registry`, `admin`.
    #[serde(default)]
    pub grants: Vec<Text>,
    /// Servers it may see, as globs; all when empty.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub servers: Globs,
    /// Tools it may use, as globs over public names; all when empty.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub tools: Globs,
    /// Models it may call, as globs; all when empty.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub models: Globs,
    /// Completions, embeddings and calls of tools in a minute; `limits.requests_per_minute` where it is not said.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens of completions and embeddings in a minute; `limits.tokens_per_minute` where it is not said.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Tags that stay with the caller, for conditions and context sources.
    #[serde(default)]
    pub tags: BTreeMap<String, Text>,
}

impl Auth {
    pub(super) fn check(&self) -> Result<(), Error> {
        let mut known: HashMap<&str, &str> = HashMap::new();
        for (id, key) in &self.keys {
            // A caller can have the rights of one key alone, and nobody could say of which.
            if let Some(other) = known.insert(key.key.secret().reveal(), id) {
                return Err(Error::wrong(format!("auth.keys.{id}.key"), format!("is the key of `{other}` too; give each its own")));
            }
            key.grants(id)?;
            if key.key.secret().reveal().len() < 16 {
                return Err(Error::wrong(format!("auth.keys.{id}.key"), "is too short; use at least 16 characters"));
            }
        }
        for (at, issuer) in self.issuers.iter().enumerate() {
            let path = format!("auth.issuers[{at}]");
            issuer.check(&path)?;
            if self.issuers.iter().take(at).any(|other| *other.issuer == *issuer.issuer) {
                return Err(Error::wrong(format!("{path}.issuer"), format!("`{}` stands twice; join the two", issuer.issuer)));
            }
        }
        Ok(())
    }
}

impl Issuer {
    fn check(&self, at: &str) -> Result<(), Error> {
        for (field, text) in [("issuer", Some(&self.issuer)), ("jwks_uri", self.jwks_uri.as_ref())] {
            let Some(text) = text else { continue };
            let wrong = |why: &str| Err(Error::wrong(format!("{at}.{field}"), format!("`{text}` {why}")));
            let Ok(url) = Url::parse(text) else { return wrong("is not a URL") };
            if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
                return wrong("must begin with `https://`; `http://` is for issuers on this machine");
            }
            if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
                return wrong("must have no user name, no password and no fragment");
            }
            if field == "issuer" && url.query().is_some() {
                return wrong("must have no query (RFC 8414 §2)");
            }
        }
        if self.scopes.is_empty() {
            let why = "must say what at least one scope grants, as in `{ \"mcp.use\": [mcp], \"llm.use\": [models] }`";
            return Err(Error::wrong(format!("{at}.scopes"), why));
        }
        for scope in self.scopes.keys() {
            // RFC 6749 §3.3.
            let plain = !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
            if !plain {
                return Err(Error::wrong(
                    format!("{at}.scopes"),
                    format!("`{scope}` is not a scope: it has no blanks, no quotation marks"),
                ));
            }
        }
        self.grants(at, |_| true).map(drop)
    }

    /// What those of its scopes grant together that a token has.
    pub fn grants(&self, at: &str, has: impl Fn(&str) -> bool) -> Result<Grants, Error> {
        let mut grants = Grants::default();
        for (scope, names) in self.scopes.iter().filter(|(scope, _)| has(scope)) {
            for name in names {
                if !grants.allow(name) {
                    let why = format!("`{name}` is not a grant; use any of {}", Grants::NAMES.join(", "));
                    return Err(Error::wrong(format!("{at}.scopes.{scope}"), why));
                }
            }
        }
        Ok(grants)
    }
}

/// Whether a URL leads to this machine, whatever the network says.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl DeclaredKey {
    /// The grants this key stands for.
    pub fn grants(&self, id: &str) -> Result<Grants, Error> {
        let mut grants = Grants {
            servers: self.servers.clone(),
            tools: self.tools.clone(),
            model_names: self.models.clone(),
            requests_per_minute: self.requests_per_minute.map(|n| n.get().into()),
            tokens_per_minute: self.tokens_per_minute.map(Into::into),
            ..Grants::default()
        };
        for name in &self.grants {
            if !grants.allow(name) {
                let why = format!("`{name}` is not a grant; use any of {}", Grants::NAMES.join(", "));
                return Err(Error::wrong(format!("auth.keys.{id}.grants"), why));
            }
        }
        Ok(grants)
    }
}
