//! Rows in a SQLite file: one connection at a time that writes (`writer` inserts rows), a few that read beside it.
//!
//! The journal is a WAL and each commit is synced: the spool lets go of rows once they are here, so "here" has to
//! survive the machine. A batch is one commit, so that is a few syncs a second.

mod sheet;
mod writer;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection, Row, Sqlite};
use weir_ledger::accounts::{
    Account, AccountStore, Accounts, AuditEntry, Change, Changed, Kind, Notices, Repeatable, Slice,
};
use weir_ledger::repeats::RepeatStore;
use weir_ledger::responses::{KeptResponse, ResponseStore};
use weir_ledger::{
    Answer, Batch, CallRecord, Micros, Page, Recent, Spend, SpendQuery, Store, StoreError, StoreHealth,
    Totals, Written,
};

use self::writer::{RowWriter, WriteError};
use crate::accounts::{self, Session};
use crate::closed;
use crate::error::{self, OpenError};
use crate::migrate;
use crate::query::{self, Arg, Database, Dialect};
use crate::recent;
use crate::responses;
use crate::rows::Columns;
use crate::{spend, totals};

/// How long SQLite waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const READ_PATIENCE: Duration = Duration::from_secs(60);
/// The writer's memory for pages, in KiB. Request ids go to places all over their index: pages that are not in memory
/// are read again for each.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
/// How many pages (of 4 KiB) the WAL gathers before they go to the file; those written again meanwhile go there once.
const CHECKPOINT_PAGES: u32 = 4_000;

/// A SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    rows: RowWriter,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens the file at `path`, makes it where it is missing, and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir).map_err(OpenError::unavailable)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool =
            SqlitePoolOptions::new().acquire_timeout(WRITE_PATIENCE).max_connections(1).min_connections(1);
        let writer = options.clone().pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string());
        let writer = pool.connect_with(writer).await.map_err(OpenError::unavailable)?;
        if let Err(error) = migrate::sqlite().run(&writer).await {
            let found = schema(&writer).await.ok();
            writer.close().await;
            return Err(migrate::failed(error, found));
        }
        if let Err(newer) = reach(&writer).await {
            writer.close().await;
            return Err(newer);
        }
        let readers = SqlitePoolOptions::new().acquire_timeout(READ_PATIENCE).max_connections(4);
        let readers = readers.connect_lazy_with(options.read_only(true).create_if_missing(false));
        let rows = RowWriter::open(path).map_err(OpenError::unavailable)?;
        Ok(SqliteStore { writer, readers, rows, path: path.to_owned() })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has SQLite check the whole file; what is wrong with it, a line each.
    pub async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.ask("check the file", "PRAGMA integrity_check".into(), Vec::new()).await?;
        let lines = rows.iter().filter_map(|row| row.try_get::<String, _>(0).ok());
        Ok(lines.filter(|line| line != "ok").collect())
    }

    async fn write_batch(&self, batch: &Batch) -> Result<Written, WriteError> {
        self.rows.write(batch, self.writer.acquire().await?).await
    }
}

/// A statement with its values.
fn statement<'q>(sql: String, args: Vec<Arg>) -> Query<'q, Sqlite, SqliteArguments> {
    args.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |statement, arg| match arg {
        Arg::Int(value) => statement.bind(value),
        Arg::Text(value) => statement.bind(value),
        Arg::MaybeInt(value) => statement.bind(value),
        Arg::MaybeText(value) => statement.bind(value),
    })
}

async fn schema(pool: &SqlitePool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(pool).await
}

async fn reach(pool: &SqlitePool) -> Result<(), OpenError> {
    let found = schema(pool).await.map_err(OpenError::unavailable)?;
    let oldest = sqlx::query_scalar(migrate::REACH).fetch_one(pool).await;
    migrate::admit(found, oldest.ok())
}

pub(crate) async fn within<T>(
    doing: &'static str,
    patience: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, work).await {
        Ok(result) => result.map_err(|cause| error::failed(doing, cause)),
        Err(elapsed) => Err(error::unavailable(doing, elapsed)),
    }
}

impl Database for SqliteStore {
    type Row = SqliteRow;
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn ask(
        &self,
        doing: &'static str,
        sql: String,
        args: Vec<Arg>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        within(doing, READ_PATIENCE, statement(sql, args).fetch_all(&self.readers)).await
    }

    async fn alter(
        &self,
        doing: &'static str,
        sql: String,
        args: Vec<Arg>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        within(doing, WRITE_PATIENCE, statement(sql, args).fetch_all(&self.writer)).await
    }
}

impl Session for SqliteConnection {
    type Row = SqliteRow;
    const NOTIFY: Option<&'static str> = None;

    async fn ask(&mut self, sql: String, args: Vec<Arg>) -> Result<Vec<SqliteRow>, sqlx::Error> {
        statement(sql, args).fetch_all(self).await
    }
}

impl SqliteStore {
    async fn make_change(&self, change: &Change) -> Result<Changed, sqlx::Error> {
        let mut connection = self.writer.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let changed = accounts::change_on(&mut *tx, change).await?;
        match changed {
            Changed::Done(_) => tx.commit().await?,
            _ => tx.rollback().await?,
        }
        Ok(changed)
    }
}

impl AccountStore for SqliteStore {
    fn accounts(&self) -> Answer<'_, Accounts> {
        Box::pin(accounts::all(self))
    }

    fn version(&self) -> Answer<'_, i64> {
        Box::pin(accounts::version(self))
    }

    fn account<'a>(&'a self, kind: Kind, id: &'a str) -> Answer<'a, Option<Account>> {
        Box::pin(accounts::one(self, kind, id))
    }

    fn list<'a>(&'a self, kind: Kind, slice: &'a Slice) -> Answer<'a, Vec<Account>> {
        Box::pin(accounts::list(self, kind, slice))
    }

    fn change<'a>(&'a self, change: &'a Change) -> Answer<'a, Changed> {
        Box::pin(within("change an account", WRITE_PATIENCE, self.make_change(change)))
    }

    fn repeatable<'a>(&'a self, id: &'a str, now: Micros) -> Answer<'a, Option<Repeatable>> {
        Box::pin(accounts::repeatable(self, id, now))
    }

    fn audit<'a>(&'a self, slice: &'a Slice) -> Answer<'a, Vec<AuditEntry>> {
        Box::pin(accounts::audit(self, slice))
    }

    fn notices(&self) -> Answer<'_, Option<Box<dyn Notices>>> {
        Box::pin(async { Ok(None) })
    }
}

impl ResponseStore for SqliteStore {
    fn keep<'a>(&'a self, response: &'a KeptResponse) -> Answer<'a, ()> {
        Box::pin(async {
            let (sql, args) = responses::keep(response);
            self.alter("keep an answer", sql, args).await?;
            let (sql, args) = responses::sweep(response.created_at);
            self.alter("forget old answers", sql, args).await.map(drop)
        })
    }

    fn chain<'a>(&'a self, owner: &'a str, id: &'a str, now: Micros) -> Answer<'a, Vec<KeptResponse>> {
        Box::pin(async move {
            let (doing, (sql, args)) = ("look up an answer", responses::chain(owner, id, now));
            responses::read(&self.ask(doing, sql, args).await?).map_err(|cause| error::failed(doing, cause))
        })
    }

    fn forget<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let (sql, args) = responses::forget(owner, id);
            Ok(!self.alter("forget an answer", sql, args).await?.is_empty())
        })
    }
}

impl Columns for SqliteRow {
    fn int(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(at)
    }

    fn text(&self, at: usize) -> Result<Option<String>, sqlx::Error> {
        self.try_get(at)
    }
}

impl Store for SqliteStore {
    fn write<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Written> {
        Box::pin(async {
            let doing = "write rows";
            match tokio::time::timeout(WRITE_PATIENCE, self.write_batch(batch)).await {
                Ok(written) => written.map_err(|error| error.told(doing)),
                Err(elapsed) => Err(error::unavailable(doing, elapsed)),
            }
        })
    }

    fn call<'a>(&'a self, id_or_request_id: &'a str) -> Answer<'a, Option<CallRecord>> {
        Box::pin(query::call(self, id_or_request_id))
    }

    fn recent<'a>(&'a self, page: &'a Page) -> Answer<'a, Recent> {
        Box::pin(recent::recent(self, page))
    }

    fn spend<'a>(&'a self, query: &'a SpendQuery) -> Answer<'a, Spend> {
        Box::pin(spend::spend(self, query))
    }

    fn close_day(&self, before: i64) -> Answer<'_, bool> {
        Box::pin(within("close a day", WRITE_PATIENCE, async move {
            let mut connection = self.writer.acquire().await?;
            let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
            let closed = closed::close_latest(&mut *tx, Self::DIALECT, before).await?;
            tx.commit().await?;
            Ok(closed)
        }))
    }

    fn check_totals(&self) -> Answer<'_, Totals> {
        Box::pin(totals::check_totals(self))
    }

    fn responses(&self) -> &dyn ResponseStore {
        self
    }

    fn repeats(&self) -> &dyn RepeatStore {
        self
    }

    fn accounts(&self) -> &dyn AccountStore {
        self
    }

    fn health(&self) -> Answer<'_, StoreHealth> {
        Box::pin(async {
            let began = Instant::now();
            let schema = within("answer", BUSY, schema(&self.readers)).await?;
            Ok(StoreHealth { kind: "sqlite", schema, latency: began.elapsed() })
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.readers.close().await;
            self.writer.close().await;
            self.rows.close();
            Ok(())
        })
    }
}
