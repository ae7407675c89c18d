//! The suite on Postgres, and what only a server can do: hang, die and come back.

use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::*;
use crate::testing::Postgres;
use crate::{PostgresOptions, PostgresStore};

struct Database {
    url: String,
}

impl Fixture for Database {
    fn open(&self) -> Later<'_, Result<Arc<dyn Store>, OpenError>> {
        Box::pin(crate::open(&self.url, Path::new("/nowhere")))
    }

    fn execute<'a>(&'a self, sql: &'a str) -> Later<'a, ()> {
        Box::pin(async move {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        })
    }
}

fn impatient() -> PostgresOptions {
    let second = Duration::from_secs(1);
    PostgresOptions { connect: second, statement: second, ..PostgresOptions::default() }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(15), "{what}: not within 15 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn suite_on_postgres() {
    let server = Postgres::start().unwrap();
    run(async |name| Database { url: server.create(name).unwrap() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_dies_or_is_not_there_yet_delays_rows_and_loses_none() {
    let server = Postgres::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    server.kill().unwrap();
    let store = PostgresStore::lazy(&server.url(), impatient()).unwrap();
    assert!(matches!(store.ready().await, Err(OpenError::Unavailable(_))));
    let store: Arc<dyn Store> = Arc::new(store);
    let ledger = start(dir.path(), &store);
    let mut calls = 0;
    let mut some_calls = |ledger: &Ledger| {
        (calls..calls + 50).for_each(|n| one_call(ledger, n));
        calls += 50;
    };

    some_calls(&ledger);
    until("unreachable is noticed", || !ledger.health().degraded.is_empty()).await;
    server.resume().unwrap();
    until("rows drain after the start", || ledger.stats().queue_entries == 0).await;

    for round in 0..2 {
        server.freeze().unwrap();
        some_calls(&ledger);
        until("a hang is noticed", || !ledger.health().degraded.is_empty()).await;
        server.thaw().unwrap();
        until("rows drain after a hang", || ledger.stats().queue_entries == 0).await;
        if round == 0 {
            server.kill().unwrap();
            some_calls(&ledger);
            until("death is noticed", || !ledger.health().degraded.is_empty()).await;
            server.resume().unwrap();
            until("rows drain after a restart", || ledger.stats().queue_entries == 0).await;
        }
    }
    let totals = store.check_totals().await.unwrap();
    assert!(totals.is_exact(), "{totals:?}");
    assert_eq!(totals.calls, 200);
    assert!(ledger.flush_and_stop(Duration::from_secs(10)).await);
}
