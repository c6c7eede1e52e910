//! `mcp:`: upstream MCP servers, and the toolsets made of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::error::Error;
use super::toolset::Toolset;
use super::value::{SecretText, Text, short_or_long};
use crate::curated::{self, Curated};
use crate::domain::{Isolation, OAuth, Pin, Review, Sampling, ServerName, ServerSpec, Toolsets, Transport};

/// Upstream MCP servers, and toolsets made of them. What is declared here cannot be changed at run time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mcp {
    /// Servers by name.
    pub servers: BTreeMap<ServerName, Server>,
    /// Chosen tools by name, each set at `/mcp/{toolset}`. No server has the name of a toolset.
    pub toolsets: BTreeMap<ServerName, Toolset>,
}

impl Mcp {
    pub(super) fn check(&self) -> Result<(), Error> {
        for (name, server) in &self.servers {
            server.check(name.as_str())?;
        }
        for (name, toolset) in &self.toolsets {
            toolset.chosen(name)?;
            if self.servers.contains_key(name) {
                let why = format!("is the name of a server, too, and both would stand at `/mcp/{name}`; rename one of them");
                return Err(Error::wrong(format!("mcp.toolsets.{name}"), why));
            }
        }
        Ok(())
    }

    /// The toolsets, as the floors above know them.
    pub fn chosen(&self) -> Toolsets {
        // Each was checked with the file.
        let chosen = self.toolsets.iter().filter_map(|(name, toolset)| Some((name.clone(), Arc::new(toolset.chosen(name).ok()?))));
        Arc::new(chosen.collect())
    }
}

/// One server: a `command` to start, a `curated` one, or a `url` to call.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The program and its arguments. No shell is involved.
    pub command: Option<Vec<Text>>,
    /// A curated server instead, by its name: one whose manifest ships with Portolan, perhaps with `@` and a version.
    pub curated: Option<Text>,
    /// The arguments of a curated server.
    #[serde(default)]
    pub args: Vec<Text>,
    /// Variables for the child, beside its small default environment.
    #[serde(default)]
    pub env: BTreeMap<String, SecretText>,
    /// The address of a streamable HTTP endpoint. Addresses in this file are trusted.
    pub url: Option<Text>,
    /// Headers added to every request.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretText>,
    /// How the gateway logs in: `oauth`, or what is known of it as a client beforehand. `portolan server login` then
    /// gets a token, also without this where the server says that it wants one.
    pub auth: Option<Auth>,
    /// Who shares one child process or session.
    #[serde(default)]
    pub isolation: Isolation,
    /// The protocol revision to speak; `auto` asks the server.
    #[serde(default)]
    pub protocol: Pin,
    /// Which model answers what the server asks of one (`sampling/createMessage`), where the client that calls it has none to
    /// offer. Nobody answers where this is not set.
    pub sampling: Option<SamplingPolicy>,
    /// Whether resources that the server calls public are kept once for all callers, for as long as it says that they hold.
    /// Only for a server whose answers do not depend on who asks.
    #[serde(default)]
    pub share_public: bool,
    /// What becomes of changes of what this server offers, where that differs from `registry`.
    #[serde(default)]
    pub registry: Review,
}

/// How the gateway logs in to a server: `oauth`, or what is known of the gateway as a client beforehand.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Auth {
    /// By OAuth 2.1, with whatever the authorization server offers.
    Word(Word),
    /// By OAuth 2.1, as a client that the authorization server knows.
    Client(Registered),
}

/// A way to log in.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// OAuth 2.1.
    OAuth,
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        short_or_long::<Self, Word, Registered, D>(deserializer, "`oauth`, or settings with `client_id`, `client_secret` and `scopes`")
    }
}

impl From<Word> for Auth {
    fn from(word: Word) -> Self {
        Self::Word(word)
    }
}

impl From<Registered> for Auth {
    fn from(client: Registered) -> Self {
        Self::Client(client)
    }
}

/// The gateway as a client of an authorization server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// The id that the authorization server gave out. One is registered where there is none.
    pub client_id: Option<Text>,
    /// The secret that goes with it.
    pub client_secret: Option<SecretText>,
    /// The scopes to ask for; those that the server names where none are given.
    #[serde(default)]
    pub scopes: Vec<Text>,
}

/// How the gateway answers what a server asks of a model.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamplingPolicy {
    /// The model that answers, by a name that callers of models could use.
    pub model: Text,
    /// Most tokens of one answer.
    #[serde(default = "max_tokens")]
    pub max_tokens: u32,
    /// Most tokens that the server may take in a day, in questions and answers together.
    #[serde(default = "tokens_per_day")]
    pub tokens_per_day: u64,
}

fn max_tokens() -> u32 {
    1_024
}

fn tokens_per_day() -> u64 {
    100_000
}

impl SamplingPolicy {
    fn check(&self, at: &str) -> Result<(), Error> {
        let wrong = |member: &str, why: &str| Err(Error::wrong(format!("{at}.{member}"), why));
        if self.model.is_empty() {
            return wrong("model", "needs the name of a model");
        }
        if self.max_tokens == 0 {
            return wrong("max_tokens", "must be at least 1");
        }
        if self.tokens_per_day == 0 {
            return wrong("tokens_per_day", "must be at least 1; leave `sampling` out where no model is to answer");
        }
        Ok(())
    }

    fn policy(&self) -> Sampling {
        Sampling { model: self.model.to_string(), max_tokens: self.max_tokens, tokens_per_day: self.tokens_per_day }
    }
}

impl Auth {
    fn client(&self) -> OAuth {
        match self {
            Self::Word(Word::OAuth) => OAuth::default(),
            Self::Client(client) => OAuth {
                client_id: client.client_id.as_deref().map(str::to_owned),
                client_secret: client.client_secret.as_ref().map(|secret| secret.secret().clone()),
                scopes: client.scopes.iter().map(ToString::to_string).collect(),
            },
        }
    }
}

impl Server {
    pub(super) fn resolve(&mut self, base: &Path, name: &str) -> Result<(), Error> {
        for (key, value) in &mut self.env {
            value.resolve(base, || format!("mcp.servers.{name}.env.{key}"))?;
        }
        for (key, value) in &mut self.headers {
            value.resolve(base, || format!("mcp.servers.{name}.headers.{key}"))?;
        }
        if let Some(Auth::Client(Registered { client_secret: Some(secret), .. })) = &mut self.auth {
            secret.resolve(base, || format!("mcp.servers.{name}.auth.client_secret"))?;
        }
        Ok(())
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        let at = format!("mcp.servers.{name}");
        if let Some(auth) = &self.auth {
            if self.url.is_none() {
                return Err(Error::wrong(format!("{at}.auth"), "goes with `url`; a command takes its credentials from `env`"));
            }
            if self.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
                return Err(Error::wrong(format!("{at}.auth"), "goes without a header `Authorization`: it puts one there itself"));
            }
            auth.client().check().map_err(|(member, why)| Error::wrong(format!("{at}.auth.{member}"), why))?;
        }
        if let Some(sampling) = &self.sampling {
            sampling.check(&format!("{at}.sampling"))?;
        }
        if let Some(wanted) = &self.curated {
            return self.check_curated(&at, wanted);
        }
        if !self.args.is_empty() {
            return Err(Error::wrong(format!("{at}.args"), "goes with `curated`; the arguments of a `command` stand in it"));
        }
        match (&self.command, &self.url) {
            (Some(command), None) if command.first().is_some_and(|program| !program.is_empty()) => Ok(()),
            (Some(_), None) => Err(Error::wrong(format!("{at}.command"), "needs a program as its first word")),
            (None, Some(url)) => match url::Url::parse(url) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
                _ => Err(Error::wrong(format!("{at}.url"), "must be an http or https URL")),
            },
            _ => Err(Error::wrong(at, "needs one of `command`, `curated` and `url`, and no two of them")),
        }
    }

    fn check_curated(&self, at: &str, wanted: &str) -> Result<(), Error> {
        if self.command.is_some() || self.url.is_some() {
            return Err(Error::wrong(at, "needs one of `command`, `curated` and `url`, and no two of them"));
        }
        let (args, env) = (self.args(), self.env.keys().map(|name| (name.clone(), String::new())).collect());
        match Curated::find(wanted).and_then(|curated| curated.start(&args, &env)) {
            Ok(_) => Ok(()),
            Err(why @ curated::Error::Missing { .. }) => {
                Err(Error::wrong(at, format!("{why}; arguments stand in `args`, variables in `env`")))
            }
            Err(why) => Err(Error::wrong(format!("{at}.curated"), why.to_string())),
        }
    }

    fn args(&self) -> Vec<String> {
        self.args.iter().map(ToString::to_string).collect()
    }

    /// The same, as the floors above know it.
    pub fn spec(&self, name: &ServerName) -> ServerSpec {
        let reveal =
            |map: &BTreeMap<String, SecretText>| map.iter().map(|(key, value)| (key.clone(), value.secret().reveal().to_owned())).collect();
        let curated = self.curated.as_deref().and_then(|wanted| Curated::find(wanted).ok());
        // Each was checked with the file.
        let started = curated.and_then(|curated| curated.start(&self.args(), &reveal(&self.env)).ok());
        let transport = match (started, &self.command, &self.url) {
            (Some((command, env)), _, _) => Transport::Stdio { command, env },
            (None, Some(command), _) => {
                Transport::Stdio { command: command.iter().map(ToString::to_string).collect(), env: reveal(&self.env) }
            }
            (None, None, url) => Transport::Http {
                url: url.as_deref().unwrap_or_default().to_owned(),
                headers: reveal(&self.headers),
                oauth: self.auth.as_ref().map(Auth::client).unwrap_or_default(),
            },
        };
        ServerSpec {
            name: name.clone(),
            transport,
            isolation: self.isolation,
            protocol: self.protocol,
            allow_private: true,
            declared: true,
            starts_held: false,
            share_public: self.share_public,
            curated: curated.map(Curated::id),
            review: self.registry,
            sampling: self.sampling.as_ref().map(SamplingPolicy::policy),
        }
    }
}
