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
