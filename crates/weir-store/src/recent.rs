//! Lists of calls, latest first, each with its attempts.

use std::collections::HashMap;

use weir_ledger::{AttemptRow, CallId, CallRecord, CallRow, Page, Recent, StoreError};

use crate::error;
use crate::query::{Arg, Database, LAST_ID, id_param, select_list};
use crate::rows::{ATTEMPTS, CALLS, Take};

const DOING: &str = "list calls";

/// A page of calls.
pub(crate) async fn recent<D: Database>(db: &D, page: &Page) -> Result<Recent, StoreError> {
    let limit = page.limit.clamp(1, 1_000) as usize;
    let (sql, args) = question::<D>(page, limit);
    let rows = db.ask(DOING, sql, args).await?;
    let more = rows.len() > limit;
    let calls = rows.iter().take(limit).map(|row| Take::new(row).call()).collect::<Result<Vec<_>, _>>();
    let calls = calls.map_err(|cause| error::failed(DOING, cause))?;
    let next = calls.last().map(|row| row.id).filter(|_| more);
    Ok(Recent { calls: with_attempts(db, calls).await?, next })
}

/// Ids begin with the time, so bounds of time are bounds of ids.
fn question<D: Database>(page: &Page, limit: usize) -> (String, Vec<Arg>) {
    let first_of = |micros: i64| CallId::least(u64::try_from(micros / 1_000).unwrap_or(0)).to_string();
    let mut args = vec![Arg::Text(page.before.map_or(LAST_ID.into(), |id| id.to_string()))];
    let mut sql = format!(
        "SELECT {} FROM calls WHERE \"id\" < {}",
        select_list(&CALLS, D::DIALECT),
        id_param(1, D::DIALECT)
    );
    if let Some(since) = page.filter.since {
        args.push(Arg::Text(first_of(since)));
        sql += &format!(" AND \"id\" >= {}", id_param(args.len(), D::DIALECT));
    }
    if let Some(until) = page.filter.until {
        args.push(Arg::Text(first_of(until)));
        sql += &format!(" AND \"id\" < {}", id_param(args.len(), D::DIALECT));
    }
    for (column, value) in &page.filter.is {
        args.push(Arg::Text(value.clone()));
        sql += &format!(" AND \"{}\" = ${}", column.name(), args.len());
    }
    // One more than asked for tells whether there is a further page.
    args.push(Arg::Int(limit as i64 + 1));
    sql += &format!(" ORDER BY \"id\" DESC LIMIT ${}", args.len());
    (sql, args)
}

async fn with_attempts<D: Database>(db: &D, calls: Vec<CallRow>) -> Result<Vec<CallRecord>, StoreError> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (1..=calls.len()).map(|number| id_param(number, D::DIALECT)).collect();
    let sql = format!(
        "SELECT {} FROM attempts WHERE \"call_id\" IN ({}) ORDER BY \"call_id\", \"n\"",
        select_list(&ATTEMPTS, D::DIALECT),
        places.join(", ")
    );
    let args = calls.iter().map(|call| Arg::Text(call.id.to_string())).collect();
    let rows = db.ask(DOING, sql, args).await?;
    let facts: HashMap<CallId, &CallRow> = calls.iter().map(|call| (call.id, call)).collect();
    let mut attempts: HashMap<CallId, Vec<AttemptRow>> = HashMap::new();
    for row in &rows {
        let id = Take::new(row).call_id().map_err(|cause| error::failed(DOING, cause))?;
        let Some(call) = facts.get(&id) else { continue };
        let attempt = Take::new(row).attempt(&call.facts).map_err(|cause| error::failed(DOING, cause))?;
        attempts.entry(id).or_default().push(attempt);
    }
    let record = |call: CallRow| CallRecord { attempts: attempts.remove(&call.id).unwrap_or_default(), call };
    Ok(calls.into_iter().map(record).collect())
}
