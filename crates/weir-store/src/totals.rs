//! Adding everything up again: the daily sums against the rows, each call against its attempts. Reads all rows; for
//! `weir doctor` and for tests, not for pages.

use weir_ledger::{Mismatch, StoreError, Totals};
use weir_wire::usage::TOKEN_CLASSES;

use crate::error;
use crate::query::{Database, Dialect, sum};
use crate::rows::{Columns, Take};

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
    for lines in all_lines(D::DIALECT) {
        for row in db.ask(doing, mismatches(lines), Vec::new()).await? {
            totals.mismatches.push(mismatch(&row, lines.kind).map_err(failed)?);
        }
    }
    for row in db.ask(doing, closed_mismatches(), Vec::new()).await? {
        totals.mismatches.push(mismatch(&row, Some("closed day, by")).map_err(failed)?);
    }
    for row in db.ask(doing, unbalanced(D::DIALECT), Vec::new()).await? {
        totals.unbalanced.push(Take::new(&row).call_id().map_err(failed)?);
    }
    Ok(totals)
}

/// What is summed: all rows, or those with a name of one kind, by name.
#[derive(Debug, Clone, Copy)]
struct Lines {
    /// What kind of name; `None`: all rows.
    kind: Option<&'static str>,
    /// The table of sums.
    sums: &'static str,
    /// The column of the name.
    stored: &'static str,
    /// Where the name is in a row.
    name: &'static str,
    from: &'static str,
}

/// All that is summed.
fn all_lines(dialect: Dialect) -> [Lines; 5] {
    let named = |kind, sums, name, from| Lines { kind: Some(kind), sums, stored: "\"value\"", name, from };
    let tags = match dialect {
        Dialect::Sqlite => "{table}, json_each({table}.\"tags\") AS tag",
        Dialect::Postgres => "{table}, jsonb_array_elements_text({table}.\"tags\") AS tag(value)",
    };
    [
        Lines { kind: None, sums: "spend_daily", stored: "''", name: "''", from: "{table}" },
        named("user", "spend_by WHERE \"kind\" = 'user'", "\"user\"", "{table} WHERE \"user\" IS NOT NULL"),
        named(
            "session",
            "spend_by WHERE \"kind\" = 'session'",
            "\"session\"",
            "{table} WHERE \"session\" IS NOT NULL",
        ),
        named("tag", "spend_by WHERE \"kind\" = 'tag'", "tag.value", tags),
        named("tagged", "spend_by WHERE \"kind\" = 'tagged'", "''", "{table} WHERE \"tags\" IS NOT NULL"),
    ]
}

/// Stored and summed numbers side by side, by day, key, team and name, where they differ.
fn mismatches(lines: Lines) -> String {
    let tokens: Vec<_> = TOKEN_CLASSES.iter().map(|class| format!("\"{}\"", class.name())).collect();
    let tokens = tokens.join(" + ");
    let of = |table: &str| {
        let key = format!("{table}.\"day\", {table}.\"key\", COALESCE({table}.\"team\", ''), {}", lines.name);
        (key, lines.from.replace("{table}", table))
    };
    let ((calls_key, calls), (attempts_key, attempts)) = (of("calls"), of("attempts"));
    let names = ["sc", "rc", "sa", "ra", "st", "rt", "sm", "rm"];
    let sums: Vec<_> = names.iter().map(|name| sum(name)).collect();
    let differ = ["c", "a", "t", "m"].map(|name| format!("SUM(s{name}) <> SUM(r{name})")).join(" OR ");
    format!(
        "SELECT \"day\", \"key\", \"team\", name, {} FROM (\
         SELECT \"day\", \"key\", \"team\", {} AS name, \"calls\" AS sc, 0 AS rc, \"attempts\" AS sa, 0 AS ra, {tokens} AS st, 0 AS rt, \
         \"cost_nanousd\" AS sm, 0 AS rm FROM {} \
         UNION ALL SELECT {calls_key}, 0, 1, 0, 0, 0, 0, 0, 0 FROM {calls} \
         UNION ALL SELECT {attempts_key}, 0, 0, 0, 1, 0, {tokens}, 0, COALESCE(\"cost_nanousd\", 0) FROM {attempts}\
         ) AS lines GROUP BY 1, 2, 3, 4 HAVING {differ} ORDER BY 1, 2, 3, 4",
        sums.join(", "),
        lines.stored,
        lines.sums,
    )
}

/// Closed days whose lines by some name are not what the day's own sums are.
fn closed_mismatches() -> String {
    let tokens: Vec<_> = TOKEN_CLASSES.iter().map(|class| format!("\"{}\"", class.name())).collect();
    let tokens = tokens.join(" + ");
    let numbers = format!("\"calls\" AS c, \"attempts\" AS a, {tokens} AS t, \"cost_nanousd\" AS m");
    let kinds = ["all", "model", "provider", "route", "key", "team", "user", "session"];
    let kinds = kinds.map(|kind| format!("SELECT '{kind}' AS kind")).join(" UNION ALL ");
    let sides = ["c", "a", "t", "m"].map(|name| {
        format!("{0} AS s{name}, {1} AS r{name}", sum(&format!("s{name}")), sum(&format!("r{name}")))
    });
    let differ = ["c", "a", "t", "m"].map(|name| format!("SUM(s{name}) <> SUM(r{name})")).join(" OR ");
    format!(
        "SELECT \"day\", '', '', kind, {} FROM (\
         SELECT \"day\", CASE WHEN \"kind\" IN ('no user', 'no session') THEN SUBSTR(\"kind\", 4) ELSE \"kind\" END AS kind, \
         c AS sc, 0 AS rc, a AS sa, 0 AS ra, t AS st, 0 AS rt, m AS sm, 0 AS rm \
         FROM (SELECT \"day\", \"kind\", {numbers} FROM spend_names) AS stored WHERE \"kind\" <> 'no tag' \
         UNION ALL SELECT \"day\", kinds.kind, 0, c, 0, a, 0, t, 0, m \
         FROM (SELECT \"day\", {numbers} FROM spend_daily) AS daily CROSS JOIN ({kinds}) AS kinds \
         UNION ALL SELECT \"day\", 'tag', 0, c, 0, a, 0, t, 0, m \
         FROM (SELECT \"day\", {numbers} FROM spend_by WHERE \"kind\" = 'tag') AS tagged\
         ) AS lines WHERE \"day\" IN (SELECT \"day\" FROM spend_closed) GROUP BY \"day\", kind HAVING {differ} ORDER BY \"day\", kind",
        sides.join(", ")
    )
}

fn mismatch<R: Columns>(row: &R, kind: Option<&str>) -> Result<Mismatch, sqlx::Error> {
    let mut take = Take::new(row);
    let (day, key, team) = (take.int()?, take.string()?, take.string()?);
    let name = take.string()?;
    let mut numbers = [0; 8];
    for number in &mut numbers {
        *number = take.int()?;
    }
    let [stored_calls, calls, stored_attempts, attempts, _, _, stored, summed] = numbers;
    Ok(Mismatch {
        day,
        key,
        team,
        name: kind.map(|kind| format!("{kind} {name}")),
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
