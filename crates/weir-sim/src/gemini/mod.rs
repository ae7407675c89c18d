//! Gemini's endpoints: content whole and streamed, embeddings, token counting and models.

mod ask;
mod check;
mod contents;
mod embeddings;
pub(crate) mod error;
mod generate;
mod models;
mod normal;
mod parts;

use bytes::Bytes;
use serde_json::json;

use crate::reply::{Outcome, Refusal, Reply};
use crate::route::{Endpoint, decoded};
use crate::service::Call;

/// Answers a call in Gemini's format.
pub(crate) fn answer(call: &Call<'_>) -> Outcome {
    let reply = authenticate(call).and_then(|()| match call.endpoint {
        Endpoint::Generate(_) | Endpoint::StreamGenerate(..) => generate::answer(call),
        Endpoint::Embed(_) => embeddings::one(call),
        Endpoint::BatchEmbed(_) => embeddings::batch(call),
        Endpoint::GeminiCount(_) => count(call),
        Endpoint::Models => Ok(Reply::json(&models::list(call))),
        Endpoint::Model(model) => models::one(call, model),
        _ => Err(error::refusal(404, "Requested entity was not found.")),
    });
    match reply {
        Ok(mut reply) => {
            reply.headers.push(("x-gemini-service-tier", "standard".to_owned()));
            Ok(reply)
        }
        Err(mut refusal) => {
            if *call.endpoint == Endpoint::StreamGenerate(call.model.to_owned(), true) {
                // Plain JSON all the same: that is what the vendor does.
                refusal.headers.push(("content-type", "text/event-stream".to_owned()));
            }
            Err(refusal)
        }
    }
}

fn count(call: &Call<'_>) -> Outcome {
    models::check(call, "countTokens")?;
    let body = normal::request(call.body);
    let inner = &body["generateContentRequest"];
    let request = if inner.is_object() { inner } else { &body };
    contents::check(call, request)?;
    let tokens = ask::plain_input(request);
    let total = tokens.all_input();
    Ok(Reply::json(&json!({"totalTokens": total, "promptTokensDetails": generate::details(&tokens)})))
}

fn authenticate(call: &Call<'_>) -> Result<(), Refusal> {
    let config = &call.state.config;
    let text =
        |name: &str| call.head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let query = call.head.uri.query().unwrap_or("");
    let in_query = query.split('&').find_map(|pair| pair.strip_prefix("key=")).map(decoded);
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let token = bearer.is_some();
    let key = text("x-goog-api-key").or(in_query).or(bearer).filter(|key| !key.trim().is_empty());
    match (key, &config.keys) {
        (None, _) if !config.require_key => Ok(()),
        (None, _) => Err(error::no_key()),
        (Some(key), Some(keys)) if keys.contains(&key) => Ok(()),
        (Some(key), None) if !key.starts_with("bad") && !key.starts_with("invalid") => Ok(()),
        _ if token => Err(error::wrong_token()),
        _ => Err(error::wrong_key()),
    }
}

/// What ends a failed stream: bare JSON, without `data:`.
pub(crate) fn error_event() -> Bytes {
    Bytes::from_static(
        b"{\r\n  \"error\": {\r\n    \"code\": 503,\r\n    \"message\": \"The model is overloaded. Please try again later.\",\r\n    \"status\": \"UNAVAILABLE\"\r\n  }\r\n}\r\n",
    )
}
