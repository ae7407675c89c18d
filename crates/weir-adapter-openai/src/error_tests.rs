//! Tests of [`super`]: shapes that no recording has.

use http::HeaderValue;

use super::*;

#[track_caller]
fn check(status: u16, body: &str, kind: ErrorKind, code: &str, message: &str) {
    let error = reported(status, &HeaderMap::new(), body.as_bytes());
    let found = (error.kind, error.error.code.as_deref().unwrap_or_default(), error.error.message.as_str());
    assert_eq!(found, (kind, code, message), "{body}");
}

#[test]
fn every_shape_is_read() {
    use ErrorKind::*;
    check(
        400,
        r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***9z. You can obtain one."}"#,
        Auth,
        "upstream_auth",
        "Incorrect API key provided: [redacted]. You can obtain one.",
    );
    check(
        404,
        r#"{"error":"model \"x\" not found, try pulling it first"}"#,
        NotFound,
        "model_not_found",
        "model \"x\" not found, try pulling it first",
    );
    check(
        422,
        r#"{"detail":[{"loc":["body","messages",0],"msg":"field required","type":"missing"}]}"#,
        InvalidRequest,
        "invalid_request",
        "body.messages.0: field required",
    );
    check(
        422,
        r#"{"object":"error","message":{"detail":"bad"},"type":"invalid_request_message_order"}"#,
        InvalidRequest,
        "invalid_request",
        "bad",
    );
    check(
        400,
        r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#,
        NotFound,
        "model_not_found",
        "The model `x` does not exist.",
    );
    check(
        400,
        r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#,
        InvalidRequest,
        "invalid_request",
        "API key not valid",
    );
    check(
        500,
        "<html><body>Bad gateway</body></html>",
        Server,
        "upstream_error",
        "the provider answered with status 500",
    );
    check(503, "upstream connect error", Overloaded, "upstream_overloaded", "upstream connect error");
    check(429, "", RateLimit, "rate_limit_exceeded", "the provider answered with status 429");
    check(
        400,
        r#"{"error":{"details":[{"loc":"x"}]}}"#,
        InvalidRequest,
        "invalid_request",
        r#"[{"loc":"x"}]"#,
    );
    check(400, r#"{"error":{"message":{"a":1}}}"#, InvalidRequest, "invalid_request", r#"{"a":1}"#);
    check(529, "{}", Overloaded, "upstream_overloaded", "the provider answered with status 529");
}

#[test]
fn kinds_that_the_status_does_not_tell() {
    use ErrorKind::*;
    check(
        429,
        r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
        Quota,
        "upstream_quota",
        "You exceeded your current quota",
    );
    check(
        402,
        r#"{"error":{"message":"Insufficient Balance"}}"#,
        Quota,
        "upstream_quota",
        "Insufficient Balance",
    );
    check(
        400,
        r#"{"error":{"message":"The response was filtered","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        ContentFilter,
        "content_filter",
        "The response was filtered",
    );
    check(
        403,
        r#"{"error":{"message":"x requires moderation","code":403,"metadata":{"reasons":["violence"]}}}"#,
        ContentFilter,
        "content_filter",
        "x requires moderation",
    );
    check(
        400,
        r#"{"error":{"type":"exceed_context_size_error","message":"too big","n_ctx":512}}"#,
        ContextLength,
        "context_length_exceeded",
        "too big",
    );
    check(
        400,
        r#"{"error":"This model's maximum prompt length is 131072 but the request contains 1 tokens"}"#,
        ContextLength,
        "context_length_exceeded",
        "This model's maximum prompt length is 131072 but the request contains 1 tokens",
    );
    check(
        413,
        r#"{"error":{"message":"Request too large: tokens per minute (TPM): Limit 6000","code":"rate_limit_exceeded"}}"#,
        TooLarge,
        "request_too_large",
        "Request too large: tokens per minute (TPM): Limit 6000",
    );
    check(498, "{}", Overloaded, "upstream_overloaded", "the provider answered with status 498");
    check(
        500,
        r#"{"message":"model is overloaded"}"#,
        Overloaded,
        "upstream_overloaded",
        "model is overloaded",
    );
    check(
        502,
        r#"{"error":{"message":"rate limit of the upstream"}}"#,
        RateLimit,
        "rate_limit_exceeded",
        "rate limit of the upstream",
    );
    check(408, "{}", Timeout, "upstream_timeout", "the provider answered with status 408");
}

#[test]
fn openrouter_says_what_the_one_behind_it_said() {
    let body = r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"too many images\"}}","provider_name":"X"}}}"#;
    check(
        400,
        body,
        ErrorKind::InvalidRequest,
        "invalid_request",
        "Provider returned error: too many images",
    );
    let body =
        r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"plain text"}}}"#;
    check(502, body, ErrorKind::Server, "upstream_error", "Provider returned error: plain text");
}

#[test]
fn headers_count_where_they_should() {
    let headers: HeaderMap = [("x-should-retry", "false")]
        .into_iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let limited = reported(429, &headers, b"{}");
    assert_eq!(limited.retry, Retry::Elsewhere);
    let wrong = reported(400, &headers, b"{}");
    assert_eq!(wrong.retry, Retry::Never);
}

#[test]
fn google_says_in_the_body_how_long_to_wait() {
    let detail = r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.Help"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}"#;
    for body in [detail.to_owned(), format!("[{detail}]")] {
        let error = reported(429, &HeaderMap::new(), body.as_bytes());
        let wait = Some(std::time::Duration::from_millis(34_400));
        assert_eq!((error.kind, error.retry_after), (ErrorKind::RateLimit, wait));
    }
    assert_eq!(reported(429, &HeaderMap::new(), br#"{"error":{"message":"RetryInfo"}}"#).retry_after, None);
}

#[test]
fn errors_inside_a_reply() {
    let error = inside(&serde_json::json!({"message": "down", "code": 503}));
    assert_eq!((error.kind, error.status), (ErrorKind::Overloaded, 503));
    assert_eq!(inside(&serde_json::json!({"error": {"code": 200}})).status, 502);
    assert_eq!(inside(&Value::Null).kind, ErrorKind::Server);
}

#[test]
fn codes_that_are_sentences_do_not_pass() {
    let body = r#"{"code":"The caller is wrong","error":"no"}"#;
    check(400, body, ErrorKind::InvalidRequest, "invalid_request", "no");
}
