//! Where one frame of a stream ends and the next begins.
//!
//! A [`Splitter`] is fed with what each network read returned, however it is cut, and gives back whole frames
//! as slices of it: bytes are copied only for a frame that was cut.

pub mod eventstream;
pub mod sse;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// How a reply is cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events: a frame ends with an empty line.
    Sse,
    /// One JSON value a line.
    JsonLines,
    /// AWS's binary messages, each with its length.
    EventStream,
}

/// The largest frame that is held back to be read whole, in bytes (large enough for an image in base64).
pub const MAX_FRAME: usize = 32 << 20;

/// A frame grew past [`MAX_FRAME`] without ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the stream is larger than {MAX_FRAME} bytes")]
pub struct FrameTooLarge;

/// What becomes of a frame on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on as it came.
    Keep,
    /// Is withheld.
    Drop,
    /// These bytes go instead.
    Replace(Bytes),
}

/// Cuts a stream into frames.
#[derive(Debug)]
pub struct Splitter {
    framing: Framing,
    /// A frame that has begun and not ended.
    carry: BytesMut,
    /// How far `carry` was searched.
    searched: usize,
    line: LineState,
}

#[derive(Debug, Default, Clone, Copy)]
struct LineState {
    /// The current line has bytes already.
    begun: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Splitter {
    /// For a stream from its first byte.
    pub fn new(framing: Framing) -> Splitter {
        Splitter { framing, carry: BytesMut::new(), searched: 0, line: LineState::default() }
    }

    /// Takes what one read returned, shows each frame that is complete to `see`, and returns what goes on, in order.
    /// Frames that are kept and adjacent come back as one slice.
    pub fn push(
        &mut self,
        chunk: Bytes,
        mut see: impl FnMut(&Bytes) -> Verdict,
    ) -> Result<SmallVec<[Bytes; 1]>, FrameTooLarge> {
        let mut source = if self.carry.is_empty() {
            chunk
        } else {
            self.carry.extend_from_slice(&chunk);
            std::mem::take(&mut self.carry).freeze()
        };
        let (mut out, mut kept, mut start) = (SmallVec::new(), 0..0, 0);
        while let Some(end) = self.find_end(&source) {
            let frame = source.slice(start..end);
            let verdict = see(&frame);
            if verdict == Verdict::Keep {
                if kept.end != start {
                    flush(&source, &mut kept, &mut out);
                    kept.start = start;
                }
                kept.end = end;
            } else {
                flush(&source, &mut kept, &mut out);
                if let Verdict::Replace(bytes) = verdict {
                    out.push(bytes);
                }
                kept = end..end;
            }
            start = end;
        }
        flush(&source, &mut kept, &mut out);
        let rest = source.split_off(start);
        if rest.len() > MAX_FRAME {
            return Err(FrameTooLarge);
        }
        self.searched -= start;
        if !rest.is_empty() {
            self.carry = rest.try_into_mut().unwrap_or_else(|rest| BytesMut::from(&rest[..]));
        }
        Ok(out)
    }

    /// What is left at the end of the body: a frame without its end, or nothing.
    pub fn finish(&mut self) -> Bytes {
        self.searched = 0;
        self.line = LineState::default();
        std::mem::take(&mut self.carry).freeze()
    }

    /// The offset just behind the next frame that is complete.
    fn find_end(&mut self, source: &[u8]) -> Option<usize> {
        match self.framing {
            Framing::JsonLines => {
                let found = memchr::memchr(b'\n', &source[self.searched..]);
                self.searched = found.map_or(source.len(), |offset| self.searched + offset + 1);
                found.map(|_| self.searched)
            }
            Framing::EventStream => {
                // `searched` stays where the message begins until all of it is there.
                let end = self.searched + eventstream::length(&source[self.searched..])?;
                (end <= source.len()).then(|| {
                    self.searched = end;
                    end
                })
            }
            Framing::Sse => self.find_blank_line(source),
        }
    }

    fn find_blank_line(&mut self, source: &[u8]) -> Option<usize> {
        while self.searched < source.len() {
            if self.line.after_cr {
                self.line.after_cr = false;
                if source[self.searched] == b'\n' {
                    self.searched += 1;
                    continue;
                }
            }
            let Some(offset) = memchr::memchr2(b'\n', b'\r', &source[self.searched..]) else {
                self.line.begun = true;
                self.searched = source.len();
                return None;
            };
            let blank = offset == 0 && !self.line.begun;
            self.line.begun = false;
            self.searched += offset + 1;
            if source[self.searched - 1] == b'\r' {
                // Taken at once where it is here already, so that a frame holds its whole last line end.
                match source.get(self.searched) {
                    Some(b'\n') => self.searched += 1,
                    Some(_) => {}
                    None => self.line.after_cr = true,
                }
            }
            if blank {
                return Some(self.searched);
            }
        }
        None
    }
}

fn flush(source: &Bytes, kept: &mut std::ops::Range<usize>, out: &mut SmallVec<[Bytes; 1]>) {
    if kept.start < kept.end {
        out.push(source.slice(kept.clone()));
    }
    *kept = kept.end..kept.end;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(framing: Framing, chunks: &[&str]) -> (Vec<String>, String) {
        let mut splitter = Splitter::new(framing);
        let (mut frames, mut passed) = (Vec::new(), String::new());
        for chunk in chunks {
            let out = splitter
                .push(Bytes::copy_from_slice(chunk.as_bytes()), |frame| {
                    frames.push(String::from_utf8(frame.to_vec()).unwrap());
                    Verdict::Keep
                })
                .unwrap();
            out.iter().for_each(|bytes| passed.push_str(std::str::from_utf8(bytes).unwrap()));
        }
        passed.push_str(std::str::from_utf8(&splitter.finish()).unwrap());
        (frames, passed)
    }

    #[test]
    fn cuts_at_any_byte_give_the_same_events() {
        for text in [
            "data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n: x\n\n",
            "\n\ndata:1\n\n\n",
            "data: a\r\n\r\n",
        ] {
            let events = |chunks: &[&str]| -> Vec<Option<String>> {
                frames(Framing::Sse, chunks)
                    .0
                    .iter()
                    .map(|f| sse::data(f.as_bytes()).map(|d| String::from_utf8(d.to_vec()).unwrap()))
                    .filter(Option::is_some)
                    .collect()
            };
            let whole = events(&[text]);
            for cut in 0..text.len() {
                let (a, b) = text.split_at(cut);
                assert_eq!(events(&[a, b]), whole, "{text:?} at {cut}");
                assert_eq!(frames(Framing::Sse, &[a, b]).1, text);
            }
            let single: Vec<String> = text.chars().map(String::from).collect();
            assert_eq!(events(&single.iter().map(String::as_str).collect::<Vec<_>>()), whole);
        }
    }

    #[test]
    fn binary_messages_cut_at_any_byte_are_the_same() {
        let mut stream = BytesMut::new();
        for payload in [&b"{}"[..], b"", b"{\"delta\":{\"text\":\"\\n\\n\"}}"] {
            eventstream::write(&mut stream, &[(":event-type", "x")], payload);
        }
        let frames = |chunks: &[&[u8]]| {
            let mut splitter = Splitter::new(Framing::EventStream);
            let mut frames = Vec::new();
            for chunk in chunks {
                let seen = splitter.push(Bytes::copy_from_slice(chunk), |frame| {
                    frames.push(eventstream::message(frame).unwrap().payload.to_vec());
                    Verdict::Keep
                });
                seen.unwrap();
            }
            assert!(splitter.finish().is_empty());
            frames
        };
        let whole = frames(&[&stream]);
        assert_eq!(whole.len(), 3);
        for cut in 0..stream.len() {
            let (a, b) = stream.split_at(cut);
            assert_eq!(frames(&[a, b]), whole, "cut at {cut}");
        }
        assert_eq!(frames(&stream.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn withholds_and_replaces() {
        let mut splitter = Splitter::new(Framing::JsonLines);
        let out = splitter
            .push(Bytes::from_static(b"1\n2\n3\n4\n5"), |frame| match &frame[..] {
                b"2\n" => Verdict::Drop,
                b"3\n" => Verdict::Replace(Bytes::from_static(b"three\n")),
                _ => Verdict::Keep,
            })
            .unwrap();
        assert_eq!(out.concat(), b"1\nthree\n4\n");
        assert_eq!(splitter.finish(), "5");
    }

    #[test]
    fn adjacent_frames_go_on_as_one_slice() {
        let mut splitter = Splitter::new(Framing::Sse);
        let out = splitter
            .push(Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata: 3\n\nda"), |_| Verdict::Keep)
            .unwrap();
        assert_eq!(out.len(), 1);
        assert_eq!(out[0], "data: 1\n\ndata: 2\n\ndata: 3\n\n");
    }
}
