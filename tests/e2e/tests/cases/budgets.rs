//! Budgets under load, over processes and through their deaths: W-017, W-018 and what the dead held.
//!
//! Each call costs exactly its bound, and the budget pays for exactly a hundred.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use weir_e2e::{Bench, Weir, client, config};
use weir_store::testing::Postgres;

const PAYS_FOR: usize = 100;
const CALLS: usize = 500;
/// Input is free and a token of output costs 1,000 nano-dollars; ten tokens a call.
const PRICES: &str = "prices: { overrides: [{ model: openai/gpt-4o-mini, input: \"0\", cache_read: \"0\", output: \"1\" }] }\nledger: { lease: 1s }\n";

fn rounds() -> usize {
    std::env::var("WEIR_BUDGET_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

/// One key for each round, each with a budget of its own.
fn settings() -> String {
    let key = |round: usize| {
        format!("  - {{ name: r{round}, key: key-{round}, budgets: [{{ limit: 0.001, period: total }}] }}\n")
    };
    format!("{PRICES}keys:\n{}", (0..rounds()).map(key).collect::<String>())
}

/// How a call ended for its client: its status; 0 where no answer came. On a machine that does other things the store may
/// take longer than a call waits for it; told to try again, clients do.
async fn call(url: String, round: usize) -> u16 {
    let body = json!({"model": "openai/gpt-4o-mini", "max_tokens": 10,
        "messages": [{"role": "user", "content": "[[sim:len=10+delay=20ms]]"}]});
    let began = tokio::time::Instant::now();
    loop {
        let request = client().post(format!("{url}/v1/chat/completions")).body(body.to_string());
        let request = request.header("content-type", "application/json");
        let answer = request.header("authorization", format!("Bearer key-{round}")).send().await;
        let Ok(answer) = answer else { return 0 };
        let status = answer.status().as_u16();
        let Ok(text) = answer.text().await else { return 0 };
        if status != 503 || !text.contains("budget_unavailable") {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// All calls of a round at once, dealt to the processes in turn.
fn send(urls: &[String], round: usize, calls: usize) -> Vec<tokio::task::JoinHandle<u16>> {
    (0..calls).map(|at| tokio::spawn(call(urls[at % urls.len()].clone(), round))).collect()
}

async fn served(calls: Vec<tokio::task::JoinHandle<u16>>) -> (usize, usize) {
    let (mut served, mut lost) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            200 => served += 1,
            429 => {}
            0 => lost += 1,
            status => panic!("a call ended with {status}"),
        }
    }
    (served, lost)
}

/// Asks until nothing is admitted any more; how many were. Within a minute, so that what the dead held must be free.
async fn use_up(urls: &[String], round: usize, want: usize) -> usize {
    let mut admitted = 0;
    let began = tokio::time::Instant::now();
    while admitted < want && began.elapsed() < Duration::from_secs(60) {
        admitted += served(send(urls, round, 20)).await.0;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    admitted + served(send(urls, round, 20)).await.0
}

async fn one_process(store: Option<&str>) {
    let mut bench = Bench::prepare(&settings(), store).await;
    bench.weir.run().await;
    let urls = [bench.weir.url.clone()];
    for round in 0..rounds() {
        assert_eq!(
            served(send(&urls, round, CALLS)).await,
            (PAYS_FOR, 0),
            "round {round}\n{}",
            bench.weir.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w017_a_budget_for_a_hundred_admits_a_hundred_on_sqlite() {
    one_process(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w017_a_budget_for_a_hundred_admits_a_hundred_on_postgres() {
    let postgres = Postgres::start().unwrap();
    one_process(Some(&postgres.url())).await;
}

/// Three processes on one Postgres, all with the same simulator.
async fn three(postgres: &Postgres) -> (Bench, Vec<Weir>) {
    let url = postgres.url();
    let mut bench = Bench::prepare(&settings(), Some(&url)).await;
    bench.weir.run().await;
    let mut others = Vec::new();
    for _ in 0..2 {
        let more = format!("store: {{ url: \"{url}\" }}\n{}", settings());
        others.push(Weir::start(&config(&bench.sim.url(), &more)).await);
    }
    (bench, others)
}

#[tokio::test(flavor = "multi_thread")]
async fn w018_three_processes_admit_a_hundred_together() {
    let postgres = Arc::new(Postgres::start().unwrap());
    let (bench, others) = three(&postgres).await;
    let urls: Vec<_> = std::iter::once(&bench.weir).chain(&others).map(|weir| weir.url.clone()).collect();
    for round in 0..rounds() {
        let (mut admitted, lost) = served(send(&urls, round, CALLS)).await;
        assert!(admitted <= PAYS_FOR && lost == 0, "round {round}: {admitted} admitted, {lost} lost");
        // What one process had at hand when the others asked comes back within moments.
        if admitted < PAYS_FOR {
            admitted += use_up(&urls, round, PAYS_FOR - admitted).await;
        }
        assert_eq!(admitted, PAYS_FOR, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_held_is_free_again_and_nothing_is_overspent() {
    let postgres = Arc::new(Postgres::start().unwrap());
    let (bench, mut others) = three(&postgres).await;
    for round in 0..rounds() {
        let urls: Vec<_> = std::iter::once(&bench.weir).chain(&others).map(|weir| weir.url.clone()).collect();
        let calls = send(&urls, round, 150);
        tokio::time::sleep(Duration::from_millis(30)).await;
        let victim = &mut others[round % 2];
        victim.kill().await;
        served(calls).await;
        victim.run().await;
        let spent = async || -> i64 {
            let books = weir_store::open(&postgres.url(), std::path::Path::new("/nowhere")).await.unwrap();
            let id = format!("key:r{round}/total").as_str().into();
            books.spent(&[(id, 0, 0)]).await.unwrap()[0]
        };
        // Orphans are charged their bound, so whatever was admitted, the rest can be had to the last nano-dollar.
        let began = tokio::time::Instant::now();
        loop {
            let now = spent().await;
            assert!(now <= 1_000_000, "overspent: {now}");
            if now == 1_000_000 {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "only {now} is spent");
            served(send(&urls, round, 10)).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
