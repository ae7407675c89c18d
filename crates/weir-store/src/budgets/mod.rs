//! Budgets: what is spent, and who has leased what of the rest. `weir_ledger::budget` says what it means; this is the
//! SQL. The row of a budget in `budget_wanted` is its lock: whoever leases from it holds that row.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use weir_ledger::budget::{Ask, Exchange, Holding, Report, grant};

use crate::rows::{Columns, Take};

/// What the store has of one budget when it is asked about.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    holding: Holding,
    wanted: i64,
    said: i64,
}

/// The columns of [`found`], of a row `a` with the ask's budget, lease, and the windows that count.
const FOUND: &str = r#"
COALESCE((SELECT SUM(w."spent_nanousd") FROM budget_windows w
    WHERE w."budget" = a."budget" AND w."window" BETWEEN a."from" AND a."until"), 0)"#;

fn held(what: &str, instance: &str) -> String {
    format!(
        r#"COALESCE((SELECT {what} FROM budget_leases l WHERE l."budget" = a."budget" AND l."lease" = a."lease"
    AND l."instance" <> {instance} AND l."granted" - l."returned" - l."drained" > 0), 0)"#
    )
}

fn own(column: &str, instance: &str) -> String {
    format!(
        r#"COALESCE((SELECT l."{column}" FROM budget_leases l WHERE l."budget" = a."budget" AND l."lease" = a."lease"
    AND l."instance" = {instance}), 0)"#
    )
}

/// The select list of [`found`]. `instance` is the parameter of the process, `whole` makes a sum an integer.
fn columns(instance: &str, whole: &str) -> String {
    let outstanding = r#"SUM(l."granted" - l."returned" - l."drained")"#;
    [
        format!("({FOUND}){whole}"),
        format!("({}){whole}", held(outstanding, instance)),
        held("COUNT(*)", instance),
        own("granted", instance),
        own("returned", instance),
        own("drained", instance),
        own("said", instance),
        r#"COALESCE((SELECT t."times" FROM budget_wanted t WHERE t."budget" = a."budget"), 0)"#.to_owned(),
    ]
    .join(", ")
}

fn found(row: &impl Columns) -> Result<Found, sqlx::Error> {
    let mut take = Take::new(row);
    let holding = Holding {
        spent: take.int()?,
        others: take.int()?,
        holders: take.int()?,
        granted: take.int()?,
        returned: take.int()?,
        drained: take.int()?,
    };
    let said = take.int()?;
    Ok(Found { holding, wanted: take.int()?, said })
}

/// What to answer, and to write where it `writes`.
fn decide(ask: &Ask, found: &Found, writes: bool) -> Report {
    if ask.lease.is_none() {
        return Report { spent: found.holding.spent, ..Report::default() };
    }
    let said = if writes { ask.returned } else { 0 };
    let holding = Holding { returned: found.holding.returned.max(said), ..found.holding };
    let more = if writes { grant(ask, &holding) } else { 0 };
    let granted = holding.granted + more;
    let own = granted - holding.returned - holding.drained;
    Report {
        granted,
        returned: holding.returned,
        drained: holding.drained,
        spent: holding.spent,
        leased: holding.others.saturating_add(own.max(0)),
        holders: holding.holders,
        wanted: found.wanted,
        in_vain: writes && ask.need > 0 && granted == ask.granted,
    }
}

/// Whether the question changes anything: not when it only reads, not when it comes too late.
fn writes(exchange: &Exchange, ask: &Ask, found: &Found, closed: bool) -> bool {
    !closed && !ask.only_reads() && found.said <= exchange.number
}

/// Whether the leases of the process that is the first parameter are closed.
const CLOSED: &str = r#"SELECT COUNT(*) FROM budget_closed WHERE "instance" = $1"#;
const CLOSE: [&str; 2] = [
    r#"INSERT INTO budget_closed ("instance") VALUES ($1) ON CONFLICT DO NOTHING"#,
    r#"DELETE FROM budget_leases WHERE "instance" = $1"#,
];
