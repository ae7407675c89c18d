//! The codec against hyper's, on recorded replies cut anywhere and on damaged ones, and what becomes of connections.

use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use weir_adapter::testkit::case;

use super::*;
use crate::upstream::connect::Io;

/// Status, headers and body of an answer; `None` where there was none, or not all of it.
type Seen = Option<(StatusCode, HeaderMap, Vec<u8>)>;

fn request() -> Request {
    Request::new(Method::POST, &["/x"], "sim", &HeaderMap::new(), Bytes::from_static(b"{}"))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Reads the request, writes the pieces one by one, and closes.
async fn serve(mut theirs: DuplexStream, pieces: Vec<Vec<u8>>) {
    let mut got = [0; 1024];
    let _ = theirs.read(&mut got).await;
    for piece in pieces {
        if theirs.write_all(&piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn ours(pieces: Vec<Vec<u8>>) -> Seen {
    let (near, far) = duplex(1 << 20);
    let server = tokio::spawn(serve(far, pieces));
    let answer = exchange(Conn::new(Io::Local(near), None), &request(), soon()).await;
    let (head, opened) = answer.ok()?;
    let body = Body::new(opened, &Pool::new(Duration::from_secs(1), None)).ok()?.collect().await.ok()?;
    server.abort();
    Some((head.status, head.headers, body.to_bytes().to_vec()))
}

async fn hypers(pieces: Vec<Vec<u8>>) -> Seen {
    let (near, far) = duplex(1 << 20);
    tokio::spawn(serve(far, pieces));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.ok()?;
    let driving = tokio::spawn(connection);
    let request = http::Request::post("/x").body(Empty::<Bytes>::new()).expect("a request");
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes().to_vec();
    driving.abort();
    Some((head.status, head.headers, body))
}

/// A reply as it stands on the wire, in each way that tells a length; chunks of `chunk` bytes.
fn framings(status: u16, headers: &HeaderMap, body: &[u8], chunk: usize) -> [Vec<u8>; 3] {
    let mut head = format!("HTTP/1.1 {status} Whatever\r\n").into_bytes();
    for (name, value) in headers {
        if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
            head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    let length = format!("content-length: {}\r\n\r\n", body.len());
    let mut chunked = [&head[..], b"transfer-encoding: chunked\r\n\r\n"].concat();
    for piece in body.chunks(chunk) {
        chunked.extend_from_slice(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    [[&head[..], length.as_bytes(), body].concat(), chunked, [&head[..], b"\r\n", body].concat()]
}

fn cut(wire: &[u8], at: usize) -> Vec<Vec<u8>> {
    vec![wire[..at].to_vec(), wire[at..].to_vec()]
}

/// Each recorded reply, framed in three ways: what hyper sees is what we see, wherever it is cut. Short ones are cut
/// at every byte, long ones at some.
#[tokio::test]
async fn recorded_replies_read_as_hyper_reads_them() {
    let Some(fixtures) = case::fixtures(env!("CARGO_MANIFEST_DIR")) else { return };
    let apis = ["chat", "completions", "embeddings", "messages", "generate_content", "responses"];
    let providers = ["openai", "azure", "anthropic", "gemini", "deepseek", "mistral", "groq", "openrouter"];
    let (mut replies, mut read) = (0, 0);
    for case in case::load(&fixtures, &providers, &apis) {
        let (body, headers) = (case.response(), case.response_headers());
        if body.len() > 100_000 {
            continue;
        }
        replies += 1;
        for wire in framings(case.status, &headers, &body, 1 + replies * 7 % 300) {
            let expected = hypers(vec![wire.clone()]).await;
            assert_eq!(expected.as_ref().map(|seen| seen.2.len()), Some(body.len()), "{}", case.id());
            let step = if wire.len() < 600 { 1 } else { wire.len() / 5 };
            for at in (0..wire.len()).step_by(step) {
                assert_eq!(ours(cut(&wire, at)).await, expected, "{} cut at {at}", case.id());
                read += 1;
            }
            if wire.len() < 600 {
                let single = wire.iter().map(|byte| vec![*byte]).collect();
                assert_eq!(ours(single).await, expected, "{} byte by byte", case.id());
            }
        }
    }
    println!("{replies} recorded replies, read {read} times as hyper reads them");
    assert!(replies > 200, "{replies}");
}

/// What breaks off before its end is not taken for whole, wherever that happens.
#[tokio::test]
async fn a_reply_that_breaks_off_is_no_reply() {
    let [length, chunked, until_close] = framings(200, &HeaderMap::new(), b"hello, world", 5);
    for wire in [length, chunked] {
        for at in 0..wire.len() {
            assert_eq!(ours(vec![wire[..at].to_vec()]).await, None, "ends at {at}");
        }
    }
    let at = until_close.len() - 3;
    assert_eq!(ours(vec![until_close[..at].to_vec()]).await.map(|seen| seen.2), Some(b"hello, wo".to_vec()));
}

proptest! {
    /// Damaged replies: where both codecs find an answer, it is the same; ours may refuse more.
    #[test]
    fn damage_never_reads_as_something_else(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        framing in 0usize..3,
        at in any::<prop::sample::Index>(),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        let mut wire = framings(200, &headers, br#"{"id":"x","object":"y"}"#, 9)[framing].clone();
        for (place, byte) in places {
            let place = place.index(wire.len());
            wire[place] = byte;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (mine, theirs, whole) = runtime.block_on(async {
            let mine = ours(cut(&wire, at.index(wire.len()))).await;
            (mine, hypers(vec![wire.clone()]).await, ours(vec![wire]).await)
        });
        prop_assert_eq!(&mine, &whole, "cut or not");
        if let (Some(mine), Some(theirs)) = (&mine, &theirs) {
            prop_assert_eq!(&mine.2, &theirs.2);
            prop_assert_eq!(mine.0, theirs.0);
        }
    }
}

/// What a server sends as the answer to each request on one connection, and whether that carries a second one.
#[track_caller]
fn keeps(answer: &'static [u8], expected: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kept = runtime.block_on(async {
        let (near, mut far) = duplex(1 << 16);
        let pool = Pool::new(Duration::from_secs(60), None);
        let exchanged = async {
            let (_, opened) = exchange(Conn::new(Io::Local(near), None), &request(), soon()).await.unwrap();
            let _ = Body::new(opened, &pool).unwrap().collect().await;
            pool.take().is_some()
        };
        let served = async {
            let mut got = [0; 1024];
            let read = far.read(&mut got).await.unwrap();
            far.write_all(answer).await.unwrap();
            assert!(got[..read].ends_with(b"\r\n\r\n{}"));
        };
        tokio::join!(exchanged, served).0
    });
    assert_eq!(kept, expected, "{}", String::from_utf8_lossy(answer));
}

#[test]
fn a_connection_is_kept_only_after_a_clean_end() {
    keeps(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true);
    keeps(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true);
    keeps(b"HTTP/1.1 204 No Content\r\n\r\n", true);
    keeps(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", false);
    keeps(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false);
    keeps(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok, and more", false);
    keeps(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", false);
    keeps(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", false);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_used() {
    let pool = Pool::new(Duration::from_secs(60), None);
    let (near, far) = duplex(1024);
    pool.put(Conn::new(Io::Local(near), None));
    drop(far);
    assert!(pool.take().is_none());
    let (near, mut far) = duplex(1024);
    pool.put(Conn::new(Io::Local(near), None));
    far.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    assert!(pool.take().is_none(), "whoever speaks unasked is not asked");
}

#[tokio::test]
async fn idle_connections_go_after_their_time() {
    let pool = Pool::new(Duration::from_millis(80), None);
    let (near, mut far) = duplex(1024);
    pool.put(Conn::new(Io::Local(near), None));
    let began = tokio::time::Instant::now();
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0, "closed by us");
    assert!(began.elapsed() >= Duration::from_millis(80), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_connection_used_last_is_used_first() {
    let pool = Pool::new(Duration::from_secs(60), None);
    let (first, _first) = duplex(1024);
    let (second, mut far) = duplex(1024);
    pool.put(Conn::new(Io::Local(first), None));
    pool.put(Conn::new(Io::Local(second), None));
    let conn = pool.take().unwrap();
    let sent = exchange(conn, &request(), Instant::now() + Duration::from_millis(20)).await;
    assert!(matches!(sent, Err(Failure::Late)), "nobody answers");
    assert!(far.read(&mut [0; 64]).await.unwrap() > 0);
}

#[tokio::test]
async fn an_early_answer_ends_the_sending() {
    let (near, mut far) = duplex(1024);
    let big = Bytes::from(vec![b'x'; 1 << 20]);
    let request = Request::new(Method::POST, &["/x"], "sim", &HeaderMap::new(), big);
    let server = async {
        far.read_exact(&mut [0; 100]).await.unwrap();
        far.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        far
    };
    let (answer, _far) = tokio::join!(exchange(Conn::new(Io::Local(near), None), &request, soon()), server);
    let (head, opened) = answer.unwrap();
    assert_eq!(head.status, 413);
    assert!(!opened.keep, "half a request is on its way there");
}

#[tokio::test]
async fn a_request_that_may_have_left_is_not_sent_again() {
    let (near, far) = duplex(1024);
    drop(far);
    let gone = exchange(Conn::new(Io::Local(near), None), &request(), soon()).await;
    assert!(matches!(gone, Err(Failure::Unwritten)), "nothing was written");
    let (near, mut far) = duplex(1024);
    let closes = async {
        far.read_exact(&mut [0; 10]).await.unwrap();
        drop(far);
    };
    let request = request();
    let (lost, ()) = tokio::join!(exchange(Conn::new(Io::Local(near), None), &request, soon()), closes);
    assert!(matches!(lost, Err(Failure::Lost(_))), "it was");
}
