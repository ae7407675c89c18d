//! The statements that insert rows: made once and kept prepared, and shorter where columns say nothing.
//!
//! Most rows leave many columns empty: counts of kinds that a model doesn't have, a team that nobody named. Each bound
//! value costs a few hundred instructions, so a column that is null in all rows of a statement is left out of it, and
//! one that is 0 in all of them stands in its text.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::rollup::{BY, DAILY, Sums};
use crate::rows::{ATTEMPTS, CALLS, Cell, Column};

/// Rows per statement: as many as SQLite's 32,766 parameters allow, then fewer, so that few statements are ever
/// prepared.
const CHUNKS: [usize; 4] = [512, 64, 8, 1];
/// How many shorter statements are kept for each table and each of [`CHUNKS`]. A connection keeps a hundred prepared.
const MOST_LEAN: usize = 4;

pub(super) type Statement<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

pub(super) static INSERT_CALLS: LazyLock<Inserts> =
    LazyLock::new(|| Inserts::new("calls", &CALLS, "ON CONFLICT DO NOTHING".into()));
pub(super) static INSERT_ATTEMPTS: LazyLock<Inserts> =
    LazyLock::new(|| Inserts::new("attempts", &ATTEMPTS, "ON CONFLICT DO NOTHING".into()));
pub(super) static ADD_DAILY: LazyLock<Inserts> = LazyLock::new(|| Inserts::add(&DAILY));
pub(super) static ADD_BY: LazyLock<Inserts> = LazyLock::new(|| Inserts::add(&BY));

/// The statements that insert into one table, made once, because a text of a hundred thousand bytes costs more than
/// what it inserts.
pub(super) struct Inserts {
    table: &'static str,
    columns: &'static [Column],
    conflict: String,
    /// With all columns, for each of [`CHUNKS`].
    whole: [Arc<str>; CHUNKS.len()],
    lean: Mutex<[Vec<Lean>; CHUNKS.len()]>,
}

/// A statement that leaves columns out, and which.
type Lean = (Blank, Arc<str>);

/// Columns, a bit each, that are null and that are 0 in all rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Blank {
    null: u64,
    zero: u64,
}

impl Blank {
    /// What is blank in all of `rows`.
    fn of(rows: &[Vec<Cell<'_>>]) -> Blank {
        rows.iter().map(|row| Blank::of_row(row)).reduce(Blank::and).unwrap_or_default()
    }

    fn of_row(row: &[Cell<'_>]) -> Blank {
        let mut blank = Blank::default();
        for (at, cell) in row.iter().enumerate() {
            match cell {
                Cell::Int(None) | Cell::Text(None) => blank.null |= 1 << at,
                Cell::Int(Some(0)) => blank.zero |= 1 << at,
                _ => {}
            }
        }
        blank
    }

    fn and(self, other: Blank) -> Blank {
        Blank { null: self.null & other.null, zero: self.zero & other.zero }
    }

    fn count(self) -> u32 {
        (self.null | self.zero).count_ones()
    }

    fn has(self, at: usize) -> bool {
        (self.null | self.zero) >> at & 1 == 1
    }
}

impl Inserts {
    fn new(table: &'static str, columns: &'static [Column], conflict: String) -> Inserts {
        let whole = CHUNKS.map(|rows| insert(table, columns, Blank::default(), rows, &conflict).into());
        Inserts { table, columns, conflict, whole, lean: Mutex::default() }
    }

    /// Those that add to sums.
    fn add(sums: &Sums) -> Inserts {
        Inserts::new(sums.table, sums.columns, sums.on_conflict())
    }

    /// The statement that inserts these rows, whose number is one of [`CHUNKS`].
    pub(super) fn of(&self, rows: &[Vec<Cell<'_>>]) -> Result<Statement<'static>, sqlx::Error> {
        let (blank, sql) = self.text(rows);
        Ok(sqlx::query_with(sql, bound(rows, blank)?))
    }

    /// The shortest text for these rows that is there or may be made, and what it leaves out.
    fn text(&self, rows: &[Vec<Cell<'_>>]) -> (Blank, SqlStr) {
        let at = CHUNKS.iter().position(|size| *size == rows.len());
        let at = at.expect("chunks have these sizes only");
        // Single rows are of all kinds, and few.
        let blank = if rows.len() == 1 { Blank::default() } else { Blank::of(rows) };
        let lean = &mut self.lean.lock().unwrap_or_else(PoisonError::into_inner)[at];
        let fitting = lean.iter().filter(|(other, _)| other.and(blank) == *other);
        let best = fitting.max_by_key(|(other, _)| other.count()).map(|(other, sql)| (*other, sql.clone()));
        let whole = || (Blank::default(), self.whole[at].clone());
        let (blank, sql) = match best {
            Some((other, sql)) if other == blank || lean.len() >= MOST_LEAN => (other, sql),
            None if blank.count() == 0 || lean.len() >= MOST_LEAN => whole(),
            _ => {
                let sql: Arc<str> =
                    insert(self.table, self.columns, blank, rows.len(), &self.conflict).into();
                lean.push((blank, sql.clone()));
                (blank, sql)
            }
        };
        (blank, AssertSqlSafe(sql).into_sql_str())
    }
}

/// `rows` in pieces as large as statements may be.
pub(super) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|size| *size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

fn insert(table: &str, columns: &[Column], blank: Blank, rows: usize, conflict: &str) -> String {
    let told: Vec<_> = columns.iter().enumerate().filter(|(at, _)| blank.null >> at & 1 == 0).collect();
    let names: Vec<_> = told.iter().map(|(_, (name, _))| format!("\"{name}\"")).collect();
    let values: Vec<_> = told.iter().map(|(at, _)| if blank.has(*at) { "0" } else { "?" }).collect();
    let row = format!("({})", values.join(","));
    format!(
        "INSERT INTO {table} ({}) VALUES {} {conflict}",
        names.join(", "),
        vec![row.as_str(); rows].join(",")
    )
}

/// The values of these rows but for what is `blank`. A text that stands in the row before, too, is shared with it: most
/// do, and each would cost two allocations.
fn bound(rows: &[Vec<Cell<'_>>], blank: Blank) -> Result<SqliteArguments, sqlx::Error> {
    let width = rows.first().map_or(0, Vec::len);
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * (width - blank.count() as usize), 0);
    let mut above: Vec<Option<Arc<str>>> = vec![None; width];
    for row in rows {
        for (at, (cell, above)) in row.iter().zip(&mut above).enumerate() {
            if blank.has(at) {
                continue;
            }
            match cell {
                Cell::Int(value) => arguments.add(*value),
                Cell::Text(None) => arguments.add(None::<Arc<str>>),
                Cell::Text(Some(text)) => {
                    let shared = above.take().filter(|above| **above == **text);
                    arguments.add(above.insert(shared.unwrap_or_else(|| Arc::from(&**text))).clone())
                }
            }
            .map_err(sqlx::Error::Encode)?;
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use weir_ledger::row::sample;
    use weir_ledger::{Batch, CallId, Store, Text};

    use super::*;
    use crate::SqliteStore;

    #[test]
    fn blank_columns_are_left_out_of_statements_and_no_others() {
        let inserts = Inserts::new("calls", &CALLS[..3], String::new());
        let row = |id: &'static str, day, request: Option<&'static str>| {
            vec![Cell::Text(Some(id.into())), Cell::Int(day), Cell::Text(request.map(Into::into))]
        };
        let eight = |day, request| vec![row("a", day, request); 8];
        let head = |rows: &[Vec<Cell<'_>>]| {
            let (_, sql) = inserts.text(rows);
            sql.as_str().split("),").next().unwrap_or_default().to_owned()
        };
        let all = r#"INSERT INTO calls ("id", "day", "request_id") VALUES (?,?,?"#;
        assert_eq!(head(&eight(Some(1), Some("r"))), all);
        assert_eq!(head(&eight(Some(0), None)), r#"INSERT INTO calls ("id", "day") VALUES (?,0"#);
        assert_eq!(head(&eight(None, Some("r"))), r#"INSERT INTO calls ("id", "request_id") VALUES (?,?"#);
        let mut mixed = eight(Some(0), None);
        mixed[7] = row("b", Some(2), Some("r"));
        assert_eq!(head(&mixed), all);
        assert_eq!(bound(&mixed, Blank::of(&mixed)).unwrap().len(), 24);
        assert_eq!(bound(&mixed[..7], Blank::of(&mixed[..7])).unwrap().len(), 7);
        // Once enough are kept, what fits best of those is taken.
        inserts.lean.lock().unwrap()[2].truncate(1);
        inserts.lean.lock().unwrap()[2]
            .extend(vec![(Blank { null: 4, zero: 0 }, "kept".into()); MOST_LEAN - 1]);
        assert_eq!(head(&eight(Some(7), None)), "kept");
        assert_eq!(head(&eight(None, Some("r"))), all);
    }

    /// Batches whose rows agree, differ and differ in one only: each row is read back as it was written.
    #[tokio::test]
    async fn rows_are_the_same_however_many_columns_were_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("weir.db")).await.unwrap();
        for (round, odd) in [600, 7, 1, 3, 2, 5].into_iter().enumerate() {
            let mut batch = Batch::default();
            for n in 0..600_u64 {
                let id = CallId::at(round as u64 * 1_000_000 + n, &[n as u8; 10]);
                let mut row = sample::settled(&sample::open(id, 1, &sample::facts(n as i64)), 7);
                if n % odd == 0 {
                    row.reason = Some(Text::from("odd"));
                    row.cost_nanousd = (n % 2 == 0).then_some(0);
                }
                batch.calls.push(sample::finished(&row));
                batch.attempts.push(row);
            }
            batch.sort();
            assert_eq!(store.write(&batch).await.unwrap().new, 1_200, "round {round}");
            assert_eq!(store.write(&batch).await.unwrap().replayed, 1_200, "round {round}");
            for (call, attempt) in batch.calls.iter().zip(&batch.attempts).step_by(7) {
                let found = store.call(&call.id.to_string()).await.unwrap().unwrap();
                assert_eq!((&found.call, &found.attempts[..]), (call, std::slice::from_ref(attempt)));
            }
        }
        let totals = store.check_totals().await.unwrap();
        assert!(totals.mismatches.is_empty() && totals.unbalanced.is_empty(), "{totals:?}");
    }
}
