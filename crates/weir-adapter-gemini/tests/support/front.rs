//! OpenAI's dialect for clients, as far as these tests need it.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;
use weir_adapter::{Encoder, Front, InvalidRequest, Operation, Peek, Request};
use weir_wire::openai;

struct TestFront;

impl Front for TestFront {
    fn dialect(&self) -> &'static str {
        "openai"
    }

    fn peek(&self, _: Operation, _: &Parts, _: &[u8]) -> Result<Peek, InvalidRequest> {
        unreachable!("tests peek by themselves")
    }

    fn decode(&self, operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        let wrong = |error| InvalidRequest::body(&error);
        match operation {
            Operation::Chat => serde_json::from_slice(body).map(openai::Request::Chat).map_err(wrong),
            Operation::Completions => {
                serde_json::from_slice(body).map(openai::Request::Completions).map_err(wrong)
            }
            _ => serde_json::from_slice(body).map(openai::Request::Embeddings).map_err(wrong),
        }
    }

    fn encoder(&self, _: &Request) -> Box<dyn Encoder> {
        unreachable!("tests read chunks")
    }

    fn error(&self, _: u16, error: &openai::Error) -> Bytes {
        error.to_body().into()
    }

    fn error_event(&self, error: &openai::Error) -> Bytes {
        error.to_body().into()
    }
}

/// A client's request in OpenAI's form.
pub(crate) fn request(operation: Operation, body: &Value) -> Request {
    let peek = Peek { model: body["model"].as_str().unwrap_or_default().to_owned(), ..Peek::default() };
    Request::new(operation, Arc::new(TestFront), body.to_string().into(), peek)
}
