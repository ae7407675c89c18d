//! Bedrock's errors in OpenAI's words: `{"message"}` with the exception's name in a header, or as a frame of a stream.

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use weir_adapter::{ErrorKind, ProviderError};

/// What says so of a key that may have been good before.
const ENDED: &[&str] = &[
    "ExpiredTokenException",
    "ExpiredToken",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
];

/// What a reply with an error status means.
pub(crate) fn error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    translate(exception(headers, &told), status.as_u16(), &told)
}

/// Whether it names keys that have ended or are not known (any more): others may be good.
pub(crate) fn credential_ended(headers: &HeaderMap, body: &[u8]) -> bool {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    ENDED.contains(&exception(headers, &told))
}

fn exception<'a>(headers: &'a HeaderMap, told: &'a Value) -> &'a str {
    let header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    name(header.or_else(|| told["__type"].as_str()).unwrap_or_default())
}

/// An exception in a stream, by its name there (`throttlingException`).
pub(crate) fn in_stream(named: &str, payload: &[u8]) -> ProviderError {
    let told: Value = serde_json::from_slice(payload).unwrap_or_default();
    let mut name = name(named).to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    translate(&name, 0, &told)
}

/// An answer that the model made badly, so that there is none.
pub(crate) fn malformed(reason: &str) -> ProviderError {
    ProviderError::nonsense(format!("the provider ended the answer with {reason}"))
}

/// `ValidationException` of `ValidationException:http://internal.amazon.com/…` or `com.amazon.coral#ValidationException`.
fn name(named: &str) -> &str {
    let named = named.split(':').next().unwrap_or_default();
    named.rsplit('#').next().unwrap_or_default()
}

fn translate(name: &str, status: u16, told: &Value) -> ProviderError {
    let message = told["message"].as_str().or_else(|| told["Message"].as_str()).unwrap_or_default();
    let (kind, usual) = match name {
        "ValidationException" => refined(message),
        "ThrottlingException" | "TooManyRequestsException" => (ErrorKind::RateLimit, 429),
        "ServiceQuotaExceededException" => (ErrorKind::Quota, 402),
        "ResourceNotFoundException" => (ErrorKind::NotFound, 404),
        "ModelTimeoutException" => (ErrorKind::Timeout, 504),
        "ModelNotReadyException" | "ServiceUnavailableException" => (ErrorKind::Overloaded, 503),
        "InternalServerException" | "ModelErrorException" | "ModelStreamErrorException" => {
            (ErrorKind::Server, 502)
        }
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "UnrecognizedClientException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "NotAuthorized" => (ErrorKind::Auth, 502),
        _ if status == 0 => (ErrorKind::Server, 502),
        _ => match ErrorKind::of_status(status) {
            ErrorKind::InvalidRequest => (refined(message).0, status),
            kind => (kind, status),
        },
    };
    let message = match kind {
        // It may name accounts, roles and keys.
        ErrorKind::Auth => "the provider refused weir's credential".to_owned(),
        _ if !message.is_empty() => message.to_owned(),
        _ if name.is_empty() => format!("the provider answered {status} without saying why"),
        _ => format!("the provider answered {name}"),
    };
    ProviderError::reported(kind, usual, message)
}

/// What a request that Bedrock won't take lacks, by its text: there is no code.
fn refined(message: &str) -> (ErrorKind, u16) {
    let lower = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["too long", "too many input tokens", "maximum context", "context length", "context window"]) {
        (ErrorKind::ContextLength, 400)
    } else if has(&["model identifier is invalid", "on-demand throughput"]) {
        (ErrorKind::NotFound, 404)
    } else {
        (ErrorKind::InvalidRequest, 400)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn each_exception_has_its_kind() {
        use ErrorKind::*;
        for (status, name, message, kind, outward) in [
            (
                400,
                "ValidationException:http://internal.amazon.com/coral/",
                "Malformed input",
                InvalidRequest,
                400,
            ),
            (400, "ValidationException", "Input is too long for requested model.", ContextLength, 400),
            (400, "ValidationException", "The provided model identifier is invalid.", NotFound, 404),
            (403, "ExpiredTokenException", "arn:aws:iam::1", Auth, 502),
            (403, "com.amazon.coral.service#AccessDeniedException", "", Auth, 502),
            (404, "ResourceNotFoundException", "end of its life", NotFound, 404),
            (408, "ModelTimeoutException", "", Timeout, 504),
            (424, "ModelErrorException", "", Server, 502),
            (429, "ThrottlingException", "", RateLimit, 429),
            (429, "ModelNotReadyException", "", Overloaded, 503),
            (400, "ServiceQuotaExceededException", "", Quota, 502),
            (500, "InternalServerException", "", Server, 502),
            (503, "ServiceUnavailableException", "", Overloaded, 503),
            (413, "", "", TooLarge, 413),
            (400, "", "prompt is too long: 5 > 4", ContextLength, 400),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-amzn-errortype", HeaderValue::from_str(name).unwrap());
            let body = json!({"message": message}).to_string();
            let error = error(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes());
            assert_eq!((error.kind, error.status), (kind, outward), "{name} {message}");
            assert!(!error.error.message.contains("arn:"), "{name}");
        }
        let body = br#"{"__type":"com.amazon#ThrottlingException","message":"slow"}"#;
        assert_eq!(error(StatusCode::BAD_REQUEST, &HeaderMap::new(), body).kind, RateLimit);
    }

    #[test]
    fn the_same_in_a_stream() {
        use ErrorKind::*;
        for (name, kind) in [
            ("throttlingException", RateLimit),
            ("validationException", InvalidRequest),
            ("internalServerException", Server),
            ("modelStreamErrorException", Server),
            ("serviceUnavailableException", Overloaded),
            ("somethingNewException", Server),
        ] {
            let error = in_stream(name, br#"{"message":"m"}"#);
            assert_eq!((error.kind, error.error.message.as_str()), (kind, "m"), "{name}");
        }
        assert_eq!(in_stream("", b"").status, 502);
    }
}
