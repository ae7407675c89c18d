//! Postgres and Redis stop without a word while calls with keys, limits and budgets go on. The long forms (500 calls a
//! second, a minute) are in `tests/long`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, RedisServer, figure};
use weir_store::testing::Postgres;
use weir_tools::drive::{self, Drive, Seen};

/// Input is free and a token of output costs 1,000 nano-dollars.
const PRICES: &str = "prices: { overrides: [{ model: openai/gpt-4o-mini, input: \"0\", cache_read: \"0\", output: \"1\" }] }\n";

/// A call that costs 10,000 nano-dollars, its bound.
async fn call(bench: &Bench, key: &str, words: &str) -> (Answer, Duration) {
    let text = format!("[[sim:len=10{words}]]");
    let body = json!({"model": "openai/gpt-4o-mini", "max_tokens": 10, "messages": [{"role": "user", "content": text}]});
    let authorization = format!("Bearer {key}");
    let began = Instant::now();
    let answer = bench.post_with("/v1/chat/completions", &body, &[("authorization", &authorization)]).await;
    (answer, began.elapsed())
}

async fn load(bench: &Bench, seed: u64, rate: f64, seconds: u64) -> std::path::PathBuf {
    let load = bench.load(seed, u64::MAX, 100, &[""]);
    let duration = Some(Duration::from_secs(seconds));
    let load = Drive { rate: Some(rate), duration, key: Some("wide".to_owned()), ..load };
    let log = load.log.clone().unwrap();
    let summary = drive::run(load).await.unwrap();
    let failed = [Seen::Refused, Seen::Broken, Seen::Failed, Seen::TimedOut].map(|end| summary.ended(end));
    assert_eq!(failed, [0; 4], "{:?} {:?}", summary.ends, summary.errors);
    assert!(summary.ended(Seen::Complete) as f64 > rate * seconds as f64 * 0.8, "{:?}", summary.ends);
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_last_while_postgres_hangs_and_then_say_that_they_can_not_know() {
    let postgres = Postgres::start().unwrap();
    // Both at once would lease most of the narrow one's money; what it has at hand is a slice.
    let keys = "keys:\n  - { name: wide, key: wide, limits: { requests_per_minute: 1000000 }, budgets: [{ limit: 1000, period: day }, { limit: 5000, period: month }] }\n  - { name: narrow, key: narrow, budgets: [{ limit: 0.001, period: total }] }\nbudgets: [{ limit: 9000, period: day }]\n";
    let mut bench = Bench::prepare(&format!("{PRICES}{keys}"), Some(&postgres.url())).await;
    bench.weir.run().await;
    assert_eq!(call(&bench, "narrow", "").await.0.status, 200);
    let first = load(&bench, 1, 60.0, 1).await;
    postgres.freeze().unwrap();
    let second = load(&bench, 2, 60.0, 5).await;
    // The slice of the narrow one is used up, and then it is said at once that nobody can know.
    let (mut served, mut refused) = (0, Vec::new());
    while refused.len() < 10 {
        let (answer, took) = call(&bench, "narrow", "").await;
        match answer.status {
            200 => served += 1,
            503 => {
                assert_eq!(answer.json()["error"]["code"], "budget_unavailable");
                assert!(!answer.header("retry-after").is_empty());
                refused.push(took);
            }
            status => panic!("{status}: {}", answer.text()),
        }
        assert!(served <= 100, "more than the whole budget");
    }
    refused.sort();
    figure(format_args!(
        "{served} more calls of the slice, then 503 within {:?}, the slowest {:?}",
        refused[5], refused[9]
    ));
    assert!(refused[5] < Duration::from_millis(250), "{refused:?}");
    // Nobody else is touched.
    assert_eq!(call(&bench, "wide", "").await.0.status, 200);
    postgres.thaw().unwrap();
    bench.drained().await;
    let began = Instant::now();
    while call(&bench, "narrow", "").await.0.status != 429 {
        assert!(began.elapsed() < Duration::from_secs(60), "the rest of the budget can't be spent");
    }
    let report = bench.audit_at(&[first, second], &prices(&bench)).await;
    assert_eq!(report.unsettled(), 0, "{:?}", report.unsettled);
    let books = weir_store::open(&postgres.url(), std::path::Path::new("/nowhere")).await.unwrap();
    let spent = books.spent(&[("key:narrow/total".into(), 0, 0)]).await.unwrap()[0];
    assert_eq!(spent, 1_000_000, "all of it and no more");
}

/// The audit's prices with the one that these cases change.
fn prices(bench: &Bench) -> std::path::PathBuf {
    let mut prices: Value = serde_json::from_slice(&std::fs::read(weir_e2e::PRICES).unwrap()).unwrap();
    prices["gpt-4o-mini"] = json!({"input": "0", "cache_read": "0", "output": "1"});
    let file = bench.weir.folder().join("prices.json");
    std::fs::write(&file, prices.to_string()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_while_redis_hangs() {
    let redis = RedisServer::start();
    let more = format!(
        "coordination: {{ url: \"{}\" }}\nkeys: [{{ name: wide, key: wide, limits: {{ requests_per_minute: 1000000, concurrency: 5000 }}, budgets: [{{ limit: 1000, period: day }}] }}]\n",
        redis.url()
    );
    let bench = Bench::start(&more).await;
    let first = load(&bench, 3, 60.0, 1).await;
    redis.signal("STOP");
    let second = load(&bench, 4, 60.0, 4).await;
    let told = bench.get("/health").await.json()["coordination"].clone();
    assert_eq!(told["up"], false, "{told}");
    redis.signal("CONT");
    let began = Instant::now();
    while bench.get("/health").await.json()["coordination"]["up"] != true {
        assert!(began.elapsed() < Duration::from_secs(5), "Redis is not found again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let report = bench.audit(&[first, second]).await;
    assert_eq!(report.unsettled(), 0, "{:?}", report.unsettled);
}
