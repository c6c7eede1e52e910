//! `server:`: where the gateway listens, and for whom.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::auth::is_loopback;
use super::error::Error;
use super::value::Text;

/// Where the gateway listens, and for whom.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port. Beyond loopback every caller needs a key.
    #[schemars(with = "String")]
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// The address that clients reach the gateway by, as `https://gateway.example.com`; it is what access tokens are for.
    pub public_url: Option<Text>,
    /// Host names accepted beside loopback, IP literals and that of `public_url`, without port.
    pub hosts: Vec<Text>,
    /// Browser origins accepted beside our own and that of `public_url`, as `https://host[:port]`.
    pub origins: Vec<Text>,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8484)), public_url: None, hosts: Vec::new(), origins: Vec::new() }
    }
}

impl Server {
    /// The public address, where there is one.
    pub fn public_url(&self) -> Option<Url> {
        self.public_url.as_ref().and_then(|text| Url::parse(text).ok())
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(text) = &self.public_url {
            let wrong = |why: &str| Err(Error::wrong("server.public_url", format!("`{text}` {why}")));
            let Some(url) = self.public_url().filter(Url::has_host) else {
                return wrong("is not a URL; write `https://gateway.example.com`");
            };
            if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
                return wrong("must begin with `https://`: keys and tokens travel to it");
            }
            if ["/mcp", "/v1"].iter().any(|end| url.path().trim_end_matches('/').ends_with(end)) {
                return wrong("is an address below the gateway's own; leave out `/mcp` and `/v1`");
            }
            if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
                return wrong("must have no user name, no password, no query and no fragment");
            }
        }
        for (at, host) in self.hosts.iter().enumerate() {
            // An address of IP version 6 has colons; whoever wrote one meant it.
            let plain =
                !host.is_empty() && !host.contains(['/', '@']) && (!host.contains(':') || host.parse::<std::net::Ipv6Addr>().is_ok());
            if !plain {
                let why = format!("`{host}` is not the name of a host; write it without scheme and port, as in `gateway.example.com`");
                return Err(Error::wrong(format!("server.hosts[{at}]"), why));
            }
        }
        for (at, origin) in self.origins.iter().enumerate() {
            // What pages without an origin send: those of files, and those in a sandbox.
            if &**origin == "null" {
                continue;
            }
            let url = Url::parse(origin).ok().filter(|url| origin.contains("://") && url.has_host());
            // Browsers send scheme, host and port in one form alone, and what differs is never equal to it.
            let sent = url.map(|url| match url.scheme() {
                "http" | "https" => url.origin().ascii_serialization(),
                _ => origin.to_string(),
            });
            let why = match sent {
                Some(sent) if sent == origin.trim_end_matches('/') => continue,
                Some(sent) => format!("`{origin}` is not an origin as browsers send it; write `{sent}`"),
                None => format!("`{origin}` is not an origin; write scheme, host and port, as in `https://chat.example.com`"),
            };
            return Err(Error::wrong(format!("server.origins[{at}]"), why));
        }
        Ok(())
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    listen_address(&Text::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// An address to listen on: an IP address or `localhost`, and a port.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let literal = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let wrong = |_| format!("`{text}` is not an address to listen on; write an IP address and a port, as in `127.0.0.1:8484`");
    literal.as_deref().unwrap_or(text).parse().map_err(wrong)
}
