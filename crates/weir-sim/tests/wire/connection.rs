//! What happens below HTTP: resets, packets of one byte, HTTP/2, clients that leave.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use weir_sim::{Sim, SimConfig, SimState};

fn body(words: &str, stream: bool) -> String {
    let messages = json!([{"role": "user", "content": "hello there"}]);
    json!({"model": format!("gpt-4o+{words}"), "messages": messages, "stream": stream}).to_string()
}

/// Sends a request as text; gives all that comes back, and how the reading ended.
async fn raw(sim: &Sim, body: &str) -> (String, std::io::Result<usize>) {
    let mut stream = TcpStream::connect(sim.addr).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut back = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break Ok(0),
            Ok(count) => back.extend_from_slice(&buffer[..count]),
            Err(cause) => break Err(cause),
        }
    };
    (String::from_utf8_lossy(&back).into_owned(), end)
}

#[tokio::test]
async fn resets_are_tcp_resets_and_closes_are_not() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let (text, end) = raw(&sim, &body("reset", false)).await;
    assert!(text.is_empty());
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let (text, end) = raw(&sim, &body("reset_at=2", true)).await;
    assert_eq!(text.matches("data: ").count(), 2, "{text}");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let (text, end) = raw(&sim, &body("close_at=2", true)).await;
    assert_eq!(text.matches("data: ").count(), 2);
    assert!(end.is_ok() && !text.ends_with("0\r\n\r\n"));
    let (text, end) = raw(&sim, &body("truncate", false)).await;
    let (head, sent) = text.split_once("\r\n\r\n").unwrap();
    let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(promised.parse::<usize>().unwrap() / 2, sent.len());
    assert!(end.is_ok());
    let (text, _) = raw(&sim, &body("slice=1", true)).await;
    assert!(text.ends_with("0\r\n\r\n") && text.contains("[DONE]"));
}

#[tokio::test]
async fn http2_is_spoken_and_goaway_ends_it() {
    let state = SimState::new(SimConfig::default()).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let server = tokio::spawn(weir_sim::serve_connection(state, far));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    let mut answers = Vec::new();
    for words in ["ok", "goaway"] {
        let request = Request::post("http://sim/v1/chat/completions").header("authorization", "Bearer k");
        let request = request.body(Full::new(Bytes::from(body(words, false)))).unwrap();
        let answer =
            sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        answers.push(serde_json::from_slice::<Value>(&answer).unwrap()["object"].clone());
    }
    assert_eq!(answers, ["chat.completion", "chat.completion"]);
    server.await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_is_billed_what_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("truth.jsonl");
    let sim = Sim::start(SimConfig { truth_log: Some(file.clone()), ..SimConfig::default() }).await.unwrap();
    let mut stream = TcpStream::connect(sim.addr).await.unwrap();
    let body = body("stall_at=6", true);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while seen.matches("data: ").count() < 6 {
        let count = stream.read(&mut buffer).await.unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    drop(stream);
    let end = loop {
        let text = std::fs::read_to_string(&file).unwrap();
        if let Some(line) = text.lines().nth(1) {
            break serde_json::from_str::<Value>(line).unwrap();
        }
        tokio::task::yield_now().await;
    };
    // The role, then five tokens.
    assert_eq!((end["end"].as_str(), end["billed"]["output"].as_u64()), (Some("client_gone"), Some(5)));
    assert_eq!(end["usage_sent"], false);
}
