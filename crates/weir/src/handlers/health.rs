//! `/health/live`, `/health/ready` and `/health`.

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

/// Whether calls are taken, and why not.
pub fn ready(app: &App) -> (StatusCode, Value) {
    let degraded = app.ledger.health().degraded;
    if app.draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "draining" }));
    }
    if !app.snapshot.load().keys.known() {
        let reason = "the store can't be reached, so keys are not known yet; weir serves nobody without authentication";
        return (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "not_ready", "reason": reason }));
    }
    // A store that is down does not make weir less able to answer: the spool keeps the rows.
    let status = if degraded.is_empty() { "ready" } else { "degraded" };
    (StatusCode::OK, json!({ "status": status, "degraded": degraded }))
}

/// All that is known, without secrets.
pub async fn detail(app: &App) -> (StatusCode, Value) {
    let (status, mut body) = ready(app);
    let stats = app.ledger.stats();
    let store = match app.ledger.store().health().await {
        Ok(health) => {
            json!({ "kind": health.kind, "schema": health.schema, "latency_ms": health.latency.as_millis() as u64 })
        }
        Err(error) => json!({ "error": error.to_string() }),
    };
    let snapshot = app.snapshot.load();
    let providers: Vec<Value> = snapshot
        .providers
        .values()
        .map(|provider| json!({ "name": &*provider.name, "kind": &*provider.kind }))
        .collect();
    body["version"] = json!(env!("CARGO_PKG_VERSION"));
    body["store"] = store;
    body["ledger"] = json!({
        "queue_entries": stats.queue_entries,
        "spooled_entries": stats.spooled_entries,
        "spool_bytes": stats.bytes,
        "quarantined_segments": stats.quarantined,
    });
    if let Some(redis) = app.redis.as_ref().map(weir_redis::Redis::stats) {
        body["coordination"] = json!({ "up": redis.up, "replicas": redis.replicas, "losses": redis.losses, "on_loss": redis.on_loss.name() });
    }
    body["providers"] = json!(providers);
    (status, body)
}
