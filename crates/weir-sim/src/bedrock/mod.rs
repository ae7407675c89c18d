//! Amazon Bedrock's Converse and ConverseStream.

mod ask;
mod check;
mod converse;
pub(crate) mod error;
mod frame;
mod sigv4;

use bytes::Bytes;

use crate::reply::{Outcome, Refusal};
use crate::route::Endpoint;
use crate::service::Call;

/// The one pair of access keys that is known: AWS's own example.
const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Answers a call in Bedrock's format.
pub(crate) fn answer(call: &Call<'_>) -> Outcome {
    authenticate(call)?;
    match call.endpoint {
        Endpoint::Converse(..) => converse::answer(call),
        _ => Err(error::refusal(404, "UnknownOperationException", "")),
    }
}

/// A bearer key, or a signature over the whole request. A session's token that begins with `expired` is.
fn authenticate(call: &Call<'_>) -> Result<(), Refusal> {
    let config = &call.state.config;
    let text = |name: &str| call.head.headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = text("authorization").unwrap_or_default();
    if let Some(key) = authorization.strip_prefix("Bearer ") {
        let known = match &config.keys {
            Some(keys) => keys.iter().any(|known| known == key),
            None => !key.is_empty() && !key.starts_with("bad") && !key.starts_with("invalid"),
        };
        return if known {
            Ok(())
        } else {
            Err(error::forbidden("Authentication failed: the API key is not valid."))
        };
    }
    if authorization.is_empty() {
        let refused =
            error::refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token");
        return if config.require_key { Err(refused) } else { Ok(()) };
    }
    if text("x-amz-security-token").is_some_and(|token| token.starts_with("expired")) {
        let why = "The security token included in the request is expired";
        return Err(error::refusal(403, "ExpiredTokenException", why));
    }
    sigv4::verify(call.head, call.raw, (ACCESS_KEY, SECRET_KEY), crate::truth::now_us() / 1_000_000)
        .map_err(|why| error::refusal(403, "InvalidSignatureException", &why))
}

/// The frame that ends a failed stream.
pub(crate) fn error_event() -> Bytes {
    frame::exception("modelStreamErrorException", "The model's stream broke off.")
}

/// A frame that says nothing.
pub(crate) fn ping() -> Bytes {
    frame::event("ping", &serde_json::json!({}))
}
