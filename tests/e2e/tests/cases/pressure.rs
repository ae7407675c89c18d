//! W-059, and W-062 at its full size: bodies that are large and slow, and more connections than descriptors.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use weir_e2e::{Answer, Bench, client, processor, resident};

/// W-059: a large body that comes in slowly is kept once, sent again as it is, and given back.
#[tokio::test(flavor = "multi_thread")]
async fn w059_a_large_slow_body_is_sent_again_within_its_memory() {
    let more = "server: { max_body_memory: 64MiB }\nmodels:\n  two: { targets: [openai/gpt-4o, openai/gpt-4o-mini], breaker: off }\n";
    let bench = Bench::start(more).await;
    bench.script(&[("gpt-4o", "status=503")]);
    let size = 20 << 20;
    let text = json!({"model": "two", "messages": [{"role": "system", "content": "x".repeat(size)}, {"role": "user", "content": "hello"}]}).to_string();
    let before = resident(bench.weir.process());
    let mut stream = TcpStream::connect(&bench.weir.address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in text.as_bytes().chunks(1 << 20) {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut peak = 0;
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.unwrap() > 0 {
        peak = peak.max(resident(bench.weir.process()));
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-weir-attempts: 2"), "{answer}");
    // The body, and what is sent of it: its own copy, since the name of the model is another.
    let grown = peak.saturating_sub(before);
    println!("{} MiB for a body of {} MiB that was sent twice", grown >> 20, size >> 20);
    assert!(grown < 3 * size as u64, "{} MiB", grown >> 20);
    let sent: Vec<Value> =
        bench.sim.state.captured().iter().map(|one| serde_json::from_str(&one.body).unwrap()).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|body| body["messages"][0]["content"].as_str().unwrap().len() == size));
    let began = Instant::now();
    while bench.metric("weir_body_bytes", &[]).await > 0.0 {
        assert!(began.elapsed() < Duration::from_secs(5), "its room is given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// W-062 at its size: 1,024 descriptors, 2,000 connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w062_two_thousand_connections_for_a_thousand_descriptors() {
    let bench = Bench::start("").await;
    let process = bench.weir.process();
    let limit = [format!("--pid={process}"), "--nofile=1024:20000".to_owned()];
    assert!(std::process::Command::new("prlimit").args(limit).status().unwrap().success());
    let body = json!({"model": "openai/gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "[[sim:gap=100ms+len=40]]"}]});
    let streams: Vec<_> =
        futures_util::future::join_all((0..20).map(|_| bench.open("/v1/chat/completions", &body, &[]))).await;
    let mut flood = Vec::new();
    for _ in 0..2000 {
        flood.push(TcpStream::connect(&bench.weir.address).await.unwrap());
    }
    let (before, began) = (processor(process), Instant::now());
    for stream in streams {
        let stream = Answer::read(stream.unwrap()).await;
        assert!(stream.whole && stream.finished(), "{}", stream.text());
    }
    let spent = (processor(process) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    println!("{spent:.3} of a processor, {} descriptors", weir_e2e::descriptors(process));
    assert!(spent < 0.5, "{spent} of a processor");
    assert!(weir_e2e::descriptors(process) > 1000, "the limit was reached");
    drop(flood);
    let began = Instant::now();
    let ask = async || {
        let asked = client().get(format!("{}/health/live", bench.weir.url)).timeout(Duration::from_secs(1));
        asked.send().await.is_ok_and(|answer| answer.status() == 200)
    };
    while !ask().await {
        assert!(began.elapsed() < Duration::from_secs(10), "connections are taken again");
    }
}
