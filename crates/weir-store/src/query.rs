//! The questions a store answers, in SQL that both databases understand but for a few words.

use std::collections::BTreeMap;
use std::future::Future;

use weir_ledger::{
    CallId, CallRecord, Group, Micros, Mismatch, Spend, SpendQuery, SpendRow, StoreError, Totals, day_name,
};
use weir_wire::usage::TOKEN_CLASSES;

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
}

const MICROS_PER_DAY: Micros = 86_400_000_000;
pub(crate) const LAST_ID: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

// === calls ===

pub(crate) async fn call<D: Database>(db: &D, id: &str) -> Result<Option<CallRecord>, StoreError> {
    let doing = "look up a call";
    let columns = select_list(&CALLS, D::DIALECT);
    let (condition, value) = match id.parse::<CallId>() {
        Ok(id) => (format!("\"id\" = {}", id_param(1, D::DIALECT)), id.to_string()),
        Err(_) => ("\"request_id\" = $1".into(), id.to_owned()),
    };
    let by_id = format!("SELECT {columns} FROM calls WHERE {condition} ORDER BY \"id\" DESC LIMIT 1");
    let mut rows = db.ask(doing, by_id, vec![Arg::Text(value)]).await?;
    if rows.is_empty() {
        // A client may choose a request id that looks like one of the ledger's.
        let by_request =
            format!("SELECT {columns} FROM calls WHERE \"request_id\" = $1 ORDER BY \"id\" DESC LIMIT 1");
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

// === spend ===

pub(crate) async fn spend<D: Database>(db: &D, query: &SpendQuery) -> Result<Spend, StoreError> {
    let rows = if query.by.is_empty() { Vec::new() } else { lines(db, query, &query.by).await? };
    let total = lines(db, query, &[]).await?.pop().unwrap_or_default();
    Ok(Spend { rows, total })
}

async fn lines<D: Database>(db: &D, query: &SpendQuery, by: &[Group]) -> Result<Vec<SpendRow>, StoreError> {
    let mut groups = BTreeMap::new();
    let whole_days = |moment: Option<Micros>| moment.is_none_or(|moment| moment % MICROS_PER_DAY == 0);
    if by.iter().all(|group| summed(*group)) && whole_days(query.since) && whole_days(query.until) {
        daily(db, query, by, &mut groups).await?;
    } else {
        calls(db, query, by, &mut groups).await?;
        attempts(db, query, by, &mut groups).await?;
    }
    let mut rows: Vec<_> = groups.into_iter().map(|(group, row)| SpendRow { group, ..row }).collect();
    rows.sort_by(|a, b| b.cost_nanousd.cmp(&a.cost_nanousd).then_with(|| a.group.cmp(&b.group)));
    Ok(rows)
}

type Groups = BTreeMap<Vec<Option<String>>, SpendRow>;

/// Whether the daily sums know the group.
fn summed(group: Group) -> bool {
    !matches!(group, Group::User | Group::Session | Group::Tag)
}

async fn daily<D: Database>(
    db: &D,
    query: &SpendQuery,
    by: &[Group],
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let sums = format!("{}, {}, {}, {}", sum("calls"), sum("unpriced_calls"), sum("attempts"), usage_sums());
    let selected = by.iter().map(|group| match group {
        Group::Day => "CAST(\"day\" AS TEXT), ".to_owned(),
        other => format!("NULLIF(\"{}\", ''), ", other.name()),
    });
    let sql = format!(
        "SELECT {}{sums} FROM spend_daily WHERE \"day\" >= $1 AND \"day\" < $2{}",
        selected.collect::<String>(),
        group_by(by)
    );
    let day =
        |moment: Option<Micros>, open: i64| Arg::Int(moment.map_or(open, |moment| moment / MICROS_PER_DAY));
    let args = vec![day(query.since, i64::MIN), day(query.until, i64::MAX)];
    gather(db.ask("add up spend", sql, args).await?, by, groups, |take, line| {
        line.calls += take.unsigned::<u64>()?;
        line.unpriced_calls += take.unsigned::<u64>()?;
        add_attempts(take, line)
    })
}

async fn calls<D: Database>(
    db: &D,
    query: &SpendQuery,
    by: &[Group],
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let unpriced = "CASE WHEN \"cost_nanousd\" IS NULL THEN 1 ELSE 0 END";
    let unpriced = format!("CAST(COALESCE(SUM({unpriced}), 0) AS BIGINT)");
    let sql = from_rows::<D>("calls", "id", by, &format!("CAST(COUNT(*) AS BIGINT), {unpriced}"));
    gather(db.ask("add up spend", sql, range(query)).await?, by, groups, |take, line| {
        line.calls += take.unsigned::<u64>()?;
        line.unpriced_calls += take.unsigned::<u64>()?;
        Ok(())
    })
}

async fn attempts<D: Database>(
    db: &D,
    query: &SpendQuery,
    by: &[Group],
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let sql =
        from_rows::<D>("attempts", "call_id", by, &format!("CAST(COUNT(*) AS BIGINT), {}", usage_sums()));
    gather(db.ask("add up spend", sql, range(query)).await?, by, groups, add_attempts)
}

fn from_rows<D: Database>(table: &str, id: &str, by: &[Group], sums: &str) -> String {
    let selected = by.iter().map(|group| match group {
        Group::Day => "CAST(\"day\" AS TEXT), ".to_owned(),
        Group::Tag => "tag.value, ".to_owned(),
        other => format!("\"{}\", ", other.name()),
    });
    let tags = match (by.contains(&Group::Tag), D::DIALECT) {
        (false, _) => "",
        (true, Dialect::Sqlite) => " LEFT JOIN json_each(\"tags\") AS tag",
        (true, Dialect::Postgres) => {
            " LEFT JOIN LATERAL jsonb_array_elements_text(\"tags\") AS tag(value) ON true"
        }
    };
    let selected: String = selected.collect();
    let (from, to) = (id_param(1, D::DIALECT), id_param(2, D::DIALECT));
    // `json_each` has an `id` of its own, so the table is named.
    format!(
        "SELECT {selected}{sums} FROM {table}{tags} WHERE {table}.\"{id}\" >= {from} AND {table}.\"{id}\" < {to}{}",
        group_by(by)
    )
}

fn group_by(by: &[Group]) -> String {
    let places: Vec<_> = (1..=by.len()).map(|place| place.to_string()).collect();
    if places.is_empty() { String::new() } else { format!(" GROUP BY {}", places.join(", ")) }
}

fn sum(column: &str) -> String {
    format!("CAST(COALESCE(SUM(\"{column}\"), 0) AS BIGINT)")
}

fn usage_sums() -> String {
    let tokens = TOKEN_CLASSES.iter().map(|class| sum(class.name()));
    tokens.chain([sum("cost_nanousd")]).collect::<Vec<_>>().join(", ")
}

/// The ids of the calls within the range that the query names, by the time in them.
fn range(query: &SpendQuery) -> Vec<Arg> {
    let least = |moment: Micros| CallId::least(u64::try_from(moment.max(0)).unwrap_or(0).div_ceil(1_000));
    let since = query.since.map_or(CallId::least(0), least).to_string();
    let until = query.until.map_or(LAST_ID.into(), |until| least(until).to_string());
    vec![Arg::Text(since), Arg::Text(until)]
}

fn gather<R: Columns>(
    rows: Vec<R>,
    by: &[Group],
    groups: &mut Groups,
    add: impl Fn(&mut Take<'_, R>, &mut SpendRow) -> Result<(), sqlx::Error>,
) -> Result<(), StoreError> {
    let mut one = |row: &R| {
        let mut take = Take::new(row);
        let mut group = Vec::with_capacity(by.len());
        for kind in by {
            let value = take.opt_string()?;
            group.push(match kind {
                Group::Day => value.and_then(|day| day.parse().ok()).map(day_name),
                _ => value,
            });
        }
        add(&mut take, groups.entry(group).or_default())
    };
    rows.iter().try_for_each(&mut one).map_err(|cause| error::failed("add up spend", cause))
}

fn add_attempts<R: Columns>(take: &mut Take<'_, R>, line: &mut SpendRow) -> Result<(), sqlx::Error> {
    line.attempts += take.unsigned::<u64>()?;
    line.usage.add(&take.tokens()?);
    line.cost_nanousd += take.int()?;
    Ok(())
}

// === check ===

pub(crate) async fn check_totals<D: Database>(db: &D) -> Result<Totals, StoreError> {
    let doing = "check the totals";
    let failed = |cause| error::failed(doing, cause);
    let counts = format!(
        "SELECT CAST(COUNT(*) AS BIGINT), {}, (SELECT CAST(COUNT(*) AS BIGINT) FROM calls) FROM attempts",
        sum("cost_nanousd")
    );
    let rows = db.ask(doing, counts, Vec::new()).await?;
    let mut totals = Totals::default();
    if let Some(row) = rows.first() {
        let mut take = Take::new(row);
        totals.attempts = take.unsigned().map_err(failed)?;
        totals.cost_nanousd = take.int().map_err(failed)?;
        totals.calls = take.unsigned().map_err(failed)?;
    }
    for row in db.ask(doing, mismatches(), Vec::new()).await? {
        totals.mismatches.push(mismatch(&row).map_err(failed)?);
    }
    for row in db.ask(doing, unbalanced(D::DIALECT), Vec::new()).await? {
        totals.unbalanced.push(Take::new(&row).call_id().map_err(failed)?);
    }
    Ok(totals)
}

/// Stored and summed numbers side by side, by day, key and team, where they differ.
fn mismatches() -> String {
    let tokens: Vec<_> = TOKEN_CLASSES.iter().map(|class| format!("\"{}\"", class.name())).collect();
    let tokens = tokens.join(" + ");
    let team = "COALESCE(\"team\", '') AS \"team\"";
    let names = ["sc", "rc", "sa", "ra", "st", "rt", "sm", "rm"];
    let sums: Vec<_> = names.iter().map(|name| sum(name)).collect();
    let differ = ["c", "a", "t", "m"].map(|name| format!("SUM(s{name}) <> SUM(r{name})")).join(" OR ");
    format!(
        "SELECT \"day\", \"key\", \"team\", {} FROM (\
         SELECT \"day\", \"key\", \"team\", \"calls\" AS sc, 0 AS rc, \"attempts\" AS sa, 0 AS ra, {tokens} AS st, 0 AS rt, \
         \"cost_nanousd\" AS sm, 0 AS rm FROM spend_daily \
         UNION ALL SELECT \"day\", \"key\", {team}, 0, 1, 0, 0, 0, 0, 0, 0 FROM calls \
         UNION ALL SELECT \"day\", \"key\", {team}, 0, 0, 0, 1, 0, {tokens}, 0, COALESCE(\"cost_nanousd\", 0) FROM attempts\
         ) AS lines GROUP BY 1, 2, 3 HAVING {differ} ORDER BY 1, 2, 3",
        sums.join(", ")
    )
}

fn mismatch<R: Columns>(row: &R) -> Result<Mismatch, sqlx::Error> {
    let mut take = Take::new(row);
    let (day, key, team) = (take.int()?, take.string()?, take.string()?);
    let mut numbers = [0; 8];
    for number in &mut numbers {
        *number = take.int()?;
    }
    let [stored_calls, calls, stored_attempts, attempts, _, _, stored, summed] = numbers;
    Ok(Mismatch {
        day,
        key,
        team,
        stored_nanousd: stored,
        summed_nanousd: summed,
        stored_rows: (stored_calls, stored_attempts),
        summed_rows: (calls, attempts),
    })
}

/// Calls that are not what their attempts add up to, and attempts without a call.
fn unbalanced(dialect: Dialect) -> String {
    let text = if dialect == Dialect::Postgres { "::text" } else { "" };
    format!(
        "SELECT id{text} FROM (\
         SELECT c.\"id\" AS id FROM calls c LEFT JOIN (SELECT \"call_id\", COUNT(*) AS n, COUNT(\"cost_nanousd\") AS priced, \
         COALESCE(SUM(\"cost_nanousd\"), 0) AS cost FROM attempts GROUP BY \"call_id\") a ON a.\"call_id\" = c.\"id\" \
         WHERE c.\"attempts\" <> COALESCE(a.n, 0) \
         OR (c.\"cost_nanousd\" IS NOT NULL AND (COALESCE(a.priced, 0) <> COALESCE(a.n, 0) OR c.\"cost_nanousd\" <> COALESCE(a.cost, 0))) \
         OR (c.\"cost_nanousd\" IS NULL AND a.n = a.priced) \
         UNION SELECT a.\"call_id\" AS id FROM attempts a LEFT JOIN calls c ON c.\"id\" = a.\"call_id\" WHERE c.\"id\" IS NULL\
         ) AS found ORDER BY 1 LIMIT 100"
    )
}
