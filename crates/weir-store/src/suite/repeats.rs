//! The part of the suite that is about calls with an idempotency key.

use weir_ledger::repeats::{Claim, MemoryRepeats, REPEATS_FOR, RepeatStore};

use super::*;

fn claim(id: &str, digest: &str, instance: &str, now: Micros) -> Claim {
    Claim { id: id.into(), digest: digest.into(), instance: instance.into(), now }
}

/// Steps one after another, each with the same outcome as in the plain store.
pub(super) async fn claims_are_what_the_plain_store_says(fixture: &impl Fixture) {
    let (store, plain) = (fixture.open().await.unwrap(), MemoryRepeats::default());
    let (store, plain): (&dyn RepeatStore, &dyn RepeatStore) = (store.repeats(), &plain);
    for (id, now) in [("a", 0), ("b", 5), ("a", 10), ("a", REPEATS_FOR), ("b", REPEATS_FOR + 9)] {
        for instance in ["p", "q"] {
            let one = claim(id, "d", instance, now);
            assert_eq!(store.claim(&one).await.unwrap(), plain.claim(&one).await.unwrap(), "{one:?}");
        }
        for at in [store, plain] {
            at.beat("p", &["a".into(), "b".into(), "none".into()], now).await.unwrap();
            // Not theirs to say.
            at.answered(id, "q", Some("wrong")).await.unwrap();
            at.release(id, "q").await.unwrap();
        }
        assert_eq!(
            store.claimed(id, now).await.unwrap(),
            plain.claimed(id, now).await.unwrap(),
            "{id} {now}"
        );
    }
    for at in [store, plain] {
        at.answered("a", "p", Some("answer")).await.unwrap();
        // The first end holds.
        at.answered("a", "p", None).await.unwrap();
        at.release("a", "p").await.unwrap();
        at.release("b", "p").await.unwrap();
        let ended = at.claimed("a", REPEATS_FOR).await.unwrap().unwrap();
        assert_eq!(
            (ended.ended, ended.answer.as_deref(), ended.digest.as_str()),
            (true, Some("answer"), "d")
        );
        assert_eq!(at.claimed("b", REPEATS_FOR).await.unwrap(), None);
        assert_eq!(at.claim(&claim("b", "e", "q", 1)).await.unwrap(), None);
        at.beat("q", &[], 3 * REPEATS_FOR).await.unwrap();
        assert_eq!(at.claimed("b", 2).await.unwrap(), None, "it was swept out");
    }
}

/// Of many that claim the same call at once, one runs it.
pub(super) async fn one_of_many_runs_a_call(fixture: &impl Fixture) {
    let stores = [fixture.open().await.unwrap(), fixture.open().await.unwrap()];
    for round in 0..5 {
        let claims = (0..10).map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                let one = claim(&format!("k{round}"), "d", &format!("p{n}"), 1);
                store.repeats().claim(&one).await.unwrap().is_none()
            })
        });
        let mut first = 0;
        for one in claims.collect::<Vec<_>>() {
            first += usize::from(one.await.unwrap());
        }
        assert_eq!(first, 1, "round {round}");
    }
}
