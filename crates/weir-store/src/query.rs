//! The questions a store answers, in SQL that both databases understand but for a few words.

use std::future::Future;

use weir_ledger::{CallId, CallRecord, StoreError};

use crate::error;
use crate::rows::{ATTEMPTS, CALLS, Column, Columns, Kind, Take};

/// Where the two databases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// A value bound to a question's parameter.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Int(i64),
    Text(String),
    MaybeInt(Option<i64>),
    MaybeText(Option<String>),
}

/// A database that can be asked.
pub(crate) trait Database: Sync {
    type Row: Columns + Send;
    const DIALECT: Dialect;

    /// The rows that answer `sql`, within a bounded time.
    fn ask(
        &self,
        doing: &'static str,
        sql: String,
        args: Vec<Arg>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;

    /// Runs `sql`, which changes something, in a transaction of its own; what it returns.
    fn alter(
        &self,
        doing: &'static str,
        sql: String,
        args: Vec<Arg>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send {
        self.ask(doing, sql, args)
    }
}

pub(crate) async fn call<D: Database>(db: &D, id: &str) -> Result<Option<CallRecord>, StoreError> {
    let doing = "look up a call";
    let columns = select_list(&CALLS, D::DIALECT);
    let (condition, value) = match id.parse::<CallId>() {
        Ok(id) => (format!("\"id\" = {}", id_param(1, D::DIALECT)), id.to_string()),
        Err(_) => (own_request_id(D::DIALECT).into(), id.to_owned()),
    };
    let by_id = format!("SELECT {columns} FROM calls WHERE {condition} ORDER BY calls.\"id\" DESC LIMIT 1");
    let mut rows = db.ask(doing, by_id, vec![Arg::Text(value)]).await?;
    if rows.is_empty() {
        // A client may choose a request id that looks like one of the ledger's.
        let condition = own_request_id(D::DIALECT);
        let by_request =
            format!("SELECT {columns} FROM calls WHERE {condition} ORDER BY calls.\"id\" DESC LIMIT 1");
        rows = db.ask(doing, by_request, vec![Arg::Text(id.to_owned())]).await?;
    }
    let Some(row) = rows.first() else { return Ok(None) };
    let call = Take::new(row).call().map_err(|cause| error::failed(doing, cause))?;
    let columns = select_list(&ATTEMPTS, D::DIALECT);
    let own = id_param(1, D::DIALECT);
    let sql = format!("SELECT {columns} FROM attempts WHERE \"call_id\" = {own} ORDER BY \"n\"");
    let rows = db.ask(doing, sql, vec![Arg::Text(call.id.to_string())]).await?;
    let attempts = rows.iter().map(|row| Take::new(row).attempt(&call.facts)).collect::<Result<_, _>>();
    Ok(Some(CallRecord { attempts: attempts.map_err(|cause| error::failed(doing, cause))?, call }))
}

/// The calls whose client gave them this id: as the index has them.
fn own_request_id(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "\"request_id\" = $1 AND \"request_id\" <> \"id\"",
        Dialect::Postgres => "\"request_id\" = $1 AND \"request_id\" <> \"id\"::text",
    }
}

pub(crate) fn select_list(columns: &[Column], dialect: Dialect) -> String {
    let list = columns.iter().map(|(name, kind)| match (dialect, kind) {
        (Dialect::Postgres, Kind::Id | Kind::Json) => format!("\"{name}\"::text"),
        (Dialect::Postgres, Kind::Bool) => format!("\"{name}\"::int::bigint"),
        _ => format!("\"{name}\""),
    });
    list.collect::<Vec<_>>().join(", ")
}

pub(crate) fn id_param(number: usize, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => format!("${number}"),
        Dialect::Postgres => format!("${number}::uuid"),
    }
}

/// The sum of a column.
pub(crate) fn sum(column: &str) -> String {
    format!("CAST(COALESCE(SUM(\"{column}\"), 0) AS BIGINT)")
}
