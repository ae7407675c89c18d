//! What a process takes from its machine.

use std::time::Duration;

/// Resident memory of a process, in bytes.
///
/// # Panics
/// When there is no such process.
pub fn resident(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).expect("the process runs");
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("it reads");
    pages * 4096
}

/// Processor time of a process so far, to ten milliseconds.
///
/// # Panics
/// When there is no such process.
pub fn processor(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    let fields: Vec<&str> = text.rsplit_once(')').expect("it has a name").1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number of ticks");
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// `short` in `tests/run`, `full` where `WEIR_CASES=full` asks for the full form of the cases (`tests/long/run` does).
pub fn scale<T>(short: T, full: T) -> T {
    if std::env::var("WEIR_CASES").is_ok_and(|form| form == "full") { full } else { short }
}
