//! From a description to an open connection: start or reach the server, find out its era, greet it.
//!
//! Era is a fact about the server, found by asking (specification 2026-07-28: basic/versioning). A
//! stateless server answers `server/discover`; anything else it may do, an error of any code, an
//! exit or silence, means that it wants `initialize`.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use serde_json::value::RawValue;
use tracing::debug;

use super::change::{Change, OnChange};
use super::connection::{Call, Connection, Peer, Wire};
use super::credentials::Credentials;
use super::error::Error;
use super::topics::Topics;
use super::transport::{Http, Launch, Pending, Stdio};
use crate::domain::{Isolation, RawObject, ServerSpec, Transport};
use crate::net::{Net, Reach};
use crate::protocol::{ClientCapabilities, Era, Params, Revision, RpcError};

/// The longest a server may take to greet. Runners such as `npx` and `uvx` fetch packages at their first start.
const GREETING: Duration = Duration::from_secs(120);
/// How long a child may stay silent when asked for `server/discover` before the older greeting is tried.
const PROBE: Duration = Duration::from_secs(10);
/// How long a remote server may take to greet.
const REMOTE_GREETING: Duration = Duration::from_secs(30);

/// What it takes to reach a server.
pub(super) struct Means {
    pub(super) net: Net,
    pub(super) credentials: Option<Credentials>,
}

/// Opens a connection.
pub(super) async fn connect(means: &Means, spec: &ServerSpec, known: Option<Era>, on_change: OnChange) -> Result<Connection, Error> {
    let pinned = Era::pinned(spec.protocol);
    let first = match pinned.or(known) {
        Some(era) => greet(means, spec, Some(era), on_change.clone()).await,
        None => return greet(means, spec, None, on_change).await,
    };
    match first {
        // What was true at the last start need not be true any more.
        Err(error)
            if pinned.is_none()
                && matches!(error, Error::Rpc(_) | Error::Status(_) | Error::NotMcp(_) | Error::Timeout(_) | Error::Exited { .. }) =>
        {
            debug!(server.name = %spec.name, "`{}` does not greet as it did before: {error}", spec.name);
            greet(means, spec, None, on_change).await
        }
        other => other,
    }
}

async fn greet(means: &Means, spec: &ServerSpec, era: Option<Era>, on_change: OnChange) -> Result<Connection, Error> {
    let (name, topics) = (spec.name.clone(), Arc::<Topics>::default());
    let told = topics.clone();
    let changed = move |change: Change| {
        if let Change::Updated(uri) = &change {
            told.tell(uri);
        }
        on_change(&name, change);
    };
    let own = spec.isolation != Isolation::Shared;
    let pending = || Pending::new(spec.name.clone(), own);
    match &spec.transport {
        Transport::Stdio { command, env } => {
            let launch = Launch { command, env };
            let start = || Stdio::start(&launch, pending(), changed.clone()).map(Arc::new);
            let wire = start()?;
            let (wire, peer) = match era {
                Some(Era::Modern) => (wire.clone(), discover(&*wire, GREETING).await?),
                Some(Era::Legacy(revision)) => (wire.clone(), initialize(&*wire, revision, GREETING).await?),
                None => match probe(&*wire).await {
                    // Some older servers end when they are asked what they do not know.
                    Err(Error::Exited { .. }) => {
                        let wire = start()?;
                        (wire.clone(), initialize(&*wire, Revision::LATEST, GREETING).await?)
                    }
                    peer => (wire, peer?),
                },
            };
            if peer.era == Era::Modern {
                tokio::spawn(wire.clone().listen());
            }
            Ok(Connection::new(peer, wire, topics))
        }
        Transport::Http { url, headers, .. } => {
            let reach = if spec.allow_private { trusted(spec) } else { Reach::Public };
            let wire = Arc::new(Http::new(
                &means.net,
                url,
                headers.iter(),
                reach,
                means.credentials.as_ref().and_then(|all| all.holder(spec)),
                pending(),
            )?);
            let peer = match era {
                Some(Era::Modern) => discover(&*wire, REMOTE_GREETING).await?,
                Some(Era::Legacy(revision)) => open(means, reach, &wire, revision, changed.clone()).await?,
                None => match discover(&*wire, REMOTE_GREETING).await {
                    Ok(peer) => peer,
                    Err(
                        Error::Rpc(_)
                        | Error::Status(_)
                        | Error::NotMcp(_)
                        | Error::SessionLost
                        | Error::Timeout(_)
                        | Error::Net(crate::net::Error::Failed(_)),
                    ) => open(means, reach, &wire, Revision::LATEST, changed.clone()).await?,
                    Err(error) => return Err(error),
                },
            };
            wire.speak(peer.era);
            wire.listen(changed);
            if own && peer.era != Era::Modern {
                wire.listening().await;
            }
            Ok(Connection::new(peer, wire, topics))
        }
    }
}

/// Opens a session with an HTTP server: by the transport of today, or by that of 2024-11-05 where it knows no other
/// (2025-11-25 §basic/transports: backwards compatibility).
async fn open(
    means: &Means,
    reach: Reach,
    wire: &Http,
    revision: Revision,
    changed: impl Fn(Change) + Send + Sync + 'static,
) -> Result<Peer, Error> {
    wire.speak(Era::Legacy(revision));
    let error = match initialize(wire, revision, REMOTE_GREETING).await {
        Err(error @ (Error::Status(400..=499) | Error::NotMcp(_) | Error::Rpc(_))) => error,
        outcome => return outcome,
    };
    match wire.open_line(&means.net, reach, REMOTE_GREETING, changed).await {
        Ok(()) => initialize(wire, revision.min(Revision::V2025_11_25), REMOTE_GREETING).await,
        // What was said first says more of a server that knows neither.
        Err(_) => Err(error),
    }
}

/// Addresses of the operator's file are dialled as they stand; those the owner allowed at run time
/// never lead to link-local or metadata addresses.
fn trusted(spec: &ServerSpec) -> Reach {
    if spec.declared { Reach::Operator } else { Reach::Private }
}

/// Finds out how a child wants to be greeted. One that stays silent is slow to start, or deaf to what
/// it does not know: then it is asked both ways, and the first good answer counts.
async fn probe(wire: &dyn Wire) -> Result<Peer, Error> {
    let mut discovered = discover(wire, GREETING).boxed();
    match tokio::time::timeout(PROBE, &mut discovered).await {
        Ok(Err(error)) if !matches!(error, Error::Exited { .. }) => initialize(wire, Revision::LATEST, GREETING).await,
        Ok(discovered) => discovered,
        Err(_) => {
            let initialized = initialize(wire, Revision::LATEST, GREETING).boxed();
            futures::future::select_ok([discovered, initialized]).await.map(|(peer, _)| peer)
        }
    }
}

async fn discover(wire: &dyn Wire, timeout: Duration) -> Result<Peer, Error> {
    let (nothing, ask) = (Params::default(), |params| wire.call(Era::Modern, Call::new("server/discover", params, timeout)));
    let result = match ask(&nothing).await {
        // It refuses what it says itself that it speaks: whoever asks once more may be luckier.
        Err(Error::Rpc(error)) if speaks_ours(&error) => ask(&nothing).await?,
        asked => asked?,
    };
    let versions: Option<Vec<String>> = RawObject::parse(result.get()).ok().and_then(|object| object.read("supportedVersions"));
    match versions {
        Some(versions) if versions.iter().any(|version| version == Era::MODERN) => Peer::read(Era::Modern, &result),
        _ => Err(Error::NotMcp("it speaks no revision that we know".into())),
    }
}

/// Whether a refusal of our revision names that very revision among those the server supports.
fn speaks_ours(error: &RpcError) -> bool {
    let supported = || RawObject::parse(error.data.as_deref()?.get()).ok()?.read::<Vec<String>>("supported");
    error.code == RpcError::UNSUPPORTED_VERSION && supported().is_some_and(|versions| versions.iter().any(|version| version == Era::MODERN))
}

async fn initialize(wire: &dyn Wire, revision: Revision, timeout: Duration) -> Result<Peer, Error> {
    let params = Params::default()
        .with("protocolVersion", revision.as_str())
        .with("capabilities", &ClientCapabilities::of_gateway(revision))
        .with("clientInfo", &json!({ "name": "portolan", "version": env!("CARGO_PKG_VERSION") }));
    let result: Box<RawValue> = wire.call(Era::Legacy(revision), Call::new("initialize", &params, timeout)).await?;
    let version = RawObject::parse(result.get()).ok().and_then(|object| object.string("protocolVersion"));
    let revision: Revision = version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .ok_or_else(|| Error::NotMcp("it chose a protocol revision that we do not know".into()))?;
    let peer = Peer::read(Era::Legacy(revision), &result)?;
    wire.speak(peer.era);
    wire.notify("notifications/initialized").await?;
    Ok(peer)
}
