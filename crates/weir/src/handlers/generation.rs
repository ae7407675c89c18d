//! `GET /v1/generation?id=`: what one call did and cost, in OpenRouter's shape.

use serde_json::{Value, json};
use weir_catalog::NanoUsd;
use weir_gateway::call::Role;
use weir_gateway::{Caller, GatewayError};
use weir_ledger::CallRecord;
use weir_wire::{Class, usage::TOKEN_CLASSES};

use crate::app::App;

/// The call of this id, the ledger's or the request's. Callers see their own, viewers and admins all.
///
/// # Errors
/// An id that is not (yet) in the store, a store that does not answer.
pub async fn one(app: &App, caller: &Caller, id: &str) -> Result<Value, GatewayError> {
    let missing = || {
        GatewayError::NotFound(format!(
            "no call `{}` is known; rows reach the store within a second of a call's end",
            id.chars().take(100).collect::<String>()
        ))
    };
    let found = app.ledger.store().call(id).await.map_err(|error| {
        tracing::warn!(%error, cause = %error.cause, "the store did not answer");
        GatewayError::Overloaded {
            code: "overloaded",
            message: "the store does not answer now",
            retry_after: std::time::Duration::from_secs(1),
        }
    })?;
    let record = found.ok_or_else(missing)?;
    let own = record.call.facts.key == caller.name || caller.role > Role::Caller;
    if own { Ok(shape(&record)) } else { Err(missing()) }
}

fn shape(record: &CallRecord) -> Value {
    let call = &record.call;
    let tokens: serde_json::Map<String, Value> = TOKEN_CLASSES
        .iter()
        .map(|class| (class.name().to_owned(), call.usage.tokens(*class).into()))
        .collect();
    let cost = call.cost_nanousd.map(|cost| NanoUsd(cost).to_string());
    json!({ "data": {
        "id": call.id,
        "request_id": &*call.facts.request_id,
        "created_at": timestamp(call.facts.started_at),
        "model": call.model.as_deref(),
        "provider_name": call.provider.as_deref(),
        "route": &*call.facts.route,
        "streamed": call.facts.stream,
        "status": call.status,
        "end": call.end,
        "cache": call.cache,
        "cache_saved_usd": call.cache_saved_nanousd.map(|saved| NanoUsd(saved).to_string()),
        "error_code": call.error_code.as_deref(),
        "total_cost": cost.as_deref().and_then(|cost| cost.parse::<serde_json::Number>().ok()),
        "cost_usd": cost,
        "tokens_prompt": call.usage.prompt_tokens(),
        "tokens_completion": call.usage.completion_tokens(),
        "native_tokens_cached": call.usage.tokens(Class::CacheRead),
        "native_tokens_reasoning": call.usage.tokens(Class::Reasoning),
        "tokens": tokens,
        "usage_source": call.usage_source,
        "latency": call.ttft_ms,
        "generation_time": call.duration_ms,
        "attempts": record.attempts.iter().map(|attempt| json!({
            "id": attempt.id,
            "provider": &*attempt.provider,
            "model": &*attempt.model,
            "credential": attempt.credential.as_deref(),
            "state": attempt.state,
            "upstream_status": attempt.upstream_status,
            "upstream_request_id": attempt.upstream_request_id.as_deref(),
            "error_code": attempt.error_code.as_deref(),
            "usage_source": attempt.usage_source,
            "cost_usd": attempt.cost_nanousd.map(|cost| NanoUsd(cost).to_string()),
            "ttft_ms": attempt.ttft_ms,
            "duration_ms": attempt.duration_ms,
        })).collect::<Vec<_>>(),
    }})
}

fn timestamp(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| String::new(), |time| time.to_string())
}
