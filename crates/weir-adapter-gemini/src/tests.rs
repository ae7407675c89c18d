//! What the modules' tests share, and the adapter as a whole.

use bytes::Bytes;
use http::request::Parts;
use weir_adapter::testkit::stream;
use weir_adapter::{Encoder, Front, InvalidRequest, Peek};
use weir_wire::openai;

use super::*;

/// The descriptor that ships.
pub(crate) fn descriptor() -> Descriptor {
    let yaml = include_str!("../../../config/providers/gemini.yaml");
    serde_saphyr::from_str(yaml).expect("the descriptor reads")
}

/// OpenAI's dialect, as far as tests need it.
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
            Operation::Embeddings => {
                serde_json::from_slice(body).map(openai::Request::Embeddings).map_err(wrong)
            }
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

pub(crate) fn request(operation: Operation, body: &serde_json::Value) -> Request {
    let peek = Peek { model: body["model"].as_str().unwrap_or_default().to_owned(), ..Peek::default() };
    Request::new(operation, Arc::new(TestFront), body.to_string().into(), peek)
}

/// Reads the reply to a chat request, whole or as a stream.
pub(crate) fn decoder(body: &serde_json::Value) -> Box<dyn weir_adapter::Decoder> {
    match adapter(descriptor()).reply_form(&request(Operation::Chat, body)) {
        ReplyForm::Foreign(decoder) => decoder,
        ReplyForm::Native(_) => panic!("Gemini is nobody's own dialect here"),
    }
}

/// A stream's chunks.
pub(crate) fn chunks(stream: &str) -> Result<Vec<openai::Chunk>, ProviderError> {
    let mut decoder = decoder(&serde_json::json!({"model": "m", "messages": []}));
    stream::decode(&mut *decoder, stream.as_bytes(), &[])
}

#[test]
fn the_key_goes_into_a_header() {
    let adapter = adapter(descriptor());
    let mut wire = WireRequest::json("/x", Bytes::new());
    let key = Credential::new("main", "AIza-secret");
    adapter.authorize(&mut wire, &key, SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(wire.headers["x-goog-api-key"], "AIza-secret");
    assert!(!format!("{wire:?}").contains("AIza"));
    let broken = Credential::new("main", "a\nb");
    let error = adapter.authorize(&mut wire, &broken, SystemTime::UNIX_EPOCH).unwrap_err();
    assert_eq!(error, EncodeError::Credential("main".to_owned()));
}

#[test]
fn models_are_listed_by_their_ids() {
    let ids = adapter(descriptor())
        .model_ids(br#"{"models":[{"name":"models/gemini-3.5-flash"},{"name":"tunedModels/x"}]}"#);
    assert_eq!(ids, ["gemini-3.5-flash", "tunedModels/x"]);
    assert!(adapter(descriptor()).model_ids(b"<html>").is_empty());
}

#[test]
fn text_completions_are_not_served() {
    let adapter = adapter(descriptor());
    assert!(adapter.serves(Operation::Chat) && adapter.serves(Operation::Embeddings));
    assert!(!adapter.serves(Operation::Completions));
    let body = serde_json::json!({"model": "m", "prompt": "x"});
    let request = request(Operation::Completions, &body);
    assert!(adapter.encode(&request, &EncodeOptions::new("m")).is_err());
}
