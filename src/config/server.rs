//! `server:`: where the gateway listens, and for whom.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

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
    /// Host names accepted beside loopback and IP literals, without port.
    pub hosts: Vec<Text>,
    /// Browser origins accepted beside our own, as `https://host[:port]`.
    pub origins: Vec<Text>,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8484)), hosts: Vec::new(), origins: Vec::new() }
    }
}

impl Server {
    pub(super) fn check(&self) -> Result<(), Error> {
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
            let url = url::Url::parse(origin).ok().filter(|url| origin.contains("://") && url.has_host());
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
