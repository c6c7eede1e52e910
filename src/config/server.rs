//! `server:`: where the gateway listens, and for whom.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Text;

/// Where the gateway listens, and for whom.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port. Beyond loopback every caller needs a key.
    #[schemars(with = "String")]
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
