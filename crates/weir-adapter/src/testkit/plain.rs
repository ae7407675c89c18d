//! Requests that are in OpenAI's form already: what conformance tests of a provider's dialect send.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use weir_wire::openai;

use crate::{Encoder, Front, InvalidRequest, Operation, Peek, Request};

/// A front whose bodies are OpenAI's form, and which no adapter takes for its own dialect.
struct Plain;

impl Front for Plain {
    fn dialect(&self) -> &'static str {
        "plain"
    }

    fn peek(&self, _: Operation, _: &http::request::Parts, body: &[u8]) -> Result<Peek, InvalidRequest> {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        Ok(Peek {
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            stream: body["stream"] == true,
            ..Peek::default()
        })
    }

    fn decode(&self, operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        Ok(match operation {
            Operation::Embeddings => {
                openai::Request::Embeddings(serde_json::from_slice(body).expect("embeddings"))
            }
            Operation::Completions => {
                openai::Request::Completions(serde_json::from_slice(body).expect("completions"))
            }
            _ => openai::Request::Chat(serde_json::from_slice(body).expect("a chat")),
        })
    }

    fn encoder(&self, _: &Request) -> Box<dyn Encoder> {
        unreachable!("nothing is written to a client here")
    }

    fn error(&self, _: u16, _: &openai::Error) -> Bytes {
        Bytes::new()
    }

    fn error_event(&self, _: &openai::Error) -> Bytes {
        Bytes::new()
    }
}

/// A request with this body.
///
/// # Panics
/// When the body is no request.
pub fn request(operation: Operation, body: &Value) -> Request {
    let raw = Bytes::from(serde_json::to_vec(body).expect("JSON"));
    let head = http::Request::new(()).into_parts().0;
    let peek = Plain.peek(operation, &head, &raw).expect("reads");
    Request::new(operation, Arc::new(Plain), raw, peek)
}
