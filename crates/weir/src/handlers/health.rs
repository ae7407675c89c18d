//! `/health/live`, `/health/ready` and `/health`.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};
use weir_gateway::snapshot::Provider;

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

/// One provider: its models that have been asked, and its keys that rest.
fn one(provider: &Provider) -> Value {
    let now = Instant::now();
    let mut models: Vec<(String, Value)> = Vec::new();
    for (name, health) in provider.health.all() {
        let (state, rests) = {
            let breaker = health.breaker();
            (["closed", "half-open", "open"][breaker.number(now) as usize % 3], breaker.resting(now))
        };
        let speed = health.speed(now);
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        let model = json!({
            "model": name,
            "breaker": state,
            "rests_ms": millis(rests.map(|(left, _)| left)),
            "inflight": health.inflight(),
            "ttft_ms": millis(speed.ttft),
        });
        models.push((name, model));
    }
    models.sort_by(|one, other| one.0.cmp(&other.0));
    let credentials = &provider.credentials;
    let resting: Vec<&str> = (0..credentials.count())
        .filter(|key| credentials.rests.left(*key, now).is_some())
        .map(|key| &*credentials.get(key).name)
        .collect();
    json!({
        "name": &*provider.name,
        "kind": &*provider.kind,
        "models": models.into_iter().map(|(_, model)| model).collect::<Vec<_>>(),
        "resting_keys": resting,
    })
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
    let providers: Vec<Value> = snapshot.providers.values().map(|provider| one(provider)).collect();
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
