//! How the databases find what pages ask: by indexes, never by reading all rows. Each question is put to the database's
//! planner just before it is asked.

use std::sync::Mutex;

use weir_ledger::StoreError;
use weir_ledger::accounts::{Kind, Slice};

use super::*;
use crate::query::{Arg, Database, Dialect};
use crate::rows::Columns;
use crate::{accounts, query, recent, spend};

/// A database that notes the plan of each question.
pub(super) struct Explained<'a, D> {
    db: &'a D,
    plans: Mutex<Vec<(String, String)>>,
}

impl<D: Database> Database for Explained<'_, D> {
    type Row = D::Row;
    const DIALECT: Dialect = D::DIALECT;

    async fn ask(&self, doing: &'static str, sql: String, args: Vec<Arg>) -> Result<Vec<D::Row>, StoreError> {
        let (explain, column) = match D::DIALECT {
            Dialect::Sqlite => ("EXPLAIN QUERY PLAN", 3),
            Dialect::Postgres => ("EXPLAIN", 0),
        };
        let rows = self.db.ask(doing, format!("{explain} {sql}"), args.clone()).await?;
        let lines = rows.iter().map(|row| row.text(column).unwrap().unwrap_or_default());
        let plan = lines.collect::<Vec<_>>().join("\n");
        self.plans.lock().unwrap().push((sql.clone(), plan));
        self.db.ask(doing, sql, args).await
    }
}

impl<D: Database> Explained<'_, D> {
    /// The plans since this was asked last. None of them may read all rows.
    fn plans(&self, what: &str) -> Vec<String> {
        let plans = std::mem::take(&mut *self.plans.lock().unwrap());
        assert!(!plans.is_empty(), "{what}: nothing was asked");
        for (sql, plan) in &plans {
            for table in ["calls", "attempts"] {
                let (all, all_parallel) = (format!("Seq Scan on {table}"), format!("SCAN {table}"));
                let whole = plan.lines().any(|line| line.contains(&all) || line.contains(&all_parallel));
                assert!(!whole, "{what} reads all of {table}:\n{sql}\n{plan}");
            }
        }
        plans.into_iter().map(|(_, plan)| plan).collect()
    }
}

fn by(column: CallColumn, value: &str) -> CallFilter {
    CallFilter { is: vec![(column, value.into())], ..CallFilter::default() }
}

/// Every question of the pages of requests, spend, accounts and changes.
pub(super) async fn every_page_is_found_by_an_index<D: Database>(db: &D, rare: [&str; 8]) {
    let db = Explained { db, plans: Mutex::default() };
    lists(&db, rare).await;
    sums(&db).await;
    let slice = Slice { limit: 51, beyond: None };
    for kind in [Kind::Key, Kind::Team, Kind::User, Kind::Budget] {
        accounts::list(&db, kind, &slice).await.unwrap();
    }
    accounts::audit(&db, &slice).await.unwrap();
    accounts::audit(&db, &Slice { beyond: Some("0190".into()), ..slice }).await.unwrap();
    for id in [id(5).to_string(), "req-7".into(), "nobody".into()] {
        query::call(&db, &id).await.unwrap();
    }
    db.plans("accounts, changes and single calls");
}

async fn lists<D: Database>(db: &Explained<'_, D>, rare: [&str; 8]) {
    let page = |filter: CallFilter| Page { limit: 50, before: None, filter };
    recent::recent(db, &page(CallFilter::default())).await.unwrap();
    db.plans("the latest calls");
    let some_time = CallFilter {
        since: Some((START + DAY) as Micros * 1_000),
        until: Some((START + DAY + 5_000) as Micros * 1_000),
        ..CallFilter::default()
    };
    recent::recent(db, &page(some_time)).await.unwrap();
    db.plans("calls of a time");
    for (column, rare) in CallColumn::ALL.into_iter().zip(rare) {
        let found = recent::recent(db, &page(by(column, rare))).await.unwrap();
        assert!((1..=50).contains(&found.calls.len()), "{column:?}: {} calls", found.calls.len());
        let plans = db.plans(column.name());
        let index = match column {
            CallColumn::Key | CallColumn::Team | CallColumn::User | CallColumn::Session | CallColumn::End => {
                format!("calls_{}", column.name())
            }
            _ => "spend_daily".to_owned(),
        };
        assert!(plans[0].contains(&index), "{column:?} is not found by {index}:\n{}", plans[0]);
        // One key's rare calls, and a rare key's calls of a common kind.
        let others =
            [(CallColumn::Key, "ci"), (CallColumn::Model, "gpt-4o"), (CallColumn::End, "provider_error")];
        for (other, value) in others {
            let filter = CallFilter {
                is: vec![(column, rare.into()), (other, value.into())],
                ..CallFilter::default()
            };
            recent::recent(db, &page(filter)).await.unwrap();
            db.plans("two filters");
        }
        let nobody = recent::recent(db, &page(by(column, "nobody"))).await.unwrap();
        assert_eq!((nobody.calls.len(), nobody.next), (0, None));
        db.plans("a filter that finds nothing");
    }
}

async fn sums<D: Database>(db: &Explained<'_, D>) {
    let day = |days: u64| Some((START + days * DAY) as Micros * 1_000);
    let spans = [
        (None, None),
        (day(1), day(3)),
        (day(1).map(|at| at + 1_000), None),
        (None, day(2).map(|at| at - 1_000)),
    ];
    let mut groups: Vec<Vec<Group>> = vec![vec![]];
    groups.extend(Group::ALL.map(|group| vec![group]));
    groups.extend(Group::ALL.map(|group| vec![Group::Model, group, Group::Day]));
    for by in groups {
        for (since, until) in spans {
            let query = SpendQuery { by: by.clone(), since, until };
            spend::spend(db, &query).await.unwrap();
            let plans = db.plans(&format!("{query:?}"));
            let reads = |plan: &&String| plan.contains(" on attempts") || plan.contains("SEARCH attempts");
            let edges = plans.iter().filter(reads).count();
            let ragged =
                [since, until].into_iter().flatten().filter(|at| at % (DAY as Micros * 1_000) != 0).count();
            // Of rows, only the ragged ends are read; a total of its own is only needed where a call stands in many lines.
            assert_eq!(edges, ragged * if by.contains(&Group::Tag) { 2 } else { 1 }, "{query:?}: {plans:?}");
        }
    }
    let crossed = SpendQuery { by: vec![Group::User, Group::Tag], since: day(1), until: day(2) };
    spend::spend(db, &crossed).await.unwrap();
    db.plans("users by tags of a span");
}
