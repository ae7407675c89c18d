//! Anthropic's error bodies.

use serde_json::json;

use crate::reply::Refusal;

/// An error of that type; the request's id is added later.
pub(crate) fn refusal(status: u16, kind: &str, message: &str) -> Refusal {
    let retry = matches!(status, 408 | 409 | 429 | 500..);
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    Refusal { status, headers: vec![("x-should-retry", retry.to_string())], body }
}

/// A 400.
pub(crate) fn invalid(message: &str) -> Refusal {
    refusal(400, "invalid_request_error", message)
}

/// A scripted status.
pub(crate) fn by_status(status: u16, message: &str) -> Refusal {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    refusal(status, kind, message)
}
