//! The suite on SQLite, and what only SQLite has.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use super::*;
use crate::SqliteStore;

struct Sqlite {
    dir: TempDir,
}

impl Sqlite {
    fn new() -> Sqlite {
        Sqlite { dir: tempfile::tempdir().unwrap() }
    }
}

impl Fixture for Sqlite {
    fn open(&self) -> Later<'_, Result<Arc<dyn Store>, OpenError>> {
        Box::pin(crate::open("sqlite://sub/weir.db", self.dir.path()))
    }

    fn execute<'a>(&'a self, sql: &'a str) -> Later<'a, ()> {
        Box::pin(async move {
            let options = SqliteConnectOptions::new().filename(self.dir.path().join("sub/weir.db"));
            let mut connection: SqliteConnection = options.connect().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suite_on_sqlite() {
    run(async |_| Sqlite::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_from_before_are_in_the_sums() {
    let sqlite = Sqlite::new();
    let migration = include_str!("../../../../migrations/sqlite/0007_spend_by.sql");
    spend::rows_from_before_are_in_the_sums(sqlite.open().await.unwrap(), migration, &sqlite).await;
}

/// SQLite plans by its schema alone, so a few rows show what happens with millions.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_found_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("weir.db")).await.unwrap();
    store.write(&sample_batch(0..400)).await.unwrap();
    let rare = ["ci", "red", "ann", "run", "smart", "openai", "gpt-4o", "complete"];
    let mut changed = sample_batch(400..403);
    changed.calls.iter_mut().for_each(|row| row.end = weir_ledger::End::Timeout);
    store.write(&changed).await.unwrap();
    plans::every_page_is_found_by_an_index(
        &store,
        rare.map(|name| if name == "complete" { "timeout" } else { name }),
    )
    .await;
}

#[tokio::test]
async fn a_reader_of_another_process_is_not_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    let (writer, reader) = (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    for n in 0..20 {
        writer.write(&sample_batch([n])).await.unwrap();
        assert_eq!(reader.check_totals().await.unwrap().calls, n + 1);
    }
    assert_eq!(reader.integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_database_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.db");
    std::fs::write(&path, "hello, this is not a database at all".repeat(100)).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Unavailable(_)), "{error:?}");
}
