//! Ollama's errors in OpenAI's words: `{"error": "text"}`, also as a line of a stream.

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use weir_adapter::error::retry_after;
use weir_adapter::{ErrorKind, ProviderError};

/// What a reply with an error status means.
pub(crate) fn error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = message(&told["error"]).unwrap_or_default();
    let status = status.as_u16();
    let mut error = match ErrorKind::of_status(status) {
        ErrorKind::Auth => {
            ProviderError::reported(ErrorKind::Auth, status, "the provider refused weir's credential")
        }
        _ if message.is_empty() => {
            let text = format!("the provider answered {status} without saying why");
            ProviderError::reported(ErrorKind::of_status(status), status, text)
        }
        kind => ProviderError::reported(refined(kind, &message), status, message),
    };
    error.retry_after = retry_after(headers);
    error
}

/// An error in a reply with status 200: what broke off a stream.
pub(crate) fn in_reply(told: &Value) -> ProviderError {
    let message = message(told).unwrap_or_else(|| "the provider broke off without saying why".to_owned());
    ProviderError::reported(refined(ErrorKind::Server, &message), 502, message)
}

/// Ollama's text; its cloud sometimes has an object like OpenAI's.
fn message(told: &Value) -> Option<String> {
    let text = told.as_str().or_else(|| told["message"].as_str())?;
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn refined(kind: ErrorKind, message: &str) -> ErrorKind {
    let lower = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::Server
            if has(&["context length", "context window", "prompt too long", "exceeds maximum context"]) =>
        {
            ErrorKind::ContextLength
        }
        ErrorKind::Server if has(&["server busy", "maximum pending requests", "more system memory"]) => {
            ErrorKind::Overloaded
        }
        kind => kind,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_class_is_told_apart() {
        use ErrorKind::*;
        for (status, told, kind, outward) in [
            (400, json!({"error": "\"llama3\" does not support tools"}), InvalidRequest, 400),
            (400, json!({"error": "the input length exceeds the context length"}), ContextLength, 400),
            (401, json!({"error": "unauthorized"}), Auth, 502),
            (404, json!({"error": "model 'x' not found"}), NotFound, 404),
            (429, json!({"error": {"message": "you have reached your hourly limit"}}), RateLimit, 429),
            (
                500,
                json!({"error": "model requires more system memory (5 GiB) than is available"}),
                Overloaded,
                500,
            ),
            (
                503,
                json!({"error": "server busy, please try again. maximum pending requests exceeded"}),
                Overloaded,
                503,
            ),
            (500, json!({}), Server, 500),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = error(status, &HeaderMap::new(), told.to_string().as_bytes());
            assert_eq!((error.kind, error.status), (kind, outward), "{told}");
        }
    }

    #[test]
    fn an_error_in_a_stream_keeps_its_text() {
        let error = in_reply(&json!("an error was encountered while running the model"));
        assert_eq!((error.kind, error.status), (ErrorKind::Server, 502));
        assert!(error.error.message.contains("while running"));
        assert_eq!(in_reply(&Value::Null).kind, ErrorKind::Server);
    }
}
