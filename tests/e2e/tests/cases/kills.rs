//! W-001, W-010, W-015, W-016: the gateway is killed in the middle, started again, and the books are exact.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use weir_e2e::Bench;
use weir_store::testing::Postgres;
use weir_tools::audit::Report;
use weir_tools::drive::{self, Seen};

/// Moments at which answers are under way.
const WORDS: [&str; 4] = ["", "gap=1ms", "delay=5ms", "first=3ms+gap=500us"];

/// Loads the gateway, kills it `kills` times while calls are under way, and audits.
async fn killed(bench: &mut Bench, seed: u64, requests: u64, concurrency: usize, kills: u64) -> Report {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    bench.weir.run().await;
    let load = bench.load(seed, requests, concurrency, &WORDS);
    let log = load.log.clone().unwrap();
    let driving = tokio::spawn(drive::run(load));
    for kill in 1..=kills {
        let part = requests / (kills + 1);
        let at = kill * part - random.random_range(0..part / 2);
        while bench.sim.state.calls() < at {
            assert!(!driving.is_finished(), "the load was over before kill {kill}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bench.weir.kill().await;
        bench.weir.run().await;
    }
    let summary = driving.await.unwrap().unwrap();
    let done: u64 = summary.ends.values().sum();
    assert_eq!(done, requests);
    assert_eq!(summary.ended(Seen::Broken) + summary.ended(Seen::Refused), 0, "{:?}", summary.errors);
    let report = bench.audit(&[log]).await;
    println!("{} settled, unsettled: {:?}", report.settled, report.unsettled);
    // Only what was under way at a kill may lack the provider's usage; each complete answer has it.
    let most = kills * concurrency as u64;
    assert!(report.unsettled() as u64 <= most, "{:?}", report.unsettled);
    assert!(report.unsettled.keys().all(|kind| kind == "orphaned bound"), "{:?}", report.unsettled);
    assert!(report.settled as u64 >= summary.ended(Seen::Complete), "{:?}", summary.ends);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn w001_three_kills_lose_nothing_on_sqlite() {
    let mut bench = Bench::prepare("", None).await;
    killed(&mut bench, 1001, 3000, 50, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w001_three_kills_lose_nothing_on_postgres() {
    let postgres = Postgres::start().unwrap();
    let mut bench = Bench::prepare("", Some(&postgres.url())).await;
    killed(&mut bench, 1002, 3000, 50, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w015_ten_kills_leave_sqlite_whole() {
    let mut bench = Bench::prepare("", None).await;
    killed(&mut bench, 1015, 3000, 40, 10).await;
}
