//! A configuration that changed: read whole, and taken over only when all of it is right.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::live::{Live, completions, declared, providers, settings};
use crate::config::{Config, watch};

/// Reads the file again when it changes and on SIGHUP, until `stop`.
pub(super) async fn keep(path: PathBuf, read: Option<Vec<u8>>, live: Live, address: SocketAddr, stop: CancellationToken) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let mut changes = match watch(&path, read) {
        Ok(changes) => Some(changes),
        Err(error) => {
            warn!("{} cannot be watched ({error}); send SIGHUP after changing it", path.display());
            None
        }
    };
    loop {
        let changed = async {
            match &mut changes {
                Some(changes) => changes.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            _ = hangup.recv() => {}
            change = changed => if change.is_none() {
                changes = None;
                continue;
            },
        }
        match reload(&path, &live, address).await {
            Ok(()) => {
                metrics::counter!("portolan_config_reloads_total", "outcome" => "ok").increment(1);
                info!("{} was read again and is in use", path.display());
            }
            Err(why) => {
                metrics::counter!("portolan_config_reloads_total", "outcome" => "refused").increment(1);
                error!("the changed configuration is refused, the running one stays: {why:#}");
            }
        }
    }
}

async fn reload(path: &Path, live: &Live, address: SocketAddr) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let (all, _) = providers(&config);
    let next = completions(&config, &all, &live.net, &live.federation);
    if config.server.listen.port() != 0 && config.server.listen != address {
        warn!("`server.listen` changed; that takes a restart");
    }
    // From here on nothing is refused any more: what can fail has been tried.
    live.auth.declare(&config.auth)?;
    live.completions.store(next.into());
    live.settings.store(settings(&config, address).into());
    live.registry.redeclare(declared(&config)).await?;
    Ok(())
}
