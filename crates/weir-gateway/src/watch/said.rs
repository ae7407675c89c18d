//! What a stream said, for who wants to know.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use serde_json::Value;
use weir_adapter::Request;

use crate::cache::tap::{assemble, each_event};

/// Events have many times the bytes of what they say: so much of them is kept for each byte that is wanted, and of one
/// stream at most [`MOST`] bytes.
const EVENTS: usize = 16;
const MOST: usize = 256 << 10;
/// The members of events that say something, in all dialects.
const WORDS: [&str; 9] = [
    "content",
    "text",
    "refusal",
    "reasoning_content",
    "reasoning",
    "thinking",
    "arguments",
    "partial_json",
    "delta",
];

/// The beginning of a stream as its client gets it. Clones share it.
#[derive(Clone)]
pub(crate) struct Said(Arc<Mutex<Kept>>);

struct Kept {
    bytes: BytesMut,
    most: usize,
    cut: bool,
}

impl Said {
    /// For so many bytes of an answer.
    pub(super) fn new(wanted: usize) -> Said {
        let most = wanted.saturating_mul(EVENTS).min(MOST);
        Said(Arc::new(Mutex::new(Kept { bytes: BytesMut::new(), most, cut: false })))
    }

    /// The client gets these bytes.
    pub(crate) fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock();
        let room = kept.most - kept.bytes.len();
        kept.cut |= bytes.len() > room;
        kept.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What was said: the answer as a whole where all of it is here, else its words as far as they are.
    pub(crate) fn answer(&self, request: &Request) -> Bytes {
        let mut kept = self.0.lock();
        let (stream, cut) = (kept.bytes.split().freeze(), kept.cut);
        let replay = request.front().replay().filter(|_| !cut);
        let whole = replay.and_then(|replay| assemble(stream.clone(), Vec::new(), replay, request.operation));
        whole.unwrap_or_else(|| words(stream).into())
    }
}

/// What the events say, one after another. Not the events themselves: what is secret may be spread over several, and only
/// in the whole it shows what it is.
fn words(stream: Bytes) -> String {
    let mut said = String::new();
    each_event(stream, |event| {
        if let Ok(event) = serde_json::from_slice(&event) {
            gather(&event, &mut said);
        }
    });
    said
}

fn gather(value: &Value, said: &mut String) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, said)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if WORDS.contains(&name.as_str()) => said.push_str(text),
                    value => gather(value, said),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_is_wanted() {
        let said = Said::new(2);
        (0..10).for_each(|_| said.keep(b"12345"));
        let kept = said.0.lock();
        assert_eq!((kept.bytes.len(), kept.cut), (32, true));
    }

    #[test]
    fn words_are_put_together_in_each_dialect() {
        for (events, expected) in [
            (
                &[
                    r#"{"choices":[{"delta":{"content":"sk-"}}]}"#,
                    r#"{"choices":[{"delta":{"content":"1"}}]}"#,
                ][..],
                "sk-1",
            ),
            (
                &[
                    r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
                    r#"{"delta":{"partial_json":"{"}}"#,
                ],
                "a{",
            ),
            (&[r#"{"type":"response.output_text.delta","delta":"b"}"#, "[DONE]"], "b"),
            (&[r#"{"candidates":[{"content":{"parts":[{"text":"c"}]}}]}"#], "c"),
        ] {
            let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            assert_eq!(words(stream.into()), expected);
        }
    }
}
