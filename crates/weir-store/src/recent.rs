//! Lists of calls, latest first, each with its attempts.
//!
//! Names of which there are many (keys, teams, users, sessions) have an index, and so have ends out of the ordinary. Of
//! routes, providers and models there are few: the daily sums say on which days they were called, and no other day is
//! looked at. An index for each of them would cost every call more than it is worth.

use std::collections::HashMap;

use weir_ledger::{
    AttemptRow, CallColumn, CallFilter, CallId, CallRecord, CallRow, Group, Page, Recent, StoreError,
};

use crate::closed::{self, Span};
use crate::error;
use crate::query::{Arg, Database, Dialect, id_param, select_list};
use crate::rows::{ATTEMPTS, CALLS, Take};

/// After all ids.
const LAST: CallId = CallId(uuid::Uuid::max());
const DOING: &str = "list calls";
const MS_PER_DAY: i64 = 86_400_000;
/// How many days are looked up at once.
const DAYS: i64 = 400;
/// How many days are looked at first, and next, before all.
const FURTHER: [i64; 3] = [2, 8, 64];

/// A page of calls.
pub(crate) async fn recent<D: Database>(db: &D, page: &Page) -> Result<Recent, StoreError> {
    let limit = page.limit.clamp(1, 1_000) as usize;
    // One more than asked for tells whether there is a further page.
    let mut calls = match narrowed_by_days(&page.filter) {
        true => in_days(db, page, limit + 1).await?,
        false => among(db, &page.filter, bounds(page), limit + 1).await?,
    };
    let more = calls.len() > limit;
    calls.truncate(limit);
    let next = calls.last().map(|row| row.id).filter(|_| more);
    Ok(Recent { calls: with_attempts(db, calls).await?, next })
}

/// Ids from the first up to the second, which is not in it.
type Bounds = (CallId, CallId);

/// Ids begin with the time, so bounds of time are bounds of ids.
fn bounds(page: &Page) -> Bounds {
    let first_of = |micros: i64| CallId::least(u64::try_from(micros / 1_000).unwrap_or(0));
    let from = page.filter.since.map_or(CallId::least(0), first_of);
    let until = page.filter.until.map_or(LAST, first_of);
    (from, page.before.map_or(until, |before| before.min(until)))
}

/// Calls within the bounds of which the filter is so, latest first.
async fn among<D: Database>(
    db: &D,
    filter: &CallFilter,
    (from, to): Bounds,
    limit: usize,
) -> Result<Vec<CallRow>, StoreError> {
    let mut args = vec![Arg::Text(from.to_string()), Arg::Text(to.to_string())];
    let mut sql = format!(
        "SELECT {} FROM calls WHERE \"id\" >= {} AND \"id\" < {}",
        select_list(&CALLS, D::DIALECT),
        id_param(1, D::DIALECT),
        id_param(2, D::DIALECT)
    );
    let found_by = found_by(filter);
    for (column, value) in &filter.is {
        args.push(Arg::Text(value.clone()));
        // Postgres knows how often each value is there. SQLite does not: `+` keeps it from the lesser index.
        let plain = D::DIALECT == Dialect::Postgres || found_by == Some(*column);
        let name = format!("{}\"{}\"", if plain { "" } else { "+" }, column.name());
        sql += &format!(" AND {name} = ${}", args.len());
        if *column == CallColumn::End && value != "complete" {
            // Lets the partial index be used.
            sql += " AND \"end\" <> 'complete'";
        }
    }
    args.push(Arg::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    // Named with its table: `id` alone would be what is selected, a text that no index orders.
    sql += &format!(" ORDER BY calls.\"id\" DESC LIMIT ${}", args.len());
    let rows = db.ask(DOING, sql, args).await?;
    let calls = rows.iter().map(|row| Take::new(row).call()).collect::<Result<_, _>>();
    calls.map_err(|cause| error::failed(DOING, cause))
}

/// The column whose index finds the fewest rows, as far as that can be said beforehand.
fn found_by(filter: &CallFilter) -> Option<CallColumn> {
    let has = |wanted: CallColumn| {
        filter
            .is
            .iter()
            .any(|(column, value)| *column == wanted && (wanted != CallColumn::End || value != "complete"))
    };
    use CallColumn::{End, Key, Session, Team, User};
    [Session, User, End, Key, Team].into_iter().find(|column| has(*column))
}

/// Whether the daily sums tell where such calls are, and no index does so better.
fn narrowed_by_days(filter: &CallFilter) -> bool {
    use CallColumn::{End, Session, User};
    let few =
        |column: CallColumn| matches!(column, CallColumn::Route | CallColumn::Provider | CallColumn::Model);
    filter.is.iter().any(|(column, _)| few(*column))
        && !matches!(found_by(filter), Some(Session | User | End))
}

async fn in_days<D: Database>(db: &D, page: &Page, limit: usize) -> Result<Vec<CallRow>, StoreError> {
    let (from, to) = bounds(page);
    let newest = db.ask(DOING, "SELECT MAX(\"day\") FROM spend_daily".into(), Vec::new()).await?;
    let newest = newest.first().map(|row| Take::new(row).opt_int()).transpose();
    let newest = newest.map_err(|cause| error::failed(DOING, cause))?.flatten();
    let Some(newest) = newest else { return Ok(Vec::new()) };
    let mut upto = to.day().min(newest);
    let mut calls = Vec::new();
    // What is often there is found within a day or two; what is seldom, further back and further.
    for span in FURTHER.into_iter().chain(std::iter::repeat(i64::MAX)) {
        let lowest = upto.saturating_sub(span - 1).max(from.day());
        let days = days_with(db, &page.filter, lowest, upto).await?;
        for day in &days {
            let first = |day: i64| CallId::least(u64::try_from(day * MS_PER_DAY).unwrap_or(0));
            let within = (first(*day).max(from), first(day + 1).min(to));
            calls.extend(among(db, &page.filter, within, limit - calls.len()).await?);
            if calls.len() >= limit {
                return Ok(calls);
            }
        }
        match days.last() {
            Some(last) if days.len() as i64 == DAYS => upto = last - 1,
            _ if lowest > from.day() => upto = lowest - 1,
            _ => break,
        }
    }
    Ok(calls)
}

/// The latest days, of these, on which there were such calls. One name is looked up among those of closed days; two
/// together stand only in the daily sums.
async fn days_with<D: Database>(
    db: &D,
    filter: &CallFilter,
    from: i64,
    upto: i64,
) -> Result<Vec<i64>, StoreError> {
    let names: Vec<(Group, &str)> =
        filter.is.iter().filter_map(|(column, value)| Some((group(*column)?, &**value))).collect();
    let [(name, value)] = names[..] else { return days_in(db, named_in_sums(&names, from, upto)).await };
    // In this order: a day that is closed or opened meanwhile is found one way or the other.
    let spans = closed::spans(&closed::days(db, from, upto + 1).await?, from, upto + 1);
    let mut days = days_in(db, closed::days_of(name, value, from, upto, DAYS)).await?;
    for span in spans {
        if let Span::Open(first, after) = span {
            days.extend(days_in(db, named_in_sums(&names, first, after - 1)).await?);
        }
    }
    days.sort_unstable_by_key(|day| std::cmp::Reverse(*day));
    days.dedup();
    days.truncate(DAYS as usize);
    Ok(days)
}

/// The sums' group of a column, where they have one for all calls.
fn group(column: CallColumn) -> Option<Group> {
    match column {
        CallColumn::Key => Some(Group::Key),
        CallColumn::Team => Some(Group::Team),
        CallColumn::Route => Some(Group::Route),
        CallColumn::Provider => Some(Group::Provider),
        CallColumn::Model => Some(Group::Model),
        _ => None,
    }
}

fn named_in_sums(names: &[(Group, &str)], from: i64, upto: i64) -> (String, Vec<Arg>) {
    let mut args = vec![Arg::Int(from), Arg::Int(upto)];
    let mut sql =
        "SELECT DISTINCT \"day\" FROM spend_daily WHERE \"day\" >= $1 AND \"day\" <= $2 AND \"calls\" > 0"
            .to_owned();
    for (group, value) in names {
        args.push(Arg::Text((*value).to_owned()));
        sql += &format!(" AND \"{}\" = ${}", group.name(), args.len());
    }
    (sql + &format!(" ORDER BY \"day\" DESC LIMIT {DAYS}"), args)
}

async fn days_in<D: Database>(db: &D, (sql, args): (String, Vec<Arg>)) -> Result<Vec<i64>, StoreError> {
    let rows = db.ask(DOING, sql, args).await?;
    let days = rows.iter().map(|row| Take::new(row).int()).collect::<Result<Vec<_>, _>>();
    days.map_err(|cause| error::failed(DOING, cause))
}

async fn with_attempts<D: Database>(db: &D, calls: Vec<CallRow>) -> Result<Vec<CallRecord>, StoreError> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (1..=calls.len()).map(|number| id_param(number, D::DIALECT)).collect();
    let sql = format!(
        "SELECT {} FROM attempts WHERE \"call_id\" IN ({}) ORDER BY attempts.\"call_id\", \"n\"",
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
