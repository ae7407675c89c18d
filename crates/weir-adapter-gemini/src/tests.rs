//! What the modules' tests share, and the adapter as a whole.

use bytes::Bytes;
use weir_adapter::testkit::stream;
use weir_wire::openai;

use super::*;

#[path = "../tests/support/mod.rs"]
mod support;

pub(crate) use support::front::request;
pub(crate) use support::{descriptor, spec};

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
