//! What Anthropic's errors mean. The table stands in `docs/errors.md`.

use http::HeaderMap;
use weir_adapter::{ErrorKind, ProviderError, Retry};

use crate::wire::ErrorBody;

/// How much of a body that is not JSON stands in a message, in characters.
const EXCERPT: usize = 200;

/// A reply with an error status.
pub(crate) fn of_reply(status: u16, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let mut error = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) if !body.error.message.is_empty() || !body.error.kind.is_empty() => {
            of_words(status, &body.error.kind, &body.error.message)
        }
        _ => ProviderError::reported(ErrorKind::of_status(status), status, excerpt(status, body)),
    };
    let refused = headers.get("x-should-retry").is_some_and(|value| value == "false");
    if refused && error.retry == Retry::Here {
        error.retry = Retry::Elsewhere;
    }
    error
}

/// An error under status 200: an `error` event, or a body of `type: error`. None where the body is something else.
pub(crate) fn under_success(body: &[u8]) -> Option<ProviderError> {
    let body = serde_json::from_slice::<ErrorBody>(body).ok().filter(|body| body.kind == "error")?;
    Some(of_words(200, &body.error.kind, &body.error.message))
}

fn of_words(status: u16, word: &str, message: &str) -> ProviderError {
    let kind = kind(status, word, message);
    let text = if message.is_empty() { word } else { message };
    let error = ProviderError::reported(kind, status, scrub(text));
    match kind {
        ErrorKind::InvalidRequest => error.param(param(message)),
        ErrorKind::NotFound if message.starts_with("model:") => error.param(Some("model".to_owned())),
        _ => error,
    }
}

fn kind(status: u16, word: &str, message: &str) -> ErrorKind {
    match word {
        // Its words know neither: what the status says is more.
        "invalid_request_error" | "api_error" if matches!(status, 408 | 503 | 529) => {
            ErrorKind::of_status(status)
        }
        "invalid_request_error" => of_message(message).unwrap_or(ErrorKind::InvalidRequest),
        "authentication_error" | "permission_error" => ErrorKind::Auth,
        "billing_error" => ErrorKind::Quota,
        "not_found_error" => ErrorKind::NotFound,
        "request_too_large" => ErrorKind::TooLarge,
        "rate_limit_error" => ErrorKind::RateLimit,
        "timeout_error" => ErrorKind::Timeout,
        "overloaded_error" => ErrorKind::Overloaded,
        "api_error" => ErrorKind::Server,
        _ if status == 200 => ErrorKind::Server,
        _ => ErrorKind::of_status(status),
    }
}

/// What the texts of `invalid_request_error` tell beyond their type.
fn of_message(message: &str) -> Option<ErrorKind> {
    const TEXTS: [(&str, ErrorKind); 8] = [
        ("prompt is too long", ErrorKind::ContextLength),
        ("exceed context limit", ErrorKind::ContextLength),
        ("exceeds the context", ErrorKind::ContextLength),
        ("context window", ErrorKind::ContextLength),
        ("credit balance is too low", ErrorKind::Quota),
        ("usage limits", ErrorKind::Quota),
        ("blocked by content filtering", ErrorKind::ContentFilter),
        ("request_too_large", ErrorKind::TooLarge),
    ];
    TEXTS.iter().find(|(text, _)| message.contains(text)).map(|(_, kind)| *kind)
}

/// The parameter that a message begins with: `messages.0.content: …`.
fn param(message: &str) -> Option<String> {
    let (path, _) = message.split_once(": ")?;
    let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.');
    (!path.is_empty() && path.bytes().all(name)).then(|| path.to_owned())
}

fn excerpt(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() || text.starts_with('<') {
        return format!("the provider answered with status {status} and no readable error");
    }
    scrub(&text.chars().take(EXCERPT).collect::<String>())
}

/// The text without what looks like a key.
pub(crate) fn scrub(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(word) {
        out.push_str(&rest[..start]);
        let end = rest[start..].find(|c| !word(c)).map_or(rest.len(), |length| start + length);
        let piece = &rest[start..end];
        out.push_str(if is_key(piece) { "[redacted]" } else { piece });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn is_key(word: &str) -> bool {
    const PREFIXES: [&str; 7] = ["sk-", "sk_", "gsk_", "xai-", "pplx-", "AIza", "eyJ"];
    let mixed = word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_uppercase())
        && word.bytes().any(|byte| byte.is_ascii_lowercase());
    (word.len() >= 12 && PREFIXES.iter().any(|prefix| word.starts_with(prefix)))
        || (word.len() >= 40 && mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, kind: ErrorKind, client: u16, retry: Retry) {
        let error = of_reply(status, &HeaderMap::new(), body.as_bytes());
        assert_eq!((error.kind, error.status, error.retry), (kind, client, retry), "{body}");
    }

    fn body(word: &str, message: &str) -> String {
        serde_json::json!({"type": "error", "error": {"type": word, "message": message}, "request_id": "r"})
            .to_string()
    }

    #[test]
    fn every_class() {
        use ErrorKind::*;
        let invalid = "invalid_request_error";
        check(400, &body(invalid, "max_tokens: Field required"), InvalidRequest, 400, Retry::Never);
        check(
            400,
            &body(invalid, "prompt is too long: 9 tokens > 1 maximum"),
            ContextLength,
            400,
            Retry::Elsewhere,
        );
        let both = "input length and `max_tokens` exceed context limit: 1 + 2 > 2, decrease input length";
        check(400, &body(invalid, both), ContextLength, 400, Retry::Elsewhere);
        check(
            400,
            &body(invalid, "Your credit balance is too low to access the API"),
            Quota,
            502,
            Retry::Elsewhere,
        );
        check(
            400,
            &body(invalid, "Output blocked by content filtering policy"),
            ContentFilter,
            400,
            Retry::Elsewhere,
        );
        check(401, &body("authentication_error", "invalid x-api-key"), Auth, 502, Retry::Elsewhere);
        check(402, &body("billing_error", "pay"), Quota, 502, Retry::Elsewhere);
        check(403, &body("permission_error", "no"), Auth, 502, Retry::Elsewhere);
        check(404, &body("not_found_error", "model: x"), NotFound, 404, Retry::Elsewhere);
        check(
            413,
            &body("request_too_large", "Request exceeds the maximum size"),
            TooLarge,
            413,
            Retry::Elsewhere,
        );
        check(413, "<html>413</html>", TooLarge, 413, Retry::Elsewhere);
        check(429, &body("rate_limit_error", "slow"), RateLimit, 429, Retry::Here);
        check(500, &body("api_error", "Internal server error"), Server, 500, Retry::Here);
        check(504, &body("timeout_error", "late"), Timeout, 504, Retry::Here);
        check(529, &body("overloaded_error", "Overloaded"), Overloaded, 529, Retry::Here);
        check(529, "", Overloaded, 529, Retry::Here);
    }

    #[test]
    fn names_the_parameter() {
        let error =
            of_words(400, "invalid_request_error", "messages.0.content: Input should be a valid list");
        assert_eq!(error.error.param.as_deref(), Some("messages.0.content"));
        assert_eq!(of_words(404, "not_found_error", "model: x").error.param.as_deref(), Some("model"));
        assert_eq!(of_words(400, "invalid_request_error", "No: it is wrong").error.param, None);
    }

    #[test]
    fn errors_under_status_200() {
        let error = under_success(body("overloaded_error", "Overloaded").as_bytes()).unwrap();
        assert_eq!((error.kind, error.status), (ErrorKind::Overloaded, 503));
        assert_eq!(under_success(br#"{"type":"message"}"#), None);
    }

    #[test]
    fn hides_keys_and_keeps_the_rest() {
        assert_eq!(
            scrub("key sk-ant-api03-abcdefg is wrong (req_011CeCGmBjaWkq37Sf5iU7so)"),
            "key [redacted] is wrong (req_011CeCGmBjaWkq37Sf5iU7so)"
        );
        assert_eq!(scrub("plain — text."), "plain — text.");
    }

    #[test]
    fn heeds_the_headers() {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-should-retry"),
            http::HeaderValue::from_static("false"),
        )]);
        let error = of_reply(429, &headers, body("rate_limit_error", "slow").as_bytes());
        assert_eq!(error.retry, Retry::Elsewhere);
    }
}
