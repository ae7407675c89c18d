//! What the ledger counts about itself, for metrics and health.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters and gauges of one ledger. Read them with [`LedgerStats::view`].
#[derive(Debug, Default)]
pub struct LedgerStats {
    pub(crate) own_read: AtomicU64,
    pub(crate) foreign_waiting: AtomicU64,
    pub(crate) written_new: AtomicU64,
    pub(crate) written_replayed: AtomicU64,
    pub(crate) write_failures: AtomicU64,
    pub(crate) store_down: AtomicBool,
    pub(crate) orphaned: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) torn: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) quarantined_before: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// The numbers at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatsView {
    /// Rows of this process that are not in the store yet.
    pub queue_entries: u64,
    /// Rows in all of the spool that are not in the store yet: this process's, and those that dead ones left.
    pub spooled_entries: u64,
    /// Rows written to the store that were not there before.
    pub written_new: u64,
    /// Rows written to the store that were there already.
    pub written_replayed: u64,
    /// Tries to write to the store that failed.
    pub write_failures: u64,
    /// Attempts that a crash left open, closed as `orphaned`.
    pub orphaned: u64,
    /// Calls that ended without saying how, closed as `gateway_error`.
    pub abandoned: u64,
    /// Segments that ended in the middle of a record.
    pub torn: u64,
    /// Segments in quarantine: damaged ones, set aside, found by this process or before.
    pub quarantined: u64,
    /// Rows that the store refuses, set aside in `rejected.jsonl`.
    pub rejected: u64,
    /// Calls refused because the spool was full.
    pub refused: u64,
    /// Bytes that the spool takes on the disk.
    pub bytes: u64,
    /// Bytes set aside for calls under way; 0 at rest.
    pub reserved_bytes: u64,
}

/// Whether the ledger does all it should.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What is wrong, a sentence each; empty when all is well. None of it stops calls from being served.
    pub degraded: Vec<String>,
}

impl LedgerStats {
    pub(crate) fn view(&self, appended: u64, (bytes, reserved_bytes): (u64, u64)) -> StatsView {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let queue_entries = appended.saturating_sub(get(&self.own_read));
        StatsView {
            queue_entries,
            spooled_entries: queue_entries + get(&self.foreign_waiting),
            written_new: get(&self.written_new),
            written_replayed: get(&self.written_replayed),
            write_failures: get(&self.write_failures),
            orphaned: get(&self.orphaned),
            abandoned: get(&self.abandoned),
            torn: get(&self.torn),
            quarantined: get(&self.quarantined) + get(&self.quarantined_before),
            rejected: get(&self.rejected),
            refused: get(&self.refused),
            bytes,
            reserved_bytes,
        }
    }

    pub(crate) fn health(&self, view: &StatsView, overflowing: bool, sync_failed: bool) -> Health {
        let mut degraded = Vec::new();
        if self.store_down.load(Ordering::Relaxed) {
            degraded.push(format!("the store doesn't take rows, {} wait in the spool", view.spooled_entries));
        }
        if view.quarantined > 0 {
            degraded.push(format!("{} damaged spool segments stand in quarantine", view.quarantined));
        }
        if view.rejected > 0 {
            degraded
                .push(format!("the store refused {} rows, see rejected.jsonl in the spool", view.rejected));
        }
        if overflowing {
            degraded.push("the disk refuses records of calls under way".into());
        }
        if sync_failed {
            degraded.push("syncing the spool failed, restart once the disk is well".into());
        }
        Health { degraded }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn sub(counter: &AtomicU64, count: u64) {
    let _ =
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| Some(value.saturating_sub(count)));
}
