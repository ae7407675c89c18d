use proptest::prelude::*;

use super::super::Limits;
use super::*;

fn asks(limits: Limits, scope: Scope, name: &str, tokens: u64) -> Asks {
    let mut asks = Asks::new();
    limits.ask(scope, &name.into(), tokens, &mut asks);
    asks
}

fn per_minute(requests: u64) -> Limits {
    Limits { requests_per_minute: Some(requests), ..Limits::default() }
}

#[test]
fn as_many_as_allowed_get_in_however_many_come_at_once() {
    let limiter = Limiter::new(None);
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let asked = asks(per_minute(1000), Scope::Key, "ci", 0);
                    if let Ok(mut admission) = limiter.admit_here(asked, 5, None) {
                        admission.end(true, Some(0));
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1000);
}

#[test]
fn calls_at_the_same_time_end_and_let_others_in() {
    let limiter = Limiter::new(None);
    let two = Limits { concurrency: Some(2), ..Limits::default() };
    let get = || limiter.admit_here(asks(two, Scope::Team, "t", 0), 0, None);
    let (first, _second) = (get().unwrap(), get().unwrap());
    let Err(Refusal::Limit { ask, wait, .. }) = get() else { panic!("a third got in") };
    assert_eq!((ask.kind, ask.limit), (Kind::Concurrency, 2));
    assert!(wait >= Duration::from_secs(1));
    drop(first);
    assert!(get().is_ok());
}

#[test]
fn what_one_limit_refuses_takes_nothing_of_the_others() {
    let limiter = Limiter::new(None);
    let both = || {
        let mut all = asks(per_minute(10), Scope::Key, "k", 0);
        all.extend(asks(per_minute(1), Scope::Model, "m", 0));
        all
    };
    drop(limiter.admit_here(both(), 0, None).map_err(|_| ()).unwrap());
    for _ in 0..20 {
        let Err(Refusal::Limit { ask, view, .. }) = limiter.admit_here(both(), 1, None) else {
            panic!("a second got in")
        };
        assert_eq!(ask.scope, Scope::Model);
        assert_eq!(view.requests.unwrap().remaining, 0);
    }
    for _ in 0..9 {
        drop(limiter.admit_here(asks(per_minute(10), Scope::Key, "k", 0), 2, None).map_err(|_| ()).unwrap());
    }
    assert!(limiter.admit_here(asks(per_minute(10), Scope::Key, "k", 0), 2, None).is_err());
}

#[test]
fn tokens_are_taken_by_estimate_and_corrected_to_the_truth() {
    let limiter = Limiter::new(None);
    let tokens = Limits { tokens_per_minute: Some(1000), ..Limits::default() };
    let get = |amount| limiter.admit_here(asks(tokens, Scope::Key, "k", amount), 0, None);
    let mut first = get(900).map_err(|_| ()).unwrap();
    assert!(get(200).is_err(), "the estimate is held");
    first.end(true, Some(100));
    assert_eq!(first.view().tokens.unwrap().remaining, 900);
    // An estimate above the whole limit asks for all of it, and waits for all of it.
    let Err(Refusal::Limit { wait, .. }) = get(5000) else { panic!("it got in") };
    assert!(
        limiter
            .admit_here(asks(tokens, Scope::Key, "k", 5000), u64::try_from(wait.as_millis()).unwrap(), None)
            .is_ok()
    );
}

#[test]
fn a_refused_call_that_was_nobodys_counts_nothing() {
    let limiter = Limiter::new(None);
    for _ in 0..5 {
        let mut one =
            limiter.admit_here(asks(per_minute(1), Scope::Key, "k", 0), 0, None).map_err(|_| ()).unwrap();
        one.end(false, Some(0));
    }
}

#[test]
fn made_up_users_fill_no_memory_and_get_around_nothing() {
    let limiter = Limiter::bounded(None, 100);
    let ask = |user: usize| asks(per_minute(1), Scope::User, &format!("user-{user}"), 0);
    let admitted = (0..10_000).filter(|user| limiter.admit_here(ask(*user), 1, None).is_ok()).count();
    assert_eq!(limiter.counters.read().len(), 101);
    // A hundred of their own, and one for all others.
    assert_eq!(admitted, 101);
    // Idle ones go when room is needed.
    assert!(limiter.admit_here(ask(20_000), 100_000, None).is_ok());
    assert_eq!(limiter.counters.read().len(), 1);
}

#[test]
fn the_shares_of_all_replicas_add_up() {
    for (limit, replicas) in [(1000, 3), (2, 3), (7, 7), (1, 1), (u64::MAX, 3)] {
        let share = |rank| Loss::Lease { replicas, rank }.share(limit).unwrap();
        assert_eq!((0..replicas).map(share).sum::<u64>(), limit);
    }
    let limiter = Limiter::new(None);
    let lease = Some(Loss::Lease { replicas: 3, rank: 0 });
    let got = (0..100).filter(|_| {
        limiter
            .admit_here(asks(per_minute(10), Scope::Key, "k", 0), 0, lease)
            .map(|mut one| one.end(true, None))
            .is_ok()
    });
    assert_eq!(got.count(), 4);
    assert!(limiter.admit_here(asks(per_minute(10), Scope::Key, "k", 0), 0, Some(Loss::Open)).is_ok());
}

proptest! {
    /// Whatever limits a call meets: after the wait that it was told, it gets in.
    #[test]
    fn the_wait_that_is_told_lets_the_call_in(
        rpm in 1u64..5, rpd in 1u64..30, tpm in 1u64..500, model in 1u64..5,
        steps in prop::collection::vec((0u64..20_000, 0u64..400, 0u64..800), 1..60),
    ) {
        let limiter = Limiter::new(None);
        let mine = Limits {
            requests_per_minute: Some(rpm), requests_per_day: Some(rpd), tokens_per_minute: Some(tpm),
            ..Limits::default()
        };
        let mut now = 0;
        for (pause, estimate, truth) in steps {
            now += pause;
            let ask = || {
                let mut all = asks(mine, Scope::Key, "k", estimate);
                all.extend(asks(per_minute(model), Scope::Model, "m", 0));
                all
            };
            let mut admission = match limiter.admit_here(ask(), now, None) {
                Ok(admission) => admission,
                Err(Refusal::Limit { wait, .. }) => {
                    now += u64::try_from(wait.as_millis()).unwrap();
                    match limiter.admit_here(ask(), now, None) {
                        Ok(admission) => admission,
                        Err(refusal) => return Err(TestCaseError::fail(format!("refused again: {refusal:?}"))),
                    }
                }
                Err(Refusal::Unknown) => return Err(TestCaseError::fail("nothing is shared")),
            };
            admission.end(true, Some(truth));
        }
    }
}
