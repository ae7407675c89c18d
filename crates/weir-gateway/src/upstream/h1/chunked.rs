//! The chunked transfer coding of RFC 9112, section 7.1, decoded in place, however it is cut.
//!
//! Strict: line ends are CR LF, sizes are at most 16 hex digits, and what isn't data (extensions, trailers) has a
//! bound over the whole body.

/// How many bytes of extensions and trailers a body may have.
const MOST_ASIDE: u32 = 16 << 10;
/// How many digits a size may have.
const MOST_DIGITS: u8 = 16;

/// Where the decoder stands between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a size of so many digits so far.
    Size(u8),
    /// Behind a size, in an extension.
    Extension,
    /// Before the LF that ends the line of a size.
    SizeEnd,
    /// In data.
    Data,
    /// Before the CR LF behind data.
    DataCr,
    DataLf,
    /// Where a trailer, or the last empty line, begins.
    Line,
    /// In a trailer.
    Trailer,
    TrailerLf,
    /// Before the very last LF.
    LastLf,
    Done,
}

/// The body is no chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chunks of the answer are malformed")]
pub(crate) struct Malformed;

/// What one piece of a body gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// So many bytes of content now stand at the beginning of the buffer.
    pub(crate) content: usize,
    /// So many bytes of the buffer belonged to the body.
    pub(crate) taken: usize,
}

/// Decodes one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunks {
    at: At,
    /// The size that is being read, then what is left of its data.
    left: u64,
    aside: u32,
}

impl Chunks {
    /// At the beginning of a body.
    pub(crate) fn new() -> Chunks {
        Chunks { at: At::Size(0), left: 0, aside: 0 }
    }

    /// Whether the body has ended.
    pub(crate) fn done(&self) -> bool {
        self.at == At::Done
    }

    /// Decodes what is in `buffer` up to the body's end; the content moves to the front.
    pub(crate) fn decode(&mut self, buffer: &mut [u8]) -> Result<Decoded, Malformed> {
        let (mut from, mut to) = (0, 0);
        while from < buffer.len() && self.at != At::Done {
            if self.at == At::Data {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len() - from);
                buffer.copy_within(from..from + here, to);
                from += here;
                to += here;
                self.left -= here as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            self.at = self.step(buffer[from])?;
            from += 1;
        }
        Ok(Decoded { content: to, taken: from })
    }

    /// One byte that is not data.
    fn step(&mut self, byte: u8) -> Result<At, Malformed> {
        Ok(match (self.at, byte) {
            (At::Size(1..), b'\r') | (At::Extension, b'\r') => At::SizeEnd,
            (At::Size(1..), b';' | b' ' | b'\t') => At::Extension,
            (At::Size(digits), byte) if digits < MOST_DIGITS => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                let before = if digits == 0 { 0 } else { self.left };
                self.left = before << 4 | u64::from(digit);
                At::Size(digits + 1)
            }
            (At::Extension, byte) if byte != b'\n' => self.aside(At::Extension)?,
            (At::SizeEnd, b'\n') if self.left == 0 => At::Line,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(0),
            (At::Line, b'\r') => At::LastLf,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::Line | At::Trailer, byte) if byte != b'\n' => self.aside(At::Trailer)?,
            (At::TrailerLf, b'\n') => At::Line,
            (At::LastLf, b'\n') => At::Done,
            _ => return Err(Malformed),
        })
    }

    fn aside(&mut self, at: At) -> Result<At, Malformed> {
        self.aside += 1;
        if self.aside > MOST_ASIDE { Err(Malformed) } else { Ok(at) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Content, whether it ended, and what followed.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let (mut chunks, mut content, mut beyond) = (Chunks::new(), Vec::new(), 0);
        for piece in pieces {
            let mut buffer = piece.to_vec();
            let decoded = chunks.decode(&mut buffer)?;
            content.extend_from_slice(&buffer[..decoded.content]);
            beyond += piece.len() - decoded.taken;
        }
        Ok((content, chunks.done(), beyond))
    }

    #[test]
    fn reads_what_the_standard_allows() {
        let long = format!("5;x={}\r\nhello\r\n0\r\n\r\n", "y".repeat(1000));
        for (body, content) in [
            (&b"0\r\n\r\n"[..], ""),
            (b"5\r\nhello\r\n0\r\n\r\n", "hello"),
            (b"00005\r\nhello\r\n3\r\n, y\r\n000\r\n\r\n", "hello, y"),
            (b"A ; name=\"value\"\r\n0123456789\r\n0;last\r\na: b\r\nc: d\r\n\r\n", "0123456789"),
            (b"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
            (long.as_bytes(), "hello"),
        ] {
            for cut in 0..=body.len() {
                let (first, second) = body.split_at(cut);
                let expected = (content.as_bytes().to_vec(), true, 0);
                assert_eq!(decode(&[first, second]), Ok(expected), "{cut}");
            }
            let single: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(decode(&single), Ok((content.as_bytes().to_vec(), true, 0)));
        }
    }

    #[test]
    fn refuses_what_it_does_not() {
        let endless = [b"5;".to_vec(), vec![b'x'; 17 << 10]].concat();
        let trailers = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(5 << 10)].concat();
        for body in [
            &b"\r\n"[..],
            b" 5\r\nhello\r\n",
            b"5\nhello\n0\n\n",
            b"5\rhello",
            b"-5\r\n",
            b"0x5\r\nhello",
            b"g\r\n",
            b"5\r\nhello0\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello!\r\n",
            b"11111111111111111\r\n",
            b"5;a\nb\r\nhello",
            b"0\r\n\n",
            b"0\r\na: b\nc\r\n\r\n",
            &endless,
            &trailers,
        ] {
            assert_eq!(decode(&[body]), Err(Malformed), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn says_what_belongs_to_the_body() {
        assert_eq!(decode(&[b"1\r\nx\r\n0\r\n\r\nHTTP/1.1"]), Ok((b"x".to_vec(), true, 8)));
        assert_eq!(decode(&[b"1\r\nx\r\n0\r\n"]), Ok((b"x".to_vec(), false, 0)));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same(
            bytes in proptest::collection::vec(prop_oneof![
                any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'3'), Just(b';')
            ], 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(decode(&[&bytes]), decode(&[&bytes[..cut], &bytes[cut..]]));
        }
    }
}
