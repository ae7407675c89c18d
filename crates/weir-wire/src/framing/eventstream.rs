//! One message of AWS's binary event stream (`application/vnd.amazon.eventstream`).
//!
//! A message is: its length and that of its headers (4 bytes each, big-endian), a CRC-32 of these eight bytes, the
//! headers, the payload, and a CRC-32 of all before. Facts are from the Smithy specification, "Event stream
//! specification", and from recorded frames.

use bytes::{BufMut, BytesMut};

/// Bytes before the headers.
const PRELUDE: usize = 12;
/// Bytes of a message without headers and payload.
const LEAST: usize = 16;

/// A message whose sums are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'f> {
    headers: &'f [u8],
    /// What it carries.
    pub payload: &'f [u8],
}

/// Why a frame is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It ends before its length.
    #[error("the frame is cut")]
    Cut,
    /// A sum or a length is wrong.
    #[error("the frame is damaged")]
    Damaged,
}

/// How long the message is that begins here; `None` where too little of it is there to tell. A prelude that is damaged says
/// nothing about where the next message begins, so all that is there counts as this one.
pub fn length(begun: &[u8]) -> Option<usize> {
    let prelude = begun.get(..PRELUDE)?;
    let total = number(prelude) as usize;
    let sound = total >= LEAST && crc32fast::hash(&prelude[..8]) == number(&prelude[8..]);
    Some(if sound { total } else { begun.len() })
}

/// Reads the raw bytes of one frame.
///
/// # Errors
/// A frame that is cut, or whose sums don't add up.
pub fn message(frame: &[u8]) -> Result<Message<'_>, Broken> {
    let prelude = frame.get(..PRELUDE).ok_or(Broken::Cut)?;
    if crc32fast::hash(&prelude[..8]) != number(&prelude[8..]) {
        return Err(Broken::Damaged);
    }
    let (total, headers) = (number(prelude) as usize, number(&prelude[4..]) as usize);
    if total < LEAST + headers || frame.len() > total {
        return Err(Broken::Damaged);
    }
    if frame.len() < total {
        return Err(Broken::Cut);
    }
    let body = total - 4;
    if crc32fast::hash(&frame[..body]) != number(&frame[body..]) {
        return Err(Broken::Damaged);
    }
    let start = PRELUDE + headers;
    Ok(Message { headers: &frame[PRELUDE..start], payload: &frame[start..body] })
}

impl<'f> Message<'f> {
    /// The text of a header; `None` where it is not there or holds something else.
    pub fn header(&self, name: &str) -> Option<&'f str> {
        let mut rest = self.headers;
        while let Some((found, value, after)) = header(rest) {
            if found == name.as_bytes() {
                return value.and_then(|value| std::str::from_utf8(value).ok());
            }
            rest = after;
        }
        None
    }
}

/// A name, its value where that is a text, and what follows.
type Header<'b> = (&'b [u8], Option<&'b [u8]>, &'b [u8]);

/// The first header: its name, its value where that is a text, and what follows. `None` at the end, or where it does not read.
fn header(bytes: &[u8]) -> Option<Header<'_>> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let fixed = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        6 | 7 => {
            let (length, rest) = rest.split_at_checked(2)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let (value, rest) = rest.split_at_checked(length)?;
            return Some((name, (*kind == 7).then_some(value), rest));
        }
        _ => return None,
    };
    Some((name, None, rest.get(fixed..)?))
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Appends one message with these headers, all of them texts of less than 64 KiB with names of less than 256 bytes.
///
/// # Panics
/// When a header or the whole is longer than the format can say.
pub fn write(out: &mut BytesMut, headers: &[(&str, &str)], payload: &[u8]) {
    let mut written = BytesMut::new();
    for (name, value) in headers {
        written.put_u8(u8::try_from(name.len()).expect("header names are short"));
        written.put_slice(name.as_bytes());
        written.put_u8(7);
        written.put_u16(u16::try_from(value.len()).expect("header values are short"));
        written.put_slice(value.as_bytes());
    }
    let start = out.len();
    out.put_u32(u32::try_from(LEAST + written.len() + payload.len()).expect("a message is less than 4 GiB"));
    out.put_u32(u32::try_from(written.len()).expect("headers are less than 4 GiB"));
    out.put_u32(crc32fast::hash(&out[start..]));
    out.put_slice(&written);
    out.put_slice(payload);
    out.put_u32(crc32fast::hash(&out[start..]));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's own examples: an empty message, and one with a payload.
    const EMPTY: [u8; 16] = [0, 0, 0, 16, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
    const PAYLOAD: &[u8] = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36";

    #[test]
    fn published_messages_read_and_are_written_alike() {
        assert_eq!(message(&EMPTY).unwrap().payload, b"");
        assert_eq!(message(PAYLOAD).unwrap().payload, b"{'foo':'bar'}");
        let mut out = BytesMut::new();
        write(&mut out, &[], b"{'foo':'bar'}");
        assert_eq!(out, PAYLOAD);
    }

    #[test]
    fn headers_are_found_behind_others() {
        let mut out = BytesMut::new();
        write(&mut out, &[(":message-type", "event"), (":event-type", "é")], b"x");
        let read = message(&out).unwrap();
        assert_eq!((read.header(":event-type"), read.header(":message-type")), (Some("é"), Some("event")));
        assert_eq!(read.header("other"), None);
        // One of each kind of the specification before the one that is wanted.
        let mut headers = Vec::new();
        for (kind, value) in [
            (0_u8, &b""[..]),
            (1, b""),
            (2, b"1"),
            (3, b"12"),
            (4, b"1234"),
            (5, b"12345678"),
            (6, b"\x00\x02ab"),
            (8, b"12345678"),
            (9, b"1234567890123456"),
        ] {
            headers.extend_from_slice(&[1, b'a' + kind, kind]);
            headers.extend_from_slice(value);
        }
        headers.extend_from_slice(b"\x01z\x07\x00\x02ok");
        assert_eq!(Message { headers: &headers, payload: b"" }.header("z"), Some("ok"));
        for cut in 0..headers.len() {
            Message { headers: &headers[..cut], payload: b"" }.header("z");
        }
    }

    #[test]
    fn no_damage_goes_unseen() {
        let mut out = BytesMut::new();
        write(&mut out, &[(":event-type", "messageStop")], br#"{"stopReason":"end_turn"}"#);
        for at in 0..out.len() {
            let mut damaged = out.to_vec();
            damaged[at] ^= 0x40;
            assert!(message(&damaged).is_err(), "byte {at}");
            assert_eq!(message(&out[..at]), Err(Broken::Cut), "cut at {at}");
        }
        let longer = [&out[..], b"x"].concat();
        assert_eq!(message(&longer), Err(Broken::Damaged));
        assert_eq!(length(&out[..11]), None);
        assert_eq!(length(&out), Some(out.len()));
        assert_eq!(length(&[0; 20]), Some(20), "what can't be a message is handed on as it is");
    }
}
