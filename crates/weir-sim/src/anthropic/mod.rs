//! Anthropic's endpoints: messages, token counting and models.

mod ask;
mod cache;
mod check;
pub(crate) mod error;
mod messages;
mod models;
mod replay;
mod stream;
mod tools;

use bytes::Bytes;
use serde_json::json;

use crate::reply::{Outcome, Refusal, Reply};
use crate::route::Endpoint;
use crate::service::Call;
use crate::state::hash;
use crate::truth::now_us;

/// A ping event.
pub(crate) const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// Answers a call in Anthropic's format.
pub(crate) fn answer(call: &Call<'_>) -> Outcome {
    if let Endpoint::RawPredict(_, stream) = call.endpoint {
        return predict(call, *stream);
    }
    authenticate(call).map_err(|refusal| named(refusal, call))?;
    let reply = match call.endpoint {
        Endpoint::Messages => messages::answer(call),
        Endpoint::CountTokens => count_tokens(call),
        Endpoint::Models => Ok(Reply::json(&models::list(call))),
        Endpoint::Model(model) => models::one(call, model),
        _ => Err(error::refusal(404, "not_found_error", "Not Found")),
    };
    match reply {
        Ok(reply) => Ok(with_headers(reply, call)),
        Err(refusal) => Err(named(refusal, call)),
    }
}

/// At Vertex: a token of Google's, the model in the path and not in the body, the version in the body.
fn predict(call: &Call<'_>, stream: bool) -> Outcome {
    let bearer = call.head.headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if token.is_empty() || token.starts_with("bad") {
        return Err(crate::gemini::error::by_status(401, "Request had invalid authentication credentials."));
    }
    let mut body = call.body.clone();
    let members = body.as_object_mut();
    let version = members.and_then(|members| members.remove("anthropic_version"));
    if version != Some(json!("vertex-2023-10-16")) {
        return Err(error::invalid("anthropic_version: Field required"));
    }
    if body.get("model").is_some() {
        return Err(error::invalid("model: Extra inputs are not permitted"));
    }
    if (body["stream"] == true) != stream {
        return Err(error::invalid("stream: does not fit the method"));
    }
    // Vertex writes the date behind an `@`.
    let model = call.model.replace('@', "-");
    body["model"] = json!(model);
    let plain = Call { body: &body, model: &model, endpoint: &Endpoint::Messages, ..*call };
    messages::answer(&plain).map_err(|refusal| named(refusal, call))
}

fn count_tokens(call: &Call<'_>) -> Outcome {
    check::count(call)?;
    Ok(Reply::json(&json!({"input_tokens": cache::total(call.body)})))
}

fn request_id(call: &Call<'_>) -> String {
    format!("req_011C{:016x}{:04x}", hash((call.number, "request")), call.number % 0x10000)
}

/// The refusal with the request's id in body and header.
fn named(mut refusal: Refusal, call: &Call<'_>) -> Refusal {
    let id = request_id(call);
    refusal.headers.push(("request-id", id.clone()));
    refusal.body["request_id"] = json!(id);
    refusal
}

fn with_headers(mut reply: Reply, call: &Call<'_>) -> Reply {
    let reset = rfc3339(now_us() / 1_000_000 + 1);
    let mut limit = |name, value: &str| reply.headers.push((name, value.to_owned()));
    limit("request-id", &request_id(call));
    limit("anthropic-organization-id", "00000000-0000-4000-8000-000000000000");
    limit("anthropic-ratelimit-requests-limit", "4000");
    limit("anthropic-ratelimit-requests-remaining", "3999");
    limit("anthropic-ratelimit-requests-reset", &reset);
    limit("anthropic-ratelimit-tokens-limit", "2400000");
    limit("anthropic-ratelimit-tokens-remaining", "2399000");
    limit("anthropic-ratelimit-tokens-reset", &reset);
    limit("anthropic-ratelimit-input-tokens-limit", "2000000");
    limit("anthropic-ratelimit-input-tokens-remaining", "1999000");
    limit("anthropic-ratelimit-input-tokens-reset", &reset);
    limit("anthropic-ratelimit-output-tokens-limit", "400000");
    limit("anthropic-ratelimit-output-tokens-remaining", "400000");
    limit("anthropic-ratelimit-output-tokens-reset", &reset);
    reply
}

fn authenticate(call: &Call<'_>) -> Result<(), Refusal> {
    let config = &call.state.config;
    let text = |name: &str| call.head.headers.get(name).and_then(|value| value.to_str().ok());
    let key =
        text("x-api-key").or_else(|| text("authorization").and_then(|value| value.strip_prefix("Bearer ")));
    let good = match (key.map(str::trim).filter(|key| !key.is_empty()), &config.keys) {
        (None, _) => !config.require_key,
        (Some(key), Some(keys)) => keys.iter().any(|known| known == key),
        (Some(key), None) => !key.starts_with("bad") && !key.starts_with("invalid"),
    };
    if !good {
        let message = if key.is_none() { "x-api-key header is required" } else { "invalid x-api-key" };
        return Err(error::refusal(401, "authentication_error", message));
    }
    match text("anthropic-version") {
        None => Err(error::invalid("anthropic-version: header is required")),
        Some("2023-06-01" | "2023-01-01") => Ok(()),
        Some(other) => Err(error::invalid(&format!("anthropic-version: \"{other}\" is not a valid version"))),
    }
}

/// The error event that ends a failed stream.
pub(crate) fn error_event() -> Bytes {
    Bytes::from_static(
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},\"request_id\":\"req_011Csim\"}\n\n",
    )
}

/// Seconds since 1970 as `2026-01-02T03:04:05Z`.
fn rfc3339(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, counting years from March so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_363_845, "2026-11-22T16:10:45Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(rfc3339(seconds), expected);
        }
    }
}
