//! One server-sent event, by the grammar of the WHATWG HTML standard.

use std::borrow::Cow;

/// The fields of one event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event<'f> {
    /// The `event` field; empty where there is none.
    pub event: &'f [u8],
    /// The `data` lines, joined by LF; `None` where there is no `data` field (a comment, a blank frame).
    pub data: Option<Cow<'f, [u8]>>,
}

/// Reads the raw bytes of one frame.
pub fn event(frame: &[u8]) -> Event<'_> {
    let mut event = Event::default();
    for line in lines(frame.strip_prefix(b"\xef\xbb\xbf").unwrap_or(frame)) {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(0) => continue,
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => event.event = value,
            b"data" => match &mut event.data {
                None => event.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    data.to_mut().push(b'\n');
                    data.to_mut().extend_from_slice(value);
                }
            },
            _ => {}
        }
    }
    event
}

/// The data of one frame; `None` where it has none.
pub fn data(frame: &[u8]) -> Option<Cow<'_, [u8]>> {
    event(frame).data
}

/// Where the value of the one `data` line lies in the frame: `None` where there are none or several.
pub fn data_range(frame: &[u8]) -> Option<std::ops::Range<usize>> {
    match event(frame).data {
        Some(Cow::Borrowed(data)) => {
            let start = data.as_ptr() as usize - frame.as_ptr() as usize;
            Some(start..start + data.len())
        }
        _ => None,
    }
}

/// Appends one event with `data` (which holds no line end) to `out`; no `event` field where `event` is empty.
pub fn write(out: &mut bytes::BytesMut, event: &str, data: &[u8]) {
    if !event.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.as_bytes());
        out.extend_from_slice(b"\n");
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', text).unwrap_or(text.len());
        let line = &text[..end];
        let crlf = text[end..].starts_with(b"\r\n");
        text = text.get(end + 1 + usize::from(crlf)..).unwrap_or_default();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frame: &str, name: &str, expected: Option<&str>) {
        let event = event(frame.as_bytes());
        assert_eq!(event.event, name.as_bytes());
        assert_eq!(event.data.as_deref(), expected.map(str::as_bytes));
    }

    #[test]
    fn follows_the_grammar() {
        check("data: a\n\n", "", Some("a"));
        check("data:a\r\ndata:  b\r\n\r\n", "", Some("a\n b"));
        check("event: x\rdata\r\r", "x", Some(""));
        check(": comment\n\n", "", None);
        check("id: 1\nretry: 2\nunknown: 3\n\n", "", None);
        check("\u{feff}data: bom\n\n", "", Some("bom"));
        check("data: no end", "", Some("no end"));
    }

    #[test]
    fn finds_the_data_in_the_frame() {
        assert_eq!(data_range(b"event: x\ndata: {}\n\n"), Some(15..17));
        assert_eq!(data_range(b"data: a\ndata: b\n\n"), None);
    }
}
