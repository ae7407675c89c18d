//! A changed configuration takes effect by itself: on SIGHUP, and when the file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::app::App;

/// How often the file is looked at. Looking beats being told: a file that is replaced, or mounted from elsewhere, is
/// seen the same, and the database's own writes to its folder wake nobody.
const EVERY: Duration = Duration::from_millis(500);

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

/// Reloads on SIGHUP and on changes, until the gateway drains.
pub async fn watch(app: Arc<App>) {
    let mut hangup = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            return tracing::warn!(%error, "SIGHUP can't be watched: the configuration is not read again");
        }
    };
    let file = app.file().cloned();
    let mut seen = stamp(file.as_ref()).await;
    while !app.draining() {
        tokio::select! {
            _ = hangup.recv() => reload(&app).await,
            () = tokio::time::sleep(EVERY) => {
                let now = stamp(file.as_ref()).await;
                if now == seen {
                    continue;
                }
                // Editors write a file in several steps: what still changes is looked at again.
                tokio::time::sleep(EVERY / 4).await;
                if stamp(file.as_ref()).await == now {
                    seen = now;
                    reload(&app).await;
                }
            }
        }
    }
}

async fn reload(app: &Arc<App>) {
    let reloading = app.clone();
    // Reading files and a look for a local Ollama block: not on the threads that serve calls.
    match tokio::task::spawn_blocking(move || reloading.reload()).await {
        Ok(Ok(())) => tracing::info!("the configuration was read again"),
        Ok(Err(error)) => tracing::error!(%error, "the changed configuration is wrong, the old one goes on"),
        Err(error) => tracing::error!(%error, "reading the configuration failed, the old one goes on"),
    }
}

async fn stamp(file: Option<&PathBuf>) -> Stamp {
    let metadata = tokio::fs::metadata(file.map_or(Path::new(""), PathBuf::as_path)).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
