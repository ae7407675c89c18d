//! Inserts rows, at what SQLite itself takes for it.
//!
//! Nearly all that a process writes are rows of calls, and they are a good part of what a call costs. So they go through
//! statements of rusqlite, prepared once and run once a row: only values that differ from those of the row above
//! are bound, and no value passes from thread to thread by itself, as in sqlx's driver. It is the same library underneath
//! and the same file. Whoever writes rows holds sqlx's only writing connection meanwhile, so that the two never wait for
//! each other's locks.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use rusqlite::types::Null;
use rusqlite::{Connection, OpenFlags, Statement, TransactionBehavior, params};
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use uuid::Uuid;
use weir_ledger::budget::Debits;
use weir_ledger::{Batch, Fault, StoreError, Written};

use super::sheet::{Sheet, Value};
use super::{BUSY, CHECKPOINT_PAGES, WRITER_CACHE_KIB};
use crate::budgets::sqlite::{DRAINED, SPENT};
use crate::error;
use crate::rollup::{BY, DAILY, Replayed, Rollup, Sums};
use crate::rows::{ATTEMPTS, CALLS, Column, put_attempt, put_call};

// The statements, as texts: the connection keeps them prepared.
static INTO_CALLS: LazyLock<String> = LazyLock::new(|| insert("calls", &CALLS, "ON CONFLICT DO NOTHING"));
static INTO_ATTEMPTS: LazyLock<String> =
    LazyLock::new(|| insert("attempts", &ATTEMPTS, "ON CONFLICT DO NOTHING"));
static ADD_DAILY: LazyLock<String> = LazyLock::new(|| add(&DAILY));
static ADD_BY: LazyLock<String> = LazyLock::new(|| add(&BY));

/// The place among those who write to the file: sqlx's only writing connection.
pub(super) type Turn = PoolConnection<Sqlite>;

/// The connection that inserts rows; `None` once the store is closed.
#[derive(Clone)]
pub(super) struct RowWriter(Arc<Mutex<Option<Connection>>>);

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The store was closed meanwhile.
    #[error("the store is closed")]
    Closed,
    /// There was no turn to be had.
    #[error(transparent)]
    Turn(#[from] sqlx::Error),
    /// SQLite refuses.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// A batch as the writing thread needs it.
struct Work {
    calls: Sheet,
    attempts: Sheet,
    daily: Sheet,
    by: Sheet,
    instance: Option<Uuid>,
    debits: Debits,
    /// How many of the rows are known to be there already.
    old: usize,
}

/// The places in the batch of rows that were there already.
#[derive(Debug, Default)]
struct Old {
    calls: Vec<usize>,
    attempts: Vec<usize>,
}

impl RowWriter {
    /// Opens a connection of its own to a file whose schema is there.
    pub(super) fn open(path: &Path) -> Result<RowWriter, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        Ok(RowWriter(Arc::new(Mutex::new(Some(connection)))))
    }

    /// Writes rows; those that are there already are left as they are, and told. `turn` is kept till that is done, also
    /// where whoever asked does not wait for it.
    pub(super) async fn write(&self, batch: &Batch, mut turn: Turn) -> Result<Written, WriteError> {
        let mut known = Replayed::default();
        loop {
            let (writer, work) = (self.clone(), Work::of(batch, &known));
            let task = tokio::task::spawn_blocking(move || (writer.run(&work), turn));
            let (result, returned) = task.await.map_err(|_| WriteError::Closed)?;
            turn = returned;
            let old = result?;
            if old.len() as u64 == known.len() {
                return Ok(Written { new: batch.len() as u64 - known.len(), replayed: known.len() });
            }
            // Nothing was written: what is old must not be added to the sums once more.
            known = Replayed {
                calls: old.calls.iter().map(|at| batch.calls[*at].id).collect(),
                attempts: old.attempts.iter().map(|at| batch.attempts[*at].id).collect(),
            };
        }
    }

    /// Closes the connection.
    pub(super) fn close(&self) {
        drop(self.0.lock().take());
    }

    /// Writes all of it, or nothing where other rows are old than was known.
    fn run(&self, work: &Work) -> Result<Old, WriteError> {
        let mut connection = self.0.lock();
        let connection = connection.as_mut().ok_or(WriteError::Closed)?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let old = Old {
            calls: put(&mut *tx.prepare_cached(&INTO_CALLS)?, &work.calls)?,
            attempts: put(&mut *tx.prepare_cached(&INTO_ATTEMPTS)?, &work.attempts)?,
        };
        if old.len() != work.old {
            tx.rollback()?;
            return Ok(old);
        }
        put(&mut *tx.prepare_cached(&ADD_DAILY)?, &work.daily)?;
        put(&mut *tx.prepare_cached(&ADD_BY)?, &work.by)?;
        charge(&tx, work.instance, &work.debits)?;
        tx.commit()?;
        Ok(old)
    }
}

impl Work {
    fn of(batch: &Batch, old: &Replayed) -> Work {
        let sums = Rollup::of(batch, old);
        Work {
            calls: Sheet::of(CALLS.len(), &batch.calls, put_call),
            attempts: Sheet::of(ATTEMPTS.len(), &batch.attempts, put_attempt),
            daily: Sheet::of_cells(DAILY.columns.len(), &sums.daily()),
            by: Sheet::of_cells(BY.columns.len(), &sums.by()),
            instance: batch.instance,
            debits: batch.debits(|id| old.attempts.contains(&id)),
            old: old.len() as usize,
        }
    }
}

impl Old {
    fn len(&self) -> usize {
        self.calls.len() + self.attempts.len()
    }
}

/// Runs a statement for each row; the places of those that changed nothing.
fn put(statement: &mut Statement<'_>, rows: &Sheet) -> Result<Vec<usize>, rusqlite::Error> {
    let mut idle = Vec::new();
    for at in 0..rows.len() {
        // What was bound for the row above still is.
        for (place, value) in rows.changes(at) {
            match value {
                Value::Null => statement.raw_bind_parameter(place, Null)?,
                Value::Int(value) => statement.raw_bind_parameter(place, value)?,
                Value::Text(text) => statement.raw_bind_parameter(place, text)?,
            }
        }
        if statement.raw_execute()? == 0 {
            idle.push(at);
        }
    }
    Ok(idle)
}

/// Adds what new rows cost to what is spent, and takes it off the lease that paid.
fn charge(connection: &Connection, instance: Option<Uuid>, debits: &Debits) -> Result<(), rusqlite::Error> {
    for ((budget, window), cost) in &debits.spent {
        connection.prepare_cached(SPENT)?.execute(params![&**budget, window, cost])?;
    }
    let Some(instance) = instance.map(|instance| instance.to_string()) else { return Ok(()) };
    for ((budget, lease), cost) in &debits.drained {
        connection.prepare_cached(DRAINED)?.execute(params![&**budget, lease, &instance, cost])?;
    }
    Ok(())
}

fn insert(table: &str, columns: &[Column], conflict: &str) -> String {
    let names: Vec<_> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let values = vec!["?"; columns.len()].join(",");
    format!("INSERT INTO {table} ({}) VALUES ({values}) {conflict}", names.join(","))
}

/// The statement that adds lines to a table of sums.
fn add(sums: &Sums) -> String {
    insert(sums.table, sums.columns, &sums.on_conflict())
}

impl WriteError {
    /// As the ledger is told of it.
    pub(super) fn told(self, doing: &'static str) -> StoreError {
        match self {
            WriteError::Turn(cause) => error::failed(doing, cause),
            // Too big, constraint, mismatch, with their extended codes.
            WriteError::Sqlite(rusqlite::Error::SqliteFailure(code, _))
                if matches!(code.extended_code & 0xff, 18..=20) =>
            {
                StoreError { doing, fault: Fault::Rejected, cause: self.into() }
            }
            other => error::unavailable(doing, other),
        }
    }
}

impl fmt::Debug for RowWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowWriter").finish_non_exhaustive()
    }
}
