//! W-005, W-007, W-009, W-010: the spool's end is torn, it is full, a drained segment comes back, processes overlap.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use weir_e2e::{Bench, Weir, figure, scale, signal};
use weir_store::testing::Postgres;
use weir_tools::audit::{self, Books};
use weir_tools::drive::{self, Drive, Seen};

use crate::random::Random;

/// A folder on a file system of 8 MiB, where this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(folder.path())
            .stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success()).then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

/// Fills the disk to its last byte.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [64 << 10, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// The segment that was written last.
fn last_segment(spool: &Path) -> PathBuf {
    let below = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let instances = below(spool).filter(|path| path.is_dir());
    let all = instances.flat_map(|one| below(&one).collect::<Vec<_>>());
    let segments = all.filter(|path| path.extension().is_some_and(|kind| kind == "seg"));
    segments.max_by_key(|path| path.metadata().unwrap().modified().unwrap()).expect("there is a segment")
}

/// Where the records of a segment begin and where the last one ends: behind 32 bytes, each has its length in its first
/// four, and ten before its content.
fn records(segment: &[u8]) -> Vec<usize> {
    let mut ends = vec![32];
    while let Some(length) = segment.get(ends[ends.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
        match u32::from_le_bytes(*length) {
            0 => break,
            length => ends.push(ends[ends.len() - 1] + 10 + length as usize),
        }
    }
    ends
}

/// A process dies, and the disk keeps its spool only up to some byte of its last three records.
#[tokio::test(flavor = "multi_thread")]
async fn w005_a_spool_that_ends_anywhere_is_read_to_its_last_whole_record() {
    let postgres = Postgres::start().unwrap();
    let mut bench = Bench::prepare("", Some(&postgres.url())).await;
    bench.weir.run().await;
    let mut random = Random::seeded();
    let (rounds, mut torn) = (scale(3, 50), 0);
    for round in 1..=rounds {
        postgres.freeze().unwrap();
        // The slow one began before all others and ends last: what is cut off is never the opening of an attempt.
        let ask = async |text: &str| bench.chat("openai/gpt-4o-mini", text, false).await.status;
        let quick = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            for _ in 0..4 {
                assert_eq!(ask("quick").await, 200);
            }
        };
        assert_eq!(tokio::join!(ask("slow [[sim:delay=900ms]]"), quick).0, 200);
        bench.weir.kill().await;
        let segment = last_segment(&bench.weir.data().join("weir.spool"));
        let ends = records(&std::fs::read(&segment).unwrap());
        // Each attempt has an opening and an end, each call a row.
        assert_eq!(ends.len(), 1 + 3 * 5, "{ends:?}");
        let (from, to) = (ends[ends.len() - 4], ends[ends.len() - 1]);
        let cut = from + random.below(to - from + 1);
        std::fs::File::options().write(true).open(&segment).unwrap().set_len(cut as u64).unwrap();
        let said = |weir: &Weir| weir.log().matches("ends in the middle of a record").count();
        let before = said(&bench.weir);
        postgres.thaw().unwrap();
        bench.weir.run().await;
        let report = bench.audit(&[]).await;
        bench.drained().await;
        let within = usize::from(!ends.contains(&cut));
        let counted = bench.metric("weir_ledger_torn_segments_total", &[]).await;
        let told = (said(&bench.weir) - before, counted);
        assert_eq!(told, (within, within as f64), "round {round}, cut at {cut} of {to}");
        assert!(report.truths == 5 * round && report.unsettled() <= round, "{report:?}");
        torn += within;
    }
    figure(format_args!("cut at {rounds} places, {torn} of them within a record"));
}

#[tokio::test(flavor = "multi_thread")]
async fn w007_a_full_disk_refuses_new_calls_and_loses_none() {
    let disk = SmallDisk::mount();
    let room = tempfile::tempdir().unwrap();
    // The store stands elsewhere, so that only the spool runs out of room. Without the right to mount, a small quota
    // stands in for the disk: the ledger's own bound, `max_spool`.
    let database = room.path().join("weir.db");
    let more = format!(
        "store: {{ url: \"sqlite://{}\" }}\nledger: {{ on_full: reject{} }}\n",
        database.display(),
        if disk.is_some() { "" } else { ", max_spool: 2MiB" }
    );
    figure(if disk.is_some() { "on a tmpfs of 8 MiB" } else { "no right to mount: with max_spool" });
    let mut bench = Bench::prepare("", None).await;
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &more));
    bench.books = format!("sqlite:{}", database.display());
    if let Some(disk) = &disk {
        bench.weir = Weir::prepare("").data_in(disk.0.path());
        bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &more));
    }
    bench.weir.run().await;
    let held = Drive {
        concurrency: 40,
        rate: Some(300.0),
        duration: Some(Duration::from_secs(scale(6, 30))),
        ..bench.load(2007, u64::MAX, 40, &["gap=2ms", "delay=30ms"])
    };
    let log = held.log.clone().unwrap();
    let driving = tokio::spawn(drive::run(held));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let filler = disk.as_ref().map(|disk| disk.0.path().join("filler"));
    let mut refusals = Vec::new();
    if let Some(filler) = &filler {
        fill(filler);
        let full = Instant::now();
        while full.elapsed() < Duration::from_secs(2) {
            let began = Instant::now();
            let answer = bench.chat("openai/gpt-4o-mini", "x", false).await;
            if answer.status == 503 {
                refusals.push(began.elapsed());
                assert!(!answer.header("retry-after").is_empty());
                assert_eq!(answer.json()["error"]["code"], "ledger_full");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        refusals.sort();
        let (middle, slowest) = (refusals.get(refusals.len() / 2), refusals.last());
        figure(format_args!(
            "{} refused by hand: half within {middle:?}, the slowest {slowest:?}",
            refusals.len()
        ));
        // Other tests run beside; the long form has the machine for itself.
        assert!(middle.is_some_and(|middle| *middle < Duration::from_millis(50)), "{middle:?}");
        assert!(
            slowest.is_some_and(|slowest| *slowest < Duration::from_millis(scale(500, 50))),
            "{slowest:?}"
        );
        std::fs::remove_file(filler).unwrap();
        let freed = Instant::now();
        loop {
            if bench.chat("openai/gpt-4o-mini", "x", false).await.status == 200 {
                break;
            }
            assert!(freed.elapsed() < Duration::from_secs(5), "it does not serve again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let summary = driving.await.unwrap().unwrap();
    figure(format_args!("the load: {:?}", summary.ends));
    assert!(disk.is_none() || summary.ended(Seen::Refused) > 0, "the full disk refused nothing of the load");
    assert_eq!(
        summary.ended(Seen::Broken) + summary.ended(Seen::Failed) + summary.ended(Seen::TimedOut),
        0,
        "{:?}",
        summary.errors
    );
    bench.drained().await;
    let report = bench.audit(&[log]).await;
    assert_eq!(report.unsettled(), 0, "{:?}", report.unsettled);
}

#[tokio::test(flavor = "multi_thread")]
async fn w009_a_drained_segment_that_comes_back_adds_nothing() {
    let mut bench = Bench::start("").await;
    let load = bench.load(2009, 200, 20, &[""]);
    // The spool's segments, while rows are in them.
    let kept = tempfile::tempdir().unwrap();
    let spool = bench.weir.data().join("weir.spool");
    drive::run(load).await.unwrap();
    let mut copied = Vec::new();
    for instance in
        std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        let to = kept.path().join(instance.file_name().unwrap());
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(&instance).unwrap().map(|entry| entry.unwrap().path()) {
            std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
        copied.push((instance, to));
    }
    assert!(!copied.is_empty(), "there is no spool");
    let before = bench.rows_of(200).await;
    assert_eq!(bench.weir.stop().await, Some(0));
    for (instance, copy) in &copied {
        std::fs::create_dir_all(instance).unwrap();
        for file in std::fs::read_dir(copy).unwrap().map(|entry| entry.unwrap().path()) {
            std::fs::copy(&file, instance.join(file.file_name().unwrap())).unwrap();
        }
    }
    bench.weir.run().await;
    let began = Instant::now();
    while copied.iter().any(|(instance, _)| instance.exists()) {
        assert!(began.elapsed() < Duration::from_secs(30), "the segment is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(bench.metric("weir_ledger_written_total", &["replayed"]).await >= 200.0);
    assert_eq!(bench.metric("weir_ledger_written_total", &["new"]).await, 0.0);
    let after = bench.rows_of(200).await;
    assert_eq!((before.0.len(), before.1.len()), (after.0.len(), after.1.len()));
    bench.audit(&[]).await;
}

/// Old processes end their streams while new ones serve already: twenty at once in turn, all on one data folder.
#[tokio::test(flavor = "multi_thread")]
async fn w010_processes_that_overlap_share_nothing_but_the_store() {
    let bench = Bench::start("").await;
    let folder: PathBuf = bench.weir.data().to_owned();
    let text = std::fs::read_to_string(folder.join("weir.yaml")).unwrap();
    let mut logs = Vec::new();
    let mut ending = Vec::new();
    let mut drives = Vec::new();
    for round in 0..20_u64 {
        let mut weir = Weir::prepare(&text).data_in(&folder);
        weir.run().await;
        let mut load = bench.load(4000 + round, 20, 10, &["len=12+gap=15ms", ""]);
        load.address = weir.address.clone();
        load.retry_connect = false;
        logs.push(load.log.clone().unwrap());
        let driving = tokio::spawn(drive::run(load));
        tokio::time::sleep(Duration::from_millis(60)).await;
        // Its streams are under way when it is told to end, and the next starts at once; each fifth is killed.
        match round % 5 {
            4 => weir.kill().await,
            _ => signal(weir.process(), "TERM"),
        }
        drives.push((round, driving));
        ending.push(weir);
    }
    for (round, driving) in drives {
        let summary = driving.await.unwrap().unwrap();
        if round % 5 != 4 {
            assert_eq!(
                summary.ended(Seen::Broken) + summary.ended(Seen::Refused),
                0,
                "{round}: {:?}",
                summary.errors
            );
        }
    }
    for weir in &mut ending {
        let began = Instant::now();
        while weir.runs() && weir.ended().is_none() {
            assert!(began.elapsed() < Duration::from_secs(40), "a process does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let report = bench.audit(&logs).await;
    figure(format_args!("{} settled, unsettled: {:?}", report.settled, report.unsettled));
    // Only the killed ones may leave attempts without the provider's usage.
    assert!(report.unsettled() <= 4 * 10, "{:?}", report.unsettled);
    let books = Books::open(&bench.books).await.unwrap();
    let (calls, _) = audit::read(&books).await.unwrap();
    assert!(!calls.is_empty());
}
