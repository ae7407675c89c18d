//! A changed configuration takes effect by itself: on SIGHUP, and when the file changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::app::App;

/// Editors write a file in several steps: wait for the last.
const SETTLE: Duration = Duration::from_millis(150);

/// Reloads on SIGHUP and on changes, until the gateway drains.
pub async fn watch(app: Arc<App>) {
    let (changed, mut changes) = mpsc::channel(1);
    let _watcher = app.file().and_then(|file| watcher(file, changed.clone()));
    let mut hangup = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            return tracing::warn!(%error, "SIGHUP can't be watched: the configuration is not read again");
        }
    };
    while !app.draining() {
        tokio::select! {
            _ = hangup.recv() => {}
            Some(()) = changes.recv() => {
                tokio::time::sleep(SETTLE).await;
                while changes.try_recv().is_ok() {}
            }
        }
        let reloading = app.clone();
        // Reading files and a look for a local Ollama block: not on the threads that serve calls.
        match tokio::task::spawn_blocking(move || reloading.reload()).await {
            Ok(Ok(())) => tracing::info!("the configuration was read again"),
            Ok(Err(error)) => {
                tracing::error!(%error, "the changed configuration is wrong, the old one goes on")
            }
            Err(error) => tracing::error!(%error, "reading the configuration failed, the old one goes on"),
        }
    }
}

/// Watches the file's folder: editors replace files, and a replaced file is another one.
fn watcher(file: &Path, changed: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let file = std::path::absolute(file).ok()?;
    let folder = file.parent()?.to_owned();
    let name = file.file_name()?.to_owned();
    let seen = move |event: notify::Result<notify::Event>| {
        let ours = |event: &notify::Event| {
            !event.kind.is_access() && event.paths.iter().any(|path| path.file_name() == Some(&name))
        };
        if event.is_ok_and(|event| ours(&event)) {
            // A full channel knows already.
            let _ = changed.try_send(());
        }
    };
    let made = notify::recommended_watcher(seen)
        .and_then(|mut watcher| watcher.watch(&folder, RecursiveMode::NonRecursive).map(|()| watcher));
    made.map_err(|error| tracing::warn!(%error, "the file can't be watched; send SIGHUP after a change")).ok()
}
