//! Days that are over, added up once more by one name each.
//!
//! The daily sums have a line for each key, team, route, provider and model together: thousands a day, a million a season.
//! What was spent by model in a quarter would read them all, so each day's lines by one name are made when the day is
//! over, and a row that comes later still opens its day again (a trigger sees to that, whichever program writes the row).
//! Both kinds of sums stay, so what is read is right whichever of them a day is read from.

use std::collections::BTreeSet;

use weir_ledger::{Group, StoreError};

use crate::accounts::Session;
use crate::error;
use crate::query::{Arg, Database, Dialect};
use crate::rows::Take;
use crate::spend::{self, MOST_LINES, Question};

/// How many days without any call are closed at once.
const MOST_EMPTY: i64 = 4_000;

// === closing ===

/// Closes the latest day before `before` that is not closed yet, within a transaction. False when there is none.
pub(crate) async fn close_latest<S: Session>(
    session: &mut S,
    dialect: Dialect,
    before: i64,
) -> Result<bool, sqlx::Error> {
    // Most of the time nothing is to be done, and nobody is to wait for that.
    let mut found = latest_open(session, before).await?;
    if found.is_some() && dialect == Dialect::Postgres {
        // Rows of a day that others are just writing are in its sums, or open it again: not neither.
        session.ask("SET LOCAL lock_timeout = 1000".into(), Vec::new()).await?;
        session.ask("LOCK TABLE spend_daily IN SHARE MODE".into(), Vec::new()).await?;
        found = latest_open(session, before).await?;
    }
    let Some((day, empty)) = found else { return Ok(false) };
    for statement in sums_of_a_day() {
        session.ask(statement, vec![Arg::Int(day), Arg::Int(day + 1)]).await?;
    }
    let marks = "WITH RECURSIVE marked(\"day\") AS (SELECT $1 UNION ALL SELECT \"day\" + 1 FROM marked WHERE \"day\" < $2) \
                 INSERT INTO spend_closed SELECT \"day\" FROM marked WHERE true ON CONFLICT DO NOTHING";
    session.ask(marks.into(), vec![Arg::Int(day), Arg::Int(day + empty)]).await?;
    Ok(true)
}

/// The latest day before `before` that has sums and is not closed, and how many open days after it have none.
async fn latest_open<S: Session>(session: &mut S, before: i64) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let sql = "SELECT \"day\" FROM spend_closed WHERE \"day\" < $1";
    let rows = session.ask(sql.into(), vec![Arg::Int(before)]).await?;
    let closed = rows.iter().map(|row| Take::new(row).int()).collect::<Result<BTreeSet<i64>, _>>()?;
    let mut upto = before - 1;
    loop {
        while closed.contains(&upto) {
            upto -= 1;
        }
        let sql = "SELECT MAX(\"day\") FROM spend_daily WHERE \"day\" <= $1";
        let rows = session.ask(sql.into(), vec![Arg::Int(upto)]).await?;
        let found = rows.first().map(|row| Take::new(row).opt_int()).transpose()?.flatten();
        let Some(day) = found else { return Ok(None) };
        if !closed.contains(&day) {
            return Ok(Some((day, (upto - day).min(MOST_EMPTY))));
        }
        upto = day;
    }
}

/// The statements that make the lines of the day `$1`, which ends where `$2` begins, by each kind of name.
fn sums_of_a_day() -> Vec<String> {
    let numbers: Vec<String> = spend::numbers().map(|name| format!("\"{name}\"")).collect();
    let renewed: Vec<String> = numbers.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let (numbers, renewed) = (numbers.join(", "), renewed.join(", "));
    let one = |group: Option<Group>| {
        let by: Vec<Group> = group.into_iter().collect();
        let (value, name, kind) = match group {
            None => ("", "''", "'all'".to_owned()),
            Some(group) if group.named_by_callers() => {
                let name = group.name();
                let kind = format!("CASE WHEN \"value\" IS NULL THEN '{}' ELSE '{name}' END", without(group));
                ("\"value\", ", "COALESCE(\"value\", '')", kind)
            }
            Some(group) => ("\"value\", ", "COALESCE(\"value\", '')", format!("'{}'", group.name())),
        };
        format!(
            "INSERT INTO spend_names (\"kind\", \"value\", \"day\", {numbers}) \
             WITH line({value}{numbers}) AS ({}) SELECT {kind}, {name}, $1, {numbers} FROM line WHERE \"calls\" <> 0 OR \"attempts\" <> 0 \
             ON CONFLICT (\"kind\", \"value\", \"day\") DO UPDATE SET {renewed}",
            spend::of_days(&by)
        )
    };
    let groups = Group::ALL.into_iter().filter(|group| *group != Group::Day).map(Some);
    groups.chain([None]).map(one).collect()
}

/// The kind of the lines of calls without such a name.
fn without(group: Group) -> String {
    format!("no {}", group.name())
}

// === reading ===

/// Days in a row, up to the last, which is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Open(i64, i64),
    Closed(i64, i64),
}

/// Which lines answer a question by these groups: `None` within for all together, `None` where no lines do.
pub(crate) fn kind(by: &[Group]) -> Option<Option<Group>> {
    let mut names = by.iter().copied().filter(|group| *group != Group::Day);
    let name = names.next();
    names.next().is_none().then_some(name)
}

/// The closed days from `from` up to `to`, which is not in it, in order.
pub(crate) async fn days<D: Database>(db: &D, from: i64, to: i64) -> Result<Vec<i64>, StoreError> {
    let doing = "look up closed days";
    let sql = "SELECT \"day\" FROM spend_closed WHERE \"day\" >= $1 AND \"day\" < $2 ORDER BY \"day\"";
    let rows = db.ask(doing, sql.into(), vec![Arg::Int(from), Arg::Int(to)]).await?;
    let days = rows.iter().map(|row| Take::new(row).int()).collect::<Result<_, _>>();
    days.map_err(|cause| error::failed(doing, cause))
}

/// All days from `from` up to `to`, in turns of closed and open ones.
pub(crate) fn spans(closed: &[i64], from: i64, to: i64) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut open = from;
    for days in closed.chunk_by(|one, next| one + 1 == *next) {
        let (first, after) = (days[0], days[days.len() - 1] + 1);
        if open < first {
            spans.push(Span::Open(open, first));
        }
        spans.push(Span::Closed(first, after));
        open = after;
    }
    if open < to {
        spans.push(Span::Open(open, to));
    }
    spans
}

/// What to ask for closed days by the name of `kind`, and by day where `by` says so.
pub(crate) fn sums(kind: Option<Group>, by: &[Group], from: i64, to: i64) -> Vec<Question> {
    // By the columns themselves, whose order the key has.
    let columns: Vec<_> =
        by.iter().map(|group| if *group == Group::Day { "\"day\"" } else { "\"value\"" }).collect();
    let grouped = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", columns.join(", ")) };
    let ask = |kind: &str, value: &str| {
        let selected = by.iter().map(|group| match group {
            Group::Day => "CAST(\"day\" AS TEXT), ".to_owned(),
            _ => format!("{value}, "),
        });
        let sql = format!(
            "SELECT {}{} FROM spend_names WHERE \"kind\" = '{kind}' AND \"day\" >= $1 AND \"day\" < $2{grouped} LIMIT {}",
            selected.collect::<String>(),
            spend::sums(),
            MOST_LINES + 1,
        );
        (sql, vec![Arg::Int(from), Arg::Int(to)])
    };
    match kind {
        None => vec![ask("all", "''")],
        Some(group) if group.named_by_callers() => {
            vec![ask(group.name(), "\"value\""), ask(&without(group), "NULL")]
        }
        Some(group) => vec![ask(group.name(), "NULLIF(\"value\", '')")],
    }
}

/// The latest closed days, of these, on which calls had the name `value`, and how many; days that were opened again can be
/// among them.
pub(crate) fn days_of(group: Group, value: &str, from: i64, upto: i64, most: i64) -> Question {
    let sql = format!(
        "SELECT \"day\", \"calls\" FROM spend_names WHERE \"kind\" = '{}' AND \"value\" = $1 AND \"day\" >= $2 AND \"day\" <= $3 \
         AND \"calls\" > 0 ORDER BY \"day\" DESC LIMIT {most}",
        group.name()
    );
    (sql, vec![Arg::Text(value.to_owned()), Arg::Int(from), Arg::Int(upto)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_told_apart_in_turns() {
        assert_eq!(spans(&[], 3, 9), [Span::Open(3, 9)]);
        assert_eq!(spans(&[3, 4], 3, 5), [Span::Closed(3, 5)]);
        let turns =
            [Span::Open(1, 3), Span::Closed(3, 5), Span::Open(5, 7), Span::Closed(7, 8), Span::Open(8, 9)];
        assert_eq!(spans(&[3, 4, 7], 1, 9), turns);
        assert_eq!(spans(&[], 5, 5), []);
        assert_eq!(spans(&[7], i64::MIN, i64::MAX).len(), 3);
    }

    #[test]
    fn lines_are_kept_by_one_name() {
        assert_eq!(kind(&[]), Some(None));
        assert_eq!(kind(&[Group::Day]), Some(None));
        assert_eq!(kind(&[Group::Day, Group::Tag]), Some(Some(Group::Tag)));
        assert_eq!(kind(&[Group::Key, Group::Model]), None);
    }
}
