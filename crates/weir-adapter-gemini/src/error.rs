//! Gemini's errors in OpenAI's words: `{"error": {"code", "message", "status", "details"}}`.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use weir_adapter::wait::LONGEST;
use weir_adapter::{ErrorKind, ProviderError};

use crate::wire::{PromptFeedback, Status, Word};

/// What a reply with an error status means.
pub(crate) fn error(status: StatusCode, body: &[u8]) -> ProviderError {
    match read(body) {
        Some(told) => translate(&told, status.as_u16()),
        None => {
            let kind = ErrorKind::of_status(status.as_u16());
            let message = format!("the provider answered {} without saying why", status.as_u16());
            ProviderError::reported(kind, status.as_u16(), message)
        }
    }
}

/// An error in the place of a reply, or within a stream, where the status was 200.
pub(crate) fn in_body(told: &Status) -> ProviderError {
    let status = told.code.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
    translate(told, status.unwrap_or(502))
}

/// A prompt that the provider refused to answer.
pub(crate) fn blocked(feedback: &PromptFeedback) -> ProviderError {
    let reason = match &feedback.block_reason {
        Some(Word::Name(name)) => name.clone(),
        Some(Word::Number(number)) => number.to_string(),
        None => "OTHER".to_owned(),
    };
    let mut message = format!("the provider blocked the prompt: {reason}");
    if let Some(why) = feedback.block_reason_message.as_deref().filter(|why| !why.is_empty()) {
        message = format!("{message}: {why}");
    }
    ProviderError::reported(ErrorKind::ContentFilter, 400, message)
}

/// The error in a body: an object, or the only element of a list (streams without `alt=sse`).
fn read(body: &[u8]) -> Option<Status> {
    #[derive(Deserialize)]
    struct Wrapper {
        error: Status,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        // First: a struct would read from a list, too.
        List(Vec<Wrapper>),
        One(Wrapper),
    }
    match serde_json::from_slice(body).ok()? {
        Body::One(wrapper) => Some(wrapper.error),
        Body::List(list) => list.into_iter().next().map(|wrapper| wrapper.error),
    }
}

fn translate(told: &Status, status: u16) -> ProviderError {
    let kind = kind(told, status);
    let message = match kind {
        // Google repeats keys and project numbers in these.
        ErrorKind::Auth => {
            let reason = reason(told).unwrap_or(&told.status).to_owned();
            format!("the provider refused weir's credential ({reason})")
        }
        _ if told.message.is_empty() => format!("the provider answered {status} without saying why"),
        _ => told.message.clone(),
    };
    let status = if status == 499 { 502 } else { status };
    let mut error = ProviderError::reported(kind, status, message).param(field(told));
    if kind == ErrorKind::NotFound && !told.message.to_ascii_lowercase().contains("model") {
        error = error.code("not_found");
    }
    error.retry_after = detail(told, "RetryInfo").and_then(|info| delay(info["retryDelay"].as_str()?));
    error
}

fn kind(told: &Status, status: u16) -> ErrorKind {
    let message = told.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().all(|word| message.contains(word));
    match told.status.as_str() {
        _ if reason(told).is_some_and(|reason| reason.starts_with("API_KEY")) => ErrorKind::Auth,
        "RESOURCE_EXHAUSTED" if is_used_up(told) => ErrorKind::Quota,
        "RESOURCE_EXHAUSTED" => ErrorKind::RateLimit,
        "UNAUTHENTICATED" | "PERMISSION_DENIED" => ErrorKind::Auth,
        // The account's place, or its billing: nothing in the request is wrong.
        "FAILED_PRECONDITION" => ErrorKind::Auth,
        "NOT_FOUND" => ErrorKind::NotFound,
        "DEADLINE_EXCEEDED" => ErrorKind::Timeout,
        "UNAVAILABLE" => ErrorKind::Overloaded,
        "INTERNAL" | "UNKNOWN" if status == 529 => ErrorKind::Overloaded,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "ABORTED" | "CANCELLED" => ErrorKind::Server,
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" if says(&["token count", "exceeds"]) => ErrorKind::ContextLength,
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" if says(&["token count", "only supports"]) => {
            ErrorKind::ContextLength
        }
        "INVALID_ARGUMENT" if says(&["payload size exceeds"]) => ErrorKind::TooLarge,
        _ => ErrorKind::of_status(status),
    }
}

/// A quota that no wait of minutes fills again: one of the day, or one that is nothing.
fn is_used_up(told: &Status) -> bool {
    let zero = |value: &Value| value == "0" || value == 0;
    let violations = detail(told, "QuotaFailure").and_then(|failure| failure["violations"].as_array());
    let used_up = |violation: &Value| {
        violation["quotaId"].as_str().is_some_and(|id| id.contains("PerDay"))
            || zero(&violation["quotaValue"])
    };
    let limit = detail(told, "ErrorInfo").map(|info| &info["metadata"]);
    violations.into_iter().flatten().any(used_up)
        || limit.is_some_and(|limit| zero(&limit["quota_limit_value"]))
}

fn reason(told: &Status) -> Option<&str> {
    detail(told, "ErrorInfo")?["reason"].as_str()
}

/// The first field that is wrong.
fn field(told: &Status) -> Option<String> {
    let violations = detail(told, "BadRequest")?["fieldViolations"].as_array()?;
    Some(violations.first()?["field"].as_str()?.to_owned())
}

fn detail<'s>(told: &'s Status, kind: &str) -> Option<&'s Value> {
    let is =
        |detail: &&Value| detail["@type"].as_str().is_some_and(|name| name.ends_with(&format!(".{kind}")));
    told.details.iter().find(is)
}

/// `34.4s`.
fn delay(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().map(|delay| delay.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(status: u16, told: Value, kind: ErrorKind, outward: u16, wait: Option<u64>) {
        let body = serde_json::to_vec(&json!({ "error": told })).unwrap();
        let error = error(StatusCode::from_u16(status).unwrap(), &body);
        assert_eq!((error.kind, error.status), (kind, outward), "{told}");
        assert_eq!(error.retry_after, wait.map(Duration::from_millis), "{told}");
    }

    fn info(reason: &str) -> Value {
        json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason})
    }

    #[test]
    fn each_class_of_error_is_told_apart() {
        use ErrorKind::*;
        let told = |status: &str, message: &str, details: Value| json!({"code": 0, "status": status, "message": message, "details": details});
        check(
            400,
            told("INVALID_ARGUMENT", "API key not valid.", json!([info("API_KEY_INVALID")])),
            Auth,
            502,
            None,
        );
        check(400, told("INVALID_ARGUMENT", "bad", json!([])), InvalidRequest, 400, None);
        check(
            400,
            told("FAILED_PRECONDITION", "User location is not supported for the API use.", json!([])),
            Auth,
            502,
            None,
        );
        check(403, told("PERMISSION_DENIED", "x", json!([])), Auth, 502, None);
        check(404, told("NOT_FOUND", "models/x is not found", json!([])), NotFound, 404, None);
        check(
            400,
            told(
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                json!([]),
            ),
            ContextLength,
            400,
            None,
        );
        check(
            400,
            told("INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", json!([])),
            TooLarge,
            400,
            None,
        );
        check(500, told("INTERNAL", "x", json!([])), Server, 500, None);
        check(503, told("UNAVAILABLE", "The model is overloaded.", json!([])), Overloaded, 503, None);
        check(504, told("DEADLINE_EXCEEDED", "x", json!([])), Timeout, 504, None);
        let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"});
        let quota = |id: &str| json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id}]});
        check(
            429,
            told("RESOURCE_EXHAUSTED", "x", json!([quota("RequestsPerMinutePerModel"), retry])),
            RateLimit,
            429,
            Some(34_400),
        );
        check(
            429,
            told("RESOURCE_EXHAUSTED", "x", json!([quota("RequestsPerDayPerModel-FreeTier")])),
            Quota,
            502,
            None,
        );
    }

    #[test]
    fn keys_and_projects_stay_here() {
        let told = json!({"status": "PERMISSION_DENIED", "message": "Consumer 'api_key:AIzaSecret' has been suspended."});
        let body = serde_json::to_vec(&json!([{ "error": told }])).unwrap();
        let error = error(StatusCode::FORBIDDEN, &body);
        assert_eq!(error.error.message, "the provider refused weir's credential (PERMISSION_DENIED)");
    }

    #[test]
    fn bodies_that_are_no_errors() {
        let html = error(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!((html.kind, html.status), (ErrorKind::Server, 502));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let told = json!({"status": "INVALID_ARGUMENT", "message": "x", "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "generation_config.temperature"}]}]});
        let body = serde_json::to_vec(&json!({ "error": told })).unwrap();
        let error = error(StatusCode::BAD_REQUEST, &body);
        assert_eq!(error.error.param.as_deref(), Some("generation_config.temperature"));
    }
}
