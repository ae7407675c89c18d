//! What a stream has said so far, and how the rest is written where another attempt goes on.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use weir_adapter::{Decoder, Encoder, Request};
use weir_wire::openai;
use weir_wire::openai::chat::{Chunk, ChunkChoice, Content, Delta};

/// A longer text is not gone on with: it would have to be kept.
const LONGEST: usize = 256 << 10;

/// What a stream has said, shared by the attempts that say it.
#[derive(Clone)]
pub struct Script(Arc<Mutex<Said>>);

struct Said {
    /// Writes for the client; `None` while the provider's own bytes pass.
    encoder: Option<Box<dyn Encoder>>,
    text: String,
    /// Id, time and model of the first half: the second has the same.
    first: Option<(String, u64, String)>,
    /// Nobody can go on with what was said, or there is no need to.
    closed: bool,
    /// What the second half repeats, and how much of that has come.
    repeats: String,
    repeated: usize,
    goes_on: bool,
}

impl Script {
    /// Of a stream that `encoder` writes; `None` where the provider's own bytes pass.
    pub(crate) fn new(encoder: Option<Box<dyn Encoder>>) -> Script {
        Script(Arc::new(Mutex::new(Said {
            encoder,
            text: String::new(),
            first: None,
            closed: false,
            repeats: String::new(),
            repeated: 0,
            goes_on: false,
        })))
    }

    /// Notes what a chunk says.
    pub(crate) fn hear(&self, chunk: &openai::Chunk) {
        self.0.lock().hear(chunk);
    }

    /// What was said, where somebody could go on from it.
    pub(crate) fn so_far(&self) -> Option<String> {
        let said = self.0.lock();
        (!said.closed && !said.text.trim().is_empty()).then(|| said.text.clone())
    }

    /// Another attempt goes on after `start`, the text that it was given; `echoes`: it says that again first.
    pub(crate) fn go_on(&self, request: &Request, start: &str, echoes: bool) {
        let mut said = self.0.lock();
        // Spaces at the end of a start are not sent; they come again with what follows.
        let spaces = said.text[start.len()..].to_owned();
        said.repeats = if echoes { said.text.clone() } else { spaces };
        (said.repeated, said.goes_on) = (0, true);
        if said.encoder.is_none() {
            let (id, created, model) = said.first.clone().unwrap_or_default();
            let delta = Delta {
                role: Some("assistant".to_owned()),
                content: Some(Content::Text(said.text.clone())),
                ..Delta::default()
            };
            let choices = vec![ChunkChoice { delta, ..ChunkChoice::default() }];
            let object = "chat.completion.chunk".to_owned();
            let chunk = Chunk { id, object, created, model, choices, ..Chunk::default() };
            let mut encoder = request.front().encoder(request);
            // The client has this half: it is written for the encoder's own sake.
            encoder.chunk(openai::Chunk::Chat(chunk), &mut BytesMut::new());
            said.encoder = Some(encoder);
        }
    }
}

impl Said {
    fn hear(&mut self, chunk: &openai::Chunk) {
        let openai::Chunk::Chat(chunk) = chunk else {
            self.closed = true;
            return;
        };
        if self.first.is_none() && !chunk.choices.is_empty() {
            self.first = Some((chunk.id.clone(), chunk.created, chunk.model.clone()));
        }
        for choice in &chunk.choices {
            let delta = &choice.delta;
            match &delta.content {
                Some(Content::Text(text)) => self.text.push_str(text),
                Some(Content::Parts(_)) => self.closed = true,
                None => {}
            }
            let said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
            self.closed |= choice.index > 0
                || choice.finish_reason.is_some()
                || delta.tool_calls.is_some()
                || delta.reasoning_details.is_some()
                || delta.audio.is_some()
                || delta.annotations.is_some()
                || said(&delta.refusal)
                || said(&delta.reasoning_content)
                || said(&delta.reasoning)
                || delta.extra.values().any(|value| !value.is_null())
                || self.text.len() > LONGEST;
        }
    }

    /// A chunk of the second half as the client shall see it; `None` where it says nothing new.
    fn rest(&mut self, mut chunk: Chunk) -> Option<Chunk> {
        if let Some((id, created, model)) = &self.first {
            (chunk.id, chunk.created, chunk.model) = (id.clone(), *created, model.clone());
        }
        for choice in &mut chunk.choices {
            choice.delta.role = None;
            if let Some(Content::Text(text)) = &mut choice.delta.content {
                self.forget(text);
                if text.is_empty() {
                    choice.delta.content = None;
                }
            }
            if choice.finish_reason.is_some() {
                chunk.extra.insert("weir".to_owned(), serde_json::json!({ "continued": true }));
            }
        }
        let says = |choice: &ChunkChoice| choice.finish_reason.is_some() || choice.delta != Delta::default();
        (chunk.usage.is_some() || chunk.choices.iter().any(says)).then_some(chunk)
    }

    /// Leaves out of a text what repeats the end, or all, of the first half.
    fn forget(&mut self, text: &mut String) {
        let ahead = &self.repeats.as_bytes()[self.repeated..];
        let same = ahead.iter().zip(text.as_bytes()).take_while(|(one, other)| one == other).count();
        let whole = same == ahead.len() || same == text.len();
        let same = (0..=same).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.drain(..same);
        self.repeated = if whole { self.repeated + same } else { self.repeats.len() };
    }
}

impl Encoder for Script {
    fn whole(&mut self, response: openai::Response) -> Bytes {
        self.0.lock().encoder.as_mut().map_or_else(Bytes::new, |encoder| encoder.whole(response))
    }

    fn chunk(&mut self, chunk: openai::Chunk, out: &mut BytesMut) {
        let mut said = self.0.lock();
        let chunk = match chunk {
            openai::Chunk::Chat(chunk) if said.goes_on => match said.rest(chunk) {
                Some(chunk) => openai::Chunk::Chat(chunk),
                None => return,
            },
            chunk => chunk,
        };
        said.hear(&chunk);
        if let Some(encoder) = &mut said.encoder {
            encoder.chunk(chunk, out);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Some(encoder) = &mut self.0.lock().encoder {
            encoder.end(out);
        }
    }

    fn error(&mut self, error: &openai::Error, out: &mut BytesMut) -> bool {
        self.0.lock().encoder.as_mut().is_some_and(|encoder| encoder.error(error, out))
    }
}

/// Listens to a stream of the client's own dialect that passes.
pub(crate) struct Ear(pub(crate) Box<dyn Decoder>);

impl Ear {
    /// Hears one frame.
    pub(super) fn frame(&mut self, frame: &[u8], script: &Script) {
        let mut chunks = Vec::new();
        let heard = self.0.frame(frame, &mut chunks).is_ok();
        chunks.iter().for_each(|chunk| script.hear(chunk));
        // Nobody goes on from what was not understood.
        if !heard {
            script.0.lock().closed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the text of each chunk, and what it ends with.
    struct Plain;

    impl Encoder for Plain {
        fn whole(&mut self, _: openai::Response) -> Bytes {
            Bytes::new()
        }

        fn chunk(&mut self, chunk: openai::Chunk, out: &mut BytesMut) {
            let openai::Chunk::Chat(chunk) = chunk else { return };
            for choice in &chunk.choices {
                if let Some(Content::Text(text)) = &choice.delta.content {
                    out.extend_from_slice(text.as_bytes());
                }
                if choice.finish_reason.is_some() {
                    out.extend_from_slice(format!("|{}", chunk.extra["weir"]["continued"]).as_bytes());
                }
            }
        }

        fn end(&mut self, _: &mut BytesMut) {}
    }

    fn piece(text: &str, finish: Option<&str>) -> openai::Chunk {
        let delta = Delta { content: Some(Content::Text(text.to_owned())), ..Delta::default() };
        let choice =
            ChunkChoice { delta, finish_reason: finish.map(str::to_owned), ..ChunkChoice::default() };
        openai::Chunk::Chat(Chunk { id: "1".to_owned(), choices: vec![choice], ..Chunk::default() })
    }

    fn script() -> Script {
        Script::new(Some(Box::new(Plain)))
    }

    fn request() -> Request {
        struct Nobody;
        impl weir_adapter::Front for Nobody {
            fn dialect(&self) -> &'static str {
                "nobody"
            }
            fn peek(
                &self,
                _: weir_adapter::Operation,
                _: &http::request::Parts,
                _: &[u8],
            ) -> Result<weir_adapter::Peek, weir_adapter::InvalidRequest> {
                Ok(weir_adapter::Peek::default())
            }
            fn decode(
                &self,
                _: weir_adapter::Operation,
                _: &[u8],
            ) -> Result<openai::Request, weir_adapter::InvalidRequest> {
                Ok(openai::Request::Chat(openai::chat::Request::default()))
            }
            fn encoder(&self, _: &Request) -> Box<dyn Encoder> {
                Box::new(Plain)
            }
            fn error(&self, _: u16, _: &openai::Error) -> Bytes {
                Bytes::new()
            }
            fn error_event(&self, _: &openai::Error) -> Bytes {
                Bytes::new()
            }
        }
        let peek = weir_adapter::Peek::default();
        Request::new(weir_adapter::Operation::Chat, Arc::new(Nobody), Bytes::from_static(b"{}"), peek)
    }

    #[test]
    fn the_rest_repeats_nothing() {
        let check = |said: &[&str], echoes: bool, rest: &[&str], want: &str| {
            for native in [false, true] {
                let mut script = if native { Script::new(None) } else { script() };
                let mut out = BytesMut::new();
                for text in said {
                    if native {
                        script.hear(&piece(text, None));
                        out.extend_from_slice(text.as_bytes());
                    } else {
                        script.chunk(piece(text, None), &mut out);
                    }
                }
                let so_far = script.so_far().unwrap();
                script.go_on(&request(), so_far.trim_end(), echoes);
                rest.iter().for_each(|text| script.chunk(piece(text, None), &mut out));
                script.chunk(piece("", Some("stop")), &mut out);
                assert_eq!(out, format!("{want}|true"), "{said:?} {rest:?}");
            }
        };
        check(&["one", " two"], false, &[" three"], "one two three");
        // A space that was said, and comes again.
        check(&["one ", "two "], false, &[" three"], "one two three");
        check(&["one\n\n"], false, &["\n", "\n2"], "one\n\n2");
        check(&["one "], false, &["two"], "one two");
        // One that says all of it again, cut elsewhere.
        check(&["naïve", " 🚣"], true, &["na", "ïve 🚣 go", "es"], "naïve 🚣 goes");
        check(&["a a"], true, &["a a a"], "a a a");
    }

    #[test]
    fn what_is_no_plain_text_is_not_gone_on_with() {
        let check = |chunk: openai::Chunk, open: bool| {
            let mut script = script();
            script.chunk(piece("one", None), &mut BytesMut::new());
            script.chunk(chunk, &mut BytesMut::new());
            assert_eq!(script.so_far().is_some(), open);
        };
        let with = |change: fn(&mut ChunkChoice)| {
            let mut choice = ChunkChoice::default();
            change(&mut choice);
            openai::Chunk::Chat(Chunk { choices: vec![choice], ..Chunk::default() })
        };
        check(with(|_| {}), true);
        check(piece(&"x".repeat(LONGEST), None), false);
        check(with(|choice| choice.index = 1), false);
        check(with(|choice| choice.delta.tool_calls = Some(Vec::new())), false);
        check(with(|choice| choice.delta.reasoning = Some("hm".to_owned())), false);
        check(with(|choice| choice.delta.refusal = Some("no".to_owned())), false);
        check(with(|choice| choice.delta.annotations = Some(Vec::new())), false);
        assert!(script().so_far().is_none(), "nothing was said yet");
    }
}
