//! Budgets in a SQLite file: a statement for each question, since nothing lies between.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{AssertSqlSafe, Connection, Row};
use uuid::Uuid;
use weir_ledger::budget::{Ask, Authority, Exchange, Report, Signals};
use weir_ledger::{Answer, Micros, Text};

use super::{CLOSE, CLOSED, columns, decide, found, writes};
use crate::sqlite::{READ_PATIENCE, SqliteStore, WRITE_PATIENCE, within};

/// How often to look whether somebody asked in vain.
const LOOK: Duration = Duration::from_millis(100);

const LEASE: &str = r#"INSERT INTO budget_leases ("budget", "lease", "instance", "granted", "returned", "drained", "said")
VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6) ON CONFLICT ("budget", "lease", "instance")
DO UPDATE SET "granted" = excluded."granted", "returned" = excluded."returned", "said" = excluded."said""#;
const IN_VAIN: &str = r#"INSERT INTO budget_wanted ("budget", "times") VALUES (?1, 1)
ON CONFLICT ("budget") DO UPDATE SET "times" = "times" + 1"#;
/// Adds what rows cost to what is spent.
pub(crate) const SPENT: &str = r#"INSERT INTO budget_windows ("budget", "window", "spent_nanousd") VALUES (?1, ?2, ?3)
ON CONFLICT ("budget", "window") DO UPDATE SET "spent_nanousd" = "spent_nanousd" + excluded."spent_nanousd""#;
/// Takes it off the lease that paid.
pub(crate) const DRAINED: &str = r#"UPDATE budget_leases SET "drained" = "drained" + ?4
WHERE "budget" = ?1 AND "lease" = ?2 AND "instance" = ?3"#;
const ALERT: &str = r#"INSERT INTO budget_alerts ("budget", "window", "millionths") VALUES (?1, ?2, ?3)
ON CONFLICT DO NOTHING"#;
const SUM: &str = r#"SELECT COALESCE(SUM("spent_nanousd"), 0) FROM budget_windows
WHERE "budget" = ?1 AND "window" BETWEEN ?2 AND ?3"#;

async fn exchange_on(pool: &SqlitePool, exchange: &Exchange) -> Result<Vec<Report>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let closed = sqlx::query_scalar(CLOSED).bind(exchange.instance.to_string());
    let closed: i64 = closed.fetch_one(&mut *tx).await?;
    let mut reports = Vec::with_capacity(exchange.asks.len());
    for ask in &exchange.asks {
        reports.push(answer(&mut tx, exchange, ask, closed != 0).await?);
    }
    tx.commit().await?;
    Ok(reports)
}

async fn read_on(pool: &SqlitePool, exchange: &Exchange) -> Result<Vec<Report>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut reports = Vec::with_capacity(exchange.asks.len());
    for ask in &exchange.asks {
        reports.push(answer(&mut connection, exchange, ask, true).await?);
    }
    Ok(reports)
}

async fn answer(
    connection: &mut SqliteConnection,
    exchange: &Exchange,
    ask: &Ask,
    closed: bool,
) -> Result<Report, sqlx::Error> {
    let instance = exchange.instance.to_string();
    let given = r#"(SELECT ?1 AS "budget", ?2 AS "lease", ?3 AS "from", ?4 AS "until") AS a"#;
    let sql = format!("SELECT {} FROM {given}", columns("?5", ""));
    let question = sqlx::query(AssertSqlSafe(sql)).bind(&*ask.budget).bind(ask.lease);
    let row =
        question.bind(ask.counts.0).bind(ask.counts.1).bind(&instance).fetch_one(&mut *connection).await?;
    let found = found(&row)?;
    let writes = writes(exchange, ask, &found, closed);
    let report = decide(ask, &found, writes);
    if writes {
        let lease = sqlx::query(LEASE).bind(&*ask.budget).bind(ask.lease).bind(&instance);
        let lease = lease.bind(report.granted).bind(report.returned).bind(exchange.number);
        lease.execute(&mut *connection).await?;
    }
    if report.in_vain {
        sqlx::query(IN_VAIN).bind(&*ask.budget).execute(&mut *connection).await?;
    }
    Ok(report)
}

impl Authority for SqliteStore {
    fn exchange<'a>(&'a self, exchange: &'a Exchange) -> Answer<'a, Vec<Report>> {
        let doing = "lease from budgets";
        if exchange.asks.iter().all(Ask::only_reads) {
            return Box::pin(within(doing, READ_PATIENCE, read_on(&self.readers, exchange)));
        }
        Box::pin(within(doing, WRITE_PATIENCE, exchange_on(&self.writer, exchange)))
    }

    fn close_leases(&self, instance: Uuid) -> Answer<'_, ()> {
        let work = async move {
            let mut connection = self.writer.acquire().await?;
            let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
            for sql in CLOSE {
                sqlx::query(sql).bind(instance.to_string()).execute(&mut *tx).await?;
            }
            tx.commit().await
        };
        Box::pin(within("close leases", WRITE_PATIENCE, work))
    }

    fn spent<'a>(&'a self, of: &'a [(Text, Micros, Micros)]) -> Answer<'a, Vec<i64>> {
        let work = async move {
            let mut sums = Vec::with_capacity(of.len());
            for (budget, from, until) in of {
                let question = sqlx::query_scalar(SUM).bind(&**budget).bind(*from).bind(*until);
                sums.push(question.fetch_one(&self.readers).await?);
            }
            Ok(sums)
        };
        Box::pin(within("read budgets", READ_PATIENCE, work))
    }

    fn claim_alert<'a>(&'a self, budget: &'a str, window: Micros, millionths: u32) -> Answer<'a, bool> {
        let work = async move {
            let claim = sqlx::query(ALERT).bind(budget).bind(window).bind(i64::from(millionths));
            Ok(claim.execute(&self.writer).await?.rows_affected() > 0)
        };
        Box::pin(within("claim an alert", WRITE_PATIENCE, work))
    }

    fn signals(&self) -> Answer<'_, Box<dyn Signals>> {
        let signals: Box<dyn Signals> = Box::new(Looking { store: self.clone(), seen: None });
        Box::pin(async { Ok(signals) })
    }
}

/// Looks again and again: a file tells nobody.
struct Looking {
    store: SqliteStore,
    seen: Option<i64>,
}

impl Signals for Looking {
    fn next(&mut self) -> Answer<'_, ()> {
        let work = async {
            loop {
                let sql = r#"SELECT COALESCE(SUM("times"), 0) FROM budget_wanted"#;
                let times = sqlx::query(sql).fetch_one(&self.store.readers).await?.try_get::<i64, _>(0)?;
                if self.seen.replace(times).is_some_and(|seen| seen != times) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        Box::pin(async { work.await.map_err(|cause| crate::error::failed("watch budgets", cause)) })
    }
}
