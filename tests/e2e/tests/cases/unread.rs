//! Answers that come before the end of what is asked: a client that is still sending reads them, and goes on.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use weir_e2e::Bench;

/// What a connection answers next; a body's length must be told.
async fn answer(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).await.expect("the connection holds");
        assert!(read > 0, "the connection ended: {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&got);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if body.len() >= length.parse::<usize>().unwrap() {
            return text.into_owned();
        }
    }
}

fn head(more: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{more}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_at_once_and_the_rest_of_the_body_is_read_on() {
    let bench = Bench::start("server: { max_body: 64KiB }\nkeys: [{ name: ci, key: k }]\n").await;
    let small = r#"{"model":"openai/gpt-4.1-mini","messages":[{"role":"user","content":"hi"}]}"#;
    let (right, wrong) = ("authorization: Bearer k\r\n", "authorization: Bearer wrong\r\n");
    let large = 48 << 20;
    let mut stream = TcpStream::connect(&bench.weir.address).await.unwrap();
    for (more, status) in [(right, "413"), (wrong, "401")] {
        let more = format!("{more}content-length: {large}\r\n");
        stream.write_all(head(&more).as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; large / 2]).await.unwrap();
        // Half is still to come, more than any socket holds.
        let refused = answer(&mut stream).await;
        assert!(refused.starts_with(&format!("HTTP/1.1 {status}")), "{refused}");
        stream.write_all(&vec![b'x'; large / 2]).await.expect("the rest is read on");
        // And the connection carries the next call.
        let next = format!("{}{small}", head(&format!("{right}content-length: {}\r\n", small.len())));
        stream.write_all(next.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_leave_to_send_is_refused_without_it() {
    let bench = Bench::start("server: { max_body: 64KiB }\n").await;
    let mut stream = TcpStream::connect(&bench.weir.address).await.unwrap();
    stream.write_all(head("expect: 100-continue\r\ncontent-length: 1000000\r\n").as_bytes()).await.unwrap();
    let refused = answer(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
}
