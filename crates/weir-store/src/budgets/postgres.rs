//! Budgets in Postgres: a few statements an exchange, however many budgets it is about.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;
use weir_ledger::budget::{Ask, Authority, Debits, Exchange, Report, Signals};
use weir_ledger::{Answer, Micros, Text};

use super::{CLOSE, CLOSED, columns, decide, found, writes};
use crate::error;
use crate::postgres::PostgresStore;

/// Tells the others that somebody asked in vain.
const CHANNEL: &str = "weir_budgets";

const LOCK: &str =
    r#"SELECT "budget" FROM budget_wanted WHERE "budget" = ANY($1) ORDER BY "budget" FOR UPDATE"#;
/// Exchanges of a process don't wait for each other here, but closing its leases waits for them, however late they are.
const ENTER: &str = "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))";
const SHUT: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
const MAKE: &str = r#"INSERT INTO budget_wanted ("budget", "times")
SELECT given."budget", 0 FROM UNNEST($1::text[]) AS given("budget") ORDER BY 1 ON CONFLICT DO NOTHING"#;
const LEASE: &str = r#"INSERT INTO budget_leases ("budget", "lease", "instance", "granted", "returned", "drained", "said")
SELECT given."budget", given."lease", $1, given."granted", given."returned", 0, $6
FROM UNNEST($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS given("budget", "lease", "granted", "returned")
ORDER BY 1, 2 ON CONFLICT ("budget", "lease", "instance")
DO UPDATE SET "granted" = excluded."granted", "returned" = excluded."returned", "said" = excluded."said""#;
const IN_VAIN: &str = r#"UPDATE budget_wanted SET "times" = "times" + 1 WHERE "budget" = ANY($1)"#;
const SPENT: &str = r#"INSERT INTO budget_windows ("budget", "window", "spent_nanousd")
SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[]) ON CONFLICT ("budget", "window")
DO UPDATE SET "spent_nanousd" = budget_windows."spent_nanousd" + excluded."spent_nanousd""#;
/// Locks in order first, since an exchange of the same process takes the same rows.
const DRAINED: &str = r#"UPDATE budget_leases AS l SET "drained" = l."drained" + d."cost"
FROM (SELECT g."budget", g."lease", g."cost"
    FROM UNNEST($2::text[], $3::bigint[], $4::bigint[]) AS g("budget", "lease", "cost")
    JOIN budget_leases AS o ON o."budget" = g."budget" AND o."lease" = g."lease" AND o."instance" = $1
    ORDER BY 1, 2 FOR UPDATE OF o) AS d
WHERE l."budget" = d."budget" AND l."lease" = d."lease" AND l."instance" = $1"#;
const ALERT: &str = r#"INSERT INTO budget_alerts ("budget", "window", "millionths") VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING"#;
const SUMS: &str = r#"SELECT COALESCE((SELECT SUM(w."spent_nanousd") FROM budget_windows w
    WHERE w."budget" = a."budget" AND w."window" BETWEEN a."from" AND a."until"), 0)::bigint
FROM UNNEST($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS a("budget", "from", "until", "at")
ORDER BY a."at""#;

type Sums<'a> = &'a std::collections::BTreeMap<(Text, Micros), i64>;

fn arrays(sums: Sums<'_>) -> (Vec<String>, Vec<i64>, Vec<i64>) {
    let mut arrays = (Vec::new(), Vec::new(), Vec::new());
    for ((budget, time), sum) in sums {
        arrays.0.push(budget.to_string());
        arrays.1.push(*time);
        arrays.2.push(*sum);
    }
    arrays
}

/// Adds what new rows cost to what is spent, and takes it off the lease that paid.
pub(crate) async fn charge(
    connection: &mut PgConnection,
    instance: Option<Uuid>,
    debits: &Debits,
) -> Result<(), sqlx::Error> {
    if debits.is_empty() {
        return Ok(());
    }
    let (budgets, windows, costs) = arrays(&debits.spent);
    sqlx::query(SPENT).bind(budgets).bind(windows).bind(costs).execute(&mut *connection).await?;
    let Some(instance) = instance.filter(|_| !debits.drained.is_empty()) else { return Ok(()) };
    let (budgets, leases, costs) = arrays(&debits.drained);
    let statement = sqlx::query(DRAINED).bind(instance.to_string()).bind(budgets).bind(leases).bind(costs);
    statement.execute(&mut *connection).await?;
    Ok(())
}

async fn exchange_on(connection: &mut PgConnection, exchange: &Exchange) -> Result<Vec<Report>, sqlx::Error> {
    let mut budgets: Vec<String> =
        exchange.asks.iter().filter(|ask| !ask.only_reads()).map(|ask| ask.budget.to_string()).collect();
    budgets.dedup();
    if budgets.is_empty() {
        return Ok(read(connection, exchange, true).await?.into_iter().map(|(_, report)| report).collect());
    }
    let mut tx = connection.begin().await?;
    let instance = exchange.instance.to_string();
    sqlx::query(ENTER).bind(&instance).execute(&mut *tx).await?;
    let closed: i64 = sqlx::query_scalar(CLOSED).bind(&instance).fetch_one(&mut *tx).await?;
    let locked = sqlx::query(LOCK).bind(&budgets).fetch_all(&mut *tx).await?;
    if locked.len() < budgets.len() {
        sqlx::query(MAKE).bind(&budgets).execute(&mut *tx).await?;
        sqlx::query(LOCK).bind(&budgets).execute(&mut *tx).await?;
    }
    // A new statement, so that it sees what others did before they let go of the lock.
    let answers = read(&mut tx, exchange, closed != 0).await?;
    write(&mut tx, exchange, &answers).await?;
    tx.commit().await?;
    Ok(answers.into_iter().map(|(_, report)| report).collect())
}

/// The answers, each with whether its lease has to be written.
async fn read(
    connection: &mut PgConnection,
    exchange: &Exchange,
    closed: bool,
) -> Result<Vec<(bool, Report)>, sqlx::Error> {
    let asks = &exchange.asks;
    let sql = format!(
        r#"SELECT {}, a."at" FROM UNNEST($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
WITH ORDINALITY AS a("budget", "lease", "from", "until", "at") ORDER BY a."at""#,
        columns("$1", "::bigint")
    );
    let rows: Vec<PgRow> = sqlx::query(AssertSqlSafe(sql))
        .bind(exchange.instance.to_string())
        .bind(asks.iter().map(|ask| ask.budget.to_string()).collect::<Vec<_>>())
        .bind(asks.iter().map(|ask| ask.lease).collect::<Vec<_>>())
        .bind(asks.iter().map(|ask| ask.counts.0).collect::<Vec<_>>())
        .bind(asks.iter().map(|ask| ask.counts.1).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let answer = |(ask, row): (&Ask, &PgRow)| {
        let found = found(row)?;
        let writes = writes(exchange, ask, &found, closed);
        Ok((writes, decide(ask, &found, writes)))
    };
    asks.iter().zip(&rows).map(answer).collect()
}

async fn write(
    connection: &mut PgConnection,
    exchange: &Exchange,
    answers: &[(bool, Report)],
) -> Result<(), sqlx::Error> {
    let changed: Vec<_> = exchange.asks.iter().zip(answers).filter(|(_, (changed, _))| *changed).collect();
    if !changed.is_empty() {
        sqlx::query(LEASE)
            .bind(exchange.instance.to_string())
            .bind(changed.iter().map(|(ask, _)| ask.budget.to_string()).collect::<Vec<_>>())
            .bind(changed.iter().map(|(ask, _)| ask.lease).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, (_, report))| report.granted).collect::<Vec<_>>())
            .bind(changed.iter().map(|(_, (_, report))| report.returned).collect::<Vec<_>>())
            .bind(exchange.number)
            .execute(&mut *connection)
            .await?;
    }
    let in_vain = exchange.asks.iter().zip(answers).filter(|(_, (_, report))| report.in_vain);
    let in_vain: Vec<String> = in_vain.map(|(ask, _)| ask.budget.to_string()).collect();
    if !in_vain.is_empty() {
        sqlx::query(IN_VAIN).bind(in_vain).execute(&mut *connection).await?;
        sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn close_on(connection: &mut PgConnection, instance: String) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    sqlx::query(SHUT).bind(&instance).execute(&mut *tx).await?;
    for sql in CLOSE {
        sqlx::query(sql).bind(&instance).execute(&mut *tx).await?;
    }
    tx.commit().await
}

impl Authority for PostgresStore {
    fn exchange<'a>(&'a self, exchange: &'a Exchange) -> Answer<'a, Vec<Report>> {
        Box::pin(async move {
            let doing = "lease from budgets";
            let mut connection = self.connection(doing).await?;
            let work = exchange_on(&mut connection, exchange);
            let result = tokio::time::timeout(self.patience(), work).await;
            Self::settle(doing, connection, result)
        })
    }

    fn close_leases(&self, instance: Uuid) -> Answer<'_, ()> {
        Box::pin(async move {
            let doing = "close leases";
            let mut connection = self.connection(doing).await?;
            let work = close_on(&mut connection, instance.to_string());
            let result = tokio::time::timeout(self.patience(), work).await;
            Self::settle(doing, connection, result)
        })
    }

    fn spent<'a>(&'a self, of: &'a [(Text, Micros, Micros)]) -> Answer<'a, Vec<i64>> {
        Box::pin(async move {
            let doing = "read budgets";
            let mut connection = self.connection(doing).await?;
            let work = sqlx::query_scalar(SUMS)
                .bind(of.iter().map(|(budget, ..)| budget.to_string()).collect::<Vec<_>>())
                .bind(of.iter().map(|(_, from, _)| *from).collect::<Vec<_>>())
                .bind(of.iter().map(|(.., until)| *until).collect::<Vec<_>>())
                .fetch_all(&mut *connection);
            let result = tokio::time::timeout(self.patience(), work).await;
            Self::settle(doing, connection, result)
        })
    }

    fn claim_alert<'a>(&'a self, budget: &'a str, window: Micros, millionths: u32) -> Answer<'a, bool> {
        Box::pin(async move {
            let doing = "claim an alert";
            let mut connection = self.connection(doing).await?;
            let claim = sqlx::query(ALERT).bind(budget).bind(window).bind(i64::from(millionths));
            let result = tokio::time::timeout(self.patience(), claim.execute(&mut *connection)).await;
            Self::settle(doing, connection, result).map(|done| done.rows_affected() > 0)
        })
    }

    fn signals(&self) -> Answer<'_, Box<dyn Signals>> {
        Box::pin(async {
            let doing = "listen";
            // A connection of its own, so that rows never wait for it.
            let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(self.patience());
            let pool = pool.connect_lazy_with(self.connect_options());
            let mut listener =
                PgListener::connect_with(&pool).await.map_err(|cause| error::failed(doing, cause))?;
            listener.listen(CHANNEL).await.map_err(|cause| error::failed(doing, cause))?;
            let listening: Box<dyn Signals> = Box::new(Listening(listener));
            Ok(listening)
        })
    }
}

/// Hears what other processes tell.
struct Listening(PgListener);

impl Signals for Listening {
    fn next(&mut self) -> Answer<'_, ()> {
        Box::pin(async {
            self.0.recv().await.map_err(|cause| error::failed("listen", cause))?;
            // Several at once are one.
            while tokio::time::timeout(Duration::from_millis(1), self.0.recv())
                .await
                .is_ok_and(|told| told.is_ok())
            {}
            Ok(())
        })
    }
}
