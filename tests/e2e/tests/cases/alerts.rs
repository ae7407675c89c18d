//! Alerts: fired once, resolved once, with cause, to a receiver that fails at first.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use weir_e2e::{Bench, Weir, client, config};
use weir_store::testing::Postgres;

const MODEL: &str = "openai/gpt-4o-mini";

/// A receiver that refuses the first `refused` messages with 500, and keeps the others.
pub(crate) async fn receiver(refused: usize) -> (String, Arc<Mutex<Vec<Value>>>) {
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

pub(crate) async fn until(got: &Mutex<Vec<Value>>, what: &str, found: impl Fn(&Value) -> bool) -> Value {
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

/// Input is free, and ten tokens of output are 0.00001 USD.
const PRICES: &str = "prices: { overrides: [{ model: openai/gpt-4o-mini, input: \"0\", cache_read: \"0\", output: \"1\" }] }\nledger: { lease: 1s }\n";

async fn ten_tokens(url: &str) {
    let body = json!({"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "[[sim:len=10]]"}]});
    let request = client().post(format!("{url}/v1/chat/completions")).body(body.to_string());
    let answer = request.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

fn told(got: &Mutex<Vec<Value>>) -> Vec<String> {
    let one = |one: &Value| format!("{} {}", one["status"].as_str().unwrap(), one["name"].as_str().unwrap());
    let mut told: Vec<String> = got.lock().unwrap().iter().map(one).collect();
    told.sort();
    told
}

/// Two replicas see the same budget; one of them tells of each share, and one of its end, with what was known then.
#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_a_budget_fires_once_over_two_replicas_and_resolves_once_when_the_limit_is_raised() {
    let (webhook, got) = receiver(1).await;
    let postgres = Postgres::start().unwrap();
    let more = format!(
        "store: {{ url: \"{}\" }}\n{PRICES}alerts: [{{ kind: webhook, url: \"{webhook}\", on: [budget] }}]\n",
        postgres.url()
    );
    let mut bench = Bench::prepare("", None).await;
    bench.weir.configure(&config(&bench.sim.url(), &more));
    bench.weir.run().await;
    let mut other = Weir::start(&config(&bench.sim.url(), &more)).await;
    let made = json!({"limit": "0.0001", "period": "total", "alert_at": [0.5, 0.8]});
    let made = bench.post("/admin/v1/budgets", &made).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/admin/v1/budgets/{}", made.json()["id"].as_str().unwrap());
    for url in [&bench.weir.url, &other.url].repeat(4) {
        ten_tokens(url).await;
    }
    let fired = |share: &'static str| {
        move |one: &Value| {
            one["status"] == "firing" && one["name"] == format!("gateway per total at {share} %")
        }
    };
    let half = until(&got, "half", fired("50")).await;
    let most = until(&got, "most", fired("80")).await;
    let cause = most["cause"].as_str().unwrap();
    assert!(cause.contains("0.00008 of 0.0001 USD are spent (80.0 %)"), "{cause}");
    assert!(half["id"] != most["id"] && most["resolution"].is_null());
    // One that comes back knows that it was told.
    other.stop().await;
    other.run().await;
    ten_tokens(&other.url).await;
    let raised =
        client().patch(format!("{}{path}", bench.weir.url)).body(json!({"limit": "0.001"}).to_string());
    assert_eq!(raised.send().await.unwrap().status(), 200);
    for fired in [&half, &most] {
        let over = until(&got, "end", |one| one["status"] == "resolved" && one["id"] == fired["id"]).await;
        let resolution = over["resolution"].as_str().unwrap();
        assert!(resolution.contains("of 0.001 USD are spent"), "{resolution}");
        assert_eq!(over["cause"], fired["cause"]);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let names = ["gateway per total at 50 %", "gateway per total at 80 %"];
    let expected = ["firing", "resolved"].map(|status| names.map(|name| format!("{status} {name}"))).concat();
    assert_eq!(told(&got), expected);
}
