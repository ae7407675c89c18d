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
