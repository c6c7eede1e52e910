//! `server:`: where the gateway listens, and for whom.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

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

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    listen_address(&Text::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// An address to listen on: an IP address or `localhost`, and a port.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let literal = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let wrong = |_| format!("`{text}` is not an address to listen on; write an IP address and a port, as in `127.0.0.1:8484`");
    literal.as_deref().unwrap_or(text).parse().map_err(wrong)
}
