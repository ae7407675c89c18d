//! Stored answers in Redis: two gateways share them, one asks for equal calls, and Redis that is away is a miss.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, RedisServer, Weir, client};

const CHAT: &str = "/v1/chat/completions";

fn config(redis: &RedisServer, ttl: &str) -> String {
    format!(
        "models:\n  x: {{ targets: [openai/gpt-4o-mini], cache: {{ mode: exact, ttl: {ttl} }} }}\nkeys: [{{ name: a, key: a }}, {{ name: b, key: b }}]\nserver: {{ master_key: master }}\ncache: {{ exact: {{ backend: redis, max_size: 16MiB }} }}\ncoordination: {{ url: \"{}\" }}\n",
        redis.url()
    )
}

async fn ask(url: &str, key: &str, text: &str, stream: bool) -> Answer {
    let body = json!({"model": "x", "stream": stream, "messages": [{"role": "user", "content": text}]});
    let request = client().post(format!("{url}{CHAT}")).header("authorization", format!("Bearer {key}"));
    let response = request.header("content-type", "application/json").body(body.to_string()).send().await;
    let answer = Answer::read(response.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// A stored answer. On a busy machine Redis may count as lost for a moment, and each call is a miss meanwhile.
async fn hit(url: &str, text: &str, stream: bool) -> Answer {
    let began = Instant::now();
    loop {
        let answer = ask(url, "a", text, stream).await;
        if answer.header("x-weir-cache") == "hit" {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no stored answer at {url}");
    }
}

async fn admin(url: &str, method: reqwest::Method) -> (u16, Value) {
    let request =
        client().request(method, format!("{url}/admin/v1/cache")).header("authorization", "Bearer master");
    let answer = Answer::read(request.send().await.unwrap()).await;
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_share_what_redis_keeps() {
    let redis = RedisServer::start();
    let text = config(&redis, "1h");
    let bench = Bench::start(&text).await;
    let other = Weir::start(&weir_e2e::config(&bench.sim.url(), &text)).await;
    // Equal calls are one; then the other gateway, and the other form, have the answer, too.
    let calls = (0..20).map(|call| ask(&bench.weir.url, "a", "[[sim:delay=400ms]]", call % 2 == 0));
    let answers = join_all(calls).await;
    let misses = answers.iter().filter(|answer| answer.header("x-weir-cache") == "miss").count();
    assert_eq!((misses, bench.sim.state.captured().len()), (1, 1));
    for (url, stream) in [(&bench.weir.url, false), (&other.url, false), (&other.url, true)] {
        let answer = hit(url, "[[sim:delay=400ms]]", stream).await;
        assert!(!stream || answer.finished());
    }
    assert_eq!(
        ask(&other.url, "b", "[[sim:delay=400ms]]", false).await.header("x-weir-cache"),
        "miss",
        "tenants never meet"
    );
    let (status, stats) = admin(&other.url, reqwest::Method::GET).await;
    assert_eq!((status, &stats["backend"], &stats["entries"]), (200, &json!("redis"), &json!(2)), "{stats}");
    assert!(stats["size_bytes"].as_u64().unwrap() > 0 && stats["hits"].as_u64().unwrap() >= 2, "{stats}");
    // What is forgotten at one is forgotten at the other.
    assert_eq!(admin(&bench.weir.url, reqwest::Method::DELETE).await, (200, json!({"purged": 2})));
    assert_eq!(ask(&other.url, "a", "[[sim:delay=400ms]]", false).await.header("x-weir-cache"), "miss");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_every_call_is_a_miss_and_none_fails_or_waits() {
    let redis = RedisServer::start();
    let bench = Bench::start(&config(&redis, "1h")).await;
    let url = &bench.weir.url;
    ask(url, "a", "one", false).await;
    hit(url, "one", false).await;
    redis.signal("STOP");
    let first = ask(url, "a", "one", false).await;
    let overhead: u64 = first.header("x-weir-overhead-us").parse().unwrap();
    assert_eq!(first.header("x-weir-cache"), "miss");
    // 50 ms, and what a busy machine takes.
    assert!(overhead < 400_000, "{overhead} µs");
    for _ in 0..20 {
        assert_eq!(ask(url, "a", "one", false).await.header("x-weir-cache"), "miss");
    }
    let (status, error) = admin(url, reqwest::Method::DELETE).await;
    assert_eq!((status, &error["error"]["code"]), (503, &json!("cache_unreachable")));
    assert_eq!(admin(url, reqwest::Method::GET).await.1["entries"], Value::Null);
    redis.signal("CONT");
    hit(url, "one", true).await;
    bench.audit(&[]).await;
}
