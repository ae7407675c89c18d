//! `idempotency-key`: one upstream call, one charge, the same answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench};

const MODEL: &str = "openai/gpt-4o-mini";

fn body(text: &str, stream: bool) -> Value {
    json!({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": text}]})
}

async fn ask(bench: &Bench, key: &str, body: &Value) -> Answer {
    bench.post_with("/v1/chat/completions", body, &[("idempotency-key", key)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_one_call_whole_and_streamed() {
    let bench = Bench::start("").await;
    for (key, stream) in [("a", false), ("b", true)] {
        let first = ask(&bench, key, &body("hi", stream)).await;
        let again = ask(&bench, key, &body("hi", stream)).await;
        assert_eq!((first.status, again.status), (200, 200), "{}", first.text());
        assert_eq!(first.text(), again.text());
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
        assert_eq!(first.header("x-weir-cost"), again.header("x-weir-cost"));
        assert!(!stream || again.finished());
        let other = ask(&bench, key, &body("something else", stream)).await;
        assert_eq!((other.status, &other.json()["error"]["code"]), (409, &json!("conflict")));
    }
    for wrong in ["", &"x".repeat(300)] {
        assert_eq!(ask(&bench, wrong, &body("hi", false)).await.status, 400);
    }
    assert_eq!(bench.sim.state.captured().len(), 2);
    let (_, attempts) = bench.rows_of(2).await;
    assert_eq!(attempts.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_come_meanwhile_read_along_and_pay_nothing() {
    let bench = std::sync::Arc::new(Bench::start("").await);
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let bench = bench.clone();
        tasks.push(tokio::spawn(
            async move { ask(&bench, "k", &body("hi [[sim:len=10+gap=50ms]]", true)).await },
        ));
    }
    let mut texts = Vec::new();
    for task in tasks {
        let answer = task.await.unwrap();
        assert!(answer.status == 200 && answer.whole && answer.finished(), "{}", answer.text());
        texts.push(answer.text());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    assert_eq!(bench.sim.state.captured().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_lost_its_connection_gets_the_whole_answer_of_the_one_call() {
    let bench = Bench::start("").await;
    let slow = body("hi [[sim:len=20+gap=50ms]]", true);
    let mut lost = bench.open("/v1/chat/completions", &slow, &[("idempotency-key", "k")]).await.unwrap();
    lost.chunk().await.unwrap();
    drop(lost);
    let answer = ask(&bench, "k", &slow).await;
    assert!(answer.finished() && answer.header("idempotent-replayed") == "true", "{}", answer.text());
    let (calls, attempts) = bench.rows_of(1).await;
    assert_eq!((attempts.len(), attempts[0].state.as_str()), (1, "ok"), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_and_cost_nothing_runs_again() {
    let bench = Bench::start(
        "keys: [{ name: a, key: a, limits: { requests_per_minute: 2 } }, { name: b, key: b }]\n",
    )
    .await;
    let with = async |who: &str, text: &str| {
        let headers = [("idempotency-key", "k"), ("authorization", who)];
        bench.post_with("/v1/chat/completions", &body(text, false), &headers).await
    };
    for _ in 0..2 {
        assert_eq!(with("Bearer a", "hi [[sim:status=400]]").await.status, 400);
    }
    // The third is over the limit, and that is no answer to keep either.
    assert_eq!(with("Bearer a", "hi").await.status, 429);
    assert_eq!(bench.sim.state.captured().len(), 2);
    // Another caller's key is another key.
    let began = Instant::now();
    assert_eq!(with("Bearer b", "hello").await.status, 200);
    assert_eq!(with("Bearer b", "hello").await.header("idempotent-replayed"), "true");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(bench.sim.state.captured().len(), 3);
}
