//! The suite on Postgres, and what only a server can do: hang, die and come back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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

#[tokio::test(flavor = "multi_thread")]
async fn rows_from_before_are_in_the_sums() {
    let server = Postgres::start().unwrap();
    let database = Database { url: server.url() };
    let migration = include_str!("../../../../migrations/postgres/0007_spend_by.sql");
    spend::rows_from_before_are_in_the_sums(database.open().await.unwrap(), migration, &database).await;
}

/// Postgres plans by what it knows of the values, so there are many rows, nearly all of them of one kind.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_found_by_an_index() {
    let server = Postgres::start().unwrap();
    let database = Database { url: server.url() };
    let patient = PostgresOptions { statement: Duration::from_secs(60), ..PostgresOptions::default() };
    let store = PostgresStore::lazy(&server.url(), patient).unwrap();
    store.write(&sample_batch(0..400)).await.unwrap();
    let mut late = sample_batch(400..403);
    late.calls.iter_mut().for_each(|row| row.end = weir_ledger::End::Timeout);
    store.write(&late).await.unwrap();
    for (table, id) in [("calls", "id"), ("attempts", "call_id")] {
        let columns = if table == "calls" { &crate::rows::CALLS[..] } else { &crate::rows::ATTEMPTS[..] };
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let values: Vec<String> = columns.iter().map(|(name, _)| many(name, id)).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table} AS t, generate_series(1, 60000) AS g \
             WHERE t.\"{id}\" = (SELECT \"id\" FROM calls WHERE \"request_id\" = 'req-1')",
            names.join(", "),
            values.join(", ")
        );
        database.execute(&sql).await;
    }
    database.execute("ANALYZE").await;
    let rare = ["ci", "red", "ann", "run", "smart", "openai", "gpt-4o", "timeout"];
    plans::every_page_is_found_by_an_index(&store, rare).await;
}

/// The value of a column in the `g`th of many rows of the busiest key.
fn many(name: &str, id: &str) -> String {
    let ms = format!("({START}::bigint + g * {}::bigint)", 40 * DAY / 60_001);
    match name {
        _ if name == id => {
            format!("(lpad(to_hex({ms}), 12, '0') || '70008000' || lpad(to_hex(g), 12, '0'))::uuid")
        }
        "day" => format!("{ms} / {DAY}"),
        "request_id" => "'many-' || g".into(),
        "key" | "route" | "provider" | "model" => "'busy'".into(),
        "team" | "user" | "session" | "tags" => "NULL".into(),
        "end" => "'complete'".into(),
        other => format!("t.\"{other}\""),
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

/// Passes connections on to a server, and cuts each second `COMMIT` after the server has done it and before the
/// client hears of it.
async fn cutting_proxy(server: u16) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let cuts = Arc::new(AtomicU32::new(0));
    let counted = cuts.clone();
    tokio::spawn(async move {
        let commits = Arc::new(AtomicU32::new(0));
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass_on(client, server, commits.clone(), counted.clone()));
        }
    });
    (port, cuts)
}

async fn pass_on(mut client: TcpStream, server: u16, commits: Arc<AtomicU32>, cuts: Arc<AtomicU32>) {
    let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
    let (mut sent, mut answered) = ([0; 65_536], [0; 65_536]);
    loop {
        tokio::select! {
            count = client.read(&mut sent) => {
                let Some(count) = count.ok().filter(|count| *count > 0) else { return };
                server.write_all(&sent[..count]).await.unwrap();
                let commit = sent[..count].windows(6).any(|word| word == b"COMMIT");
                if commit && commits.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                    // The answer means that it is done. Nobody else hears it.
                    assert!(server.read(&mut answered).await.unwrap() > 0);
                    cuts.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
            count = server.read(&mut answered) => {
                let Some(count) = count.ok().filter(|count| *count > 0) else { return };
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w004_a_commit_whose_answer_is_lost_is_written_once() {
    let server = Postgres::start().unwrap();
    PostgresStore::lazy(&server.url(), impatient()).unwrap().ready().await.unwrap();
    let (port, cuts) = cutting_proxy(server.port()).await;
    let url = format!("postgres://weir@127.0.0.1:{port}/postgres");
    let store: Arc<dyn Store> = Arc::new(PostgresStore::lazy(&url, impatient()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let ledger = start(dir.path(), &store);
    for n in 0..20 {
        one_call(&ledger, n);
        assert!(ledger.flush(Duration::from_secs(15)).await);
    }
    let cuts = cuts.load(Ordering::Relaxed);
    let view = ledger.stats();
    assert!(cuts >= 15, "only {cuts} cuts");
    assert_eq!((view.written_new + view.written_replayed, view.write_failures), (40, u64::from(cuts)));
    assert!(view.written_replayed >= u64::from(cuts));
    let totals = store.check_totals().await.unwrap();
    assert!(totals.is_exact(), "{totals:?}");
    assert_eq!((totals.calls, totals.attempts), (20, 20));
}
