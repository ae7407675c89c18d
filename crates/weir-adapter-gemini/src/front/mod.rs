//! Clients of `/v1beta/models/{model}:generateContent`, `:streamGenerateContent`, `:embedContent`, `:batchEmbedContents`.
//!
//! Gemini's clients name the model, and whether they want a stream, in the path. The router puts both into the body, as
//! `model` and `stream`, so that a request is all in one place; [`native`] takes them out again. Where the provider is
//! Gemini the bytes pass; elsewhere a request becomes a chat, and what other providers want back (signatures, what hangs
//! on a call) travels in the `thoughtSignature` of calls, marked.

mod carrier;
mod decode;
mod encode;
pub(crate) mod native;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use serde_json::{Value, json};
use weir_adapter::{Encoder, Front, InvalidRequest, Operation, Peek, Request};
use weir_wire::framing::sse;
use weir_wire::openai;
use weir_wire::peek::{Members, as_bool, as_str, as_u64};

/// The name of this dialect.
pub const DIALECT: &str = "gemini";

/// Clients of Gemini's API.
pub(crate) struct GenerateContent;

impl Front for GenerateContent {
    fn dialect(&self) -> &'static str {
        DIALECT
    }

    fn peek(&self, operation: Operation, _head: &Parts, body: &[u8]) -> Result<Peek, InvalidRequest> {
        let members = Members::read(body)?;
        let model = members.value(body, "model").and_then(as_str).filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| InvalidRequest::missing("model"))?.into_owned();
        let stream = members.value(body, "stream").and_then(as_bool) == Some(true);
        let needed: &[&str] = match operation {
            Operation::Embeddings => &["content", "requests"],
            Operation::CountTokens => &["contents", "generateContentRequest"],
            _ => &["contents"],
        };
        if !needed.iter().any(|name| members.value(body, name).is_some_and(|value| value != b"[]")) {
            return Err(InvalidRequest::missing(needed[0]));
        }
        let config =
            ["generationConfig", "generation_config"].iter().find_map(|name| members.value(body, name));
        let (mut output_limit, mut choices) = (None, 1);
        if let Some(config) = config {
            let inner = Members::read(config)?;
            let number = |names: [&str; 2]| {
                let value = names.iter().find_map(|name| inner.value(config, name));
                match value.map(as_u64) {
                    None => Ok(None),
                    Some(Some(number)) => Ok(Some(number)),
                    Some(None) => {
                        let path = format!("generationConfig.{}", names[0]);
                        Err(InvalidRequest::value(
                            &path,
                            format!("`{path}` must be a whole number from 0 up"),
                        ))
                    }
                }
            };
            output_limit = number(["maxOutputTokens", "max_output_tokens"])?;
            choices = number(["candidateCount", "candidate_count"])?.unwrap_or(1).clamp(1, 128) as u32;
        }
        Ok(Peek { model, members, stream, include_usage: true, output_limit, choices, user: None })
    }

    fn decode(&self, operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        match operation {
            Operation::Chat => decode::chat(body).map(openai::Request::Chat),
            Operation::Embeddings => decode::embeddings(body).map(openai::Request::Embeddings),
            _ => Err(InvalidRequest::value("model", "this dialect has contents and embeddings only")),
        }
    }

    fn encoder(&self, request: &Request) -> Box<dyn Encoder> {
        let batch = request.peek().members.get(request.raw(), "requests").is_some();
        Box::new(encode::ContentEncoder::new(batch))
    }

    fn error(&self, status: u16, error: &openai::Error) -> Bytes {
        Bytes::from(body(status, error).to_string())
    }

    fn error_event(&self, error: &openai::Error) -> Bytes {
        let mut out = BytesMut::new();
        sse::write(&mut out, "", body(status_of(error), error).to_string().as_bytes());
        out.freeze()
    }

    fn writes_rests(&self) -> bool {
        true
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &["x-goog-api-client", "x-goog-user-project"]
    }
}

fn body(status: u16, error: &openai::Error) -> Value {
    let mut detail = json!({"code": status, "message": error.message, "status": word(status)});
    if error.code.is_some() {
        detail["details"] = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code, "domain": "weir",
        }]);
    }
    if let Some(weir) = &error.weir {
        detail["weir"] = weir.clone();
    }
    json!({ "error": detail })
}

/// Google's word for a status.
fn word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        502 | 503 | 529 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

/// The status that an error in a stream would have had.
fn status_of(error: &openai::Error) -> u16 {
    match error.code.as_deref().unwrap_or_default() {
        "upstream_timeout" => 504,
        "upstream_overloaded" | "overloaded" | "shutting_down" => 503,
        _ if error.kind == "rate_limit_error" => 429,
        _ if error.kind == "invalid_request_error" => 400,
        _ if error.kind == "upstream_error" => 502,
        _ => 500,
    }
}

#[cfg(test)]
mod tests;
