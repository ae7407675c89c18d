//! Answers made beforehand, for measuring what stands in front: `bench` (whole, about 300 bytes; streamed, 20 chunks),
//! `bench-stream-N` (N chunks as fast as the connection takes them), `bench-slow-N` (N chunks, one a second).
//!
//! The request is searched, not parsed.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response};
use memchr::memmem;
use parking_lot::Mutex;

use crate::conn::Conn;
use crate::player::{SimBody, Step};
use crate::reply::Piece;
use crate::service;
use crate::state::SimState;
use crate::tokens::Tokens;
use crate::truth::{CallInfo, End, Entry};

/// Most chunks that a name may ask for.
const MOST_CHUNKS: usize = 1_000_000;
/// Input tokens of every bench call.
const INPUT: u64 = 12;

/// The answer of model `bench`.
static WHOLE: Bytes = Bytes::from_static(
    br#"{"id":"chatcmpl-bench","object":"chat.completion","created":1760000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"Hello from the bench.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17},"system_fingerprint":null}"#,
);

type Frames = Arc<[Bytes]>;
static STREAMS: LazyLock<Mutex<HashMap<(usize, bool), Frames>>> = LazyLock::new(Mutex::default);

/// The answer, if the request is for a bench model.
pub(crate) fn answer(state: &SimState, head: &Parts, body: &Bytes) -> Option<Response<SimBody>> {
    let at = memmem::find(body, b"\"bench")?;
    let name = &body[at + 1..];
    let name = std::str::from_utf8(&name[..memchr::memchr(b'"', name)?]).ok()?;
    let streams = has(body, b"\"stream\":true") || has(body, b"\"stream\": true");
    let with_usage = has(body, b"\"include_usage\":true") || has(body, b"\"include_usage\": true");
    let (chunks, slow) = match name.strip_prefix("bench")? {
        "" => (20, false),
        rest => match (rest.strip_prefix("-stream-"), rest.strip_prefix("-slow-")) {
            (Some(number), _) => (number.parse().ok()?, false),
            (_, Some(number)) => (number.parse().ok()?, true),
            _ => return None,
        },
    };
    let entry = entry(state, head, body, name, streams);
    let chunks = usize::min(chunks, MOST_CHUNKS);
    let response = match (streams, slow) {
        (false, _) => whole(entry),
        (true, false) => fast(chunks, with_usage, entry),
        (true, true) => one_a_second(chunks, with_usage, entry),
    };
    Some(response)
}

fn has(body: &[u8], needle: &[u8]) -> bool {
    memmem::find(body, needle).is_some()
}

fn entry(state: &SimState, head: &Parts, body: &Bytes, model: &str, stream: bool) -> Option<Entry> {
    let info = || CallInfo {
        attempt: service::attempt_id(head),
        provider: "openai",
        operation: "chat",
        model: model.to_owned(),
        bytes_in: body.len() as u64,
        stream,
    };
    let log = state.truth.as_ref()?;
    let mut entry = Entry::start(log, info());
    entry.status = 200;
    entry.end = End::ClientGone;
    Some(entry)
}

fn cost(entry: &mut Option<Entry>, output: u64, reported: bool) {
    if let Some(entry) = entry {
        entry.billed = Tokens { input: INPUT, output, ..Tokens::default() };
        entry.reported = reported.then_some(entry.billed);
    }
}

fn whole(mut entry: Option<Entry>) -> Response<SimBody> {
    cost(&mut entry, 5, true);
    let piece = Piece { bytes: WHOLE.clone(), output: 5, usage: true };
    typed(SimBody::whole(piece, entry), "application/json")
}

fn fast(chunks: usize, with_usage: bool, mut entry: Option<Entry>) -> Response<SimBody> {
    cost(&mut entry, chunks as u64, with_usage);
    typed(SimBody::shared(frames(chunks, with_usage), entry), "text/event-stream; charset=utf-8")
}

fn one_a_second(chunks: usize, with_usage: bool, mut entry: Option<Entry>) -> Response<SimBody> {
    cost(&mut entry, chunks as u64, with_usage);
    let frames = frames(chunks, with_usage);
    let mut steps = Vec::with_capacity(frames.len() * 2);
    for (index, bytes) in frames.iter().enumerate() {
        let usage = with_usage && index + 2 == frames.len();
        steps.push(Step::Send(Piece { bytes: bytes.clone(), output: index.min(chunks) as u64, usage }));
        if index < chunks {
            steps.push(Step::Wait(Duration::from_secs(1)));
        }
    }
    let body = SimBody::steps(steps, false, Arc::new(Conn::default()), entry);
    typed(body, "text/event-stream; charset=utf-8")
}

fn typed(body: SimBody, content_type: &'static str) -> Response<SimBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    response
}

/// A first chunk with the role, `chunks` chunks of one token, the finish, the usage if asked, and `[DONE]`.
fn frames(chunks: usize, with_usage: bool) -> Frames {
    let mut streams = STREAMS.lock();
    if let Some(frames) = streams.get(&(chunks, with_usage)) {
        return frames.clone();
    }
    let usage = if with_usage { r#","usage":null"# } else { "" };
    let chunk = |delta: &str, finish: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]{usage}}}\n\n"
        ))
    };
    let word = chunk(r#"{"content":" word"}"#, "null");
    let mut frames = vec![chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "null")];
    frames.extend(std::iter::repeat_n(word, chunks));
    frames.push(chunk("{}", r#""stop""#));
    if with_usage {
        frames.push(Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"bench\",\"choices\":[],\"usage\":{{\"prompt_tokens\":{INPUT},\"completion_tokens\":{chunks},\"total_tokens\":{}}}}}\n\n",
            INPUT + chunks as u64
        )));
    }
    frames.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let frames: Frames = frames.into();
    streams.insert((chunks, with_usage), frames.clone());
    frames
}
