//! Clients of `/v1/messages`.

mod blocks;
mod decode;
mod encode;
mod replay;
mod usage;
mod whole;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_adapter::{Encoder, Front, InvalidRequest, Operation, Peek, Replay, Request};
use weir_wire::framing::sse;
use weir_wire::openai;
use weir_wire::peek::{self, Members};

use crate::DIALECT;

/// The dialect of `/v1/messages`.
pub(crate) struct Messages;

impl Front for Messages {
    fn dialect(&self) -> &'static str {
        DIALECT
    }

    fn peek(&self, _operation: Operation, _head: &Parts, body: &[u8]) -> Result<Peek, InvalidRequest> {
        let members = Members::read(body)?;
        let model = members.value(body, "model").ok_or_else(|| InvalidRequest::missing("model"))?;
        let model = peek::as_str(model).filter(|model| !model.is_empty());
        let model =
            model.ok_or_else(|| InvalidRequest::value("model", "`model` must be a string"))?.into_owned();
        let stream = match members.value(body, "stream").map(peek::as_bool) {
            None => false,
            Some(stream) => {
                stream.ok_or_else(|| InvalidRequest::value("stream", "`stream` must be true or false"))?
            }
        };
        let output_limit = match members.value(body, "max_tokens").map(peek::as_u64) {
            None => None,
            Some(limit) => {
                let wrong =
                    || InvalidRequest::value("max_tokens", "`max_tokens` must be a whole number from 0 up");
                Some(limit.ok_or_else(wrong)?)
            }
        };
        let user = members.value(body, "metadata").and_then(user);
        Ok(Peek { model, members, stream, include_usage: true, output_limit, choices: 1, user })
    }

    fn decode(&self, operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        match operation {
            Operation::Chat => decode::chat(body).map(openai::Request::Chat),
            _ => Err(InvalidRequest::value("model", "this dialect has messages only")),
        }
    }

    fn encoder(&self, _request: &Request) -> Box<dyn Encoder> {
        Box::new(encode::MessageEncoder::default())
    }

    fn error(&self, status: u16, error: &openai::Error) -> Bytes {
        Bytes::from(body(of_status(status), error).to_string())
    }

    fn error_event(&self, error: &openai::Error) -> Bytes {
        let mut out = BytesMut::new();
        sse::write(&mut out, "error", body(of_words(error), error).to_string().as_bytes());
        out.freeze()
    }

    fn replay(&self) -> Option<&dyn Replay> {
        Some(&replay::Messages)
    }

    fn writes_rests(&self) -> bool {
        true
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &["anthropic-beta"]
    }
}

fn user(metadata: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Metadata {
        user_id: Option<String>,
    }
    serde_json::from_slice::<Metadata>(metadata).ok()?.user_id
}

fn body(word: &str, error: &openai::Error) -> Value {
    let mut detail = json!({"type": word, "message": error.message});
    if let Some(weir) = &error.weir {
        detail["weir"] = weir.clone();
    }
    json!({"type": "error", "error": detail})
}

/// Anthropic's word for a status.
fn of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        408 | 504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Anthropic's word for OpenAI's, where there is no status any more.
fn of_words(error: &openai::Error) -> &'static str {
    match error.code.as_deref().unwrap_or_default() {
        "upstream_overloaded" | "overloaded" | "shutting_down" | "ledger_full" | "no_healthy_target" => {
            return "overloaded_error";
        }
        "upstream_timeout" => return "timeout_error",
        "model_not_found" | "not_found" => return "not_found_error",
        "request_too_large" => return "request_too_large",
        _ => {}
    }
    match error.kind.as_str() {
        "invalid_request_error" => "invalid_request_error",
        "rate_limit_error" | "insufficient_quota" => "rate_limit_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use weir_adapter::ErrorKind;

    use super::*;

    fn peek(body: &str) -> Result<Peek, InvalidRequest> {
        let (head, ()) = http::Request::new(()).into_parts();
        Messages.peek(Operation::Chat, &head, body.as_bytes())
    }

    #[test]
    fn peeks() {
        let seen = peek(
            r#"{"model":"claude","max_tokens":7,"stream":true,"metadata":{"user_id":"u"},"messages":[]}"#,
        )
        .unwrap();
        assert_eq!((seen.model.as_str(), seen.output_limit, seen.stream), ("claude", Some(7), true));
        assert_eq!((seen.user.as_deref(), seen.include_usage, seen.choices), (Some("u"), true, 1));
    }

    #[test]
    fn refuses() {
        let param = |body: &str| peek(body).unwrap_err().param;
        assert_eq!(param(r#"{"messages":[]}"#).as_deref(), Some("model"));
        assert_eq!(param(r#"{"model":1}"#).as_deref(), Some("model"));
        assert_eq!(param(r#"{"model":"m","stream":"yes"}"#).as_deref(), Some("stream"));
        assert_eq!(param(r#"{"model":"m","max_tokens":-1}"#).as_deref(), Some("max_tokens"));
        assert_eq!(peek(r#"{"model":"m","model":"n"}"#).unwrap_err().code, "invalid_json");
        let content = r#"[{"type":"text","text":"x"},{"type":"image","sourse":{}}]"#;
        let body =
            format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":{content}}}]}}"#);
        let refused = Messages.decode(Operation::Chat, body.as_bytes()).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("messages[0].content[1].source"));
    }

    #[test]
    fn errors_in_its_own_words() {
        let error = openai::Error {
            weir: Some(json!({"blame": "client"})),
            ..openai::Error::new("invalid_request_error", "x", "change it")
        };
        let body: Value = serde_json::from_slice(&Messages.error(404, &error)).unwrap();
        let expected = json!({"type": "error", "error": {"type": "not_found_error", "message": "change it", "weir": {"blame": "client"}}});
        assert_eq!(body, expected);
        for (kind, word) in [
            (ErrorKind::Overloaded, "overloaded_error"),
            (ErrorKind::Timeout, "timeout_error"),
            (ErrorKind::RateLimit, "rate_limit_error"),
            (ErrorKind::Truncated, "api_error"),
            (ErrorKind::InvalidRequest, "invalid_request_error"),
        ] {
            let (kind, code) = kind.words();
            let event = Messages.error_event(&openai::Error::new(kind, code, "m"));
            let expected = format!(
                "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{word}\",\"message\":\"m\"}}}}\n\n"
            );
            assert_eq!(event, expected);
        }
    }
}
