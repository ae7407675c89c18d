//! JSON in a stream outside of any event: the elements of a list, or an error at the end.

use weir_adapter::ProviderError;
use weir_wire::framing::MAX_FRAME;

use super::nonsense;

/// Finds where each object begins and ends, however it is cut.
#[derive(Default)]
pub(super) struct Bare {
    /// The object that is open.
    held: Vec<u8>,
    /// How many braces are open.
    depth: usize,
    inside_string: bool,
    escaped: bool,
    /// A comment of the stream runs until the line's end.
    comment: bool,
}

impl Bare {
    /// The objects that are complete with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, ProviderError> {
        let mut whole = Vec::new();
        let mut line_begins = true;
        for byte in bytes.iter().copied() {
            if self.depth == 0 {
                self.between(byte, line_begins, bytes)?;
                line_begins = byte == b'\n' || byte == b'\r';
                if self.depth == 0 {
                    continue;
                }
            } else {
                self.within(byte);
            }
            self.held.push(byte);
            if self.depth == 0 {
                whole.push(std::mem::take(&mut self.held));
            }
            if self.held.len() > MAX_FRAME {
                return Err(nonsense());
            }
        }
        self.comment = false;
        Ok(whole)
    }

    /// Whether an object has begun and not ended.
    pub(super) fn is_open(&self) -> bool {
        self.depth > 0
    }

    fn between(&mut self, byte: u8, line_begins: bool, frame: &[u8]) -> Result<(), ProviderError> {
        match byte {
            b'\n' | b'\r' => self.comment = false,
            _ if self.comment => {}
            b'{' => self.depth = 1,
            b'[' | b']' | b',' | b' ' | b'\t' => {}
            // A comment, or a field that is not `data`.
            b':' => self.comment = true,
            b'e' | b'i' | b'r' if line_begins && is_field(frame) => self.comment = true,
            0xef | 0xbb | 0xbf => {}
            _ => return Err(nonsense()),
        }
        Ok(())
    }

    fn within(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.inside_string => self.escaped = true,
            b'"' => self.inside_string = !self.inside_string,
            _ if self.inside_string => {}
            b'{' => self.depth += 1,
            b'}' => self.depth -= 1,
            _ => {}
        }
    }
}

/// Whether a frame without data has fields of the event stream.
fn is_field(frame: &[u8]) -> bool {
    [&b"event"[..], b"id", b"retry"]
        .iter()
        .any(|name| frame.windows(name.len()).any(|window| window == *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_objects_however_they_are_cut() {
        let text = "[{\"a\": \"}{\\\"\", \"b\": {}}\r\n,\r\n{\"c\": [1, {}]}\r\n]";
        let expected: Vec<Vec<u8>> =
            vec![b"{\"a\": \"}{\\\"\", \"b\": {}}".to_vec(), b"{\"c\": [1, {}]}".to_vec()];
        for cut in 0..text.len() {
            let mut bare = Bare::default();
            let mut found = bare.push(&text.as_bytes()[..cut]).unwrap();
            found.extend(bare.push(&text.as_bytes()[cut..]).unwrap());
            assert_eq!(found, expected, "cut at {cut}");
            assert!(!bare.is_open());
        }
    }

    #[test]
    fn comments_and_other_fields_are_no_json() {
        for text in [": keep-alive {\n\n", "event: x\n\n", "id: 1\nretry: 2\n\n", "\n", ""] {
            assert_eq!(Bare::default().push(text.as_bytes()).unwrap(), Vec::<Vec<u8>>::new(), "{text}");
        }
        assert!(Bare::default().push(b"<html>").is_err());
        let mut bare = Bare::default();
        bare.push(b"{\"error\": {").unwrap();
        assert!(bare.is_open());
    }
}
