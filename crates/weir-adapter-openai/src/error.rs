//! What a provider's error means: every shape that hosts of this dialect use, in OpenAI's words.
//! The table of shapes and kinds stands in `docs/errors.md`.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;
use weir_adapter::wait::LONGEST;
use weir_adapter::{ErrorKind, ProviderError, Retry};
use weir_wire::openai::usage::Usage;

use crate::scrub::scrub;

/// What an error body says, whatever its shape.
#[derive(Debug, Default, PartialEq)]
struct Said {
    message: String,
    kind: String,
    code: String,
    param: Option<String>,
    /// A status inside the body, where the reply's own says nothing (errors under 200).
    status: Option<u16>,
}

/// A reply with an error status.
pub(crate) fn reported(status: u16, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let mut error = from_said(status, said(body));
    error.retry_after = retry_info(body);
    if headers.get("x-should-retry").is_some_and(|value| value == "false") && error.retry == Retry::Here {
        error.retry = Retry::Elsewhere;
    }
    error
}

/// How long Google's hosts of this dialect ask to wait, in the body: `RetryInfo`, as in their own dialect.
fn retry_info(body: &[u8]) -> Option<Duration> {
    memchr::memmem::find(body, b"google.rpc.RetryInfo")?;
    let told: Value = serde_json::from_slice(body).ok()?;
    let error = told.get("error").or_else(|| told.get(0)?.get("error"))?;
    let mut delays = error["details"].as_array()?.iter().filter_map(|detail| detail["retryDelay"].as_str());
    weir_adapter::wait::span(delays.next()?).map(|delay| delay.min(LONGEST))
}

/// What the failed call used, where the body of the error says so beside it.
pub(crate) fn usage(body: &[u8]) -> Option<Usage> {
    #[derive(serde::Deserialize)]
    struct Body {
        usage: Option<Usage>,
    }
    memchr::memmem::find(body, b"\"usage\"")?;
    serde_json::from_slice::<Body>(body).ok()?.usage
}

/// JSON in the midst of a stream that is no event: an error, or what nobody can read.
pub(crate) fn bare(json: &[u8]) -> ProviderError {
    match serde_json::from_slice::<Value>(json) {
        Ok(value) if value.get("error").is_some() => inside(&value),
        _ => ProviderError::nonsense("the provider answered a stream with something else"),
    }
}

/// An error that stands in a reply under status 200, as the value of `error` or as the whole body.
pub(crate) fn inside(value: &Value) -> ProviderError {
    let wrapped;
    let value = match value.get("error") {
        Some(_) => value,
        None => {
            wrapped = serde_json::json!({ "error": value });
            &wrapped
        }
    };
    let said = from_value(value);
    let status = said.status.filter(|status| (400..600).contains(status)).unwrap_or(502);
    let mut error = from_said(status, said);
    if error.kind == ErrorKind::InvalidRequest && error.retry == Retry::Never {
        // The provider took the request and failed on the way (Groq: a tool call that does not fit its schema).
        error.retry = Retry::Elsewhere;
    }
    error
}

/// An error that is known by its kind alone.
pub(crate) fn plain(kind: ErrorKind, status: u16, message: &str) -> ProviderError {
    ProviderError::reported(kind, status, message)
}

fn from_said(status: u16, said: Said) -> ProviderError {
    let kind = classify(status, &said);
    let message = match said.message.as_str() {
        "" => Cow::Owned(format!("the provider answered with status {status}")),
        message => scrub(message),
    };
    let mut error = ProviderError::reported(kind, status, message);
    let own = !said.code.is_empty() && !said.code.bytes().all(|byte| byte.is_ascii_digit());
    let word = own && said.code.len() <= 64 && !said.code.contains(' ');
    if word && matches!(kind, ErrorKind::InvalidRequest | ErrorKind::NotFound) {
        error.error.code = Some(said.code);
    }
    if matches!(
        kind,
        ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::ContextLength | ErrorKind::ContentFilter
    ) {
        error.error.param = said.param;
    }
    error
}

/// Reads any of the shapes; a body that is no JSON is its own message, if it is text.
fn said(body: &[u8]) -> Said {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    match serde_json::from_str::<Value>(text) {
        Ok(value) => from_value(&value),
        Err(_) if text.starts_with('<') => Said::default(),
        Err(_) => Said { message: text.chars().take(500).collect(), ..Said::default() },
    }
}

fn from_value(value: &Value) -> Said {
    let value = match value {
        Value::Array(list) => list.first().unwrap_or(value),
        _ => value,
    };
    let inner = match value.get("error") {
        Some(Value::Object(_)) => &value["error"],
        _ => value,
    };
    let mut said = Said {
        message: message(value, inner),
        kind: text(inner.get("type")).or_else(|| text(value.get("error_type"))).unwrap_or_default(),
        code: text(inner.get("code")).unwrap_or_default(),
        param: text(inner.get("param")),
        status: ["status_code", "status", "code"].iter().find_map(|name| number(inner.get(*name))),
    };
    if let Some(innermost) = inner.pointer("/innererror/code").and_then(Value::as_str) {
        said.kind = innermost.to_owned();
    }
    if let Some(upstream) =
        inner.pointer("/metadata/raw").and_then(Value::as_str).filter(|raw| !raw.is_empty())
    {
        // OpenRouter: what the provider behind it said.
        let upstream = said_by_upstream(upstream);
        said.message = format!("{}: {upstream}", said.message);
    }
    said
}

fn said_by_upstream(raw: &str) -> String {
    match serde_json::from_str::<Value>(raw) {
        Ok(value) => from_value(&value).message,
        Err(_) => raw.chars().take(500).collect(),
    }
}

fn message(value: &Value, inner: &Value) -> String {
    let detail = match value.get("detail") {
        Some(Value::Array(list)) => {
            let texts: Vec<String> = list.iter().map(one_detail).collect();
            Some(texts.join("; "))
        }
        detail => text(detail),
    };
    text(inner.get("message"))
        .or_else(|| inner.get("message").and_then(|message| text(message.get("detail"))))
        .or_else(|| text(value.get("error")))
        .or(detail)
        .or_else(|| inner.get("message").filter(|message| !message.is_null()).map(Value::to_string))
        .or_else(|| inner.get("details").map(Value::to_string))
        .unwrap_or_default()
}

/// One entry of FastAPI's list: where, and what.
fn one_detail(detail: &Value) -> String {
    let place = detail["loc"].as_array().into_iter().flatten().filter_map(|part| text(Some(part)));
    let place = place.collect::<Vec<_>>().join(".");
    format!("{place}: {}", text(detail.get("msg")).unwrap_or_default())
}

fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: Option<&Value>) -> Option<u16> {
    match value? {
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Phrases by which hosts say the same thing. Lower case.
const CONTEXT: [&str; 13] = [
    "context_length",
    "context length",
    "context window",
    "context size",
    "exceed_context",
    "prompt is too long",
    "too_many_prompt_tokens",
    "maximum prompt length",
    "reduce the length of the messages",
    "too many tokens",
    "too large for model",
    "max_new_tokens` must be",
    "maximum allowed number of input tokens",
];
const FILTER: [&str; 7] = [
    "content_filter",
    "content filter",
    "content_policy",
    "content management policy",
    "responsibleaipolicy",
    "requires moderation",
    "flagged as potentially",
];
const QUOTA: [&str; 8] = [
    "insufficient_quota",
    "insufficient balance",
    "insufficient credit",
    "requires more credits",
    "exceeded your current quota",
    "billing_",
    "used all available credits",
    "credit limit",
];
const KEY: [&str; 5] = [
    "invalid_api_key",
    "incorrect api key",
    "invalid api key",
    "invalid_authentication",
    "no auth credentials",
];
const MODEL: [&str; 8] = [
    "model_not_found",
    "invalid model",
    "invalid_model",
    "model not exist",
    "not a valid model",
    "model_not_available",
    "deploymentnotfound",
    "unknown model",
];

fn classify(status: u16, said: &Said) -> ErrorKind {
    let all = format!("{} {} {}", said.code, said.kind, said.message).to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| all.contains(phrase));
    let by_status = ErrorKind::of_status(status);
    match status {
        402 => ErrorKind::Quota,
        429 | 403 if says(&QUOTA) => ErrorKind::Quota,
        400 | 403 | 451 if says(&FILTER) => ErrorKind::ContentFilter,
        // A limit on tokens a minute that the request alone exceeds: a larger tier or another provider may serve it.
        413 if all.contains("tokens per minute") => ErrorKind::TooLarge,
        400 | 413 | 422 | 500 if says(&CONTEXT) => ErrorKind::ContextLength,
        400 | 422 if says(&KEY) => ErrorKind::Auth,
        400 | 422 if says(&MODEL) || (all.contains("model ") && all.contains("does not exist")) => {
            ErrorKind::NotFound
        }
        // Groq: no capacity for this tier.
        498 => ErrorKind::Overloaded,
        500..=599 if all.contains("overloaded") || all.contains("over capacity") => ErrorKind::Overloaded,
        502 if all.contains("rate_limit") || all.contains("rate limit") => ErrorKind::RateLimit,
        502 => ErrorKind::Server,
        _ => by_status,
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
