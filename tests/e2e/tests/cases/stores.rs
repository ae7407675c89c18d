//! W-002, W-003, W-004, W-014: the store goes away, hangs, loses its answers, or has much to take.

use std::time::{Duration, Instant};

use weir_e2e::{Bench, Weir, figure, scale};
use weir_store::testing::Postgres;
use weir_tools::cut::{self, Cut, Direction, Harm, When};
use weir_tools::drive::{self, Drive, Seen, Summary};

async fn on(url: &str) -> Bench {
    let mut bench = Bench::prepare("", Some(url)).await;
    bench.weir.run().await;
    bench
}

/// So many requests a second for so long, in the background.
fn steady(
    bench: &Bench,
    seed: u64,
    rate: f64,
    seconds: u64,
) -> (tokio::task::JoinHandle<Summary>, std::path::PathBuf) {
    let load = bench.load(seed, u64::MAX, 200, &[""]);
    let load = Drive { rate: Some(rate), duration: Some(Duration::from_secs(seconds)), ..load };
    let log = load.log.clone().unwrap();
    (tokio::spawn(async move { drive::run(load).await.unwrap() }), log)
}

fn all_complete(summary: &Summary) {
    let others = [Seen::Refused, Seen::Broken, Seen::Failed, Seen::TimedOut].map(|end| summary.ended(end));
    assert_eq!(others, [0; 4], "{:?} {:?}", summary.ends, summary.errors);
    assert!(summary.ended(Seen::Complete) > 100, "{:?}", summary.ends);
}

/// The middle of the answers' times, in microseconds.
fn median(summary: Summary) -> u64 {
    summary.json()["total_us"]["p50"].as_u64().unwrap()
}

async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < limit, "{what} did not happen within {limit:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w002_postgres_dies_and_comes_back() {
    let postgres = Postgres::start().unwrap();
    let bench = on(&postgres.url()).await;
    let (driving, log) = steady(&bench, 2002, 200.0, 8);
    tokio::time::sleep(Duration::from_secs(2)).await;
    postgres.kill().unwrap();
    // The lag shows, and readiness says why; calls go on.
    eventually("a degraded readiness", Duration::from_secs(5), async || {
        let ready = bench.get("/health/ready").await;
        assert_eq!(ready.status, 200);
        (ready.json()["status"] == "degraded").then_some(())
    })
    .await;
    assert!(bench.metric("weir_ledger_queue_entries", &[]).await > 0.0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    postgres.resume().unwrap();
    all_complete(&driving.await.unwrap());
    bench.drained().await;
    let report = bench.audit(&[log]).await;
    assert_eq!(report.unsettled(), 0, "{:?}", report.unsettled);
    eventually("readiness", Duration::from_secs(5), async || {
        (bench.get("/health/ready").await.json()["status"] == "ready").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w003_postgres_hangs_without_a_word() {
    let postgres = Postgres::start().unwrap();
    let bench = on(&postgres.url()).await;
    let (quiet, first) = steady(&bench, 2003, 100.0, 3);
    let before = quiet.await.unwrap();
    all_complete(&before);
    postgres.freeze().unwrap();
    let (driving, second) = steady(&bench, 3003, 100.0, 6);
    let during = driving.await.unwrap();
    postgres.thaw().unwrap();
    let woke = Instant::now();
    all_complete(&during);
    bench.drained().await;
    assert!(woke.elapsed() < Duration::from_secs(15), "{:?}", woke.elapsed());
    let report = bench.audit(&[first, second]).await;
    assert_eq!(report.unsettled(), 0, "{:?}", report.unsettled);
    // The long form compares the 99th percentile on a quiet machine; here other tests run beside.
    let (before, during) = (median(before), median(during));
    assert!(during < before * 2 + 2000, "{before} µs before, {during} µs while the store hung");
}

#[tokio::test(flavor = "multi_thread")]
async fn w004_an_answer_to_a_commit_is_lost() {
    let postgres = Postgres::start().unwrap();
    let proxy = Cut {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        to: format!("127.0.0.1:{}", postgres.port()),
        delay: Duration::ZERO,
        rate: None,
        direction: Direction::Up,
        when: When::Pattern(b"COMMIT".to_vec()),
        harm: Harm::Swallow,
        skip: 4,
        times: scale(10, 200),
    };
    let proxy = cut::start(proxy).await.unwrap();
    let through = format!("postgres://weir@{}/postgres", proxy.address);
    let mut bench = on(&through).await;
    let mut logs = Vec::new();
    let began = Instant::now();
    while logs.is_empty() || proxy.harms() < scale(3, 200) {
        let (driving, log) = steady(&bench, 2004 + logs.len() as u64, 60.0, 12);
        all_complete(&driving.await.unwrap());
        logs.push(log);
        assert!(
            began.elapsed() < Duration::from_secs(scale(60, 3_600)),
            "{} answers were lost",
            proxy.harms()
        );
    }
    bench.drained().await;
    let replayed = bench.metric("weir_ledger_written_total", &["replayed"]).await;
    figure(format_args!("{} answers to a COMMIT lost, {replayed} rows written again", proxy.harms()));
    assert!(replayed >= 1.0, "no retry is visible");
    bench.books = postgres.url();
    let report = bench.audit(&logs).await;
    assert_eq!(report.unsettled(), 0, "{:?}", report.unsettled);
}

#[tokio::test(flavor = "multi_thread")]
async fn w014_many_waiting_rows_drain_while_calls_go_on() {
    let postgres = Postgres::start().unwrap();
    let mut bench = on(&postgres.url()).await;
    postgres.freeze().unwrap();
    let load = Drive {
        requests: 10_000,
        concurrency: 64,
        light: true,
        log: None,
        ..bench.load(2014, 1, 1, &["len=1"])
    };
    let mut load = load;
    load.plan.mix = vec![drive::Mix::parse("chat:openai/gpt-4o-mini:1").unwrap()];
    all_complete(&drive::run(load).await.unwrap());
    let waiting = bench.metric("weir_ledger_spooled_entries", &[]).await;
    assert!(waiting >= 19_000.0, "{waiting} rows wait");
    postgres.thaw().unwrap();
    let (driving, _) = steady(&bench, 3014, 50.0, 3);
    let began = Instant::now();
    eventually("an empty queue", Duration::from_secs(60), async || {
        (bench.metric("weir_ledger_spooled_entries", &[]).await < 200.0).then_some(())
    })
    .await;
    // The moment until the drain looks again after the store hung is in it, too.
    let took = began.elapsed();
    println!("{waiting} rows drained in {took:?}");
    assert!(waiting / took.as_secs_f64() >= 5000.0, "{waiting} rows took {took:?}");
    all_complete(&driving.await.unwrap());
    bench.drained().await;
    bench.audit(&[]).await;
    assert_eq!(bench.weir.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_is_said_so_at_the_start() {
    let port = weir_e2e::free_port();
    let mut weir = Weir::prepare(&format!("store: {{ url: \"postgres://weir@127.0.0.1:{port}/weir\" }}\n"));
    weir.spawn();
    eventually("a reason", Duration::from_secs(20), async || {
        let answer = weir_e2e::client().get(format!("{}/health/ready", weir.url)).send().await.ok()?;
        let answer = weir_e2e::Answer::read(answer).await;
        (answer.status == 503 && answer.json()["status"] == "not_ready").then_some(())
    })
    .await;
    assert!(weir.log().contains("cannot open the store"), "{}", weir.log());
}
