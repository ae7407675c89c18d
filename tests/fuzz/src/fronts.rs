//! Bodies from clients, to every provider.

use std::sync::Arc;

use bytes::Bytes;
use weir_adapter::{EncodeOptions, Front, Operation, Request, WireBody};

use crate::dialects::{FRONTS, PROVIDERS, chosen};

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
    let operation = operations[choice % operations.len()];
    let (head, ()) = http::Request::post("/").body(()).expect("a plain request").into_parts();
    let Ok(peek) = front.peek(operation, &head, body) else { return };
    let request = Request::new(operation, front.clone(), Bytes::copy_from_slice(body), peek);
    let options = EncodeOptions {
        model_output_limit: Some(4096),
        output_limit: (choice & 32 != 0).then_some(100),
        output_cap: (choice & 16 != 0).then_some(50),
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

/// Whatever a client asked, an empty reply and a broken one do no harm.
fn reply_to(request: &Request, adapter: &dyn weir_adapter::Adapter) {
    for reply in [&b""[..], b"{}", b"data: {}\n\n"] {
        crate::decoders::reply(adapter, request, reply, 1);
    }
}
