//! Alerts: fired once, resolved once, with cause, to a receiver that fails at first.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use weir_e2e::Bench;

const MODEL: &str = "openai/gpt-4o-mini";

/// A receiver that refuses the first `refused` messages with 500, and keeps the others.
async fn receiver(refused: usize) -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook-canary", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let (kept, mut left) = (got.clone(), refused);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let body = loop {
                let mut piece = [0; 4096];
                let count = stream.read(&mut piece).await.unwrap_or(0);
                bytes.extend_from_slice(&piece[..count]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let found = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
                if found.is_some() || count == 0 {
                    break found;
                }
            };
            let status = if left > 0 { "500 No" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            drop(stream.write_all(answer.as_bytes()).await);
            if left > 0 {
                left -= 1;
            } else if let Some(body) = body {
                kept.lock().unwrap().push(body);
            }
        }
    });
    (url, got)
}

async fn until(got: &Mutex<Vec<Value>>, what: &str, found: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        if let Some(one) = got.lock().unwrap().iter().find(|one| found(one)) {
            return one.clone();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no {what}: {:?}", got.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_goes_down_alerts_once_and_resolves_once() {
    let ((webhook, got), (slack, chat)) = (receiver(2).await, receiver(0).await);
    let more = format!(
        "models: {{ m: {{ targets: [{MODEL}], retry: {{ attempts: 1 }} }} }}\nalerts:\n  - {{ kind: webhook, url: \"{webhook}\", on: [error_rate, provider_down], window: 3s }}\n  - {{ kind: slack, url: \"{slack}\", on: [provider_down], window: 3s }}\n"
    );
    let bench = Bench::start(&more).await;
    for _ in 0..10 {
        assert_eq!(bench.chat("m", "hi", false).await.status, 200);
    }
    // A look at how things stand comes first.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let began = Instant::now();
    for _ in 0..30 {
        assert_eq!(bench.chat("m", "hi [[sim:status=500]]", false).await.status, 500);
    }
    println!("30 failing calls took {:?} while a receiver refused", began.elapsed());
    let of = |kind: &'static str, status: &'static str| {
        move |one: &Value| one["kind"] == kind && one["status"] == status && one["name"] == "openai"
    };
    let down = until(&got, "provider_down", of("provider_down", "firing")).await;
    assert!(down["cause"].as_str().unwrap().contains("attempts"), "{down}");
    assert!(down["resolved_at"].is_null() && down["fired_at"].as_str().unwrap().ends_with('Z'), "{down}");
    until(&got, "error_rate", of("error_rate", "firing")).await;
    until(&chat, "message", |one| {
        one["text"].as_str().is_some_and(|text| text.starts_with("Firing: provider_down of openai"))
    })
    .await;
    let listed = bench.get("/admin/v1/alerts").await.json();
    assert!(listed["data"].as_array().unwrap().iter().any(|one| one["id"] == down["id"]), "{listed}");
    for _ in 0..5 {
        assert_eq!(bench.chat("m", "hi", false).await.status, 200);
    }
    let up = until(&got, "resolution", of("provider_down", "resolved")).await;
    assert_eq!(up["id"], down["id"]);
    until(&got, "resolution", of("error_rate", "resolved")).await;
    until(&chat, "message", |one| one["text"].as_str().is_some_and(|text| text.starts_with("Resolved")))
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Each of the two once fired, once resolved; the chat was told of one of them only.
    assert_eq!(
        (got.lock().unwrap().len(), chat.lock().unwrap().len()),
        (4, 2),
        "{:?} {:?}",
        got.lock().unwrap(),
        chat.lock().unwrap()
    );
    assert!(!bench.weir.log().contains("hook-canary"), "the receiver's address is secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_calls_alert() {
    let (webhook, got) = receiver(0).await;
    let more = format!(
        "alerts: [{{ kind: webhook, url: \"{webhook}\", on: [latency], latency: 100ms, window: 60s }}]\n"
    );
    let bench = Bench::start(&more).await;
    for _ in 0..25 {
        assert_eq!(bench.chat(MODEL, "hi [[sim:delay=150ms]]", false).await.status, 200);
    }
    let slow = until(&got, "latency", |one| one["kind"] == "latency").await;
    assert_eq!((&slow["name"], &slow["status"]), (&json!("openai"), &json!("firing")));
}
