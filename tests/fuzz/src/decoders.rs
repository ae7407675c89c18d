//! Replies of providers, to every client.

use std::sync::LazyLock;

use bytes::BytesMut;
use weir_adapter::testkit::{Whole, stream};
use weir_adapter::{Adapter, Operation, ReplyForm, Request};
use weir_wire::framing::eventstream;

use crate::dialects::{FRONTS, PROVIDERS, chosen, cuts, is_json};

pub(crate) fn openai(input: &[u8]) {
    replies(&[0, 1], input);
}

pub(crate) fn anthropic(input: &[u8]) {
    replies(&[2], input);
}

pub(crate) fn gemini(input: &[u8]) {
    replies(&[3], input);
}

pub(crate) fn cohere(input: &[u8]) {
    replies(&[4], input);
}

pub(crate) fn ollama(input: &[u8]) {
    replies(&[5], input);
}

/// Bytes as they are hardly ever keep a checksum, so they are also taken for frames, each line one: the name of an event or
/// an exception, a blank, its payload.
pub(crate) fn bedrock(input: &[u8]) {
    replies(&[6], input);
    let (choice, body) = chosen(input);
    let mut framed = BytesMut::new();
    for line in body.split(|byte| *byte == b'\n') {
        let (name, payload) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(0));
        let name = std::str::from_utf8(name).unwrap_or_default();
        let (kind, named) = match name.ends_with("Exception") {
            true => ("exception", ":exception-type"),
            false => ("event", ":event-type"),
        };
        eventstream::write(&mut framed, &[(":message-type", kind), (named, name)], payload.trim_ascii());
    }
    reply(PROVIDERS[6].adapter.as_ref(), &REQUESTS[choice % REQUESTS.len()], &framed, choice >> 3);
}

/// A plain request of each client dialect, whole and streamed.
static REQUESTS: LazyLock<Vec<Request>> = LazyLock::new(|| {
    let bodies = [
        [
            r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#,
        ],
        [r#"{"model":"m","input":"x"}"#, r#"{"model":"m","stream":true,"input":"x"}"#],
        [
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
            r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#,
        ],
        // Its model and whether it streams stand in the address; weir writes them into the body.
        [
            r#"{"model":"m","contents":[{"parts":[{"text":"x"}]}]}"#,
            r#"{"model":"m","stream":true,"contents":[{"parts":[{"text":"x"}]}]}"#,
        ],
    ];
    let (head, ()) = http::Request::post("/").body(()).expect("a plain request").into_parts();
    let mut requests = Vec::new();
    for (front, bodies) in FRONTS.iter().zip(bodies) {
        for body in bodies {
            let peek = front.peek(Operation::Chat, &head, body.as_bytes()).expect("a plain body");
            requests.push(Request::new(Operation::Chat, front.clone(), body.into(), peek));
        }
    }
    requests
});

/// What else is asked than chats.
static OTHERS: LazyLock<Vec<Request>> = LazyLock::new(|| {
    let asked = [
        (0, Operation::Embeddings, r#"{"model":"m","input":["x","y"]}"#),
        (0, Operation::Rerank, r#"{"model":"m","query":"q","documents":["a","b"]}"#),
        (0, Operation::Completions, r#"{"model":"m","prompt":"x"}"#),
        (0, Operation::Completions, r#"{"model":"m","prompt":"x","stream":true}"#),
        (2, Operation::CountTokens, r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#),
    ];
    let (head, ()) = http::Request::post("/").body(()).expect("a plain request").into_parts();
    let request = |(front, operation, body): (usize, Operation, &'static str)| {
        let front = &FRONTS[front];
        let peek = front.peek(operation, &head, body.as_bytes()).expect("a plain body");
        Request::new(operation, front.clone(), body.into(), peek)
    };
    asked.into_iter().map(request).collect()
});

fn replies(providers: &[usize], input: &[u8]) {
    let (choice, body) = chosen(input);
    let adapter = &PROVIDERS[providers[(choice >> 3) % providers.len()]].adapter;
    let request = match choice.checked_sub(224) {
        Some(other) => &OTHERS[other % OTHERS.len()],
        None => &REQUESTS[choice % REQUESTS.len()],
    };
    if adapter.serves(request.operation) {
        reply(adapter.as_ref(), request, body, choice >> 3);
    }
    if adapter.list_models().is_some() {
        assert!(adapter.model_ids(body).len() <= body.len());
    }
    let status = http::StatusCode::from_u16(400 + (choice as u16)).unwrap_or(http::StatusCode::BAD_GATEWAY);
    let error = adapter.error(status, &http::HeaderMap::new(), body);
    assert!(!format!("{error:?}").is_empty());
}

/// A reply is understood or refused, whole and as a stream; a stream says the same however it is cut, and every client
/// dialect can say what was understood.
pub(crate) fn reply(adapter: &dyn Adapter, request: &Request, body: &[u8], seed: usize) {
    match adapter.reply_form(request) {
        ReplyForm::Native(mut reader) => {
            if let Ok(glance) = reader.whole(body)
                && let Some(end) = glance.usage_end
            {
                assert_eq!(body.get(end), Some(&b'}'), "usage ends with a brace");
            }
            let read = |cuts: &[usize]| {
                let ReplyForm::Native(mut reader) = adapter.reply_form(request) else {
                    panic!("another form")
                };
                let seen = stream::glance(reader.as_mut(), body, cuts);
                (seen.is_ok(), reader.usage().cloned())
            };
            assert_eq!(read(&[]), read(&cuts(body.len(), seed)), "a stream says the same however it is cut");
        }
        ReplyForm::Foreign(mut decoder) => {
            if let Ok(response) = decoder.whole(body) {
                let said = request.front().encoder(request).whole(response);
                assert!(said.is_empty() || is_json(&said), "a client gets JSON");
            }
            let read = |cuts: &[usize]| {
                let ReplyForm::Foreign(mut decoder) = adapter.reply_form(request) else {
                    panic!("another form")
                };
                let chunks = stream::decode(decoder.as_mut(), body, cuts);
                (chunks, decoder.usage().cloned())
            };
            let (whole, usage) = read(&[]);
            let (pieces, same_usage) = read(&cuts(body.len(), seed));
            assert_eq!(usage, same_usage);
            let (Ok(whole), Ok(pieces)) = (&whole, &pieces) else {
                return assert_eq!(whole.is_ok(), pieces.is_ok(), "a stream says the same however it is cut");
            };
            let said = |chunks: &[weir_wire::openai::Chunk]| format!("{:?}", Whole::of_chunks(chunks));
            assert_eq!(said(whole), said(pieces), "a stream says the same however it is cut");
            let (mut encoder, mut out) = (request.front().encoder(request), BytesMut::new());
            for chunk in whole {
                encoder.chunk(chunk.clone(), &mut out);
            }
            encoder.end(&mut out);
            assert!(std::str::from_utf8(&out).is_ok(), "a client gets text");
        }
    }
}
