//! One suite for all stores: what `MemoryStore` does in plain words, SQLite and Postgres must do.

mod accounts;
mod budgets;
mod plans;
mod postgres;
mod repeats;
mod responses;
mod spend;
mod sqlite;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use weir_ledger::row::sample;
use weir_ledger::{
    AttemptRow, Batch, CallColumn, CallFilter, CallId, CallRow, Facts, Fault, Group, Ledger, LedgerConfig,
    MemoryStore, Micros, Page, SpendQuery, Store, UsageSource, Written,
};
use weir_wire::usage::{Class, Usage};

use crate::OpenError;

type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// An empty database, and a way around its store.
trait Fixture {
    /// The store; opened anew each time.
    fn open(&self) -> Later<'_, Result<Arc<dyn Store>, OpenError>>;
    /// Runs SQL behind the store's back.
    fn execute<'a>(&'a self, sql: &'a str) -> Later<'a, ()>;
}

/// Runs each case on an empty database of its own.
async fn run<F: Fixture>(mut empty: impl AsyncFnMut(&'static str) -> F) {
    rows_are_found_as_they_were_written(&empty("rows").await).await;
    a_batch_written_again_changes_nothing(&empty("again").await).await;
    rows_that_are_partly_there_are_told_apart(&empty("partly").await).await;
    writers_of_the_same_rows_write_them_once(&empty("writers").await).await;
    pages_follow_each_other(&empty("pages").await).await;
    lists_hold_what_was_asked_for(&empty("lists").await).await;
    spend::spend_is_what_the_plain_store_says(&empty("spend").await).await;
    spend::sums_are_those_of_the_rows_whatever_is_written_and_asked(&empty("sums").await).await;
    spend::days_are_closed_and_opened_again(&empty("closed").await).await;
    spend::a_wrong_sum_is_found(&empty("wrong").await).await;
    a_row_that_does_not_fit_is_refused_with_its_batch(&empty("refused").await).await;
    a_newer_schema_is_worked_with_or_not_touched(&empty("newer").await).await;
    a_whole_ledger_drains_into_it(&empty("ledger").await).await;
    odd_text_is_kept(&empty("odd").await).await;
    accounts::changes_follow_each_other(&empty("changes").await).await;
    accounts::accounts_come_in_pages(&empty("account_pages").await).await;
    accounts::a_repeated_request_changes_nothing(&empty("repeated").await).await;
    accounts::writers_do_not_step_on_each_other(&empty("account_writers").await).await;
    responses::answers_are_their_owners(&empty("responses").await).await;
    repeats::claims_are_what_the_plain_store_says(&empty("claims").await).await;
    repeats::one_of_many_runs_a_call(&empty("claim_race").await).await;
    accounts::changes_are_told(&empty("told").await).await;
    budgets::leases_are_what_the_plain_store_says(&empty("leases").await).await;
    budgets::processes_that_ask_at_once_never_get_more_than_there_is(&empty("asking").await).await;
    budgets::alerts_are_claimed_once_and_signals_are_heard(&empty("alerts").await).await;
    budgets::a_dead_process_s_leases_end_with_its_spool(&empty("dead").await).await;
}

const DAY: u64 = 86_400_000;
const START: u64 = 20_000 * DAY;

fn id(ms: u64) -> CallId {
    CallId::at(START + ms, &[(ms % 251) as u8; 10])
}

/// A call with `attempts` attempts, varied by its number.
fn sample_call(n: u64, attempts: u16) -> (CallRow, Vec<AttemptRow>) {
    let pick = |values: &[&str], by: u64| Arc::from(values[(n / by) as usize % values.len()]);
    let mut facts: Facts = (*sample::facts(((START + n) * 1_000) as i64)).clone();
    facts.request_id = format!("req-{n}").into();
    facts.key = pick(&["ci", "app", "lab"], 1);
    facts.team = [None, Some("red".into()), Some("blue".into())][(n / 2) as usize % 3].clone();
    facts.user = n.is_multiple_of(3).then(|| pick(&["ann", "bob"], 3));
    facts.session = n.is_multiple_of(5).then(|| "run".into());
    facts.tags = [vec![], vec!["a".into()], vec!["a".into(), "name:b".into()]][n as usize % 3].clone();
    facts.route = pick(&["smart", "fast"], 4);
    let facts = Arc::new(facts);
    // Spread over four days.
    let call = id(n * 7_919_000 % (4 * DAY));
    let mut rows = Vec::new();
    for attempt in 1..=attempts {
        let mut open = sample::open(call, attempt, &facts);
        open.provider = pick(&["openai", "claude"], u64::from(attempt));
        open.model = pick(&["gpt-4o", "sonnet", "haiku"], u64::from(attempt) + 1);
        let mut row = sample::settled(&open, (n * 1_001 + u64::from(attempt)) as i64);
        row.usage = Usage::new().with(Class::Input, n).with(Class::AudioOut, 3);
        if n % 2 == 1 {
            row.usage.set(Class::Image, n);
        }
        if n.is_multiple_of(11) {
            (row.cost_nanousd, row.usage_source) = (None, UsageSource::Estimated);
        }
        rows.push(row);
    }
    let mut sum = weir_ledger::row::Sum::default();
    rows.iter().for_each(|row| sum.add(row));
    let mut row = match rows.last() {
        Some(last) => sample::finished(last),
        None => {
            let open = sample::open(call, 1, &facts);
            let refused = sample::finished(&sample::settled(&open, 0));
            CallRow { provider: None, model: None, ttft_ms: None, ..refused }
        }
    };
    (row.attempts, row.usage, row.cost_nanousd) = (sum.attempts, sum.usage, sum.cost_nanousd);
    (row, rows)
}

fn sample_batch(numbers: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = Batch::default();
    for n in numbers {
        let (call, attempts) = sample_call(n, (n % 4) as u16);
        batch.calls.push(call);
        batch.attempts.extend(attempts);
    }
    batch.sort();
    batch
}

async fn rows_are_found_as_they_were_written(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let batch = sample_batch(0..200);
    let written = store.write(&batch).await.unwrap();
    assert_eq!(written, Written { new: batch.len() as u64, replayed: 0 });
    for n in [0, 1, 2, 3, 55, 199] {
        let (call, attempts) = sample_call(n, (n % 4) as u16);
        let by_id = store.call(&call.id.to_string()).await.unwrap().unwrap();
        assert_eq!((&by_id.call, &by_id.attempts), (&call, &attempts));
        assert_eq!(store.call(&call.facts.request_id).await.unwrap().unwrap(), by_id);
    }
    for nobody in ["", "nobody", "'; DROP TABLE calls; --", &id(5).to_string()] {
        assert_eq!(store.call(nobody).await.unwrap(), None, "{nobody}");
    }
    let health = store.health().await.unwrap();
    assert_eq!(health.schema, crate::migrate::NEWEST);
    store.close().await.unwrap();
    // Opened again, it is the same.
    let store = fixture.open().await.unwrap();
    assert_eq!(store.check_totals().await.unwrap().calls, 200);
}

async fn a_batch_written_again_changes_nothing(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    // More rows than one statement takes.
    let batch = sample_batch(0..1_500);
    store.write(&batch).await.unwrap();
    let before = store.check_totals().await.unwrap();
    assert!(before.is_exact(), "{before:?}");
    for _ in 0..3 {
        let written = store.write(&batch).await.unwrap();
        assert_eq!(written, Written { new: 0, replayed: batch.len() as u64 });
    }
    assert_eq!(store.check_totals().await.unwrap(), before);
    let cost: i64 = batch.attempts.iter().filter_map(|row| row.cost_nanousd).sum();
    assert_eq!(
        (before.calls, before.attempts, before.cost_nanousd),
        (1_500, batch.attempts.len() as u64, cost)
    );
}

async fn rows_that_are_partly_there_are_told_apart(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let first = sample_batch((0..60).step_by(2));
    let all = sample_batch(0..60);
    store.write(&first).await.unwrap();
    let mut changed = all.clone();
    // What is there already stays as it is.
    changed.calls.iter_mut().for_each(|row| row.status = 418);
    let written = store.write(&changed).await.unwrap();
    assert_eq!(written, Written { new: (all.len() - first.len()) as u64, replayed: first.len() as u64 });
    assert!(store.check_totals().await.unwrap().is_exact());
    let call = store.call("req-2").await.unwrap().unwrap().call;
    assert_eq!(call, sample_call(2, 2).0);
    assert_eq!(store.call("req-3").await.unwrap().unwrap().call.status, 418);
    assert_eq!(store.write(&Batch::default()).await.unwrap(), Written::default());
}

async fn writers_of_the_same_rows_write_them_once(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let writers = (0..4u64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut sum = Written::default();
            for part in 0..10 {
                let batch = sample_batch((part + writer) * 10..(part + writer) * 10 + 20);
                // Writers that meet may be told to come again; each does, as the drain would.
                let written = loop {
                    match store.write(&batch).await {
                        Ok(written) => break written,
                        Err(error) => assert_eq!(error.fault, Fault::Unavailable, "{error:?}"),
                    }
                };
                sum.new += written.new;
                sum.replayed += written.replayed;
            }
            sum
        })
    });
    let mut new = 0;
    for writer in writers.collect::<Vec<_>>() {
        new += writer.await.unwrap().new;
    }
    let all = sample_batch(0..140);
    assert_eq!(new, all.len() as u64);
    let totals = store.check_totals().await.unwrap();
    assert!(totals.is_exact(), "{totals:?}");
    assert_eq!(totals.calls, 140);
}

async fn pages_follow_each_other(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let batch = sample_batch(0..25);
    store.write(&batch).await.unwrap();
    let mut listed = Vec::new();
    let mut before = None;
    let mut pages = 0;
    loop {
        let page = store.recent(&Page { limit: 10, before, ..Page::default() }).await.unwrap();
        listed.extend(page.calls);
        pages += 1;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    listed.reverse();
    let (calls, attempts): (Vec<_>, Vec<_>) =
        listed.into_iter().map(|record| (record.call, record.attempts)).unzip();
    assert_eq!((pages, calls), (3, batch.calls.clone()));
    assert_eq!(attempts.concat(), batch.attempts);
    let all = store.recent(&Page { limit: 25, ..Page::default() }).await.unwrap();
    assert_eq!((all.calls.len(), all.next), (25, None));
}

async fn lists_hold_what_was_asked_for(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let plain = MemoryStore::new();
    let batch = sample_batch(0..60);
    store.write(&batch).await.unwrap();
    plain.write(&batch).await.unwrap();
    let sample = &batch.calls[7];
    let began = sample.id.unix_ms() as Micros * 1_000;
    let mut filters = vec![
        CallFilter { since: Some(began), ..CallFilter::default() },
        CallFilter { until: Some(began), ..CallFilter::default() },
        CallFilter { is: vec![(CallColumn::Key, "'; DROP TABLE calls; --".into())], ..CallFilter::default() },
    ];
    for column in CallColumn::ALL {
        let value = column.of(sample).unwrap_or("nothing").to_owned();
        filters.push(CallFilter { is: vec![(column, value)], ..CallFilter::default() });
    }
    // Whether days are closed makes no difference.
    for closed in [false, true] {
        for filter in &filters {
            let page = Page { limit: 50, before: None, filter: filter.clone() };
            assert_eq!(
                store.recent(&page).await.unwrap(),
                plain.recent(&page).await.unwrap(),
                "{closed} {page:?}"
            );
        }
        let day = (START / DAY) as i64 + 1;
        assert!(closed || store.close_day(day + 1).await.unwrap());
    }
}

async fn a_row_that_does_not_fit_is_refused_with_its_batch(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let batch = |n: u64, cost: i64| {
        let (_, mut attempts) = sample_call(n, 1);
        attempts[0].cost_nanousd = Some(cost);
        let calls = vec![sample::finished(&attempts[0])];
        Batch { calls, attempts, instance: None }
    };
    store.write(&batch(12, i64::MAX)).await.unwrap();
    // The same day, key and target: the sum can't be held.
    let mut second = batch(12, 5);
    second.calls[0].id = CallId::at(second.calls[0].id.unix_ms(), &[9; 10]);
    second.attempts[0].id.call = second.calls[0].id;
    let error = store.write(&second).await.unwrap_err();
    assert_eq!(error.fault, Fault::Rejected, "{error:?}");
    assert_eq!(store.call(&second.calls[0].id.to_string()).await.unwrap(), None);
    assert!(store.check_totals().await.unwrap().is_exact());
    // The next batch is not held up.
    store.write(&sample_batch([13, 14])).await.unwrap();
}

async fn a_newer_schema_is_worked_with_or_not_touched(fixture: &impl Fixture) {
    fixture.open().await.unwrap().close().await.unwrap();
    // A newer one that only adds to it is.
    let added = "INSERT INTO _sqlx_migrations SELECT 998, description, installed_on, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
    fixture.execute(added).await;
    fixture.open().await.unwrap().close().await.unwrap();
    fixture.execute("UPDATE schema_reach SET oldest = 998").await;
    let error = fixture.open().await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 998, .. }), "{error:?}");
    fixture.execute("UPDATE schema_reach SET oldest = 9").await;
    let newest = "UPDATE _sqlx_migrations SET version = 999 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations WHERE version < 998)";
    fixture.execute(newest).await;
    let error = fixture.open().await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error:?}");
    assert!(error.to_string().contains("newer weir"));
}

async fn a_whole_ledger_drains_into_it(fixture: &impl Fixture) {
    let dir = tempfile::tempdir().unwrap();
    let store = fixture.open().await.unwrap();
    let ledger = start(dir.path(), &store);
    for n in 0..500 {
        one_call(&ledger, n);
    }
    let room = ledger.reserve().unwrap();
    room.open(&sample::open(id(9_999), 1, &sample::facts(1))).unwrap();
    drop(room);
    assert!(ledger.flush_and_stop(Duration::from_secs(20)).await);
    let totals = store.check_totals().await.unwrap();
    assert!(totals.is_exact(), "{totals:?}");
    assert_eq!((totals.calls, totals.attempts), (501, 501));
}

async fn odd_text_is_kept(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let (mut call, _) = sample_call(0, 0);
    let mut facts = (*call.facts).clone();
    facts.user = Some("日本 'quoted' \"double\" \\ 💥 {a,b}".into());
    facts.tags = vec!["NULL".into(), "{}".into(), "\u{fffd}\n\t".into(), "".into()];
    call.facts = Arc::new(facts);
    store.write(&Batch { calls: vec![call.clone()], ..Batch::default() }).await.unwrap();
    assert_eq!(store.call("req-0").await.unwrap().unwrap().call, call);
    let query = SpendQuery { by: vec![Group::Tag], ..SpendQuery::default() };
    assert_eq!(store.spend(&query).await.unwrap().rows.len(), 4);
}

fn start(dir: &Path, store: &Arc<dyn Store>) -> Ledger {
    let config = LedgerConfig { drain_interval: Duration::from_millis(10), ..LedgerConfig::new(dir) };
    Ledger::start(config, store.clone()).unwrap()
}

fn one_call(ledger: &Ledger, n: u64) {
    let room = ledger.reserve().unwrap();
    let open = sample::open(id(n), 1, &sample::facts(1));
    room.open(&open).unwrap();
    let attempt = sample::settled(&open, n as i64);
    room.finish(&sample::finished(&attempt), Some(&attempt));
}
