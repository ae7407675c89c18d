//! OpenAI's endpoints: chat, completions, responses, embeddings, images, audio, moderations and models; and rerank, which
//! hosts of its format have beside them.

mod ask;
mod chat;
mod chat_check;
mod completions;
mod embeddings;
pub(crate) mod error;
mod media;
mod models;
mod responses;
mod stream;
mod usage;

use bytes::Bytes;
use http::HeaderMap;

use crate::reply::{Outcome, Refusal, Reply};
use crate::route::Endpoint;
use crate::service::Call;

pub(crate) use embeddings::vector;
pub(crate) use stream::slices;

/// Answers a call in OpenAI's format.
pub(crate) fn answer(call: &Call<'_>) -> Outcome {
    authenticate(call)?;
    let reply = match call.endpoint {
        Endpoint::Chat => chat::answer(call),
        Endpoint::Completions => completions::answer(call),
        Endpoint::Embeddings => embeddings::answer(call),
        Endpoint::Responses => responses::answer(call),
        Endpoint::Rerank => media::rerank::answer(call),
        Endpoint::Moderations => media::moderations::answer(call),
        Endpoint::Images(kind) => media::images::answer(call, kind),
        Endpoint::Speech => media::speech::answer(call),
        Endpoint::Transcribe(english) => media::transcribe::answer(call, *english),
        Endpoint::Models => Ok(Reply::json(&models::list(call))),
        Endpoint::Model(model) => models::one(call, model),
        _ => Err(error::unknown_url(call.head.method.as_str(), call.head.uri.path())),
    }?;
    Ok(with_headers(reply, call))
}

fn with_headers(mut reply: Reply, call: &Call<'_>) -> Reply {
    reply.headers.extend([
        ("x-request-id", format!("req_{:032x}", call.number)),
        ("openai-version", "2020-10-01".to_owned()),
        ("openai-processing-ms", "7".to_owned()),
        ("x-ratelimit-limit-requests", "10000".to_owned()),
        ("x-ratelimit-remaining-requests", "9999".to_owned()),
        ("x-ratelimit-reset-requests", "6ms".to_owned()),
        ("x-ratelimit-limit-tokens", "2000000".to_owned()),
        ("x-ratelimit-remaining-tokens", "1999000".to_owned()),
        ("x-ratelimit-reset-tokens", "1m0s".to_owned()),
    ]);
    reply
}

fn authenticate(call: &Call<'_>) -> Result<(), Refusal> {
    let config = &call.state.config;
    let key = key_of(&call.head.headers);
    match (key, &config.keys) {
        (None, _) if !config.require_key => Ok(()),
        (None, _) => Err(error::no_key()),
        (Some(key), Some(keys)) if keys.contains(&key) => Ok(()),
        (Some(key), None) if !key.starts_with("bad") && !key.starts_with("invalid") => Ok(()),
        (Some(key), _) => Err(error::wrong_key(&key)),
    }
}

/// The bearer token, or Azure's `api-key`.
fn key_of(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let key =
        text("authorization").and_then(|value| value.strip_prefix("Bearer ")).or_else(|| text("api-key"))?;
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

/// The error event that ends a failed stream.
pub(crate) fn error_event() -> Bytes {
    Bytes::from_static(
        b"data: {\"error\":{\"message\":\"The server had an error while processing your request. Sorry about that!\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
    )
}
