//! Upgrades: what the first version left is taken over, and a version serves beside the next one.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use weir_e2e::{Bench, Weir, client, config, root};
use weir_store::testing::Postgres;
use weir_tools::audit::{self, Books};
use weir_tools::drive::{self, Seen};

/// As the first version was configured when it made `fixtures/first`.
const FIRST: &str = "providers: { demo: {} }\nkeys: [{ name: ci, key: first-key, team: t, budgets: [{ limit: 5, period: total }] }]\nteams: [{ name: t }]\nprices: { overrides: [{ model: 'demo/*', input: '1', output: '2', from: 2026-01-01 }] }\n";

/// A database of schema 8 with ten calls, and a spool with ten more that never reached it: the process was killed.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_version_left_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let archive = root().join("tests/e2e/fixtures/first/data.tar.gz");
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()).status();
    assert!(unpacked.unwrap().success());
    let data = folder.path().join("data");
    let mut weir = Weir::prepare(FIRST).data_in(&data);
    weir.run().await;
    let books = Books::open(&format!("sqlite:{}", data.join("weir.db").display())).await.unwrap();
    let began = Instant::now();
    let calls = loop {
        let (calls, attempts) = audit::read(&books).await.unwrap();
        if calls.len() == 20 {
            assert_eq!(attempts.len(), 20);
            break calls;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{} of 20 calls\n{}", calls.len(), weir.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let costs: BTreeMap<&str, Option<i64>> =
        calls.iter().map(|call| (call.request_id.as_str(), call.cost_nanousd)).collect();
    assert_eq!(costs.len(), 20);
    // Two words in and two out, at $1 and $2 a million.
    assert!((0..20).all(|n| costs[format!("first-{n}").as_str()] == Some(12_000)), "{costs:?}");
    let mut report = audit::Report::default();
    audit::check_totals(&books, &mut report).await.unwrap();
    assert!(report.found.is_empty(), "{:?}", report.found);
    // One that was in the database, one that was in the spool, by the id that the client gave them.
    for id in ["first-3", "first-13"] {
        let url = format!("{}/v1/generation?id={id}", weir.url);
        let found = client().get(url).bearer_auth("first-key").send().await.unwrap();
        assert_eq!(found.status(), 200, "{id}");
    }
    // Both the drained and the old ones count against the budget.
    let answer = client()
        .post(format!("{}/v1/chat/completions", weir.url))
        .bearer_auth("first-key")
        .body(r#"{"model":"demo/echo","messages":[{"role":"user","content":"call 20"}]}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{}", weir.log());
    assert_eq!(weir.stop().await, Some(0));
    weir.run().await;
}

async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

/// As a migration of the next version that only adds.
const ADDS: &str = "ALTER TABLE calls ADD COLUMN \"of_the_next\" TEXT; ALTER TABLE attempts ADD COLUMN \"of_the_next\" BIGINT; CREATE TABLE things_of_the_next (\"id\" TEXT NOT NULL, PRIMARY KEY (\"id\")); INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) SELECT 998, 'next', installed_on, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_version_serves_beside_the_next_one() {
    let postgres = Postgres::start().unwrap();
    let mut bench = Bench::prepare("", Some(&postgres.url())).await;
    bench.weir.run().await;
    let mut load = bench.load(998, u64::MAX, 100, &[""]);
    (load.rate, load.duration) = (Some(100.0), Some(Duration::from_secs(3)));
    let mut other =
        Weir::prepare(&config(&bench.sim.url(), &format!("store: {{ url: \"{}\" }}\n", postgres.url())));
    let mut beside = bench.load(999, u64::MAX, 100, &[""]);
    (beside.rate, beside.duration, beside.address) = (load.rate, load.duration, other.address.clone());
    let logs = [load.log.clone().unwrap(), beside.log.clone().unwrap()];
    let driving = tokio::spawn(drive::run(load));
    tokio::time::sleep(Duration::from_millis(500)).await;
    // The next version comes, and brings its schema.
    execute(&postgres.url(), ADDS).await;
    other.run().await;
    let driving_other = tokio::spawn(drive::run(beside));
    for (name, driving) in [("this", driving), ("the next", driving_other)] {
        let summary = driving.await.unwrap().unwrap();
        let all: u64 = summary.ends.values().sum();
        assert_eq!(summary.ended(Seen::Complete), all, "{name}: {:?} {:?}", summary.ends, summary.errors);
    }
    // It even starts again.
    assert_eq!(bench.weir.stop().await, Some(0));
    bench.weir.run().await;
    assert_eq!(other.stop().await, Some(0));
    bench.drained().await;
    let report = bench.audit(&logs).await;
    assert_eq!((report.unsettled(), report.found.len()), (0, 0), "{:?}", report.found);
    // Once the schema has lost what this version needs, it says so instead of harming anything.
    execute(&postgres.url(), "UPDATE schema_reach SET oldest = 998").await;
    assert_eq!(bench.weir.stop().await, Some(0));
    bench.weir.spawn();
    let began = Instant::now();
    while bench.weir.ended().is_none() {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", bench.weir.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(bench.weir.log().contains("newer weir (its schema is 998"), "{}", bench.weir.log());
}
