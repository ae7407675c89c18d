//! Gemini's error bodies.

use serde_json::{Value, json};

use crate::reply::Refusal;

/// An error whose status name follows from its code.
pub(crate) fn refusal(code: u16, message: &str) -> Refusal {
    detailed(code, message, Vec::new())
}

fn detailed(code: u16, message: &str, details: Vec<Value>) -> Refusal {
    let status = match code {
        400 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        400..=499 => "FAILED_PRECONDITION",
        _ => "INTERNAL",
    };
    let mut error = json!({"code": code, "message": message, "status": status});
    if !details.is_empty() {
        error["details"] = json!(details);
    }
    Refusal { status: code, headers: Vec::new(), body: json!({"error": error}) }
}

/// A 400.
pub(crate) fn invalid(message: &str) -> Refusal {
    refusal(400, message)
}

/// A scripted status; a 429 says when to come back, in its details.
pub(crate) fn by_status(status: u16, message: &str) -> Refusal {
    let details = match status {
        429 => vec![json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"})],
        _ => Vec::new(),
    };
    detailed(status, message, details)
}

/// A field that does not exist, at a place such as `generation_config`.
pub(super) fn unknown_name(name: &str, at: &str) -> Refusal {
    let place = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
    let message =
        format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field.");
    let violation = json!({"field": at, "description": message});
    let details =
        json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]});
    detailed(400, &message, vec![details])
}

pub(super) fn no_key() -> Refusal {
    let message = "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.";
    refusal(403, message)
}

pub(super) fn wrong_token() -> Refusal {
    let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.";
    refusal(401, message)
}

pub(super) fn wrong_key() -> Refusal {
    let message = "API key not valid. Please pass a valid API key.";
    let details = vec![
        json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
            "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}),
        json!({"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message}),
    ];
    detailed(400, message, details)
}
