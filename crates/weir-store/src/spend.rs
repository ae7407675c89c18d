//! What was spent. Whole days are read from the daily sums, whatever the number of rows behind them, and days that are over
//! from sums by one name where that is all that is asked for (`closed`); only the parts of days at both ends of a span are
//! added up from rows, which the time in their ids finds.
//!
//! The sums hold end users, sessions and tags beside each other, not crossed: two of them together are added up from the
//! rows of the whole span.

use std::collections::BTreeMap;

use weir_ledger::{
    CallId, Fault, Group, MICROS_PER_DAY, Micros, Spend, SpendQuery, SpendRow, StoreError, day_name,
};
use weir_wire::usage::TOKEN_CLASSES;

use crate::closed::{self, Span};
use crate::error;
use crate::query::{Arg, Database, Dialect, id_param, sum};
use crate::rows::{Columns, Take};

const DOING: &str = "add up spend";
/// The most lines of an answer: more would take too much memory.
pub(crate) const MOST_LINES: usize = 100_000;

type Groups = BTreeMap<Vec<Option<String>>, SpendRow>;
pub(crate) type Question = (String, Vec<Arg>);

pub(crate) async fn spend<D: Database>(db: &D, query: &SpendQuery) -> Result<Spend, StoreError> {
    let rows = if query.by.is_empty() { Vec::new() } else { lines(db, query, &query.by).await? };
    // A call with two labels stands in two lines; else the lines are all there is.
    let total = match query.by.is_empty() || query.by.contains(&Group::Tag) {
        true => lines(db, query, &[]).await?.pop().unwrap_or_default(),
        false => sum_of(&rows),
    };
    Ok(Spend { rows, total })
}

fn sum_of(rows: &[SpendRow]) -> SpendRow {
    let mut total = SpendRow::default();
    for row in rows {
        total.calls += row.calls;
        total.unpriced_calls += row.unpriced_calls;
        total.attempts += row.attempts;
        total.usage.add(&row.usage);
        total.cost_nanousd += row.cost_nanousd;
    }
    total
}

async fn lines<D: Database>(db: &D, query: &SpendQuery, by: &[Group]) -> Result<Vec<SpendRow>, StoreError> {
    let mut groups = Groups::new();
    for part in parts(query, by) {
        match part {
            Part::Days(from, to) => {
                for question in whole_days(db, by, from, to).await? {
                    gather(db, question, by, &mut groups, |take, line| {
                        add_calls(take, line)?;
                        add_attempts(take, line)
                    })
                    .await?;
                }
            }
            Part::Moments(from, to) => {
                gather(db, calls::<D>(by, from, to), by, &mut groups, add_calls).await?;
                gather(db, attempts::<D>(by, from, to), by, &mut groups, add_attempts).await?;
            }
        }
    }
    let mut rows: Vec<_> = groups.into_iter().map(|(group, row)| SpendRow { group, ..row }).collect();
    rows.sort_by(|a, b| b.cost_nanousd.cmp(&a.cost_nanousd).then_with(|| a.group.cmp(&b.group)));
    Ok(rows)
}

// === which part from where ===

/// A part of the span that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Whole days, from the first up to the last, which is not in it: from the sums.
    Days(i64, i64),
    /// From the first moment up to the last, which is not in it: from the rows.
    Moments(Option<Micros>, Option<Micros>),
}

fn parts(query: &SpendQuery, by: &[Group]) -> Vec<Part> {
    let (since, until) = (query.since, query.until);
    let first = since.map_or(i64::MIN, |since| -(-since).div_euclid(MICROS_PER_DAY));
    let last = until.map_or(i64::MAX, |until| until.div_euclid(MICROS_PER_DAY));
    if SpendQuery::crosses_names(by) || first >= last {
        return vec![Part::Moments(since, until)];
    }
    let mut parts = vec![Part::Days(first, last)];
    if let Some(since) = since.filter(|since| since.rem_euclid(MICROS_PER_DAY) != 0) {
        parts.push(Part::Moments(Some(since), Some(first * MICROS_PER_DAY)));
    }
    if let Some(until) = until.filter(|until| until.rem_euclid(MICROS_PER_DAY) != 0) {
        parts.push(Part::Moments(Some(last * MICROS_PER_DAY), Some(until)));
    }
    parts
}

// === from the sums ===

/// What to ask for whole days: closed ones have a line a name, as long as no more than one name is asked for.
async fn whole_days<D: Database>(
    db: &D,
    by: &[Group],
    from: i64,
    to: i64,
) -> Result<Vec<Question>, StoreError> {
    let Some(kind) = closed::kind(by) else { return Ok(vec![days(by, from, to)]) };
    let mut questions = Vec::new();
    for span in closed::spans(&closed::days(db, from, to).await?, from, to) {
        match span {
            Span::Open(from, to) => questions.push(days(by, from, to)),
            Span::Closed(from, to) => questions.extend(closed::sums(kind, by, from, to)),
        }
    }
    Ok(questions)
}

fn days(by: &[Group], from: i64, to: i64) -> Question {
    let sql = format!("{} LIMIT {}", of_days(by), MOST_LINES + 1);
    (sql, vec![Arg::Int(from), Arg::Int(to)])
}

/// Adds up the days from `$1` up to `$2`, which is not in it: a column a group, then the numbers.
pub(crate) fn of_days(by: &[Group]) -> String {
    let named = by.iter().find(|group| group.named_by_callers());
    named.map_or_else(|| of_all(by), |group| of_named(by, *group))
}

fn of_all(by: &[Group]) -> String {
    format!(
        "SELECT {}{} FROM spend_daily WHERE \"day\" >= $1 AND \"day\" < $2{}",
        selected(by, "\"value\""),
        sums(),
        group_by(by)
    )
}

/// The lines of those who have such a name, and what is left for those who have none: all, less the lines of those who
/// have. In one statement, so that rows which are just written count once.
fn of_named(by: &[Group], group: Group) -> String {
    let kind = group.name();
    let all_named = if group == Group::Tag { "tagged" } else { kind };
    let columns = "\"day\", \"key\", \"team\", \"route\", \"provider\", \"model\"";
    let numbers: Vec<String> = numbers().map(|name| format!("\"{name}\"")).collect();
    let less: Vec<String> = numbers.iter().map(|name| format!("-{name}")).collect();
    let (numbers, less) = (numbers.join(", "), less.join(", "));
    let days = "\"day\" >= $1 AND \"day\" < $2";
    format!(
        "SELECT {}{} FROM (\
         SELECT \"value\", {columns}, {numbers} FROM spend_by WHERE \"kind\" = '{kind}' AND {days} \
         UNION ALL SELECT NULL, {columns}, {numbers} FROM spend_daily WHERE {days} \
         UNION ALL SELECT NULL, {columns}, {less} FROM spend_by WHERE \"kind\" = '{all_named}' AND {days}\
         ) AS given{} HAVING SUM(\"calls\") <> 0 OR SUM(\"attempts\") <> 0",
        selected(by, "\"value\""),
        sums(),
        group_by(by),
    )
}

fn selected(by: &[Group], named: &str) -> String {
    let selected = by.iter().map(|group| match group {
        Group::Day => "CAST(\"day\" AS TEXT), ".to_owned(),
        group if group.named_by_callers() => format!("{named}, "),
        other => format!("NULLIF(\"{}\", ''), ", other.name()),
    });
    selected.collect()
}

/// The columns of numbers, as all tables of sums have them.
pub(crate) fn numbers() -> impl Iterator<Item = &'static str> {
    let tokens = TOKEN_CLASSES.iter().map(|class| class.name());
    ["calls", "unpriced_calls", "attempts"].into_iter().chain(tokens).chain(["cost_nanousd"])
}

pub(crate) fn sums() -> String {
    numbers().map(sum).collect::<Vec<_>>().join(", ")
}

// === from the rows ===

fn calls<D: Database>(by: &[Group], from: Option<Micros>, to: Option<Micros>) -> Question {
    let unpriced = "CASE WHEN \"cost_nanousd\" IS NULL THEN 1 ELSE 0 END";
    let sums = format!("CAST(COUNT(*) AS BIGINT), CAST(COALESCE(SUM({unpriced}), 0) AS BIGINT)");
    (of_rows::<D>("calls", "id", by, &sums), range(from, to))
}

fn attempts<D: Database>(by: &[Group], from: Option<Micros>, to: Option<Micros>) -> Question {
    let usage: Vec<String> = numbers().skip(3).map(sum).collect();
    let sums = format!("CAST(COUNT(*) AS BIGINT), {}", usage.join(", "));
    (of_rows::<D>("attempts", "call_id", by, &sums), range(from, to))
}

fn of_rows<D: Database>(table: &str, id: &str, by: &[Group], sums: &str) -> String {
    // `json_each` has an `id`, a `key` and a `value` of its own, so the table is named.
    let selected = by.iter().map(|group| match group {
        Group::Day => format!("CAST({table}.\"day\" AS TEXT), "),
        Group::Tag => "tag.value, ".to_owned(),
        other => format!("{table}.\"{}\", ", other.name()),
    });
    let selected: String = selected.collect();
    let tags = match (by.contains(&Group::Tag), D::DIALECT) {
        (false, _) => "",
        (true, Dialect::Sqlite) => " LEFT JOIN json_each(\"tags\") AS tag",
        (true, Dialect::Postgres) => {
            " LEFT JOIN LATERAL jsonb_array_elements_text(\"tags\") AS tag(value) ON true"
        }
    };
    let (from, to) = (id_param(1, D::DIALECT), id_param(2, D::DIALECT));
    format!(
        "SELECT {selected}{sums} FROM {table}{tags} WHERE {table}.\"{id}\" >= {from} AND {table}.\"{id}\" < {to}{} LIMIT {}",
        group_by(by),
        MOST_LINES + 1,
    )
}

/// The ids of the calls within a span, by the time in them.
fn range(from: Option<Micros>, to: Option<Micros>) -> Vec<Arg> {
    let least = |moment: Micros| CallId::least(u64::try_from(moment.max(0)).unwrap_or(0).div_ceil(1_000));
    let from = from.map_or(CallId::least(0), least).to_string();
    let to = to.map_or(CallId(uuid::Uuid::max()), least).to_string();
    vec![Arg::Text(from), Arg::Text(to)]
}

fn group_by(by: &[Group]) -> String {
    // A day by its column, whose order indices have, not as the text that it is given as.
    let place = |(at, group): (usize, &Group)| match group {
        Group::Day => "\"day\"".to_owned(),
        _ => (at + 1).to_string(),
    };
    let places: Vec<_> = by.iter().enumerate().map(place).collect();
    if places.is_empty() { String::new() } else { format!(" GROUP BY {}", places.join(", ")) }
}

// === putting together ===

async fn gather<D: Database>(
    db: &D,
    (sql, args): Question,
    by: &[Group],
    groups: &mut Groups,
    add: impl Fn(&mut Take<'_, D::Row>, &mut SpendRow) -> Result<(), sqlx::Error>,
) -> Result<(), StoreError> {
    for row in db.ask(DOING, sql, args).await? {
        let mut take = Take::new(&row);
        let mut one = || {
            let group = by.iter().map(|kind| value(&mut take, *kind)).collect::<Result<Vec<_>, _>>()?;
            add(&mut take, groups.entry(group).or_default())
        };
        one().map_err(|cause| error::failed(DOING, cause))?;
    }
    if groups.len() > MOST_LINES {
        let cause = format!("there are more than {MOST_LINES} lines").into();
        return Err(StoreError { doing: DOING, fault: Fault::Rejected, cause });
    }
    Ok(())
}

fn value<R: Columns>(take: &mut Take<'_, R>, kind: Group) -> Result<Option<String>, sqlx::Error> {
    let value = take.opt_string()?;
    Ok(match kind {
        Group::Day => value.and_then(|day| day.parse().ok()).map(day_name),
        _ => value,
    })
}

fn add_calls<R: Columns>(take: &mut Take<'_, R>, line: &mut SpendRow) -> Result<(), sqlx::Error> {
    line.calls += take.unsigned::<u64>()?;
    line.unpriced_calls += take.unsigned::<u64>()?;
    Ok(())
}

fn add_attempts<R: Columns>(take: &mut Take<'_, R>, line: &mut SpendRow) -> Result<(), sqlx::Error> {
    line.attempts += take.unsigned::<u64>()?;
    line.usage.add(&take.tokens()?);
    line.cost_nanousd += take.int()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_edges_of_a_span_are_read_from_rows() {
        const DAY: Micros = MICROS_PER_DAY;
        let query = |since, until| SpendQuery { by: vec![], since, until };
        let cases = [
            (query(None, None), vec![Part::Days(i64::MIN, i64::MAX)]),
            (query(Some(2 * DAY), Some(4 * DAY)), vec![Part::Days(2, 4)]),
            (
                query(Some(2 * DAY + 5), Some(4 * DAY + 7)),
                vec![
                    Part::Days(3, 4),
                    Part::Moments(Some(2 * DAY + 5), Some(3 * DAY)),
                    Part::Moments(Some(4 * DAY), Some(4 * DAY + 7)),
                ],
            ),
            (query(Some(2 * DAY + 5), Some(3 * DAY)), vec![Part::Moments(Some(2 * DAY + 5), Some(3 * DAY))]),
            (
                query(Some(2 * DAY + 5), Some(2 * DAY + 9)),
                vec![Part::Moments(Some(2 * DAY + 5), Some(2 * DAY + 9))],
            ),
            (query(Some(-5), None), vec![Part::Days(0, i64::MAX), Part::Moments(Some(-5), Some(0))]),
        ];
        for (query, expected) in cases {
            assert_eq!(parts(&query, &[Group::User, Group::Model]), expected, "{query:?}");
        }
        let crossed = query(None, Some(DAY));
        assert_eq!(parts(&crossed, &[Group::User, Group::Tag]), [Part::Moments(None, Some(DAY))]);
    }
}
