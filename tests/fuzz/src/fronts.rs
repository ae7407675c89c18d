//! Bodies from clients, to every provider.

use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};
use weir_adapter::{EncodeOptions, Front, Operation, Request, WireBody};
use weir_wire::openai;

use crate::dialects::{FRONTS, PROVIDERS, chosen, is_json};

/// What a route may set where the client sent nothing.
static DEFAULTS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let defaults = json!({"temperature": 0.5, "max_tokens": 90, "reasoning_effort": "low", "top_p": 0.9, "user": "u", "seed": 1});
    defaults.as_object().expect("an object").clone()
});

pub(crate) fn openai(input: &[u8]) {
    let operations = [
        Operation::Chat,
        Operation::Completions,
        Operation::Embeddings,
        Operation::Rerank,
        Operation::Images,
    ];
    body(&FRONTS[0], &operations, input);
}

pub(crate) fn responses(input: &[u8]) {
    body(&FRONTS[1], &[Operation::Chat], input);
}

pub(crate) fn anthropic(input: &[u8]) {
    body(&FRONTS[2], &[Operation::Chat, Operation::CountTokens], input);
}

pub(crate) fn gemini(input: &[u8]) {
    body(&FRONTS[3], &[Operation::Chat, Operation::CountTokens, Operation::Embeddings], input);
}

/// A body is refused, or goes to each provider as JSON, the same each time.
fn body(front: &Arc<dyn Front>, operations: &[Operation], input: &[u8]) {
    let (choice, body) = chosen(input);
    errors(front, choice, body);
    let operation = operations[choice % operations.len()];
    let (head, ()) = http::Request::post("/").body(()).expect("a plain request").into_parts();
    let Ok(peek) = front.peek(operation, &head, body) else { return };
    let request = Request::new(operation, front.clone(), Bytes::copy_from_slice(body), peek);
    let options = EncodeOptions {
        model_output_limit: Some(4096),
        output_limit: (choice & 32 != 0).then_some(100),
        output_cap: (choice & 16 != 0).then_some(50),
        defaults: (choice & 128 != 0).then(|| &*DEFAULTS),
        ..EncodeOptions::new("another-model")
    };
    for provider in PROVIDERS.iter().filter(|provider| provider.adapter.serves(operation)) {
        let encode = || provider.adapter.encode(&request, &options);
        let (once, again) = (encode(), encode());
        match (once, again) {
            (Ok(once), Ok(again)) => {
                let (WireBody::Bytes(sent), WireBody::Bytes(other)) = (&once.body, &again.body) else {
                    panic!("a body without files is bytes");
                };
                assert_eq!(sent, other, "the same request gives the same bytes");
                assert_eq!((&once.path, &once.dropped), (&again.path, &again.dropped));
                assert!(once.path.starts_with('/'));
                // Bytes that go on as they came are the provider's to judge.
                let translated = matches!(operation, Operation::Chat | Operation::Embeddings)
                    && !front.dialect().starts_with(provider.dialect);
                if translated {
                    let sent: Result<serde_json::Value, _> = serde_json::from_slice(sent);
                    assert!(sent.is_ok_and(|sent| sent.is_object()), "{}: no JSON is sent", provider.dialect);
                }
            }
            (Err(once), Err(again)) => assert_eq!(once, again),
            _ => panic!("the same request is sent once and refused once"),
        }
        reply_to(&request, provider.adapter.as_ref());
    }
}

/// Errors are said in the dialect, whatever their words.
fn errors(front: &Arc<dyn Front>, choice: usize, words: &[u8]) {
    let message = String::from_utf8_lossy(words).into_owned();
    let code = message.chars().take(9).collect::<String>();
    let (kind, status) =
        ([("invalid_request_error", 400), ("server_error", 502), ("rate_limit_error", 429)])[choice % 3];
    let error = openai::Error::new(kind, &code, &message);
    assert!(is_json(&front.error(status, &error)), "an error is JSON");
    assert!(std::str::from_utf8(&front.error_event(&error)).is_ok(), "an event is text");
}

/// Whatever a client asked, an empty reply and a broken one do no harm.
fn reply_to(request: &Request, adapter: &dyn weir_adapter::Adapter) {
    for reply in [&b""[..], b"{}", b"data: {}\n\n"] {
        crate::decoders::reply(adapter, request, reply, 1);
    }
    let error = openai::Error::new("server_error", "upstream_timeout", "it took too long");
    let (mut encoder, mut out) = (request.front().encoder(request), BytesMut::new());
    encoder.error(&error, &mut out);
    assert!(std::str::from_utf8(&out).is_ok(), "an end is text");
}
