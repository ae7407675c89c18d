//! Cohere's errors in OpenAI's words: `{"id", "message"}`, sometimes with `error_type`.

use http::StatusCode;
use serde_json::Value;
use weir_adapter::{ErrorKind, ProviderError};

/// What a reply with an error status means.
pub(crate) fn error(status: StatusCode, body: &[u8]) -> ProviderError {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    translate(status.as_u16(), &told)
}

/// An error at the end of a stream, or in a reply with status 200.
pub(crate) fn in_reply(reason: &str, told: &Value) -> ProviderError {
    let message = told["error"].as_str().or_else(|| told["message"].as_str());
    let message =
        message.map_or_else(|| format!("the provider ended the answer with {reason}"), str::to_owned);
    let kind = match reason {
        "TIMEOUT" => ErrorKind::Timeout,
        "ERROR_LIMIT" => ErrorKind::ContextLength,
        _ if is_too_long(&message, told) => ErrorKind::ContextLength,
        _ => ErrorKind::Server,
    };
    ProviderError::reported(kind, 502, message)
}

fn translate(status: u16, told: &Value) -> ProviderError {
    let message = told["message"].as_str().unwrap_or_default();
    let lower = message.to_ascii_lowercase();
    let kind = match status {
        // 498: the token is blocked.
        401 | 403 | 498 => ErrorKind::Auth,
        402 => ErrorKind::Quota,
        429 if lower.contains("trial key") && lower.contains("month") => ErrorKind::Quota,
        400 | 422 if is_too_long(message, told) => ErrorKind::ContextLength,
        499 => ErrorKind::Server,
        _ => ErrorKind::of_status(status),
    };
    let message = match kind {
        // Cohere repeats parts of the key.
        ErrorKind::Auth => "the provider refused weir's credential".to_owned(),
        _ if message.is_empty() => format!("the provider answered {status} without saying why"),
        _ => message.to_owned(),
    };
    let status = if status == 498 || status == 499 { 502 } else { status };
    ProviderError::reported(kind, status, message)
}

fn is_too_long(message: &str, told: &Value) -> bool {
    told["error_type"] == "TOO_MANY_TOKENS" || message.to_ascii_lowercase().contains("too many tokens")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_class_is_told_apart() {
        use ErrorKind::*;
        for (status, told, kind, outward) in [
            (401, json!({"message": "invalid api token sk-1"}), Auth, 502),
            (498, json!({"message": "blocked"}), Auth, 502),
            (402, json!({"message": "pay"}), Quota, 502),
            (400, json!({"message": "x", "error_type": "TOO_MANY_TOKENS"}), ContextLength, 400),
            (400, json!({"message": "invalid request: x"}), InvalidRequest, 400),
            (404, json!({"message": "model 'x' was removed"}), NotFound, 404),
            (
                429,
                json!({"message": "You are using a Trial key, which is limited to 1000 API calls / month."}),
                Quota,
                502,
            ),
            (429, json!({"message": "too many requests"}), RateLimit, 429),
            (503, Value::Null, Overloaded, 503),
            (499, Value::Null, Server, 502),
        ] {
            let seen = translate(status, &told);
            assert_eq!((seen.kind, seen.status), (kind, outward), "{status} {told}");
            assert!(!seen.error.message.contains("sk-1"));
        }
    }

    #[test]
    fn answers_that_end_in_an_error() {
        assert_eq!(in_reply("ERROR", &json!({"error": "boom"})).error.message, "boom");
        assert_eq!(in_reply("TIMEOUT", &Value::Null).kind, ErrorKind::Timeout);
        assert_eq!(in_reply("ERROR", &json!({"error": "too many tokens: 5"})).kind, ErrorKind::ContextLength);
    }
}
