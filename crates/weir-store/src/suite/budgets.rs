//! Budgets: each store does what the plain one does, question by question.

use uuid::Uuid;
use weir_ledger::budget::{
    Ask, Authority, Budget, Budgets, BudgetsConfig, Charge, Exchange, Period, Report, Scope,
};
use weir_ledger::{Open, Text};

use super::*;

/// The same numbers for each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % most) as i64
    }
}

fn charges(budget: &str, window: i64, lease: Option<i64>) -> Vec<Charge> {
    vec![Charge { budget: budget.into(), window, lease }]
}

/// A batch of one paid attempt.
fn paid(n: u64, instance: Uuid, charges: Vec<Charge>, cost: i64) -> Batch {
    let (_, mut attempts) = sample_call(n, 1);
    attempts[0].cost_nanousd = Some(cost);
    attempts[0].charges = charges.into();
    let calls = vec![sample::finished(&attempts[0])];
    Batch { calls, attempts, instance: Some(instance) }
}

pub(super) async fn leases_are_what_the_plain_store_says(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let plain = MemoryStore::new();
    let mut numbers = Numbers(7);
    // What each of three processes knows of its own leases.
    let mut known = [[(0i64, 0i64, 0i64); 2]; 3];
    let mut rows = 0;
    for round in 0..150 {
        let who = numbers.below(3) as usize;
        let instance = Uuid::from_u128(who as u128 + 1);
        let names: [Text; 2] = ["a".into(), "b".into()];
        let mut asks = Vec::new();
        for (at, budget) in names.iter().enumerate() {
            let (granted, returned, spent) = &mut known[who][at];
            let free = *granted - *returned - *spent;
            if numbers.below(4) == 0 && free > 0 {
                *returned += free / 2;
            }
            let need = [0, 0, 5, 40][numbers.below(4) as usize];
            asks.push(Ask {
                budget: budget.clone(),
                lease: (at == 0 || numbers.below(5) > 0).then_some(at as i64 * 100),
                counts: (at as i64 * 100, if at == 0 { i64::MAX } else { 100 }),
                limit_nanousd: 2_000,
                // Now and then, the answer before this was lost.
                granted: *granted - i64::from(numbers.below(9) == 0 && *granted > 0),
                returned: *returned,
                need,
                all: need * 3,
                wants: numbers.below(2) == 0,
                gives: true,
            });
        }
        let exchange = Exchange { instance, number: round - numbers.below(12) / 11 * 4, asks };
        let reports = store.exchange(&exchange).await.unwrap();
        assert_eq!(reports, plain.budgets().exchange_now(&exchange), "{exchange:?}");
        for (at, (ask, report)) in exchange.asks.iter().zip(&reports).enumerate() {
            let (granted, returned, spent) = &mut known[who][at];
            if ask.lease.is_none() {
                continue;
            }
            *granted = (*granted).max(report.granted);
            let cost = (*granted - *returned - *spent).clamp(0, 25);
            *spent += cost;
            let window = [numbers.below(5), 100][at];
            let batch = paid(rows, instance, charges(&names[at], window, ask.lease), cost);
            rows += 1;
            for _ in 0..=numbers.below(2) {
                // Written again, it charges nothing.
                assert_eq!(store.write(&batch).await.unwrap(), plain.write(&batch).await.unwrap());
            }
        }
    }
    let all = [("a".into(), 0, 100), ("b".into(), 100, 100), ("nobody".into(), 0, 1)];
    let spent = store.spent(&all).await.unwrap();
    assert_eq!(spent, plain.spent(&all).await.unwrap());
    assert_eq!(spent[..2], [plain.budgets().spent_ever("a"), plain.budgets().spent_ever("b")]);
    // With all leases closed, all that is not spent is free, and what comes late leases nothing.
    for who in 1..=3 {
        store.close_leases(Uuid::from_u128(who)).await.unwrap();
    }
    let ask = Ask {
        budget: "a".into(),
        lease: Some(0),
        counts: (0, i64::MAX),
        limit_nanousd: 2_000,
        granted: 0,
        returned: 0,
        need: 2_000 - spent[0],
        all: 0,
        wants: true,
        gives: false,
    };
    let late = Exchange { instance: Uuid::from_u128(2), number: 900, asks: vec![ask.clone()] };
    assert_eq!(store.exchange(&late).await.unwrap()[0].granted, 0);
    let exchange = Exchange { instance: Uuid::from_u128(9), number: 1, asks: vec![ask] };
    assert_eq!(store.exchange(&exchange).await.unwrap()[0].granted, 2_000 - spent[0]);
}

pub(super) async fn processes_that_ask_at_once_never_get_more_than_there_is(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let ask = |budget: &str, granted| Ask {
        budget: budget.into(),
        lease: Some(0),
        counts: (0, 0),
        limit_nanousd: 1_000,
        granted,
        returned: 0,
        need: 7,
        all: 7,
        wants: false,
        gives: false,
    };
    let askers = (1..=4u128).map(|who| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut granted = [0, 0];
            let mut in_vain = 0;
            while in_vain < 3 {
                let asks = vec![ask("a", granted[0]), ask("b", granted[1])];
                let exchange =
                    Exchange { instance: Uuid::from_u128(who), number: granted[0] + granted[1], asks };
                let reports: Vec<Report> = match store.exchange(&exchange).await {
                    Ok(reports) => reports,
                    Err(error) => {
                        assert_eq!(error.fault, Fault::Unavailable, "{error:?}");
                        continue;
                    }
                };
                in_vain += i32::from(reports.iter().all(|report| report.in_vain));
                granted = [reports[0].granted, reports[1].granted];
            }
            granted
        })
    });
    let mut sums = [0, 0];
    for asker in askers.collect::<Vec<_>>() {
        let granted = asker.await.unwrap();
        sums = [sums[0] + granted[0], sums[1] + granted[1]];
    }
    assert!(sums.iter().all(|sum| *sum <= 1_000 && *sum > 993), "{sums:?}");
}

pub(super) async fn alerts_are_claimed_once_and_signals_are_heard(fixture: &impl Fixture) {
    let (one, other) = (fixture.open().await.unwrap(), fixture.open().await.unwrap());
    assert!(one.claim_alert("a", 5, 800_000).await.unwrap());
    assert!(!other.claim_alert("a", 5, 800_000).await.unwrap());
    assert!(
        other.claim_alert("a", 6, 800_000).await.unwrap() && one.claim_alert("a", 5, 900_000).await.unwrap()
    );
    let mut signals = other.signals().await.unwrap();
    let heard = tokio::spawn(async move { signals.next().await });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !heard.is_finished() {
        assert!(tokio::time::Instant::now() < deadline, "nothing was heard");
        let ask = Ask {
            budget: "a".into(),
            lease: Some(0),
            counts: (0, 0),
            limit_nanousd: 1,
            granted: 0,
            returned: 0,
            need: 2,
            all: 2,
            wants: true,
            gives: false,
        };
        let exchange = Exchange { instance: Uuid::from_u128(1), number: 1, asks: vec![ask] };
        assert!(one.exchange(&exchange).await.unwrap()[0].in_vain);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    heard.await.unwrap().unwrap();
}

pub(super) async fn a_dead_process_s_leases_end_with_its_spool(fixture: &impl Fixture) {
    let dir = tempfile::tempdir().unwrap();
    let store = fixture.open().await.unwrap();
    let config = BudgetsConfig::default();
    let limit = 100_000_000;
    let budget = Budget::new("ci".into(), Scope::Key("ci".into()), limit, Period::Total);
    let all = vec![Arc::new(budget)];
    let dead = start(dir.path(), &store);
    let budgets = Budgets::start(config.clone(), store.clone(), dead.instance());
    let wait = Duration::from_secs(5);
    let reservation = budgets.reserve(&all, 9_000_000, 0, wait).await.unwrap();
    let room = dead.reserve().unwrap();
    let open = Open { charges: reservation.charges(), ..sample::open(id(1), 1, &sample::facts(1)) };
    room.open(&open).unwrap();
    // The process ends: what it held is known to the store, and to its files.
    let before = store.exchange(&look(dead.instance(), limit)).await.unwrap()[0];
    assert!(before.leased >= 9_000_000 && before.spent == 0, "{before:?}");
    assert!(dead.crash(vec![room]).await);
    drop((budgets, reservation));
    let next = start(dir.path(), &store);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let report = store.exchange(&look(next.instance(), limit)).await.unwrap()[0];
        if (report.leased, report.spent) == (0, 9_000_000) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{report:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Everything that is left can be reserved by the next process, which gives it back at a clean end.
    let budgets = Budgets::start(config, store.clone(), next.instance());
    drop(budgets.reserve(&all, limit - 9_000_000, 0, wait).await.unwrap());
    assert!(next.flush_and_stop(Duration::from_secs(20)).await);
    let report = store.exchange(&look(Uuid::from_u128(1), limit)).await.unwrap()[0];
    assert_eq!((report.leased, report.spent), (0, 9_000_000));
}

fn look(instance: Uuid, limit: i64) -> Exchange {
    let ask = Ask {
        budget: "ci".into(),
        lease: Some(0),
        counts: (0, 0),
        limit_nanousd: limit,
        granted: 0,
        returned: 0,
        need: 0,
        all: 0,
        wants: false,
        gives: false,
    };
    Exchange { instance, number: 0, asks: vec![ask] }
}
