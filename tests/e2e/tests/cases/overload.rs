//! W-045, W-062, W-063: silent streams, and more than can be done.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use weir_e2e::{Answer, Bench, client, events, processor, resident};

const MODEL: &str = "openai/gpt-4o-mini";

fn chat(text: &str, stream: bool) -> Value {
    json!({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": text}]})
}

#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("overloaded")));
    assert_eq!((answer.header("retry-after"), answer.header("x-should-retry")), ("1", "true"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w045_a_silent_stream_gets_comments_between_its_events() {
    let bench = Bench::start("server: { sse_keepalive: 1s }\n").await;
    let paths = ["/v1/chat/completions", "/v1/messages"];
    let ask = async |path: &'static str, words: &str| {
        let mut body = chat(&format!("[[sim:{words}]]"), true);
        body["max_tokens"] = json!(100);
        bench.post(path, &body).await
    };
    let (quiet, fast) = tokio::join!(
        join_all(paths.map(|path| ask(path, "gap=1300ms+len=2+slice=7"))),
        join_all(paths.map(|path| ask(path, "gap=0ms+len=2+slice=7")))
    );
    for (quiet, fast) in quiet.iter().zip(&fast) {
        let text = quiet.text();
        assert!(quiet.finished(), "{text}");
        let comments = text.matches(": keep-alive\n\n").count();
        assert!(comments >= 2, "{comments} comments: {text}");
        // Without the comments it is a stream like any other: none stands inside an event, none is one.
        let without = text.replace(": keep-alive\n\n", "");
        assert!(!without.contains("keep-alive") && events(&without) == quiet.events(), "{text}");
        assert!(!fast.text().contains("keep-alive"));
        assert_eq!(fast.events().len(), quiet.events().len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w063_bodies_beyond_their_memory_are_refused_unread() {
    let bench = Bench::start("server: { max_body_memory: 8MiB }\n").await;
    let text = format!("[[sim:delay=3s]] {}", "x".repeat(2 << 20));
    let body = json!({"model": MODEL, "messages": [{"role": "system", "content": text.clone()}, {"role": "user", "content": "[[sim:delay=3s]]"}]});
    let before = resident(bench.weir.process());
    let answers = join_all((0..16).map(|_| bench.post("/v1/chat/completions", &body))).await;
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    // Three fit at once; on a slow machine the last may come when the first are done.
    assert!((1..=6).contains(&served), "{served} served");
    answers.iter().filter(|answer| answer.status != 200).for_each(refused);
    let grown = resident(bench.weir.process()).saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
    // All is given back, and small calls were never in question.
    assert_eq!(bench.metric("weir_body_bytes", &[]).await, 0.0);
    assert_eq!(bench.post("/v1/chat/completions", &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_memory_refuses_calls_and_nothing_else() {
    let bench = Bench::start("server: { max_memory: 1MiB }\n").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    refused(&bench.post("/v1/chat/completions", &chat("a", false)).await);
    assert_eq!(bench.get("/health/ready").await.status, 200);
    assert!(bench.metric("weir_refused_requests_total", &["overloaded"]).await >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_their_limit_are_told_so() {
    let bench = Bench::start("server: { max_connections: 4 }\n").await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut one = TcpStream::connect(&bench.weir.address).await.unwrap();
        one.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        one.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        held.push(one);
    }
    let answer = bench.post("/v1/chat/completions", &chat("a", false)).await;
    refused(&answer);
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(bench.get("/health/live").await.status, 200);
    held.clear();
    let began = Instant::now();
    while bench.post("/v1/chat/completions", &chat("a", false)).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(5), "there is room again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w062_without_descriptors_nothing_spins_and_streams_go_on() {
    let bench = Bench::start("").await;
    let process = bench.weir.process();
    let running =
        bench.open("/v1/chat/completions", &chat("[[sim:gap=100ms+len=30]]", true), &[]).await.unwrap();
    let limit = weir_e2e::descriptors(process) + 40;
    let done = std::process::Command::new("prlimit")
        .args([format!("--pid={process}"), format!("--nofile={limit}:20000")])
        .status();
    assert!(done.unwrap().success());
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(TcpStream::connect(&bench.weir.address).await.unwrap());
    }
    let (before, began) = (processor(process), Instant::now());
    let stream = Answer::read(running).await;
    assert!(stream.whole && stream.finished(), "{}", stream.text());
    let spent = (processor(process) - before).as_secs_f64() / began.elapsed().as_secs_f64().max(1.0);
    assert!(spent < 0.5, "{spent} of a processor");
    drop(flood);
    let began = Instant::now();
    loop {
        let asked = client().get(format!("{}/health/live", bench.weir.url)).timeout(Duration::from_secs(1));
        if asked.send().await.is_ok_and(|answer| answer.status() == 200) {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "connections are taken again\n{}",
            bench.weir.log()
        );
    }
    assert_eq!(bench.post("/v1/chat/completions", &chat("a", false)).await.status, 200);
}
