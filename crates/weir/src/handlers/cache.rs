//! `/admin/v1/cache`: what the stored answers are worth, and how to be rid of them.

use serde_json::{Value, json};
use weir_catalog::NanoUsd;
use weir_gateway::GatewayError;

use crate::app::App;

/// What is held, and what it did since the start.
/// Where answers are shared and can't be reached, `entries` and `size_bytes` are null.
pub async fn stats(app: &App) -> Value {
    let settings = app.snapshot.load().settings.cache;
    let (stats, held) = app.cache.stats(&settings).await;
    json!({
        "backend": if settings.shared { "redis" } else { "memory" },
        "entries": held.map(|(entries, _)| entries),
        "size_bytes": held.map(|(_, bytes)| bytes),
        "max_size_bytes": settings.max_size,
        "copying_bytes": stats.copying_bytes,
        "hits": stats.hits,
        "misses": stats.misses,
        "stored": stats.stored,
        "evicted": stats.evicted,
        "saved_usd": NanoUsd(i64::try_from(stats.saved_nanousd).unwrap_or(i64::MAX)).to_string(),
    })
}

/// Forgets all stored answers.
///
/// # Errors
/// Those that are shared can't be reached: they serve on.
pub async fn purge(app: &App) -> Result<Value, GatewayError> {
    let settings = app.snapshot.load().settings.cache;
    let purged = app.cache.purge(&settings).await.ok_or(GatewayError::Overloaded {
        code: "cache_unreachable",
        message: "Redis does not answer, so what it stores is not forgotten; try again",
        retry_after: std::time::Duration::from_secs(1),
    })?;
    Ok(json!({ "purged": purged }))
}
