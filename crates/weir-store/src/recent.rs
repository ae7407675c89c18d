//! Lists of calls, latest first, each with its attempts.
//!
//! Names of which there are many (keys, teams, users, sessions) have an index, and so have ends out of the ordinary. Of
//! routes, providers and models there are few: the daily sums say on which days they were called, and no other day is
//! looked at; and where there are few calls on such a day, they say by which keys. An index for each of them would cost
//! every call more than it is worth.

use std::collections::HashMap;

use weir_ledger::{
    AttemptRow, CallColumn, CallFilter, CallId, CallRecord, CallRow, Group, Page, Recent, StoreError,
};

use crate::closed::{self, Span};
use crate::error;
use crate::query::{Arg, Database, Dialect, id_param, select_list, sum};
use crate::rows::{ATTEMPTS, CALLS, Take};

/// After all ids.
const LAST: CallId = CallId(uuid::Uuid::max());
const DOING: &str = "list calls";
const MS_PER_DAY: i64 = 86_400_000;
/// How many days are looked up at once.
const DAYS: i64 = 400;
/// Fewer calls of a day are looked for by their keys, not among all of the day.
const FEW: i64 = 200;
/// The most keys that calls are looked for by.
const MOST_KEYS: usize = 100;
/// How many days are looked at first, and next, before all.
const FURTHER: [i64; 3] = [2, 8, 64];

/// A page of calls.
pub(crate) async fn recent<D: Database>(db: &D, page: &Page) -> Result<Recent, StoreError> {
    let limit = page.limit.clamp(1, 1_000) as usize;
    // One more than asked for tells whether there is a further page.
    let mut calls = match narrowed_by_days(&page.filter) {
        true => in_days(db, page, limit + 1).await?,
        false => among(db, &page.filter, None, bounds(page), limit + 1).await?,
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

/// Calls within the bounds of which the filter is so, latest first; only those of `keys`, where these are known.
async fn among<D: Database>(
    db: &D,
    filter: &CallFilter,
    keys: Option<&[String]>,
    (from, to): Bounds,
    limit: usize,
) -> Result<Vec<CallRow>, StoreError> {
    let mut args = vec![Arg::Text(from.to_string()), Arg::Text(to.to_string())];
    let mut condition =
        format!("\"id\" >= {} AND \"id\" < {}", id_param(1, D::DIALECT), id_param(2, D::DIALECT));
    let found_by = if keys.is_some() { Some(CallColumn::Key) } else { found_by(filter) };
    for (column, value) in &filter.is {
        args.push(Arg::Text(value.clone()));
        // Postgres knows how often each value is there. SQLite does not: `+` keeps it from the lesser index.
        let plain = D::DIALECT == Dialect::Postgres || found_by == Some(*column);
        let name = format!("{}\"{}\"", if plain { "" } else { "+" }, column.name());
        condition += &format!(" AND {name} = ${}", args.len());
        if *column == CallColumn::End && value != "complete" {
            // Lets the partial index be used.
            condition += " AND \"end\" <> 'complete'";
        }
    }
    if let Some(keys) = keys {
        let places = keys.iter().map(|key| {
            args.push(Arg::Text(key.clone()));
            format!("${}", args.len())
        });
        condition += &format!(" AND \"key\" IN ({})", places.collect::<Vec<_>>().join(", "));
    }
    args.push(Arg::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    // Named with its table: `id` alone would be what is selected, a text that no index orders.
    let found = format!("FROM calls WHERE {condition} ORDER BY calls.\"id\" DESC LIMIT ${}", args.len());
    let columns = select_list(&CALLS, D::DIALECT);
    let sql = match found_by {
        // Its index has all that is filtered by, and no row is read but those that are shown.
        Some(CallColumn::End) => {
            format!(
                "SELECT {columns} FROM calls WHERE \"id\" IN (SELECT \"id\" {found}) ORDER BY calls.\"id\" DESC"
            )
        }
        _ => format!("SELECT {columns} {found}"),
    };
    let rows = db.ask(DOING, sql, args).await?;
    let calls = rows.iter().map(|row| Take::new(row).call()).collect::<Result<_, _>>();
    calls.map_err(|cause| error::failed(DOING, cause))
}

/// The keys with such calls on a day, where they are few.
async fn keys_of<D: Database>(
    db: &D,
    filter: &CallFilter,
    day: i64,
) -> Result<Option<Vec<String>>, StoreError> {
    let (condition, args) = named_in_sums(filter, day, day);
    let sql = format!("SELECT DISTINCT \"key\" FROM spend_daily WHERE {condition} LIMIT {}", MOST_KEYS + 1);
    let rows = db.ask(DOING, sql, args).await?;
    let keys = rows.iter().map(|row| Take::new(row).string()).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|cause| error::failed(DOING, cause))?;
    Ok(Some(keys).filter(|keys| !keys.is_empty() && keys.len() <= MOST_KEYS))
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
        for (day, called) in &days {
            let first = |day: i64| CallId::least(u64::try_from(day * MS_PER_DAY).unwrap_or(0));
            let within = (first(*day).max(from), first(day + 1).min(to));
            let keys = if *called < FEW { keys_of(db, &page.filter, *day).await? } else { None };
            calls.extend(among(db, &page.filter, keys.as_deref(), within, limit - calls.len()).await?);
            if calls.len() >= limit {
                return Ok(calls);
            }
        }
        match days.last() {
            Some((last, _)) if days.len() as i64 == DAYS => upto = last - 1,
            _ if lowest > from.day() => upto = lowest - 1,
            _ => break,
        }
    }
    Ok(calls)
}

/// The latest days, of these, on which there were such calls, and how many. One name is looked up among those of closed
/// days; two together stand only in the daily sums.
async fn days_with<D: Database>(
    db: &D,
    filter: &CallFilter,
    from: i64,
    upto: i64,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut names = filter.is.iter().filter_map(|(column, value)| Some((group(*column)?, value)));
    let (Some((name, value)), None) = (names.next(), names.next()) else {
        return days_in(db, summed(filter, from, upto)).await;
    };
    // In this order: a day that is closed or opened meanwhile is found one way or the other.
    let spans = closed::spans(&closed::days(db, from, upto + 1).await?, from, upto + 1);
    let mut days = days_in(db, closed::days_of(name, value, from, upto, DAYS)).await?;
    for span in spans {
        if let Span::Open(first, after) = span {
            days.extend(days_in(db, summed(filter, first, after - 1)).await?);
        }
    }
    days.sort_by_key(|(day, _)| std::cmp::Reverse(*day));
    days.dedup_by_key(|(day, _)| *day);
    days.truncate(DAYS as usize);
    Ok(days)
}

/// The sums' group of a column, where they have one for all calls.
fn group(column: CallColumn) -> Option<Group> {
    Group::from_name(column.name()).filter(|group| !group.named_by_callers())
}

/// What picks the lines of the daily sums that such calls are in.
fn named_in_sums(filter: &CallFilter, from: i64, upto: i64) -> (String, Vec<Arg>) {
    let mut args = vec![Arg::Int(from), Arg::Int(upto)];
    let mut condition = "\"day\" >= $1 AND \"day\" <= $2 AND \"calls\" > 0".to_owned();
    for (column, value) in filter.is.iter().filter(|(column, _)| group(*column).is_some()) {
        args.push(Arg::Text(value.clone()));
        condition += &format!(" AND \"{}\" = ${}", column.name(), args.len());
    }
    (condition, args)
}

fn summed(filter: &CallFilter, from: i64, upto: i64) -> (String, Vec<Arg>) {
    let (condition, args) = named_in_sums(filter, from, upto);
    let sql = format!(
        "SELECT \"day\", {} FROM spend_daily WHERE {condition} GROUP BY \"day\" ORDER BY \"day\" DESC LIMIT {DAYS}",
        sum("calls")
    );
    (sql, args)
}

async fn days_in<D: Database>(
    db: &D,
    (sql, args): (String, Vec<Arg>),
) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = db.ask(DOING, sql, args).await?;
    let days = rows.iter().map(|row| {
        let mut take = Take::new(row);
        Ok((take.int()?, take.int()?))
    });
    days.collect::<Result<Vec<_>, _>>().map_err(|cause| error::failed(DOING, cause))
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
