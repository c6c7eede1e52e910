//! `mcp:`: upstream MCP servers.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::value::{SecretText, Text};
use crate::domain::{Isolation, Pin, ServerName, ServerSpec, Transport};

/// Upstream MCP servers. Those declared here cannot be changed at run time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mcp {
    /// Servers by name.
    pub servers: BTreeMap<ServerName, Server>,
}

/// One server: a `command` to start, or a `url` to call.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The program and its arguments. No shell is involved.
    pub command: Option<Vec<Text>>,
    /// Variables for the child, beside its small default environment.
    #[serde(default)]
    pub env: BTreeMap<String, SecretText>,
    /// The address of a streamable HTTP endpoint. Addresses in this file are trusted.
    pub url: Option<Text>,
    /// Headers added to every request.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretText>,
    /// Who shares one child process or session.
    #[serde(default)]
    pub isolation: Isolation,
    /// The protocol revision to speak; `auto` asks the server.
    #[serde(default)]
    pub protocol: Pin,
}

impl Server {
    pub(super) fn resolve(&mut self, base: &Path, name: &str) -> Result<(), Error> {
        for (key, value) in &mut self.env {
            value.resolve(base, || format!("mcp.servers.{name}.env.{key}"))?;
        }
        for (key, value) in &mut self.headers {
            value.resolve(base, || format!("mcp.servers.{name}.headers.{key}"))?;
        }
        Ok(())
    }

    pub(super) fn check(&self, name: &str) -> Result<(), Error> {
        let at = format!("mcp.servers.{name}");
        match (&self.command, &self.url) {
            (Some(command), None) if command.first().is_some_and(|program| !program.is_empty()) => Ok(()),
            (Some(_), None) => Err(Error::wrong(format!("{at}.command"), "needs a program as its first word")),
            (None, Some(url)) => match url::Url::parse(url) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
                _ => Err(Error::wrong(format!("{at}.url"), "must be an http or https URL")),
            },
            _ => Err(Error::wrong(at, "needs either `command` or `url`, and not both")),
        }
    }

    /// The same, as the floors above know it.
    pub fn spec(&self, name: &ServerName) -> ServerSpec {
        let reveal =
            |map: &BTreeMap<String, SecretText>| map.iter().map(|(key, value)| (key.clone(), value.secret().reveal().to_owned())).collect();
        let transport = match (&self.command, &self.url) {
            (Some(command), _) => Transport::Stdio { command: command.iter().map(ToString::to_string).collect(), env: reveal(&self.env) },
            (None, url) => Transport::Http { url: url.as_deref().unwrap_or_default().to_owned(), headers: reveal(&self.headers) },
        };
        ServerSpec {
            name: name.clone(),
            transport,
            isolation: self.isolation,
            protocol: self.protocol,
            allow_private: true,
            declared: true,
            starts_held: false,
        }
    }
}
