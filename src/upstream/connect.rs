//! From a description to an open connection: start or reach the server, find out its era, greet it.
//!
//! Era is a fact about the server, found by asking (specification 2026-07-28: basic/versioning). A
//! stateless server answers `server/discover`; anything else it may do, an error of any code, an
//! exit or silence, means that it wants `initialize`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tracing::debug;

use super::connection::Wire;
use super::transport::{Http, Launch, Stdio};
use super::{Call, Change, Connection, Error, OnChange, Peer};
use crate::domain::{RawObject, ServerSpec, Transport, raw};
use crate::net::{Net, Reach};
use crate::protocol::{Era, Revision, stamp};

/// The longest a server may take to greet. Runners such as `npx` and `uvx` fetch packages at their first start.
const GREETING: Duration = Duration::from_secs(120);
/// How long a child may stay silent when asked for `server/discover` before the older greeting is tried.
const PROBE: Duration = Duration::from_secs(10);
/// How long a remote server may take to greet.
const REMOTE_GREETING: Duration = Duration::from_secs(30);

/// Opens a connection.
pub(super) async fn connect(net: &Net, spec: &ServerSpec, known: Option<Era>, on_change: OnChange) -> Result<Connection, Error> {
    let pinned = Era::pinned(spec.protocol);
    let first = match pinned.or(known) {
        Some(era) => greet(net, spec, Some(era), on_change.clone()).await,
        None => return greet(net, spec, None, on_change).await,
    };
    match first {
        // What was true at the last start need not be true any more.
        Err(error)
            if pinned.is_none()
                && matches!(error, Error::Rpc(_) | Error::Status(_) | Error::NotMcp(_) | Error::Timeout(_) | Error::Exited { .. }) =>
        {
            debug!(server.name = %spec.name, "`{}` does not greet as it did before: {error}", spec.name);
            greet(net, spec, None, on_change).await
        }
        other => other,
    }
}

async fn greet(net: &Net, spec: &ServerSpec, era: Option<Era>, on_change: OnChange) -> Result<Connection, Error> {
    let name = spec.name.clone();
    let changed = move |change: Change| on_change(&name, change);
    match &spec.transport {
        Transport::Stdio { command, env } => {
            let launch = Launch { command, env };
            let start = || Stdio::start(&launch, changed.clone()).map(Arc::new);
            let mut wire = start()?;
            let peer = match era {
                Some(Era::Modern) => discover(&*wire, GREETING).await?,
                Some(Era::Legacy(revision)) => initialize(&*wire, revision, GREETING).await?,
                None => match discover(&*wire, PROBE).await {
                    Ok(peer) => peer,
                    Err(Error::Exited { .. }) => {
                        // Some older servers end when they are asked what they do not know.
                        wire = start()?;
                        initialize(&*wire, Revision::LATEST, GREETING).await?
                    }
                    // A first start may have been slow, and the late question may then end the server.
                    Err(_) => match initialize(&*wire, Revision::LATEST, GREETING).await {
                        Err(Error::Exited { .. }) => {
                            wire = start()?;
                            initialize(&*wire, Revision::LATEST, GREETING).await?
                        }
                        other => other?,
                    },
                },
            };
            if peer.era == Era::Modern {
                tokio::spawn(listen(wire.clone()));
            }
            Ok(Connection::new(peer, wire))
        }
        Transport::Http { url, headers } => {
            let reach = if spec.allow_private { trusted(spec) } else { Reach::Public };
            let wire = Arc::new(Http::new(net, url, headers.iter(), reach)?);
            let peer = match era {
                Some(Era::Modern) => discover(&*wire, REMOTE_GREETING).await?,
                Some(Era::Legacy(revision)) => {
                    wire.speak(Era::Legacy(revision));
                    initialize(&*wire, revision, REMOTE_GREETING).await?
                }
                None => match discover(&*wire, REMOTE_GREETING).await {
                    Ok(peer) => peer,
                    Err(
                        Error::Rpc(_)
                        | Error::Status(_)
                        | Error::NotMcp(_)
                        | Error::SessionLost
                        | Error::Timeout(_)
                        | Error::Net(crate::net::Error::Failed(_)),
                    ) => {
                        wire.speak(Era::Legacy(Revision::LATEST));
                        initialize(&*wire, Revision::LATEST, REMOTE_GREETING).await?
                    }
                    Err(error) => return Err(error),
                },
            };
            wire.speak(peer.era);
            wire.listen(changed);
            Ok(Connection::new(peer, wire))
        }
    }
}

/// Addresses of the operator's file are dialled as they stand; those the owner allowed at run time
/// never lead to link-local or metadata addresses.
fn trusted(spec: &ServerSpec) -> Reach {
    if spec.declared { Reach::Operator } else { Reach::Private }
}

async fn discover(wire: &dyn Wire, timeout: Duration) -> Result<Peer, Error> {
    let params = stamp(None);
    let result = wire.call(Call::new("server/discover", Some(&params), timeout)).await?;
    let versions: Option<Vec<String>> = RawObject::parse(result.get()).ok().and_then(|object| object.read("supportedVersions"));
    match versions {
        Some(versions) if versions.iter().any(|version| version == Era::MODERN) => Peer::read(Era::Modern, &result),
        _ => Err(Error::NotMcp("it speaks no revision that we know".into())),
    }
}

async fn initialize(wire: &dyn Wire, revision: Revision, timeout: Duration) -> Result<Peer, Error> {
    let params = raw(&serde_json::json!({
        "protocolVersion": revision.as_str(),
        "capabilities": {},
        "clientInfo": { "name": "portolan", "version": env!("CARGO_PKG_VERSION") },
    }));
    let result: Box<RawValue> = wire.call(Call::new("initialize", Some(&params), timeout)).await?;
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

/// Asks a stateless child to tell of changes; it does so until it ends.
async fn listen(wire: Arc<Stdio>) {
    let wanted = serde_json::json!({ "notifications":
        { "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true } });
    let params = stamp(Some(&raw(&wanted)));
    let forever = Duration::from_secs(365 * 24 * 3600);
    let _ = wire.call(Call::new("subscriptions/listen", Some(&params), forever)).await;
}
