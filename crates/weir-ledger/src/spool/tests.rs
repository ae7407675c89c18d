//! The spool against crashes and full disks: the production writer and reader on a simulated disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::codec::{self, CALL_EXTRA, SETTLE_EXTRA};
use super::disk::Disk;
use super::frame::Kind;
use super::sim::{Seeded, SimDisk};
use super::*;
use crate::drain::Source;
use crate::row::{AttemptId, AttemptRow, CallId, Open, sample};
use crate::stats::LedgerStats;
use crate::store::Batch;

/// How many seeds a random test runs; `WEIR_SEEDS` asks for more, `WEIR_SEED` for one.
fn seeds(usual: u64) -> Vec<u64> {
    let asked = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    match (asked("WEIR_SEED"), asked("WEIR_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (0..count.unwrap_or(usual)).collect(),
    }
}

fn root() -> PathBuf {
    PathBuf::from("/data/weir.spool")
}

fn start(disk: &SimDisk, instance: u128, durability: Durability, max_bytes: u64) -> io::Result<Spool> {
    disk.create_dir(&root())?;
    let home = Home::create(Arc::new(disk.clone()), &root(), Uuid::from_u128(instance))?;
    let config = SpoolConfig {
        durability,
        sync_interval: Duration::from_millis(50),
        max_bytes,
        segment_bytes: 64 * 1024,
    };
    Spool::start(home, config)
}

fn frames(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn either(random: &mut Seeded) -> Write {
    if random.below(2) == 0 { Write::Now } else { Write::Gathered }
}

/// Calls under way against a spool, driven by a seed.
#[derive(Default)]
struct Workload {
    under_way: Vec<(Open, u64)>,
    /// Ended attempts, and where in the spool their end stands.
    ended: BTreeMap<AttemptId, (AttemptRow, Position)>,
    opened: u64,
}

impl Workload {
    fn begin(&mut self, spool: &Spool, random: &mut Seeded) {
        self.try_begin(spool, random);
    }

    fn try_begin(&mut self, spool: &Spool, random: &mut Seeded) -> bool {
        if spool.reserve(CALL_ROOM).is_err() {
            return false;
        }
        self.opened += 1;
        let random_bytes = [0; 10].map(|_: u8| random.below(256) as u8);
        let mut facts = (*sample::facts(5)).clone();
        facts.tags = (0..random.below(12)).map(|n| "t".repeat(n as usize * 20).into()).collect();
        let open = sample::open(CallId::at(self.opened, &random_bytes), 1, &Arc::new(facts));
        let mut bytes = frames(|out| frame::push(out, Kind::Open, |out| codec::put_open(out, &open)));
        let keep = bytes.len() as u64 * 2 + SETTLE_EXTRA + CALL_EXTRA;
        match spool.open(&mut bytes, CALL_ROOM, keep, either(random)) {
            Ok(held) => self.under_way.push((open, held)),
            Err(_) => spool.release(CALL_ROOM),
        }
        let _ = spool.flush_gathered();
        true
    }

    fn end(&mut self, spool: &Spool, random: &mut Seeded) {
        if self.under_way.is_empty() {
            return;
        }
        let (open, held) = self.under_way.swap_remove(random.below(self.under_way.len() as u64) as usize);
        let attempt = sample::settled(&open, random.below(1_000_000) as i64);
        let mut bytes = frames(|out| {
            frame::push(out, Kind::Settle, |out| codec::put_attempt(out, &attempt));
            frame::push(out, Kind::Call, |out| codec::put_call(out, &sample::finished(&attempt)));
        });
        let position = spool.append(&mut bytes, 2, held, either(random));
        let _ = spool.flush_gathered();
        self.ended.insert(attempt.id, (attempt, position));
    }
}

/// What the next process finds: all rows of all dead processes, orphans closed.
fn recover(disk: &SimDisk) -> (Batch, Arc<LedgerStats>) {
    let stats = Arc::new(LedgerStats::default());
    let spool = Arc::new(start(disk, 1_000_000, Durability::Process, 1 << 30).unwrap());
    let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut all = Batch::default();
    for home in Home::adopt(&dynamic, &root()).unwrap() {
        let dir = home.dir.clone();
        let mut source = Source::dead(home, spool.clone(), stats.clone()).unwrap();
        loop {
            let (mut batch, mut rows) = (Batch::default(), 0);
            source.fill(&mut batch, 7, &mut rows).unwrap();
            source.stored(rows);
            if batch.is_empty() {
                batch = source.orphans(3, 77);
                source.closed(&batch);
            }
            let idle = batch.is_empty();
            all.calls.extend(batch.calls);
            all.attempts.extend(batch.attempts);
            if source.clean().unwrap() {
                let kept = source.leave();
                assert_eq!(kept.is_none(), disk.list(&dir).is_err());
                break;
            }
            assert!(!idle, "nothing more to read, but not done");
        }
    }
    (all, stats)
}

fn without_repeats(batch: &Batch) {
    let mut sorted = batch.clone();
    sorted.sort();
    assert_eq!((sorted.calls.len(), sorted.attempts.len()), (batch.calls.len(), batch.attempts.len()));
}

#[test]
fn w008_what_strict_released_survives_the_machine() {
    for seed in seeds(400) {
        let mut random = Seeded(seed);
        let disk = SimDisk::new();
        let mut work = Workload::default();
        disk.die_after(1 + random.below(600));
        let Ok(spool) = start(&disk, 1, Durability::Strict, 4 * 1024 * 1024) else { continue };
        for _ in 0..random.below(500) {
            match random.below(10) {
                0..4 => work.begin(&spool, &mut random),
                4..8 => work.end(&spool, &mut random),
                _ => drop(spool.tend()),
            }
        }
        // Released is what a waiting answer would have been told.
        let synced = spool.synced();
        let released: Vec<_> = work.ended.values().filter(|(_, position)| *position <= synced).collect();
        let survivor = disk.crash(&mut random);
        let (rows, _) = recover(&survivor);
        without_repeats(&rows);
        let found: BTreeMap<_, _> = rows.attempts.iter().map(|row| (row.id, row)).collect();
        for (row, _) in released {
            assert_eq!(found.get(&row.id), Some(&row), "seed {seed}");
        }
        for row in &rows.attempts {
            let written = work.ended.get(&row.id).map(|(row, _)| row);
            assert!(
                written == Some(row) || row.state == crate::row::State::Orphaned,
                "seed {seed}: made up {row:?}"
            );
        }
    }
}

#[test]
fn the_death_of_the_process_loses_nothing_that_was_appended() {
    for seed in seeds(50) {
        let mut random = Seeded(seed);
        let disk = SimDisk::new();
        let mut work = Workload::default();
        let spool = start(&disk, 1, Durability::Process, 4 * 1024 * 1024).unwrap();
        for _ in 0..600 {
            match random.below(20) {
                0..9 => work.begin(&spool, &mut random),
                9..18 => work.end(&spool, &mut random),
                _ => drop(spool.tend()),
            }
        }
        drop(spool);
        let (rows, stats) = recover(&disk);
        without_repeats(&rows);
        assert_eq!(rows.attempts.len(), work.ended.len() + work.under_way.len(), "seed {seed}");
        assert_eq!(rows.calls.len(), rows.attempts.len());
        assert_eq!(stats.torn.load(Ordering::Relaxed) + stats.quarantined.load(Ordering::Relaxed), 0);
        assert_eq!(stats.foreign_waiting.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn w007_a_full_disk_refuses_calls_and_ends_those_under_way() {
    for seed in seeds(100) {
        let mut random = Seeded(seed);
        let disk = SimDisk::new();
        disk.limit(Some(400_000 + random.below(400_000)));
        let spool = start(&disk, 1, Durability::Interval, 1 << 30).unwrap();
        let mut work = Workload::default();
        let mut refused = 0;
        for _ in 0..3_000 {
            if random.below(3) > 0 {
                refused += u64::from(!work.try_begin(&spool, &mut random));
            } else {
                work.end(&spool, &mut random);
            }
            if random.below(50) == 0 {
                let _ = spool.tend();
            }
        }
        assert!(refused > 0, "seed {seed}: the disk never filled up");
        while !work.under_way.is_empty() {
            work.end(&spool, &mut random);
            assert!(!spool.overflowing(), "seed {seed}: the space set aside was not there");
        }
        assert_eq!(spool.bytes().1, 0, "seed {seed}");
        disk.limit(None);
        std::thread::sleep(FULL_PAUSE);
        assert!(work.try_begin(&spool, &mut random), "seed {seed}: serves again");
        drop(spool);
        let (rows, _) = recover(&disk);
        without_repeats(&rows);
        assert_eq!(rows.attempts.len(), work.ended.len() + 1, "seed {seed}");
    }
}

#[test]
fn records_that_the_disk_refuses_are_kept_until_it_takes_them() {
    let disk = SimDisk::new();
    let spool = start(&disk, 1, Durability::Interval, 1 << 30).unwrap();
    let mut random = Seeded(1);
    let mut work = Workload::default();
    (0..3).for_each(|_| work.begin(&spool, &mut random));
    disk.die_after(0);
    (0..3).for_each(|_| work.end(&spool, &mut random));
    assert!(spool.overflowing() && spool.reserve(1).is_err());
    assert!(spool.tend().is_err());
    disk.die_after(1_000_000);
    spool.tend().unwrap();
    assert!(!spool.overflowing() && spool.reserve(1).is_ok());
    drop(spool);
    assert_eq!(recover(&disk).0.attempts.len(), 3);
}

/// A spool of one closed segment and one more, its rows, and the segments' bytes.
fn two_segments() -> (SimDisk, PathBuf, Workload) {
    let disk = SimDisk::new();
    let spool = start(&disk, 1, Durability::Interval, 1 << 30).unwrap();
    let mut random = Seeded(3);
    let mut work = Workload::default();
    while spool.extents().len() < 2 || work.ended.len() % 7 != 0 {
        work.begin(&spool, &mut random);
        work.end(&spool, &mut random);
        spool.tend().unwrap();
    }
    (0..5).for_each(|_| work.begin(&spool, &mut random));
    (0..5).for_each(|_| work.end(&spool, &mut random));
    spool.tend().unwrap();
    let dir = spool.home.dir.clone();
    (disk, dir, work)
}

fn content(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn with_content(disk: &SimDisk, path: &Path, bytes: &[u8]) -> SimDisk {
    let copy = disk.crash(&mut Seeded(0));
    let _ = copy.remove(path);
    copy.create(path).unwrap().write_at(bytes, 0).unwrap();
    copy
}

/// The ends of the frames of a segment.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let identity = Identity::of_header(bytes).unwrap();
    let mut ends = vec![HEADER];
    while let frame::Parsed::Frame(frame) =
        identity.parse(&bytes[ends[ends.len() - 1]..], ends[ends.len() - 1] as u64)
    {
        ends.push(ends[ends.len() - 1] + frame.len() as usize);
    }
    ends
}

#[test]
fn w005_a_last_segment_cut_at_any_byte_keeps_its_valid_prefix() {
    let (disk, dir, work) = two_segments();
    let last = dir.join("0000000002.seg");
    let bytes = content(&disk, &last);
    let ends = boundaries(&bytes);
    let (from, to) = (ends[ends.len() - 4], ends[ends.len() - 1]);
    assert!(to - from > 300);
    for cut in from..=to {
        let (rows, stats) = recover(&with_content(&disk, &last, &bytes[..cut]));
        without_repeats(&rows);
        let torn = u64::from(!ends.contains(&cut));
        assert_eq!(stats.torn.load(Ordering::Relaxed), torn, "cut at {cut}");
        assert_eq!(stats.quarantined.load(Ordering::Relaxed), 0);
        // Each attempt has one row: its own where that was kept, else as an orphan, since its opening is older.
        assert_eq!(rows.attempts.len(), work.ended.len(), "cut at {cut}");
        assert_eq!(rows.calls.len(), rows.attempts.len(), "cut at {cut}");
    }
}

#[test]
fn w006_a_flipped_bit_in_a_closed_segment_is_found_and_the_segment_set_aside() {
    let (disk, dir, work) = two_segments();
    let first = dir.join("0000000001.seg");
    let bytes = content(&disk, &first);
    let mut random = Seeded(9);
    for _ in 0..1_000 {
        let bit = random.below(bytes.len() as u64 * 8) as usize;
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let damaged = with_content(&disk, &first, &flipped);
        let (rows, stats) = recover(&damaged);
        without_repeats(&rows);
        assert_eq!(stats.quarantined.load(Ordering::Relaxed), 1, "bit {bit}");
        assert!(!stats.health(&stats.view(0, (0, 0)), false, false).degraded.is_empty());
        assert_eq!(
            content(&damaged, &dir.join("0000000001.quarantined")),
            flipped,
            "bit {bit}: renamed as it was"
        );
        // One damaged record costs at most what only it knew; all attempts but perhaps one have their own row.
        let own = rows
            .attempts
            .iter()
            .filter(|row| work.ended.get(&row.id).is_some_and(|(ended, _)| ended == *row));
        assert!(own.count() + 1 >= work.ended.len(), "bit {bit}");
        assert_eq!(rows.attempts.len(), work.ended.len(), "bit {bit}");
    }
}

/// Appends the rows of call `n`, gathered.
fn gather(spool: &Spool, n: u64) {
    let attempt = sample::settled(&sample::open(CallId::at(n, &[1; 10]), 1, &sample::facts(5)), 7);
    let mut bytes = frames(|out| {
        frame::push(out, Kind::Settle, |out| codec::put_attempt(out, &attempt));
        frame::push(out, Kind::Call, |out| codec::put_call(out, &sample::finished(&attempt)));
    });
    spool.append(&mut bytes, 2, 0, Write::Gathered);
}

#[test]
fn gathered_records_are_there_from_the_flush_on() {
    let disk = SimDisk::new();
    let spool = start(&disk, 1, Durability::Process, 1 << 30).unwrap();
    (0..3).for_each(|n| gather(&spool, n));
    assert_eq!(spool.extents()[0].end, HEADER as u64, "a reader is told of nothing that is not there");
    spool.flush_gathered().unwrap();
    gather(&spool, 3);
    assert!(spool.extents()[0].end > HEADER as u64);
    drop(spool);
    assert_eq!(recover(&disk).0.calls.len(), 3, "the process died with the fourth in hand");
}

#[test]
fn gathered_records_that_the_disk_refuses_are_kept_till_it_takes_them() {
    let disk = SimDisk::new();
    let spool = start(&disk, 1, Durability::Process, 1 << 30).unwrap();
    gather(&spool, 0);
    spool.flush_gathered().unwrap();
    disk.refuse_writes(true);
    (1..4).for_each(|n| gather(&spool, n));
    // Each of the three asks.
    (0..3).for_each(|_| assert!(spool.flush_gathered().is_err(), "whoever gathered must not go on"));
    gather(&spool, 4);
    assert!(spool.flush_gathered().is_err(), "what comes later is kept behind them");
    assert!(spool.reserve(1).is_err(), "nobody else is let in");
    disk.refuse_writes(false);
    spool.tend().unwrap();
    assert!(!spool.overflowing() && spool.reserve(1).is_ok());
    drop(spool);
    let (rows, stats) = recover(&disk);
    assert_eq!((rows.calls.len(), rows.attempts.len()), (5, 5));
    assert_eq!(stats.torn.load(Ordering::Relaxed) + stats.quarantined.load(Ordering::Relaxed), 0);
}

#[test]
fn a_record_of_a_newer_version_is_set_aside_and_not_dropped() {
    let disk = SimDisk::new();
    let spool = start(&disk, 1, Durability::Interval, 1 << 30).unwrap();
    let mut bytes =
        frames(|out| frame::push(out, Kind::Call, |out| out.extend_from_slice(b"from the future")));
    bytes[8] = codec::VERSION + 1;
    spool.append(&mut bytes, 1, 0, Write::Now);
    let path = spool.home.dir.join("0000000001.quarantined");
    drop(spool);
    let (rows, stats) = recover(&disk);
    assert!(rows.is_empty());
    assert_eq!(stats.quarantined.load(Ordering::Relaxed), 1);
    assert!(content(&disk, &path).windows(6).any(|window| window == b"future"));
}
