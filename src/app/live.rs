//! The parts that a new configuration changes, and how they are made of one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::auth::Auth;
use crate::completion::{Completions, Memory};
use crate::config::{Config, Provider};
use crate::context::Context;
use crate::domain::{Adjustable, ReleasePin, ServerName, ServerSpec};
use crate::federation::Federation;
use crate::http::{Resources, Settings};
use crate::journal::Journal;
use crate::llm::{Providers, Router};
use crate::net::Net;
use crate::policy::{Blocks, Rates};
use crate::registry::Registry;
use crate::upstream::{Credentials, Upstreams};

/// The parts that a new configuration changes.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) net: Net,
    pub(super) auth: Auth,
    pub(super) registry: Registry,
    pub(super) upstreams: Upstreams,
    pub(super) credentials: Credentials,
    pub(super) federation: Federation,
    pub(super) memory: Memory,
    pub(super) blocks: Blocks,
    pub(super) journal: Journal,
    pub(super) rates: Rates,
    pub(super) completions: Arc<ArcSwap<Completions>>,
    pub(super) settings: Arc<ArcSwap<Settings>>,
    pub(super) tool_timeout: Adjustable,
    pub(super) refresh: Adjustable,
    pub(super) found: Vec<(String, String)>,
    /// Why a changed configuration is not in use.
    pub(super) refused: Arc<ArcSwapOption<String>>,
}

pub(super) fn declared(config: &Config) -> Vec<ServerSpec> {
    config.mcp.servers.iter().map(|(name, server)| server.spec(name)).collect()
}

/// The releases that the file pins, in toolsets and at models.
pub(super) fn pins(config: &Config) -> Vec<(ServerName, ReleasePin)> {
    let (sets, owned) = (config.mcp.chosen(), |(server, pin): (&ServerName, &ReleasePin)| (server.clone(), pin.clone()));
    let of_sets = sets.values().flat_map(|set| set.pins().map(owned));
    of_sets.chain(config.models.values().flat_map(|model| model.tools.pins().map(owned))).collect()
}

/// The providers of the file, or those found, with where each comes from.
pub(super) fn providers(config: &Config) -> (BTreeMap<String, Provider>, Vec<(String, String)>) {
    if let Some(declared) = &config.providers {
        let found = declared.keys().map(|name| (name.clone(), "the configuration".to_owned())).collect();
        return (declared.clone(), found);
    }
    let discovered = Provider::discover();
    let found = discovered.iter().map(|(name, (_, from))| (name.clone(), (*from).to_owned())).collect();
    (discovered.into_iter().map(|(name, (provider, _))| (name, provider)).collect(), found)
}

pub(super) fn completions(
    config: &Config,
    providers: &BTreeMap<String, Provider>,
    net: &Net,
    federation: &Federation,
    memory: &Memory,
    blocks: &Blocks,
) -> Completions {
    let declared = providers.iter();
    let providers = Providers::new(net, declared.clone(), config.limits.stream_idle.0);
    let context = Context::new(&config.context, federation.clone(), net.clone(), providers.clone(), blocks.clone());
    let router = Router::new(config.models.clone(), declared, providers, &config.limits);
    Completions::new(router, federation.clone(), context, config.limits.clone(), memory.clone(), blocks.clone())
}

/// Where browsers reach the gateway: its public address, or this machine's own (RFC 8252 §7.3).
pub(super) fn base(config: &Config, address: SocketAddr) -> String {
    match config.server.public_url() {
        Some(url) => url.to_string(),
        None if address.ip().is_loopback() => format!("http://{address}"),
        None => format!("http://127.0.0.1:{}", address.port()),
    }
}

pub(super) fn settings(config: &Config, address: SocketAddr) -> Settings {
    let public = config.server.public_url();
    let own_host = public.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
    let own_origin = public.as_ref().map(|url| url.origin().ascii_serialization());
    Settings {
        hosts: config.server.hosts.iter().map(|host| host.to_ascii_lowercase()).chain(own_host).collect(),
        origins: config.server.origins.iter().map(|origin| origin.trim_end_matches('/').to_owned()).chain(own_origin).collect(),
        resources: Resources::new(public.as_ref(), address, config.auth.resource),
        body: config.limits.body.0,
        loopback: address.ip().is_loopback(),
        drain: config.limits.drain.0,
    }
}
