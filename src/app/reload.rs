//! A configuration that changed: read whole, and taken over only when all of it is right.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::live::{Live, base, completions, declared, pins, providers, settings};
use crate::config::{Config, watch};
use crate::registry::{self, Lock};

/// What the gateway was started with.
pub(super) struct Running {
    pub(super) config: Config,
    /// The bytes the file held then.
    pub(super) read: Option<Vec<u8>>,
    pub(super) address: SocketAddr,
}

/// Reads the file again when it changes and on SIGHUP, until `stop`.
pub(super) async fn keep(path: PathBuf, mut running: Running, live: Live, stop: CancellationToken) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let mut changes = watched(&path, running.read.take());
    let locked = running.config.registry.locked_by();
    let mut relocked = locked.as_deref().and_then(|lock| watched(lock, std::fs::read(lock).ok()));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = hangup.recv() => {}
            () = changed(&mut changes) => {}
            () = changed(&mut relocked) => {}
        }
        match reload(&path, &running, &live).await {
            Ok(()) => {
                metrics::counter!("portolan_config_reloads_total", "outcome" => "ok").increment(1);
                live.refused.store(None);
                info!("{} was read again and is in use", path.display());
            }
            Err(why) => {
                metrics::counter!("portolan_config_reloads_total", "outcome" => "refused").increment(1);
                live.refused.store(Some(Arc::new(format!("{why:#}"))));
                error!("the changed configuration is refused, the running one stays: {why:#}");
            }
        }
    }
}

/// The changes of a file, as far as they can be noticed.
fn watched(path: &Path, read: Option<Vec<u8>>) -> Option<mpsc::Receiver<()>> {
    let changes = watch(path, read);
    let warn = |error| warn!("{} cannot be watched ({error}); send SIGHUP after changing it", path.display());
    changes.map_err(warn).ok()
}

/// Waits for the next change; for ever where none can be noticed any more.
async fn changed(changes: &mut Option<mpsc::Receiver<()>>) {
    if let Some(open) = changes {
        if open.recv().await.is_some() {
            return;
        }
        *changes = None;
    }
    std::future::pending::<()>().await;
}

async fn reload(path: &Path, running: &Running, live: &Live) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let lock = config.registry.locked_by().map(|path| Lock::load(&path)).transpose()?;
    let (all, _) = providers(&config);
    let next = completions(&config, &all, &live.net, &live.federation, &live.memory, &live.blocks);
    for section in fixed(&running.config, &config) {
        warn!("`{section}` changed; that takes a restart, and all else is in use");
    }
    live.auth.declare(&config.auth)?;
    live.journal.configure(&config.journal);
    live.rates.configure(&config.limits);
    live.completions.store(next.into());
    live.settings.store(settings(&config, running.address).into());
    live.credentials.reached_at(&base(&config, running.address));
    live.tool_timeout.set(config.limits.tool_timeout.0);
    live.refresh.set(config.registry.refresh.0);
    live.registry.judge_by(config.registry.review());
    if let Err(why) = servers(&config, lock, live).await {
        error!("not all servers of the file could be taken over ({why}); all else of it is in use, and SIGHUP tries again");
    }
    Ok(())
}

/// Brings servers, pins and what is approved in line with the file.
async fn servers(config: &Config, lock: Option<Lock>, live: &Live) -> Result<(), registry::Error> {
    if let Some(lock) = lock {
        live.registry.lock(lock).await?;
    }
    live.registry.pin_declared(pins(config)).await?;
    live.registry.redeclare(declared(config), &config.mcp.chosen()).await
}

/// What differs and cannot be changed while the gateway runs.
fn fixed<'a>(old: &'a Config, new: &'a Config) -> impl Iterator<Item = &'static str> + 'a {
    let changed = [
        ("server.listen", old.server.listen != new.server.listen),
        ("registry.source", old.registry.locked_by() != new.registry.locked_by()),
        ("storage", old.storage != new.storage),
        ("telemetry", old.telemetry != new.telemetry),
    ];
    changed.into_iter().filter_map(|(section, changed)| changed.then_some(section))
}
