//! The engine with an authority in memory: one process, several, and what they do to each other.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::authority::Debits;
use super::*;

const WAIT: Duration = Duration::from_millis(500);
const NOW: i64 = 1_800_000_000_000_000;

fn config() -> BudgetsConfig {
    BudgetsConfig {
        now: || NOW,
        look: Duration::from_millis(20),
        again: Duration::from_millis(2),
        ..BudgetsConfig::default()
    }
}

fn start(authority: &Arc<MemoryAuthority>, number: u128) -> Budgets {
    Budgets::start(config(), authority.clone(), Uuid::from_u128(number))
}

fn budget(id: &str, limit: i64) -> Arc<Budget> {
    Arc::new(Budget::new(id.into(), Scope::Key(id.into()), limit, Period::Day))
}

fn pay(authority: &MemoryAuthority, instance: u128, reservation: Reservation, cost: i64) {
    let mut debits = Debits::default();
    debits.add(&reservation.charges(), Some(cost));
    reservation.settle(cost);
    authority.charge(Some(Uuid::from_u128(instance)), &debits);
}

#[tokio::test]
async fn five_hundred_calls_against_a_hundred() {
    let authority = Arc::new(MemoryAuthority::new());
    let budgets = start(&authority, 1);
    let all = vec![budget("gateway", 1_000_000), budget("ci", 1_000)];
    let calls = (0..500).map(|_| {
        let (budgets, all, authority) = (budgets.clone(), all.clone(), authority.clone());
        tokio::spawn(async move {
            let Ok(reservation) = budgets.reserve(&all, 10, NOW, WAIT).await else { return 0 };
            tokio::time::sleep(Duration::from_millis(5)).await;
            pay(&authority, 1, reservation, 10);
            1
        })
    });
    let mut admitted = 0;
    for call in calls.collect::<Vec<_>>() {
        admitted += call.await.unwrap();
    }
    assert_eq!((admitted, authority.spent_ever("ci"), authority.spent_ever("gateway")), (100, 1_000, 1_000));
    assert_eq!(budgets.held(), 0);
    let refused = budgets.reserve(&all, 10, NOW, Duration::ZERO).await.unwrap_err();
    assert_eq!((&*refused.budget.id, refused.spent_nanousd, refused.unavailable), ("ci", 1_000, false));
    assert_eq!(refused.resets_at, all[1].window(NOW).end);
}

#[tokio::test]
async fn what_one_process_does_not_use_the_others_get() {
    let authority = Arc::new(MemoryAuthority::new());
    let replicas = [start(&authority, 1), start(&authority, 2), start(&authority, 3)];
    let all = vec![budget("ci", 1_000)];
    let mut held = Vec::new();
    // One of 10 for each, so that each holds more than it needs.
    for replica in &replicas {
        held.push(replica.reserve(&all, 10, NOW, WAIT).await.unwrap());
    }
    // 970 are left, wherever they are.
    held.push(replicas[2].reserve(&all, 970, NOW, WAIT).await.unwrap());
    let refused = replicas[0].reserve(&all, 1, NOW, Duration::from_millis(50)).await.unwrap_err();
    assert!(!refused.unavailable);
    drop(held);
    drop(replicas[1].reserve(&all, 1_000, NOW, WAIT).await.unwrap());
}

fn day(id: &str, limit: i64) -> Budget {
    Budget::new(id.into(), Scope::Key(id.into()), limit, Period::Day)
}

/// So many operations of each of 16 threads; `WEIR_BUDGET_OPS` says how many else.
fn operations() -> u64 {
    asked("WEIR_BUDGET_OPS").unwrap_or(4_000)
}

/// What the environment says of a test's size.
pub(super) fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|count| count.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w025_sixteen_threads_over_four_levels_never_pass_a_limit() {
    use std::sync::atomic::{AtomicI64, Ordering};
    let authority = Arc::new(MemoryAuthority::new());
    let budgets = start(&authority, 1);
    let limits = [40_000, 20_000, 12_000, 6_000];
    let all: Vec<Vec<Arc<Budget>>> = (0..4)
        .map(|chain| {
            let name = |level: usize| format!("{level}.{}", chain * level / 3);
            (0..4).map(|level| Arc::new(day(&name(level), limits[level]))).collect()
        })
        .collect();
    // What is held or spent at each level, by the threads' own books.
    let books: Arc<Vec<Vec<AtomicI64>>> =
        Arc::new((0..4).map(|_| (0..4).map(|_| AtomicI64::new(0)).collect()).collect());
    let threads: Vec<_> = (0..16u64)
        .map(|thread| {
            let (budgets, all, books, authority) =
                (budgets.clone(), all.clone(), books.clone(), authority.clone());
            std::thread::spawn(move || {
                let mut chance = thread + 1;
                let mut admitted = 0u64;
                let mut below = move |most: u64| {
                    chance = chance
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (chance >> 33) % most
                };
                let count = |chain: usize, amount: i64| {
                    for level in 0..4 {
                        let book = &books[level][chain * level / 3];
                        let sum = book.fetch_add(amount, Ordering::SeqCst) + amount;
                        assert!(amount < 0 || sum <= limits[level], "level {level}: {sum}");
                    }
                };
                let mut held = Vec::new();
                for _ in 0..operations() {
                    let chain = below(4) as usize;
                    if held.len() < 8
                        && let Ok(reservation) = budgets.try_reserve(&all[chain], 1 + below(9) as i64, NOW)
                    {
                        count(chain, reservation.amount());
                        held.push((chain, reservation));
                        admitted += 1;
                        continue;
                    }
                    let Some((chain, mut reservation)) = held.pop() else {
                        std::thread::yield_now();
                        continue;
                    };
                    let amount = reservation.amount();
                    match below(4) {
                        // Cancelled, or its process forgot it.
                        0 | 1 => {
                            count(chain, -amount);
                            drop(reservation);
                        }
                        2 => {
                            count(chain, -amount.min(1));
                            reservation.shrink(amount - amount.min(1));
                            held.push((chain, reservation));
                        }
                        _ => {
                            let cost = below(amount as u64 + 1) as i64 / 8;
                            count(chain, cost - amount);
                            pay(&authority, 1, reservation, cost);
                        }
                    }
                }
                for (chain, reservation) in held {
                    count(chain, -reservation.amount());
                }
                admitted
            })
        })
        .collect();
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let admitted: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(admitted > operations(), "only {admitted} were admitted");
    assert_eq!(budgets.held(), 0);
    for (level, books) in books.iter().enumerate() {
        for (at, book) in books.iter().enumerate() {
            let spent = authority.spent_ever(&format!("{level}.{at}"));
            assert_eq!(book.load(Ordering::SeqCst), spent, "level {level}");
            assert!(spent <= limits[level]);
        }
    }
}

#[tokio::test]
async fn w026_calls_settle_in_the_day_that_admitted_them() {
    let authority = Arc::new(MemoryAuthority::new());
    let budgets = start(&authority, 1);
    let all = vec![budget("ci", 2_000)];
    let midnight = all[0].window(NOW).end.unwrap();
    let mut calls = Vec::new();
    for _ in 0..200 {
        calls.push(budgets.reserve(&all, 10, midnight - 1, WAIT).await.unwrap());
    }
    assert!(budgets.reserve(&all, 10, midnight - 1, Duration::from_millis(20)).await.is_err());
    // The next day has its own money, once.
    let next = budgets.reserve(&all, 2_000, midnight, WAIT).await.unwrap();
    assert!(budgets.reserve(&all, 1, midnight, Duration::from_millis(20)).await.is_err());
    calls.into_iter().for_each(|call| pay(&authority, 1, call, 7));
    pay(&authority, 1, next, 2_000);
    let window = |at: i64| all[0].window(at).start;
    let spent = |at| ("ci".into(), window(at), window(at));
    let spent = authority.spent(&[spent(midnight - 1), spent(midnight)]).await.unwrap();
    assert_eq!((spent, budgets.held()), (vec![1_400, 2_000], 0));
    // What the day before had left does not come along.
    assert!(budgets.reserve(&all, 1, midnight, Duration::from_millis(20)).await.is_err());
}

#[tokio::test]
async fn w027_a_clock_that_jumps_back_opens_no_window_twice() {
    let authority = Arc::new(MemoryAuthority::new());
    let budgets = start(&authority, 1);
    let all = vec![budget("ci", 100)];
    let midnight = all[0].window(NOW).end.unwrap();
    pay(&authority, 1, budgets.reserve(&all, 100, midnight - 1, WAIT).await.unwrap(), 100);
    pay(&authority, 1, budgets.reserve(&all, 60, midnight + 5, WAIT).await.unwrap(), 60);
    let charged = |reservation: &Reservation| reservation.charges()[0].window;
    for jump in [-1, -3_600_000_000, 0, 10] {
        let reservation = budgets.reserve(&all, 10, midnight + jump, WAIT).await.unwrap();
        assert_eq!(charged(&reservation), midnight);
        pay(&authority, 1, reservation, 10);
    }
    assert!(budgets.reserve(&all, 1, midnight - 1, Duration::from_millis(20)).await.is_err());
}

#[tokio::test]
async fn w028_a_lowered_limit_refuses_and_a_raised_one_admits_at_once() {
    let authority = Arc::new(MemoryAuthority::new());
    let budgets = start(&authority, 1);
    let set = |limit| BudgetSet::new([day("ci", limit)]);
    let all = |set: &BudgetSet| set.matching(&CallScopes { key: "ci", ..CallScopes::default() });
    let (high, low) = (set(1_000), set(300));
    budgets.adopt(&high);
    let mut calls = Vec::new();
    for _ in 0..50 {
        calls.push(budgets.reserve(&all(&high), 10, NOW, WAIT).await.unwrap());
    }
    budgets.adopt(&low);
    // Also for calls that began with the configuration before.
    for set in [&low, &high] {
        let refused = budgets.reserve(&all(set), 10, NOW, Duration::from_millis(100)).await.unwrap_err();
        assert_eq!((refused.limit_nanousd, refused.held_nanousd), (300, 500));
    }
    calls.into_iter().for_each(|call| pay(&authority, 1, call, 10));
    let refused = budgets.reserve(&all(&low), 10, NOW, WAIT).await.unwrap_err();
    assert_eq!((refused.spent_nanousd, refused.unavailable), (500, false));
    budgets.adopt(&set(600));
    drop(budgets.reserve(&all(&set(600)), 100, NOW, WAIT).await.unwrap());
    assert!(budgets.reserve(&all(&set(600)), 101, NOW, Duration::from_millis(50)).await.is_err());
}

#[tokio::test]
async fn how_much_of_a_share_is_spent_is_seen_once_rows_are_there() {
    let authority = Arc::new(MemoryAuthority::new());
    let budgets = start(&authority, 1);
    let set = BudgetSet::new([Budget { alert_at: vec![500_000], ..day("ci", 100) }]);
    budgets.adopt(&set);
    for (spent, half, all) in [(40, false, false), (60, true, false), (100, true, true)] {
        while authority.spent_ever("ci") < spent {
            pay(&authority, 1, budgets.reserve(set.all(), 10, NOW, WAIT).await.unwrap(), 10);
        }
        for tries in 0.. {
            let state = budgets.view().into_iter().find(|state| state.age_ms.is_some());
            let seen = state.as_ref().map(|state| (state.reached(500_000), state.reached(1_000_000)));
            if seen == Some((half, all)) {
                let window = set.all()[0].window(NOW);
                assert_eq!(state.map(|state| state.alert_window()), Some(window.start));
                break;
            }
            assert!(tries < 500, "{spent}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn an_idle_slice_goes_back_and_a_soft_budget_leases_nothing() {
    let authority = Arc::new(MemoryAuthority::new());
    let idle = BudgetsConfig { lease: Duration::from_millis(50), ..config() };
    let budgets = Budgets::start(idle, authority.clone(), Uuid::from_u128(1));
    let all = vec![budget("ci", 1_000), Arc::new(Budget { hard: false, ..day("soft", 1) })];
    let reservation = budgets.reserve(&all, 100, NOW, WAIT).await.unwrap();
    assert_eq!(
        reservation.charges().iter().map(|charge| charge.lease.is_some()).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(authority.leased("ci") >= 100);
    pay(&authority, 1, reservation, 30);
    for _ in 0..200 {
        if authority.leased("ci") == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((authority.leased("ci"), authority.leased("soft")), (0, 0));
    assert_eq!((authority.spent_ever("ci"), authority.spent_ever("soft")), (30, 30));
    // Debt: a call that cost more than it held is paid by what is leased next.
    let reservation = budgets.reserve(&all[..1], 10, NOW, WAIT).await.unwrap();
    pay(&authority, 1, reservation, 970);
    let refused = budgets.reserve(&all[..1], 1, NOW, WAIT).await.unwrap_err();
    assert_eq!((refused.spent_nanousd, refused.unavailable), (1_000, false));
}
