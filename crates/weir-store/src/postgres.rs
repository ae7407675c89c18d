//! Rows in Postgres, written as arrays: one statement a table, whatever the batch's size.
//!
//! Nothing here trusts the server to answer. Statements have a limit on the server and a patience here; a connection
//! that outlasts it is cut, and the next try takes a new one.

mod accounts;
mod responses;

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::migrate::Migrate;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, Postgres, Row};
use tokio::sync::OnceCell;
use weir_ledger::accounts::AccountStore;
use weir_ledger::repeats::RepeatStore;
use weir_ledger::responses::ResponseStore;
use weir_ledger::{
    Answer, AttemptId, Batch, CallId, CallRecord, Page, Recent, Spend, SpendQuery, Store, StoreError,
    StoreHealth, Totals, Written,
};

use crate::budgets;
use crate::closed;
use crate::error::{self, OpenError};
use crate::migrate;
use crate::query::{self, Arg, Database, Dialect};
use crate::recent;
use crate::rollup::{BY, DAILY, Replayed, Rollup};
use crate::rows::{ATTEMPTS, CALLS, Cell, Column, Columns, Kind, cells, put_attempt, put_call};
use crate::{spend, totals};

/// How Postgres is used.
#[derive(Debug, Clone, Copy)]
pub struct PostgresOptions {
    /// The most connections.
    pub connections: u32,
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long a statement may take.
    pub statement: Duration,
    /// How long a change of the schema may take, and how long another process's may hold it up.
    pub migration: Duration,
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions {
            connections: 5,
            connect: Duration::from_secs(3),
            statement: Duration::from_secs(5),
            migration: Duration::from_secs(60),
        }
    }
}

/// A Postgres database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pub(crate) pool: PgPool,
    pub(crate) options: PostgresOptions,
    migrated: std::sync::Arc<OnceCell<()>>,
}

impl PostgresStore {
    /// A store that connects when first used; its schema is brought up to date then.
    pub fn lazy(url: &str, options: PostgresOptions) -> Result<PostgresStore, OpenError> {
        let server_side = options.statement.as_millis().to_string();
        let connect =
            PgConnectOptions::from_str(url).map_err(|_| OpenError::Url)?.application_name("weir").options([
                ("statement_timeout", server_side.as_str()),
                ("idle_in_transaction_session_timeout", "10000"),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(options.connect)
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(connect);
        Ok(PostgresStore { pool, options, migrated: std::sync::Arc::default() })
    }

    /// Connects and brings the schema up to date, once.
    pub async fn ready(&self) -> Result<(), OpenError> {
        self.migrated.get_or_try_init(|| self.migrate()).await.copied()
    }

    async fn migrate(&self) -> Result<(), OpenError> {
        let mut connection = self.pool.acquire().await.map_err(OpenError::unavailable)?;
        let work =
            tokio::time::timeout(self.options.migration, migrate_on(&mut connection, self.options)).await;
        // Its limits differ from the others', and it may hold the lock on migrations.
        drop(connection.detach());
        work.map_err(OpenError::unavailable)?
    }

    pub(crate) async fn connection(
        &self,
        doing: &'static str,
    ) -> Result<PoolConnection<Postgres>, StoreError> {
        self.ready().await.map_err(|cause| error::unavailable(doing, cause))?;
        self.pool.acquire().await.map_err(|cause| error::failed(doing, cause))
    }

    /// Awaits `work` on a connection. One that does not answer in time is cut, not given back.
    pub(crate) fn settle<T>(
        doing: &'static str,
        connection: PoolConnection<Postgres>,
        result: Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        match result {
            Ok(result) => result.map_err(|cause| error::failed(doing, cause)),
            Err(elapsed) => {
                drop(connection.detach());
                Err(error::unavailable(doing, elapsed))
            }
        }
    }

    /// How long a statement may take.
    pub(crate) fn patience(&self) -> Duration {
        self.options.statement
    }

    /// How to connect.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        (*self.pool.connect_options()).clone()
    }

    async fn write_batch(&self, batch: &Batch) -> Result<Written, StoreError> {
        let doing = "write rows";
        let mut connection = self.connection(doing).await?;
        let result = tokio::time::timeout(self.options.statement, write_on(&mut connection, batch)).await;
        Self::settle(doing, connection, result)
    }
}

async fn migrate_on(connection: &mut PgConnection, options: PostgresOptions) -> Result<(), OpenError> {
    let limits =
        format!("SET statement_timeout = 0; SET lock_timeout = {}", options.migration.as_millis() / 2);
    sqlx::raw_sql(AssertSqlSafe(limits)).execute(&mut *connection).await.map_err(OpenError::unavailable)?;
    let migrated = migrate::postgres().run_direct(None, connection, false).await;
    let applied = connection.list_applied_migrations("_sqlx_migrations").await.unwrap_or_default();
    let found = applied.iter().map(|migration| migration.version).max();
    migrated.map_err(|error| migrate::failed(error, found))?;
    let oldest = sqlx::query_scalar(migrate::REACH).fetch_one(connection).await;
    migrate::admit(found.unwrap_or(migrate::NEWEST), oldest.ok())
}

async fn write_on(connection: &mut PgConnection, batch: &Batch) -> Result<Written, sqlx::Error> {
    let mut tx = connection.begin().await?;
    let mut old = Replayed::default();
    if !batch.calls.is_empty() {
        let rows: Vec<_> = batch.calls.iter().map(|row| cells(put_call, row)).collect();
        let sql = insert("calls", &CALLS, "ON CONFLICT DO NOTHING RETURNING \"id\"::text");
        let new = bound(sql, &CALLS, rows).fetch_all(&mut *tx).await?;
        if new.len() < batch.calls.len() {
            old.calls = batch.calls.iter().map(|row| row.id).collect();
            for row in &new {
                old.calls.remove(&id_at(row, 0)?);
            }
        }
    }
    if !batch.attempts.is_empty() {
        let rows: Vec<_> = batch.attempts.iter().map(|row| cells(put_attempt, row)).collect();
        let sql = insert("attempts", &ATTEMPTS, "ON CONFLICT DO NOTHING RETURNING \"call_id\"::text, \"n\"");
        let new = bound(sql, &ATTEMPTS, rows).fetch_all(&mut *tx).await?;
        if new.len() < batch.attempts.len() {
            old.attempts = batch.attempts.iter().map(|row| row.id).collect();
            for row in &new {
                let n = u16::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
                old.attempts.remove(&AttemptId { call: id_at(row, 0)?, n });
            }
        }
    }
    add_sums(&mut tx, &Rollup::of(batch, &old)).await?;
    budgets::postgres::charge(&mut tx, batch.instance, &batch.debits(|id| old.attempts.contains(&id)))
        .await?;
    tx.commit().await?;
    Ok(Written { new: batch.len() as u64 - old.len(), replayed: old.len() })
}

async fn add_sums(connection: &mut PgConnection, rollup: &Rollup<'_>) -> Result<(), sqlx::Error> {
    for (sums, lines) in [(&DAILY, rollup.daily()), (&BY, rollup.by())] {
        if !lines.is_empty() {
            let sql = insert(sums.table, sums.columns, &sums.on_conflict());
            bound(sql, sums.columns, lines).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// `INSERT … SELECT` from one array a column.
fn insert(table: &str, columns: &[Column], conflict: &str) -> String {
    let names: Vec<_> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let values = columns.iter().map(|(name, kind)| match kind {
        Kind::Int | Kind::Text => format!("\"{name}\""),
        Kind::Bool => format!("\"{name}\" <> 0"),
        Kind::Id => format!("\"{name}\"::uuid"),
        Kind::Json => format!("\"{name}\"::jsonb"),
    });
    let arrays = columns.iter().enumerate().map(|(at, (_, kind))| match kind {
        Kind::Int | Kind::Bool => format!("${}::bigint[]", at + 1),
        _ => format!("${}::text[]", at + 1),
    });
    format!(
        "INSERT INTO {table} ({0}) SELECT {1} FROM UNNEST({2}) AS given({0}) {conflict}",
        names.join(", "),
        values.collect::<Vec<_>>().join(", "),
        arrays.collect::<Vec<_>>().join(", ")
    )
}

/// Turns rows into columns and binds them.
fn bound<'q>(sql: String, columns: &[Column], rows: Vec<Vec<Cell>>) -> Query<'q, Postgres, PgArguments> {
    let mut numbers: Vec<Vec<Option<i64>>> = vec![Vec::new(); columns.len()];
    let mut texts: Vec<Vec<Option<String>>> = vec![Vec::new(); columns.len()];
    for row in rows {
        for (at, cell) in row.into_iter().enumerate() {
            match cell {
                Cell::Int(value) => numbers[at].push(value),
                Cell::Text(value) => texts[at].push(value),
            }
        }
    }
    let columns = columns.iter().zip(numbers.into_iter().zip(texts));
    columns.fold(sqlx::query(AssertSqlSafe(sql)), |query, ((_, kind), (numbers, texts))| match kind {
        Kind::Int | Kind::Bool => query.bind(numbers),
        _ => query.bind(texts),
    })
}

/// A statement with its values.
pub(crate) fn statement<'q>(sql: String, args: Vec<Arg>) -> Query<'q, Postgres, PgArguments> {
    args.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |statement, arg| match arg {
        Arg::Int(value) => statement.bind(value),
        Arg::Text(value) => statement.bind(value),
        Arg::MaybeInt(value) => statement.bind(value),
        Arg::MaybeText(value) => statement.bind(value),
    })
}

fn id_at(row: &PgRow, at: usize) -> Result<CallId, sqlx::Error> {
    row.try_get::<String, _>(at)?.parse().map_err(|cause| sqlx::Error::Decode(Box::new(cause)))
}

impl Database for PostgresStore {
    type Row = PgRow;
    const DIALECT: Dialect = Dialect::Postgres;

    async fn ask(&self, doing: &'static str, sql: String, args: Vec<Arg>) -> Result<Vec<PgRow>, StoreError> {
        let statement = statement(sql, args);
        let mut connection = self.connection(doing).await?;
        let result =
            tokio::time::timeout(self.options.statement, statement.fetch_all(&mut *connection)).await;
        Self::settle(doing, connection, result)
    }
}

impl Columns for PgRow {
    fn int(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(at)
    }

    fn text(&self, at: usize) -> Result<Option<String>, sqlx::Error> {
        self.try_get(at)
    }
}

impl Store for PostgresStore {
    fn write<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Written> {
        Box::pin(self.write_batch(batch))
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
        Box::pin(async move {
            let doing = "close a day";
            let mut connection = self.connection(doing).await?;
            let work = async {
                let mut tx = connection.begin().await?;
                let closed = closed::close_latest(&mut *tx, Self::DIALECT, before).await?;
                tx.commit().await?;
                Ok(closed)
            };
            let result = tokio::time::timeout(self.options.statement, work).await;
            Self::settle(doing, connection, result)
        })
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
            let sql = "SELECT MAX(version) FROM _sqlx_migrations";
            let rows = self.ask("answer", sql.into(), Vec::new()).await?;
            let schema = rows.first().and_then(|row| row.int(0).ok().flatten()).unwrap_or_default();
            Ok(StoreHealth { kind: "postgres", schema, latency: began.elapsed() })
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            // A connection that hangs must not hang the end of the process.
            let _ = tokio::time::timeout(self.options.statement, self.pool.close()).await;
            Ok(())
        })
    }
}
