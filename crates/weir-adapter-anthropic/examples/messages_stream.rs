//! Writes what a client of `/v1/messages` gets: reads OpenAI's chunks (or one whole response) from standard input,
//! one JSON value a line, and writes Anthropic's events (or message) to standard output. `tests/sdk/check.py` hands the
//! result to Anthropic's own client.

use std::io::{BufRead, Write};

use bytes::{Bytes, BytesMut};
use weir_adapter::{Operation, Peek, Request};
use weir_wire::openai::{Chunk, Response};

fn main() -> std::io::Result<()> {
    let front = weir_adapter_anthropic::front();
    let request = Request::new(Operation::Chat, front.clone(), Bytes::new(), Peek::default());
    let mut encoder = front.encoder(&request);
    let mut out = BytesMut::new();
    let mut streamed = true;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.contains("\"chat.completion\"") {
            out.extend_from_slice(&encoder.whole(Response::Chat(serde_json::from_str(&line)?)));
            streamed = false;
        } else {
            encoder.chunk(Chunk::Chat(serde_json::from_str(&line)?), &mut out);
        }
    }
    if streamed {
        encoder.end(&mut out);
    }
    std::io::stdout().write_all(&out)
}
