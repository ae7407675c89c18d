//! W-060, W-065: more calls than can be done, and one tenant's flood beside another's calls. The gateway is what is short of
//! time: long answers that were made beforehand, which it translates. Judged by counts and by ratios of
//! one run; the full form, whose driver is faster than the gateway, is `tests/long/run W-060 W-065`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use weir_e2e::{Bench, client, figure};

const KEYS: &str = "keys:\n  - { name: loud, key: loud-key }\n  - { name: calm, key: calm-key }\n";

/// The gateway on one processor, the last: load and provider have the others.
async fn bench() -> Bench {
    let bench = Bench::start(KEYS).await;
    let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
    let process = bench.weir.process().to_string();
    let pinned = std::process::Command::new("taskset").args(["-acp", &last.to_string(), &process]).output();
    assert!(pinned.is_ok_and(|done| done.status.success()), "taskset (util-linux) is needed");
    bench
}

/// An answer of a thousand pieces, from a provider of another dialect: milliseconds of work for the gateway.
fn heavy() -> Bytes {
    json!({"model": "openai/bench-stream-1000", "stream": true, "max_tokens": 5000, "messages": [{"role": "user", "content": "a"}]})
        .to_string()
        .into()
}

/// A call that takes its provider some time, as models do.
fn light() -> Bytes {
    json!({"model": "openai/gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": "[[sim:delay=300ms]]"}]})
        .to_string()
        .into()
}

/// What came back, and after how long.
#[derive(Default)]
struct Came {
    served: Vec<Duration>,
    refused: Vec<Duration>,
    others: Vec<String>,
}

impl Came {
    fn add(&mut self, (result, took): (Result<(), Option<String>>, Duration)) {
        match result {
            Ok(()) => self.served.push(took),
            Err(None) => self.refused.push(took),
            Err(Some(other)) => self.others.push(other),
        }
    }

    fn sort(mut self) -> Came {
        self.served.sort_unstable();
        self.refused.sort_unstable();
        self
    }
}

fn at(sorted: &[Duration], per_mille: usize) -> Duration {
    sorted
        .get((sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// One call; a refusal must be what a refusal shall be.
async fn call(url: String, key: &'static str, body: Bytes) -> Result<(), Option<String>> {
    let sent =
        client().post(url).header("x-api-key", key).header("content-type", "application/json").body(body);
    let answer = sent.send().await.map_err(|error| Some(format!("{error:?}")))?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.map_err(|error| Some(format!("{error:?}")))?;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let comes_again = headers.get("retry-after").is_some_and(|after| after == "1");
    match status {
        200 => Ok(()),
        503 if comes_again && body["error"]["type"] == "overloaded_error" => Err(None),
        _ => Err(Some(format!("{status} {headers:?} {text}"))),
    }
}

/// Calls at this rate, whatever becomes of them.
async fn open(bench: &Bench, key: &'static str, body: Bytes, rate: f64, took: Duration) -> Came {
    let (mut tasks, mut came) = (JoinSet::new(), Came::default());
    let (url, began) = (format!("{}/v1/messages", bench.weir.url), tokio::time::Instant::now());
    for number in 0..(rate * took.as_secs_f64()) as u64 {
        let due = began + Duration::from_secs_f64(number as f64 / rate);
        tokio::time::sleep_until(due).await;
        let (url, body) = (url.clone(), body.clone());
        tasks.spawn(async move { (call(url, key, body).await, due.elapsed()) });
        while let Some(done) = tasks.try_join_next() {
            came.add(done.unwrap());
        }
    }
    while let Some(done) = tasks.join_next().await {
        came.add(done.unwrap());
    }
    came.sort()
}

/// Calls a second that are answered where sixteen are under way at any time.
async fn capacity(bench: &Bench, body: &Bytes) -> f64 {
    let url = format!("{}/v1/messages", bench.weir.url);
    let mut done = 0;
    let (mut tasks, mut began) = (JoinSet::new(), Instant::now());
    let took = Duration::from_secs(2);
    let warm = Duration::from_millis(500);
    let mut warming = true;
    while began.elapsed() < took {
        while tasks.len() < 16 {
            tasks.spawn(call(url.clone(), "loud-key", body.clone()));
        }
        tasks.join_next().await.unwrap().unwrap().unwrap();
        done += 1;
        if warming && began.elapsed() > warm {
            (warming, began, done) = (false, Instant::now(), 0);
        }
    }
    f64::from(done) / began.elapsed().as_secs_f64()
}

/// How long the health page takes, for so long.
async fn health(bench: &Bench, took: Duration) -> Vec<Duration> {
    let (began, mut all) = (Instant::now(), Vec::new());
    while began.elapsed() < took {
        let asked = Instant::now();
        let answer = client().get(format!("{}/health/live", bench.weir.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        all.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    all.sort_unstable();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w060_more_than_can_be_done_is_refused_at_once_and_the_rest_is_done() {
    let (bench, body) = (bench().await, heavy());
    let capacity = capacity(&bench, &body).await;
    let took = Duration::from_secs(6);
    let (came, health) =
        tokio::join!(open(&bench, "loud-key", body.clone(), 3.0 * capacity, took), health(&bench, took));
    let (done, refused) = (came.served.len(), came.refused.len());
    let share = done as f64 / took.as_secs_f64() / capacity;
    figure(format!(
        "W-060: capacity {capacity:.0}/s, {done} done ({share:.2} of it), {refused} refused within {:?} (p50) and {:?} (p99), health within {:?} (p50) and {:?} (p99), served within {:?} (p50) and {:?} (p99)",
        at(&came.refused, 500),
        at(&came.refused, 990),
        at(&health, 500),
        at(&health, 990),
        at(&came.served, 500),
        at(&came.served, 990),
    ));
    assert!(came.others.is_empty(), "{} others: {}", came.others.len(), came.others[0]);
    // Two of three are too many; a machine that is busy with other things at times may have time for more.
    assert!(refused > done / 2, "{refused} refused, {done} done");
    assert!(share > 0.4, "{share:.2} of {capacity:.0} calls a second were done");
    assert!(
        at(&came.refused, 500) < at(&came.served, 500),
        "who is refused is told sooner than who is served"
    );
    // Normal again.
    let began = Instant::now();
    while bench.get("/metrics").await.text().contains("weir_admitted_per_second") {
        assert!(began.elapsed() < Duration::from_secs(5), "calls are still limited");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = open(&bench, "loud-key", body, capacity / 10.0, Duration::from_secs(2)).await;
    assert!(after.refused.is_empty() && after.others.is_empty(), "{:?}", after.others);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w065_a_flood_of_one_tenant_is_refused_and_anothers_calls_are_served() {
    let (bench, body) = (bench().await, heavy());
    let capacity = capacity(&bench, &body).await;
    let took = Duration::from_secs(5);
    let (share, flood) = (capacity / 2.0, capacity / 2.0 * 6.0);
    let calm = || open(&bench, "calm-key", light(), 20.0, took);
    let (_, before) = tokio::join!(open(&bench, "loud-key", body.clone(), share / 2.0, took), calm());
    let (loud, calm) = tokio::join!(open(&bench, "loud-key", body.clone(), flood, took), calm());
    figure(format!(
        "W-065: capacity {capacity:.0}/s; loud: {} served, {} refused within {:?} (p50) and {:?} (p99); calm: {} served, {} refused, p50 {:?} and p99 {:?}, before {:?} and {:?}",
        loud.served.len(),
        loud.refused.len(),
        at(&loud.refused, 500),
        at(&loud.refused, 990),
        calm.served.len(),
        calm.refused.len(),
        at(&calm.served, 500),
        at(&calm.served, 990),
        at(&before.served, 500),
        at(&before.served, 990),
    ));
    let others: Vec<_> = [&loud, &calm, &before].into_iter().flat_map(|came| &came.others).collect();
    assert!(others.is_empty(), "{} others: {}", others.len(), others[0]);
    // Capacity is found while other things may run; a machine that has time for more then refuses less.
    assert!(loud.refused.len() > loud.served.len() / 4, "the flood is refused");
    // Where what sends the calls stalls itself, the other's come in bunches, of which not all are within its share.
    let share = |came: &Came| came.refused.len() as f64 / (came.refused.len() + came.served.len()) as f64;
    assert!(
        share(&calm) * 2.0 < share(&loud),
        "{:.2} of the other's, {:.2} of the flood",
        share(&calm),
        share(&loud)
    );
    let (now, before) = (at(&calm.served, 500), at(&before.served, 500));
    assert!(now <= 8 * before, "{now:?}, before {before:?}");
}
