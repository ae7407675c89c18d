//! Looks for the parts of a form as its bytes come, in pieces of any size: where each begins, what it is called, and where
//! it ends. Keeps no more than a boundary and a part's head.
//!
//! It is strict (`multipart/form-data`, RFC 7578, RFC 2046): what could be read one way here and another way at a provider
//! is refused, so that what was authorized is what is sent.

use memchr::memmem;

/// The largest head of a part, in bytes.
const MAX_HEAD: usize = 8 << 10;
/// The longest boundary.
const MAX_BOUNDARY: usize = 70;

/// A form that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the form can't be read: {0}")]
pub struct Malformed(pub &'static str);

/// What was found; positions count from the form's first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part's content begins.
    Part {
        /// Its name.
        name: String,
        /// Whether it is a file.
        file: bool,
        /// Where its content begins.
        start: u64,
    },
    /// Its content has ended.
    End {
        /// Behind its last byte.
        end: u64,
    },
    /// The form has ended.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary, or in a part's content.
    Content { part: bool },
    /// Behind a boundary.
    Boundary,
    /// In a part's head.
    Head,
    /// Behind the last boundary.
    Closed,
}

/// The scanner.
#[derive(Debug, Clone)]
pub struct Scanner {
    delimiter: Vec<u8>,
    state: State,
    /// What can't be judged yet.
    carry: Vec<u8>,
    /// The position of its first byte, plus two: the first boundary is found as if a line ended before it.
    at: u64,
}

impl Scanner {
    /// For the form that this `content-type` names.
    ///
    /// # Errors
    /// No boundary, or one that can't be.
    pub fn new(content_type: &str) -> Result<Scanner, Malformed> {
        let boundary =
            parameter(content_type, "boundary").map_err(|()| Malformed("its boundary stands twice"))?;
        let boundary = boundary.ok_or(Malformed("its content-type has no boundary"))?;
        let fits = (1..=MAX_BOUNDARY).contains(&boundary.len())
            && boundary.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !fits {
            return Err(Malformed("its boundary must be 1 to 70 visible characters"));
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Ok(Scanner { delimiter, state: State::Content { part: false }, carry: b"\r\n".to_vec(), at: 0 })
    }

    /// Whether the form has ended.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// A form that can't be read.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.state == State::Closed {
            return Ok(());
        }
        self.carry.extend_from_slice(data);
        let mut done = 0;
        while let Some(taken) = self.step(done, out)? {
            done += taken;
        }
        self.carry.drain(..done);
        self.at += done as u64;
        Ok(())
    }

    /// One step from `from` on; how much it took, or nothing where more must come.
    fn step(&mut self, from: usize, out: &mut Vec<Event>) -> Result<Option<usize>, Malformed> {
        let rest = &self.carry[from..];
        let at = self.at + from as u64;
        match self.state {
            State::Closed => Ok(None),
            State::Content { part } => match memmem::find(rest, &self.delimiter) {
                Some(found) => {
                    if part {
                        out.push(Event::End { end: at + found as u64 - 2 });
                    }
                    self.state = State::Boundary;
                    Ok(Some(found + self.delimiter.len()))
                }
                None => {
                    // The beginning of a boundary may stand at its end.
                    let sure = rest.len().saturating_sub(self.delimiter.len() - 1);
                    Ok((sure > 0).then_some(sure))
                }
            },
            State::Boundary => {
                if rest.len() < 2 {
                    return Ok(None);
                }
                if rest.starts_with(b"--") {
                    self.state = State::Closed;
                    out.push(Event::Closed);
                    return Ok(Some(rest.len()));
                }
                // Spaces may stand behind a boundary.
                let line = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
                match rest.get(line..line + 2) {
                    Some(b"\r\n") => {
                        self.state = State::Head;
                        Ok(Some(line))
                    }
                    None if line < 64 => Ok(None),
                    _ => Err(Malformed("something stands behind a boundary")),
                }
            }
            State::Head => match memmem::find(rest, b"\r\n\r\n") {
                Some(end) if end <= MAX_HEAD => {
                    let (name, file) = head(&rest[..end])?;
                    out.push(Event::Part { name, file, start: at + end as u64 + 4 - 2 });
                    self.state = State::Content { part: true };
                    Ok(Some(end + 4))
                }
                None if rest.len() <= MAX_HEAD => Ok(None),
                _ => Err(Malformed("a part's head is longer than 8 KiB")),
            },
        }
    }
}

/// A part's name, and whether it is a file.
fn head(head: &[u8]) -> Result<(String, bool), Malformed> {
    let head = std::str::from_utf8(head).map_err(|_| Malformed("a part's head is not UTF-8"))?;
    let mut found = None;
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        if line.contains(['\r', '\n', '\0']) || line.starts_with([' ', '\t']) {
            return Err(Malformed("a part's head has lines that can be read in two ways"));
        }
        let (name, value) =
            line.split_once(':').ok_or(Malformed("a part's head has a line without a colon"))?;
        if name.eq_ignore_ascii_case("content-transfer-encoding")
            && !value.trim().eq_ignore_ascii_case("binary")
        {
            let plain = ["7bit", "8bit"].iter().any(|plain| value.trim().eq_ignore_ascii_case(plain));
            if !plain {
                return Err(Malformed("a part has a transfer encoding; send it as it is"));
            }
        }
        if name.eq_ignore_ascii_case("content-disposition") && found.replace(value).is_some() {
            return Err(Malformed("a part has two dispositions"));
        }
    }
    let disposition = found.ok_or(Malformed("a part has no disposition"))?;
    let twice = |()| Malformed("a part has two names");
    let name = parameter(disposition, "name").map_err(twice)?.ok_or(Malformed("a part has no name"))?;
    let file = parameter(disposition, "filename").map_err(twice)?.is_some()
        || parameter(disposition, "filename*").map_err(twice)?.is_some();
    if parameter(disposition, "name*").map_err(twice)?.is_some() {
        return Err(Malformed("a part has two names"));
    }
    Ok((name, file))
}

/// A parameter of a header's value: `form-data; name="file"`.
///
/// # Errors
/// It stands twice.
fn parameter(value: &str, wanted: &str) -> Result<Option<String>, ()> {
    let mut found = None;
    let mut rest = value;
    while let Some(at) = rest.find(';') {
        rest = rest[at + 1..].trim_start();
        let Some((name, after)) = rest.split_once('=') else { break };
        let (text, left) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted).ok_or(())?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) && found.replace(text).is_some() {
            return Err(());
        }
        rest = left;
    }
    Ok(found)
}

/// A quoted text, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((out, &text[at + 1..])),
            // Browsers write a quote as `%22` and leave backslashes alone; curl escapes both.
            '\\' => match letters.clone().next() {
                Some((_, next @ ('"' | '\\'))) => {
                    letters.next();
                    out.push(next);
                }
                _ => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=b0";

    fn scan(form: &[u8], piece: usize) -> Result<Vec<Event>, Malformed> {
        let (mut scanner, mut events) = (Scanner::new(TYPE)?, Vec::new());
        for piece in form.chunks(piece.max(1)) {
            scanner.push(piece, &mut events)?;
        }
        Ok(events)
    }

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut form = Vec::new();
        for (head, content) in parts {
            form.extend(
                format!("--b0\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n").bytes(),
            );
        }
        form.extend(b"--b0--\r\n");
        form
    }

    #[test]
    fn parts_are_found_whatever_the_pieces() {
        let form = form(&[
            ("name=\"file\"; filename=\"a;name=x.mp3\"", "ID3\r\n--b\r\n--b1 no"),
            ("name=model", "whisper-1"),
            ("name=\"empty\"", ""),
        ]);
        let whole = scan(&form, form.len()).unwrap();
        for piece in 1..form.len() {
            assert_eq!(scan(&form, piece).unwrap(), whole, "pieces of {piece}");
        }
        let mut parts = Vec::new();
        for pair in whole.chunks(2) {
            if let [Event::Part { name, file, start }, Event::End { end }] = pair {
                let content = &form[*start as usize..*end as usize];
                parts.push((name.clone(), *file, String::from_utf8_lossy(content).into_owned()));
            }
        }
        assert_eq!(
            parts,
            [
                ("file".to_owned(), true, "ID3\r\n--b\r\n--b1 no".to_owned()),
                ("model".to_owned(), false, "whisper-1".to_owned()),
                ("empty".to_owned(), false, String::new()),
            ]
        );
        assert_eq!(whole.last(), Some(&Event::Closed));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for head in [
            "name=\"a\"; name=\"model\"",
            "name=\"a\"; name*=utf-8''model",
            "filename=\"a\"",
            "name=\"a",
            "name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"",
            "name=\"a\"\r\n name=\"model\"",
            "name=\"a\"\nContent-Disposition: form-data; name=\"model\"",
            "name=\"a\"\r\nContent-Transfer-Encoding: base64",
        ] {
            assert!(scan(&form(&[(head, "x")]), 7).is_err(), "{head:?}");
        }
        for kind in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a; boundary=b",
        ] {
            assert!(Scanner::new(kind).is_err(), "{kind}");
        }
        let long = format!("name=\"{}\"", "a".repeat(9_000));
        assert!(scan(&form(&[(&long, "x")]), 1_000).is_err());
        assert!(scan(b"--b0x\r\n", 3).is_err());
    }
}
