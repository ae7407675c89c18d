//! `/admin/v1/cache`: what the stored answers are worth, and how to be rid of them.

use serde_json::{Value, json};
use weir_catalog::NanoUsd;

use crate::app::App;

/// What is held, and what it did since the start.
pub fn stats(app: &App) -> Value {
    let stats = app.cache.stats();
    let settings = app.snapshot.load().settings.cache;
    json!({
        "backend": "memory",
        "entries": stats.entries,
        "size_bytes": stats.bytes,
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
pub fn purge(app: &App) -> Value {
    json!({ "purged": app.cache.purge() })
}
