//! Where browsers reach the gateway, as authorization servers are told.

/// Where authorization servers send browsers back to, with their answer.
pub const CALLBACK: &str = "/oauth/callback";
/// Where they read what we are as a client (Client ID Metadata Document).
pub const DOCUMENT: &str = "/oauth/client.json";

/// Where browsers reach the gateway.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its address.
    pub(super) base: String,
    /// Where an authorization server sends them with its answer.
    pub(super) redirect: String,
    /// Our client metadata document, where the world can read it.
    pub(super) document: Option<String>,
}

impl Place {
    /// By the address that browsers know the gateway by.
    pub(super) fn new(base: &str) -> Self {
        let at = |path: &str| format!("{}{path}", base.trim_end_matches('/'));
        let document = base.starts_with("https://").then(|| at(DOCUMENT));
        Self { base: at(""), redirect: at(CALLBACK), document }
    }

    /// What kind of application we are (OpenID Connect Registration §2): those on a person's machine are native ones.
    pub(super) fn kind(&self) -> &'static str {
        if self.document.is_some() { "web" } else { "native" }
    }
}
