//! The ledger as a whole on real files: what it writes, what it survives.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::memory::MemoryStore;
use crate::row::{AttemptRow, CallId, CallRow, End, Open, State, UsageSource, sample};

const LONG: Duration = Duration::from_secs(20);

fn config(dir: &Path) -> LedgerConfig {
    LedgerConfig {
        drain_interval: Duration::from_millis(2),
        sync_interval: Duration::from_millis(2),
        adopt_interval: Duration::from_millis(20),
        segment_size: 64 * 1024,
        ..LedgerConfig::new(dir)
    }
}

fn start(dir: &Path, store: &Arc<MemoryStore>) -> Ledger {
    Ledger::start(config(dir), store.clone()).unwrap()
}

fn open(n: u64) -> Open {
    sample::open(CallId::at(1_700_000_000_000 + n, &[7; 10]), 1, &sample::facts(1_700_000_000_000_000))
}

/// One whole call.
fn run(ledger: &Ledger, n: u64) -> (AttemptRow, CallRow) {
    let room = ledger.reserve().unwrap();
    let open = open(n);
    room.open(&open).unwrap();
    let attempt = sample::settled(&open, n as i64);
    let call = sample::finished(&attempt);
    room.finish(&call, Some(&attempt));
    (attempt, call)
}

/// What a crash leaves: the ledger's tasks stop, its lock is free, its files stay.
async fn crash(ledger: Ledger) {
    assert!(ledger.crash(Vec::new()).await, "a room is left");
}

/// Waits for up to a minute: a disk that others keep busy takes long to sync.
async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("did not come to hold");
}

fn spool_dirs(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("weir.spool")).unwrap().count()
}

#[tokio::test]
async fn calls_end_up_in_the_store_and_nothing_stays_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let ledger = start(dir.path(), &store);
    let rows: Vec<_> = (0..3_000).map(|n| run(&ledger, n)).collect();
    assert!(ledger.flush(LONG).await);
    let view = ledger.stats();
    assert_eq!(
        (view.written_new, view.written_replayed, view.queue_entries, view.reserved_bytes),
        (6_000, 0, 0, 0)
    );
    assert_eq!(store.attempts(), rows.iter().map(|(attempt, _)| attempt.clone()).collect::<Vec<_>>());
    assert_eq!(store.calls(), rows.into_iter().map(|(_, call)| call).collect::<Vec<_>>());
    assert!(store.check_totals().await.unwrap().is_exact());
    assert!(ledger.flush_and_stop(LONG).await);
    assert_eq!(spool_dirs(dir.path()), 0);
    assert!(ledger.reserve().is_err());
}

#[tokio::test]
async fn drained_segments_are_removed_while_running() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let ledger = start(dir.path(), &store);
    for n in 0..2_000 {
        run(&ledger, n);
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    assert!(ledger.flush(LONG).await);
    until(|| ledger.stats().bytes < 400_000).await;
}

#[tokio::test]
async fn a_store_that_is_away_delays_rows_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    store.fail(4);
    let ledger = start(dir.path(), &store);
    (0..50).for_each(|n| drop(run(&ledger, n)));
    until(|| !ledger.health().degraded.is_empty()).await;
    assert_eq!(ledger.stats().spooled_entries, 100);
    assert!(ledger.flush(LONG).await);
    assert_eq!(
        (ledger.stats().written_new, ledger.stats().write_failures, store.calls().len()),
        (100, 4, 50)
    );
    assert_eq!(ledger.health(), Health::default());
}

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_seen_as_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    store.lose_answers(1);
    let ledger = start(dir.path(), &store);
    (0..10).for_each(|n| drop(run(&ledger, n)));
    assert!(ledger.flush(LONG).await);
    let view = ledger.stats();
    assert_eq!((view.written_new + view.written_replayed, store.calls().len()), (20, 10));
    assert!(view.written_replayed > 0);
}

#[tokio::test]
async fn a_row_that_the_store_refuses_does_not_hold_up_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    store.refuse(open(7).id.call);
    let ledger = start(dir.path(), &store);
    (0..20).for_each(|n| drop(run(&ledger, n)));
    assert!(ledger.flush(LONG).await);
    assert_eq!((store.calls().len(), ledger.stats().rejected), (19, 2));
    let aside = std::fs::read_to_string(dir.path().join("weir.spool/rejected.jsonl")).unwrap();
    assert_eq!(aside.lines().count(), 2);
    assert!(ledger.health().degraded[0].contains("rejected.jsonl"));
}

#[tokio::test]
async fn what_a_crash_leaves_open_is_closed_as_orphaned_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let ledger = start(dir.path(), &store);
    run(&ledger, 1);
    let rooms: Vec<_> = (2..5).map(|n| (ledger.reserve().unwrap(), open(n))).collect();
    rooms.iter().for_each(|(room, open)| room.open(open).unwrap());
    // The crash takes the rooms with it: nothing runs their ends.
    rooms.into_iter().for_each(|(room, _)| room.vanish());
    crash(ledger).await;

    let next = start(dir.path(), &store);
    until(|| store.calls().len() == 4).await;
    let view = next.stats();
    assert_eq!((view.orphaned, view.spooled_entries), (3, 0));
    let orphans: Vec<_> = store.attempts().into_iter().filter(|row| row.state == State::Orphaned).collect();
    assert_eq!(orphans.len(), 3);
    assert!(
        orphans
            .iter()
            .all(|row| row.cost_nanousd == Some(9_000_000) && row.usage_source == UsageSource::Bound)
    );
    assert_eq!(store.calls().iter().filter(|row| row.end == End::Orphaned).count(), 3);
    assert!(store.check_totals().await.unwrap().is_exact());
    until(|| spool_dirs(dir.path()) == 1).await;
    assert!(next.flush_and_stop(LONG).await);
}

#[tokio::test]
async fn a_process_that_lives_is_not_taken_over_and_one_that_dies_later_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let mut old = start(dir.path(), &store);
    for round in 0..20u64 {
        let room = old.reserve().unwrap();
        let open = open(1_000 * round);
        room.open(&open).unwrap();
        let new = start(dir.path(), &store);
        run(&new, 1_000 * round + 1);
        run(&old, 1_000 * round + 2);
        // The stream that the old process still drains ends well, although the new one runs.
        let attempt = sample::settled(&open, 5);
        room.finish(&sample::finished(&attempt), Some(&attempt));
        drop(room);
        crash(old).await;
        old = new;
    }
    assert!(old.flush(LONG).await);
    until(|| store.calls().len() == 60).await;
    assert!(store.calls().iter().all(|row| row.end == End::Complete));
    assert_eq!(old.stats().orphaned, 0);
    until(|| spool_dirs(dir.path()) == 1).await;
}

#[tokio::test]
async fn a_drained_segment_copied_back_adds_nothing_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let ledger = start(dir.path(), &store);
    (0..10).for_each(|n| drop(run(&ledger, n)));
    let home = ledger.inner.spool.home.dir.clone();
    let copy = std::fs::read(home.join("0000000001.seg")).unwrap();
    assert!(ledger.flush_and_stop(LONG).await);
    let before = (store.calls(), store.attempts());

    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("0000000001.seg"), copy).unwrap();
    let ledger = start(dir.path(), &store);
    until(|| !home.exists()).await;
    assert_eq!((store.calls(), store.attempts()), before);
    assert_eq!((ledger.stats().written_new, ledger.stats().written_replayed), (0, 20));
}

#[tokio::test]
async fn a_full_spool_refuses_new_calls_and_ends_those_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    store.fail(u32::MAX);
    let config = LedgerConfig { max_spool: 1024 * 1024, ..config(dir.path()) };
    let ledger = Ledger::start(config, store.clone()).unwrap();
    let mut rooms = Vec::new();
    let mut refused = 0;
    for n in 0..5_000 {
        match ledger.reserve() {
            Ok(room) => match room.open(&open(n)) {
                Ok(()) => rooms.push((room, open(n))),
                Err(_) => refused += 1,
            },
            Err(full) => {
                assert!(full.retry_after > Duration::ZERO);
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && rooms.len() > 100, "{refused} refused, {} admitted", rooms.len());
    let admitted = rooms.len();
    for (room, open) in rooms {
        let attempt = sample::settled(&open, 1);
        room.finish(&sample::finished(&attempt), Some(&attempt));
    }
    assert!(ledger.stats().bytes <= 1024 * 1024);
    store.fail(0);
    assert!(ledger.flush(LONG).await);
    assert_eq!(store.calls().len(), admitted);
    until(|| ledger.reserve().is_ok()).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_or_forgets_an_attempt_is_closed_anyway() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let ledger = start(dir.path(), &store);
    drop(ledger.reserve().unwrap());
    let room = ledger.reserve().unwrap();
    let first = open(1);
    room.open(&first).unwrap();
    room.settle(&sample::settled(&first, 5));
    let second = Open { id: first.id.call.attempt(2), bound_nanousd: Some(70), ..first.clone() };
    room.open(&second).unwrap();
    drop(room);
    assert!(ledger.flush(LONG).await);
    let states: Vec<_> = store.attempts().iter().map(|row| row.state).collect();
    assert_eq!(states, [State::Ok, State::InternalError]);
    let [call] = &store.calls()[..] else { panic!("not one call") };
    assert_eq!((call.end, call.attempts, call.cost_nanousd), (End::GatewayError, 2, Some(75)));
    assert_eq!((ledger.stats().abandoned, ledger.stats().reserved_bytes), (1, 0));
}

#[tokio::test]
async fn a_refused_call_has_a_row_and_no_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let ledger = start(dir.path(), &store);
    let row = CallRow {
        provider: None,
        model: None,
        end: End::Refused,
        attempts: 0,
        cost_nanousd: Some(0),
        ..sample::finished(&sample::settled(&open(1), 0))
    };
    let room = ledger.reserve().unwrap();
    room.finish(&row, None);
    room.finish(&row, None);
    drop(room);
    assert!(ledger.flush(LONG).await);
    assert_eq!(store.calls(), [row]);
    assert!(store.attempts().is_empty());
}

#[tokio::test]
async fn strict_waits_for_the_sync_and_others_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let config = LedgerConfig { durability: Durability::Strict, ..config(dir.path()) };
    let ledger = Ledger::start(config, store.clone()).unwrap();
    for n in 0..20 {
        let room = ledger.reserve().unwrap();
        room.open(&open(n)).unwrap();
        let attempt = sample::settled(&open(n), 1);
        let position = room.finish(&sample::finished(&attempt), Some(&attempt));
        assert!(ledger.strict_wait(position).await);
        assert!(ledger.inner.spool.synced() >= position);
    }
}

#[tokio::test]
async fn a_few_long_calls_do_not_keep_the_whole_spool() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let ledger = start(dir.path(), &store);
    let mut long = Vec::new();
    // One call in hundred takes for ever; each segment has some.
    for n in 0..6_000 {
        if n % 100 == 0 {
            let room = ledger.reserve().unwrap();
            let first = open(1_000_000 + n);
            room.open(&first).unwrap();
            room.settle(&sample::settled(&first, 3));
            let second = Open { id: first.id.call.attempt(2), ..first.clone() };
            room.open(&second).unwrap();
            long.push((room, second));
        }
        run(&ledger, n);
        if n % 50 == 0 {
            assert!(ledger.flush(LONG).await);
        }
    }
    // About 6 MB were written. How crowded the segments are that hold the copies depends on the pace of the disk.
    until(|| ledger.stats().bytes < 1_000_000).await;
    // Half of them end, the others are cut by a crash; nothing is lost either way.
    for (at, (room, open)) in long.into_iter().enumerate() {
        if at % 2 == 0 {
            let last = sample::settled(&open, 4);
            let call = CallRow { attempts: 2, cost_nanousd: Some(7), ..sample::finished(&last) };
            room.finish(&call, Some(&last));
        } else {
            room.vanish();
        }
    }
    crash(ledger).await;
    let next = start(dir.path(), &store);
    until(|| store.calls().len() == 6_060).await;
    assert_eq!((next.stats().orphaned, store.attempts().len()), (30, 6_120));
    let totals = store.check_totals().await.unwrap();
    assert!(totals.is_exact(), "{totals:?}");
    until(|| spool_dirs(dir.path()) == 1).await;
}

#[tokio::test]
async fn a_ledger_that_is_dropped_lets_its_spool_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    store.fail(u32::MAX);
    let ledger = start(dir.path(), &store);
    run(&ledger, 1);
    let drain = ledger.inner.drain.lock().take();
    drop(ledger);
    assert!(!drain.unwrap().await.unwrap());
    store.fail(0);
    let next = start(dir.path(), &store);
    until(|| store.calls().len() == 1).await;
    assert!(next.flush_and_stop(LONG).await);
}
