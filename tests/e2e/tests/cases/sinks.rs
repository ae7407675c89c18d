//! A sink of the call log that takes nothing: calls go on, and what it misses is counted.

use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use weir_e2e::Bench;
use weir_tools::drive::{self, Mix, Seen};

/// More than may wait for a sink.
const CALLS: u64 = 12_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_sink_slows_no_call_and_what_it_misses_is_counted() {
    let mut bench = Bench::prepare("logging: { level: warn, calls: { to: calls.jsonl } }\n", None).await;
    let pipe = bench.weir.data().join("calls.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Held open by somebody who never reads: its 64 KiB are full soon.
    let nonblocking = 0o4000;
    let held = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(&pipe).unwrap();
    bench.weir.run().await;
    let mut load = bench.load(12, CALLS, 64, &[""]);
    load.plan.mix = vec![Mix::parse("chat:openai/gpt-4o-mini").unwrap()];
    let log = load.log.clone().unwrap();
    let summary = drive::run(load).await.unwrap();
    assert_eq!(summary.ended(Seen::Complete), CALLS, "{:?} {:?}", summary.ends, summary.errors);
    let missed = bench.metric("weir_call_log_dropped_total", &[]).await;
    // Nobody reads a pipe to its end: whoever searches the data for secrets would wait for that.
    std::fs::remove_file(&pipe).unwrap();
    // What waited and what the pipe holds is not missed.
    assert!(missed > 0.0 && missed < CALLS as f64, "{missed}");
    // The ledger has each.
    bench.drained().await;
    let report = bench.audit(&[log]).await;
    assert_eq!((report.unsettled(), report.found.len()), (0, 0), "{:?}", report.found);
    drop(held);
}
