//! Turns an answer into a response, with whatever the behaviour says goes wrong on the way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::behaviour::Behaviour;
use crate::conn::Conn;
use crate::player::{SimBody, Step};
use crate::reply::{Payload, Piece, Refusal, Reply};
use crate::route::Vendor;
use crate::truth::{End, Entry};
use crate::{anthropic, bedrock, gemini, ollama, openai};

/// Time for what was sent to leave before the connection breaks.
const LEAVE: Duration = Duration::from_millis(15);
/// Time between keep-alives of `ping_only`.
const PING: Duration = Duration::from_millis(100);

/// The response of a refused call.
pub(crate) fn refuse(refusal: Refusal, behaviour: &Behaviour, mut entry: Option<Entry>) -> Response<SimBody> {
    if let Some(entry) = &mut entry {
        entry.end = End::Refused;
        entry.status = refusal.status;
    }
    let bytes = Bytes::from(refusal.body.to_string());
    let mut response = Response::new(SimBody::whole(Piece { bytes, output: 0, usage: false }, entry));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(&mut response, "content-type", "application/json");
    for (name, value) in &refusal.headers {
        set(&mut response, name, value);
    }
    finish_headers(&mut response, behaviour);
    response
}

/// The response of an answered call.
pub(crate) fn respond(
    reply: Reply,
    vendor: Vendor,
    behaviour: &Behaviour,
    conn: &Arc<Conn>,
    mut entry: Option<Entry>,
) -> Response<SimBody> {
    if let Some(entry) = &mut entry {
        entry.status = 200;
        entry.reported = reply.reported;
        entry.billed = reply.billed;
        entry.tier.clone_from(&reply.tier);
    }
    if let Some(slice) = behaviour.slice {
        conn.slice.store(slice, Ordering::Relaxed);
    }
    if behaviour.has("goaway") {
        conn.goaway.notify_one();
    }
    let Reply { content_type, headers, payload, reported, billed, tier: _ } = reply;
    let streaming = matches!(payload, Payload::Stream(_));
    let mut response = match payload {
        Payload::Whole(bytes) => {
            let piece = Piece { bytes, output: billed.all_output(), usage: reported.is_some() };
            whole(piece, behaviour, conn, entry)
        }
        Payload::Stream(pieces) => Response::new(stream(pieces, vendor, behaviour, conn, entry)),
    };
    set(&mut response, "content-type", if behaviour.has("html") { "text/html" } else { content_type });
    if streaming {
        set(&mut response, "cache-control", "no-cache");
    }
    for (name, value) in &headers {
        set(&mut response, name, value);
    }
    finish_headers(&mut response, behaviour);
    response
}

fn finish_headers(response: &mut Response<SimBody>, behaviour: &Behaviour) {
    if behaviour.has("wrong_encoding") || behaviour.has("gzip") || behaviour.has("truncate_gzip") {
        set(response, "content-encoding", "gzip");
    }
    for (name, value) in &behaviour.headers {
        set(response, name, value);
    }
}

fn set(response: &mut Response<SimBody>, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        response.headers_mut().insert(name, value);
    }
}

fn whole(piece: Piece, behaviour: &Behaviour, conn: &Arc<Conn>, entry: Option<Entry>) -> Response<SimBody> {
    let bytes = spoiled_whole(piece.bytes, behaviour);
    let readable = !["garble", "empty", "html"].iter().any(|word| behaviour.has(word));
    let of = |bytes: Bytes| Piece { bytes, output: piece.output, usage: piece.usage && readable };
    let cut = |step: Step| {
        // All of it was generated before the first byte left, so all of it is billed.
        let half = Piece { bytes: bytes.slice(..bytes.len() / 2), output: piece.output, usage: false };
        vec![Step::Send(half), Step::Wait(LEAVE), step]
    };
    let steps = if behaviour.stall_at.is_some() {
        cut(Step::Stall)
    } else if behaviour.reset_at.is_some() {
        cut(Step::Reset)
    } else if behaviour.has("truncate") || behaviour.close_at.is_some() || behaviour.end_at.is_some() {
        cut(Step::Abort)
    } else if let Some(first) = behaviour.first {
        vec![Step::Wait(first), Step::Send(of(bytes.clone()))]
    } else {
        return Response::new(SimBody::whole(of(bytes), entry));
    };
    let faulty = behaviour.first.is_none();
    let length = bytes.len().to_string();
    let mut response = Response::new(SimBody::steps(steps, faulty, conn.clone(), entry));
    set(&mut response, "content-length", &length);
    response
}

fn spoiled_whole(bytes: Bytes, behaviour: &Behaviour) -> Bytes {
    if behaviour.has("empty") {
        return Bytes::new();
    }
    if behaviour.has("html") {
        return Bytes::from_static(
            b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
        );
    }
    let bytes = if behaviour.has("garble") { garbled(&bytes) } else { bytes };
    let bytes = match behaviour.oversized {
        Some(extra) => [&bytes[..], &vec![b' '; extra]].concat().into(),
        None => bytes,
    };
    if behaviour.has("gzip") || behaviour.has("truncate_gzip") {
        let mut gzip = Gzip::default();
        let mut out = BytesMut::from(&gzip.block(&bytes)[..]);
        if behaviour.has("gzip") {
            out.put(gzip.end());
        }
        return out.freeze();
    }
    bytes
}

/// The bytes with control characters in the middle, which JSON allows neither within strings nor between them.
fn garbled(bytes: &[u8]) -> Bytes {
    let mut out = bytes.to_vec();
    let middle = out.len() / 2;
    for byte in out.iter_mut().skip(middle).take(12) {
        if *byte != b'\n' && *byte != b'\r' {
            *byte = 1;
        }
    }
    out.into()
}

fn stream(
    pieces: Vec<Piece>,
    vendor: Vendor,
    behaviour: &Behaviour,
    conn: &Arc<Conn>,
    entry: Option<Entry>,
) -> SimBody {
    let keepalive = match vendor {
        Vendor::OpenAi => Bytes::from_static(b": keep-alive\n\n"),
        Vendor::Anthropic => Bytes::from_static(anthropic::PING),
        Vendor::Gemini => Bytes::from_static(b": keep-alive\r\n\r\n"),
        Vendor::Ollama => Bytes::from_static(b"\n"),
        Vendor::Bedrock => bedrock::ping(),
    };
    let mut steps = Vec::with_capacity(pieces.len() + 4);
    steps.extend(behaviour.first.map(Step::Wait));
    if behaviour.has("ping_only") {
        steps.push(Step::Repeat(keepalive, PING));
        return SimBody::steps(steps, true, conn.clone(), entry);
    }
    let pieces = if behaviour.has("empty") || behaviour.has("html") { Vec::new() } else { pieces };
    if behaviour.has("html") {
        let bytes = spoiled_whole(Bytes::new(), behaviour);
        steps.push(Step::Send(Piece { bytes, output: 0, usage: false }));
    }
    let count = pieces.len();
    let mut cut = None;
    for (index, mut piece) in pieces.into_iter().enumerate() {
        cut = cut_before(index, vendor, behaviour);
        if cut.is_some() {
            break;
        }
        for _ in 0..behaviour.pings.unwrap_or(0) {
            steps.push(Step::Send(Piece { bytes: keepalive.clone(), output: 0, usage: false }));
        }
        if let Some(gap) = behaviour.gap.filter(|_| index > 0) {
            steps.push(Step::Wait(gap));
        }
        if behaviour.has("garble") && index == 2.min(count - 1) {
            piece.bytes = garbled(&piece.bytes);
        }
        if behaviour.has("truncate") && index + 1 == count {
            piece.bytes.truncate(piece.bytes.len() / 2);
            piece.usage = false;
            cut = Some(vec![Step::Wait(LEAVE), Step::Abort]);
        }
        steps.push(Step::Send(piece));
    }
    if cut.is_none() {
        cut = cut_before(count, vendor, behaviour);
    }
    let faulty = cut.is_some() || behaviour.has("empty") || behaviour.has("garble") || behaviour.has("html");
    steps.extend(cut.unwrap_or_default());
    if behaviour.has("gzip") || behaviour.has("truncate_gzip") {
        gzip_steps(&mut steps, behaviour.has("gzip"));
    }
    SimBody::steps(steps, faulty, conn.clone(), entry)
}

/// What happens in place of the event with that index, if something does.
fn cut_before(index: usize, vendor: Vendor, behaviour: &Behaviour) -> Option<Vec<Step>> {
    let here = |at: Option<usize>| at == Some(index);
    if here(behaviour.stall_at) {
        Some(vec![Step::Stall])
    } else if here(behaviour.reset_at) {
        Some(vec![Step::Wait(LEAVE), Step::Reset])
    } else if here(behaviour.close_at) {
        Some(vec![Step::Wait(LEAVE), Step::Abort])
    } else if here(behaviour.end_at) {
        Some(Vec::new())
    } else if here(behaviour.error_event_at) {
        let bytes = match vendor {
            Vendor::OpenAi => openai::error_event(),
            Vendor::Anthropic => anthropic::error_event(),
            Vendor::Gemini => gemini::error_event(),
            Vendor::Ollama => ollama::error_event(),
            Vendor::Bedrock => bedrock::error_event(),
        };
        Some(vec![Step::Send(Piece { bytes, output: 0, usage: false })])
    } else {
        None
    }
}

fn gzip_steps(steps: &mut Vec<Step>, with_end: bool) {
    let mut gzip = Gzip::default();
    let mut output = 0;
    for step in steps.iter_mut() {
        if let Step::Send(piece) = step {
            output = output.max(piece.output);
            piece.bytes = gzip.block(&piece.bytes);
        }
    }
    if with_end {
        steps.push(Step::Send(Piece { bytes: gzip.end(), output, usage: false }));
    }
}

/// A gzip member made of stored blocks: right by RFC 1951 and 1952, flushed after every block, and not any smaller.
#[derive(Default)]
struct Gzip {
    begun: bool,
    crc: crc32fast::Hasher,
    length: u32,
}

impl Gzip {
    fn block(&mut self, bytes: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(bytes.len() + 32);
        if !self.begun {
            out.put_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
            self.begun = true;
        }
        for part in bytes.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
            out.put_u8(0);
            out.put_u16_le(length);
            out.put_u16_le(!length);
            out.put_slice(part);
        }
        self.crc.update(bytes);
        self.length = self.length.wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        out.freeze()
    }

    fn end(self) -> Bytes {
        let mut out = BytesMut::with_capacity(13);
        out.put_slice(&[1, 0, 0, 0xff, 0xff]);
        out.put_u32_le(self.crc.finalize());
        out.put_u32_le(self.length);
        out.freeze()
    }
}
