//! Notices when the configuration file changes.

use std::path::Path;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Sends a message each time the file holds something else than before, until the receiver is gone.
/// `last` is what it held when it was read, so that no change between that and now is lost.
///
/// The directory is watched, not the file: editors and Kubernetes replace files instead of writing
/// them. Bursts are gathered for a fifth of a second.
pub fn watch(path: &Path, mut last: Option<Vec<u8>>) -> notify::Result<mpsc::Receiver<()>> {
    let (out, changes) = mpsc::channel(1);
    let (seen, mut events) = mpsc::channel::<()>(1);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => Path::new(".").to_owned(),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = seen.try_send(());
        }
    })?;
    watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    let path = path.to_owned();
    tokio::spawn(async move {
        let _watcher = watcher;
        let read = || std::fs::read(&path).ok();
        loop {
            let now = read();
            if now.is_some() && now != last {
                last = now;
                if out.send(()).await.is_err() {
                    return;
                }
            }
            if events.recv().await.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            while events.try_recv().is_ok() {}
        }
    });
    Ok(changes)
}
