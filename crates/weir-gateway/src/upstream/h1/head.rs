//! Heads: the request's written, the answer's read. Framing is checked strictly, as RFC 9112, section 6.3, asks of
//! whoever reads answers: two ways to tell a body's length are an error, not a choice.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// The largest head of an answer, in bytes.
const MOST_HEAD: usize = 256 << 10;
/// The most headers of an answer.
const MOST_HEADERS: usize = 160;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// It has so many bytes.
    Exact(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) length: Length,
    /// Whether the connection can carry another request.
    pub(crate) keep: bool,
}

/// The answer is not HTTP, or says two things at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadHead(pub(crate) &'static str);

/// Collects the head of an answer, however it is cut.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    /// What came before, where the head did not come whole.
    partial: Vec<u8>,
}

impl HeadReader {
    /// Whether a part of it has come.
    pub(crate) fn begun(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Takes what one read returned. Once the head is whole: the head, and how many bytes of `piece` belong to it.
    /// Interim answers (1xx) are passed over.
    pub(crate) fn feed(&mut self, method: &Method, piece: &[u8]) -> Result<Option<(Head, usize)>, BadHead> {
        if self.partial.is_empty() {
            let found = parse(method, piece)?;
            if let Parsed::Head(head, taken) = found {
                return Ok(Some((head, taken)));
            }
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(piece);
        if before > 0 && self.partial.len() <= MOST_HEAD && memchr::memchr(b'\n', piece).is_none() {
            // Nothing has ended here: a head that comes byte by byte is not read anew at each.
            return Ok(None);
        }
        let mut passed = 0;
        loop {
            match parse(method, &self.partial[passed..])? {
                Parsed::Head(head, taken) => return Ok(Some((head, passed + taken - before))),
                Parsed::Interim(taken) => passed += taken,
                Parsed::Partial if self.partial.len() > MOST_HEAD => {
                    return Err(BadHead("the head of the answer is too large"));
                }
                Parsed::Partial => return Ok(None),
            }
        }
    }
}

enum Parsed {
    Head(Head, usize),
    Interim(usize),
    Partial,
}

fn parse(method: &Method, bytes: &[u8]) -> Result<Parsed, BadHead> {
    let mut headers = [const { std::mem::MaybeUninit::uninit() }; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut answer,
        bytes,
        &mut headers,
    );
    let size = match status {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead("the answer has too many headers")),
        Err(_) => return Err(BadHead("the answer is not HTTP")),
    };
    let status = StatusCode::from_u16(answer.code.unwrap_or_default())
        .map_err(|_| BadHead("the answer has no status"))?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(BadHead("the provider switched to another protocol"));
    }
    if status.is_informational() {
        return Ok(Parsed::Interim(size));
    }
    let headers = header_map(&bytes[..size], answer.headers)?;
    let (length, keep) = framing(method, status, answer.version == Some(1), &headers)?;
    Ok(Parsed::Head(Head { status, headers, length, keep }, size))
}

/// The headers, their values all in one piece of memory.
fn header_map(head: &[u8], parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, BadHead> {
    let bad = |_| BadHead("a header of the answer is malformed");
    let shared = Bytes::copy_from_slice(head);
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name =
            HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| BadHead("a header's name is none"))?;
        let value = match header.value {
            [] => HeaderValue::from_static(""),
            value => {
                // The value lies within the head: its place there is its place in the copy.
                let at = value.as_ptr() as usize - head.as_ptr() as usize;
                HeaderValue::from_maybe_shared(shared.slice(at..at + value.len())).map_err(bad)?
            }
        };
        headers.append(name, value);
    }
    Ok(headers)
}

/// How the body ends, and whether the connection outlives it.
fn framing(
    method: &Method,
    status: StatusCode,
    http_1_1: bool,
    headers: &HeaderMap,
) -> Result<(Length, bool), BadHead> {
    let says = |token: &str| {
        let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    let keep = if http_1_1 { !says("close") } else { says("keep-alive") };
    let length = length(headers)?;
    if method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok((Length::Exact(0), keep));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next(), length) {
        (None, _, Some(length)) => Ok((Length::Exact(length), keep)),
        (None, _, None) => Ok((Length::UntilClose, false)),
        (Some(_), _, Some(_)) => Err(BadHead("the answer tells its length in two ways")),
        (Some(coding), None, None) if http_1_1 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok((Length::Chunked, keep))
        }
        _ => Err(BadHead("the answer's transfer coding is not known")),
    }
}

/// `content-length`; the same number said twice is one.
fn length(headers: &HeaderMap) -> Result<Option<u64>, BadHead> {
    let mut found = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value.as_bytes();
        // Not by `parse` alone, which takes a sign.
        let number = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or(BadHead("the answer's length is no number"))?;
        if found.is_some_and(|other| other != number) {
            return Err(BadHead("the answer tells two lengths"));
        }
        found = Some(number);
    }
    Ok(found)
}

/// Writes the head of a request with a body of `length` bytes. `host` stands where the headers have none.
pub(crate) fn write(
    out: &mut BytesMut,
    method: &Method,
    path: &[&str],
    host: &str,
    headers: &HeaderMap,
    length: usize,
) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    path.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    let host = headers.get(HOST).map_or(host.as_bytes(), HeaderValue::as_bytes);
    out.extend_from_slice(host);
    for (name, value) in headers {
        // What belongs to one connection is this one's own affair.
        if [HOST, CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING].contains(name) {
            continue;
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
    }
    if length > 0 || ![Method::GET, Method::HEAD, Method::DELETE].contains(method) {
        out.extend_from_slice(b"\r\ncontent-length: ");
        put_number(out, length);
    }
    out.extend_from_slice(b"\r\n\r\n");
}

fn put_number(out: &mut BytesMut, mut number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Head, usize), BadHead> {
        let whole = HeadReader::default().feed(&Method::POST, text.as_bytes());
        // Cut anywhere, it is the same head.
        for cut in 0..text.len() {
            let mut reader = HeadReader::default();
            let first = reader.feed(&Method::POST, &text.as_bytes()[..cut]);
            let found = match first {
                Ok(None) => reader
                    .feed(&Method::POST, &text.as_bytes()[cut..])
                    .map(|found| found.map(|(head, taken)| (head, taken + cut))),
                other => other,
            };
            let show = |found: &Result<Option<(Head, usize)>, BadHead>| {
                found
                    .as_ref()
                    .map(|found| {
                        found
                            .as_ref()
                            .map(|(head, taken)| (head.status, head.headers.clone(), head.length, *taken))
                    })
                    .map_err(|error| *error)
            };
            assert_eq!(show(&found), show(&whole), "cut at {cut}");
        }
        whole.map(|found| found.expect("the head is whole"))
    }

    #[track_caller]
    fn check(head: &str, expected: Result<(Length, bool), &'static str>) {
        let found = read(&format!("{head}\r\n\r\n"));
        let found = found.map(|(head, _)| (head.length, head.keep)).map_err(|error| error.0);
        assert_eq!(found, expected, "{head}");
    }

    #[test]
    fn tells_where_a_body_ends() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 5", Ok((Length::Exact(5), true)));
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5", Ok((Length::Exact(5), true)));
        check("HTTP/1.1 200 OK\r\nconnection: a, Close\r\ncontent-length: 5", Ok((Length::Exact(5), false)));
        check("HTTP/1.1 200\r\ntransfer-encoding: Chunked", Ok((Length::Chunked, true)));
        check("HTTP/1.1 200 OK\r\nx: y", Ok((Length::UntilClose, false)));
        check("HTTP/1.0 200 OK\r\ncontent-length: 5", Ok((Length::Exact(5), false)));
        check("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5", Ok((Length::Exact(5), true)));
        check("HTTP/1.1 204 No Content", Ok((Length::Exact(0), true)));
    }

    #[test]
    fn refuses_two_ways_to_read_one_answer() {
        let two = "the answer tells its length in two ways";
        check("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked", Err(two));
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6",
            Err("the answer tells two lengths"),
        );
        check("HTTP/1.1 200 OK\r\ncontent-length: 5, 5", Err("the answer's length is no number"));
        check("HTTP/1.1 200 OK\r\ncontent-length: +5", Err("the answer's length is no number"));
        let coding = "the answer's transfer coding is not known";
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked", Err(coding));
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked", Err(coding));
        check("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked", Err(coding));
        check("HTTP/1.1 200 OK\r\ncontent-length : 5", Err("the answer is not HTTP"));
        check("HTTP/1.1 200 OK\r\na: b\r\n folded", Err("the answer is not HTTP"));
        check("HTTP/2 200 OK", Err("the answer is not HTTP"));
        check("SSH-2.0-OpenSSH", Err("the answer is not HTTP"));
        check("HTTP/1.1 101 Switching Protocols", Err("the provider switched to another protocol"));
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let (head, taken) = read(text).expect("an answer");
        assert_eq!((head.status, head.length, &text[taken..]), (StatusCode::OK, Length::Exact(2), "ok"));
    }

    #[test]
    fn large_heads_are_refused() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        let mut reader = HeadReader::default();
        assert_eq!(
            reader.feed(&Method::POST, many.as_bytes()).unwrap_err().0,
            "the answer has too many headers"
        );
        let mut reader = HeadReader::default();
        reader.feed(&Method::POST, b"HTTP/1.1 200 OK\r\nx: ").unwrap();
        let error = (0..100).find_map(|_| reader.feed(&Method::POST, &[b'y'; 4096]).err());
        assert_eq!(error, Some(BadHead("the head of the answer is too large")));
    }

    #[test]
    fn a_request_says_what_belongs_to_it_once() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-length", HeaderValue::from_static("999"));
        headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        headers.insert("connection", HeaderValue::from_static("close"));
        let mut out = BytesMut::new();
        write(&mut out, &Method::POST, &["/v1", "/chat"], "example:8080", &headers, 12);
        assert_eq!(
            out,
            "POST /v1/chat HTTP/1.1\r\nhost: example:8080\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n"
        );
        out.clear();
        headers.clear();
        headers.insert("host", HeaderValue::from_static("other"));
        write(&mut out, &Method::GET, &["/models"], "example", &headers, 0);
        assert_eq!(out, "GET /models HTTP/1.1\r\nhost: other\r\n\r\n");
    }
}
