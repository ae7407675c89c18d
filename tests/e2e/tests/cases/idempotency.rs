//! `idempotency-key`: one upstream call, one charge, the same answer; in one process, through restarts, over replicas.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, Weir, client, config};
use weir_store::testing::Postgres;

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
    let bench = Arc::new(Bench::start("").await);
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

/// Asks a gateway, whichever it is.
async fn ask_at(url: &str, key: &str, body: &Value) -> Answer {
    let request = client().post(format!("{url}/v1/chat/completions")).header("idempotency-key", key);
    let request = request.header("content-type", "application/json").body(body.to_string());
    Answer::read(request.send().await.expect("weir answers")).await
}

fn refusal(answer: &Answer) -> (u16, String, String) {
    let error = &answer.json()["error"];
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("code"), text("message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_its_process_and_a_call_that_died_with_it_is_not_made_twice() {
    let mut bench = Bench::prepare("", None).await;
    bench.weir.run().await;
    let mut first = Vec::new();
    for (key, stream) in [("whole", false), ("stream", true)] {
        first.push(ask(&bench, key, &body("hi", stream)).await);
    }
    assert_eq!(bench.weir.stop().await, Some(0));
    bench.weir.run().await;
    for ((key, stream), first) in [("whole", false), ("stream", true)].into_iter().zip(&first) {
        let again = ask(&bench, key, &body("hi", stream)).await;
        assert_eq!((again.status, again.text()), (200, first.text()));
        for header in ["content-type", "x-weir-cost", "x-request-id"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
        }
        assert_eq!((again.header("idempotent-replayed"), again.whole), ("true", true));
        let other = refusal(&ask(&bench, key, &body("something else", stream)).await);
        assert_eq!((other.0, other.1.as_str()), (409, "conflict"), "{other:?}");
    }
    assert_eq!(bench.sim.state.captured().len(), 2);

    let slow = body("hi [[sim:len=100+gap=100ms]]", true);
    let mut lost = bench.open("/v1/chat/completions", &slow, &[("idempotency-key", "dead")]).await.unwrap();
    lost.chunk().await.unwrap();
    bench.weir.kill().await;
    bench.weir.run().await;
    let refused = refusal(&ask(&bench, "dead", &slow).await);
    assert_eq!((refused.0, refused.1.as_str()), (409, "conflict"), "{refused:?}");
    assert!(refused.2.contains("ended before its answer was whole"), "{refused:?}");
    assert_eq!(bench.sim.state.captured().len(), 3, "it was sent once");
    let books = std::fs::read(bench.weir.folder().join("weir.db")).unwrap();
    let said = first[0].json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(said.len() > 10 && !String::from_utf8_lossy(&books).contains(&said), "kept answers are sealed");
}

/// Two gateways on one Postgres, with one simulator.
async fn two(postgres: &Postgres) -> (Bench, Weir) {
    let mut bench = Bench::prepare("", Some(&postgres.url())).await;
    bench.weir.run().await;
    let store = format!("store: {{ url: \"{}\" }}\n", postgres.url());
    let other = Weir::start(&config(&bench.sim.url(), &store)).await;
    (bench, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_make_one_call_between_them() {
    let postgres = Postgres::start().unwrap();
    let (bench, other) = two(&postgres).await;
    let urls = [bench.weir.url.clone(), other.url.clone()];
    for (round, stream) in [true, false, true].into_iter().enumerate() {
        let asked = body(&format!("round {round} [[sim:len=10+gap=30ms]]"), stream);
        let key = format!("k{round}");
        let mut tasks = Vec::new();
        for n in 0..20 {
            let (url, key, asked) = (urls[n % 2].clone(), key.clone(), asked.clone());
            tasks.push(tokio::spawn(async move { ask_at(&url, &key, &asked).await }));
        }
        let (mut texts, mut firsts) = (Vec::new(), 0);
        for task in tasks {
            let answer = task.await.unwrap();
            assert!(answer.status == 200 && answer.whole, "{}", answer.text());
            firsts += usize::from(answer.header("idempotent-replayed").is_empty());
            texts.push(answer.text());
        }
        texts.dedup();
        assert_eq!((texts.len(), firsts), (1, 1), "round {round}");
        assert_eq!(bench.sim.state.captured().len(), round + 1, "one upstream call a round");
        for url in &urls {
            assert_eq!(refusal(&ask_at(url, &key, &body("else", stream)).await).0, 409);
        }
    }
    // What failed and cost nothing may be made elsewhere.
    for (at, url) in urls.iter().enumerate() {
        assert_eq!(ask_at(url, "failed", &body("hi [[sim:status=400]]", false)).await.status, 400);
        assert_eq!(bench.sim.state.captured().len(), 4 + at);
    }
    let (_, attempts) = bench.rows_of(5).await;
    let charged = attempts.iter().filter(|row| row.cost_nanousd.is_some_and(|cost| cost > 0)).count();
    assert_eq!(charged, 3, "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_a_key_is_refused_and_nothing_else_is() {
    let postgres = Postgres::start().unwrap();
    let (bench, other) = two(&postgres).await;
    assert_eq!(ask(&bench, "known", &body("hi", false)).await.status, 200);
    postgres.freeze().unwrap();
    let began = Instant::now();
    let refused = ask(&bench, "new", &body("hi", false)).await;
    let (status, code, message) = refusal(&refused);
    assert_eq!((status, code.as_str()), (503, "store_unavailable"), "{message}");
    assert!(message.contains("nothing was sent") && message.contains("idempotency-key"), "{message}");
    assert!(!refused.header("retry-after").is_empty() && began.elapsed() < Duration::from_secs(8));
    // What this process knows by itself it answers; the other one can't know it.
    assert_eq!(ask(&bench, "known", &body("hi", false)).await.header("idempotent-replayed"), "true");
    assert_eq!(ask_at(&other.url, "known", &body("hi", false)).await.status, 503);
    // Without the header nobody asks the store, and a key that an SDK made by itself is no promise of the client's.
    for url in [&bench.weir.url, &other.url] {
        let plain = client().post(format!("{url}/v1/chat/completions")).body(body("hi", false).to_string());
        let plain = plain.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(plain.status(), 200);
    }
    assert_eq!(ask(&bench, "stainless-python-retry-1", &body("hi", false)).await.status, 200);
    assert_eq!(bench.sim.state.captured().len(), 4);
    postgres.thaw().unwrap();
    let began = Instant::now();
    loop {
        let answer = ask(&bench, "new", &body("hi", false)).await;
        if answer.status == 200 {
            break;
        }
        assert!(answer.status == 503 && began.elapsed() < Duration::from_secs(30), "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(bench.sim.state.captured().len(), 5);
}
