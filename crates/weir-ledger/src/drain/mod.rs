//! Moves rows from the spool to the store: in batches, as often as it takes, each row once.
//!
//! Rows carry their ids, and the store leaves rows alone that it has already, so a batch may be written again after a
//! failure or a crash; the store tells which were new. A segment goes when all its rows are in the store and no call
//! under way has a record in it. There is no other checkpoint: what a crash makes the next process read again is at
//! most the segments that were left, and reading them again changes nothing.

mod live;
mod source;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use self::source::Source;
use crate::row::{MICROS_PER_DAY, Micros};
use crate::spool::Spool;
use crate::spool::home::Home;
use crate::stats::{self, LedgerStats};
use crate::store::{Batch, Fault, Store, StoreError};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// How long after a start to look for the first time: other things are more urgent then.
const CLOSE_FIRST: Duration = Duration::from_secs(30);
/// How often to look whether a day is to be closed.
const CLOSE_INTERVAL: Duration = Duration::from_secs(600);
/// How long after its end a day is closed: nearly all of its calls have ended by then.
const LATE: Micros = 3_600_000_000;

/// What the drain is told: to go on, or to end, at this moment at the latest.
pub(crate) type Orders = watch::Receiver<Option<Instant>>;

pub(crate) struct Drain {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) stats: Arc<LedgerStats>,
    pub(crate) root: PathBuf,
    pub(crate) now: fn() -> Micros,
    pub(crate) interval: Duration,
    pub(crate) adopt_interval: Duration,
    pub(crate) batch_rows: usize,
    pub(crate) sources: Vec<Source>,
    /// Folders that can't be removed, for what is quarantined in them.
    pub(crate) kept: Vec<Home>,
}

/// What a turn at a source came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There is more to move now.
    More,
    /// There is nothing more to move for the moment.
    Idle,
    /// Nothing is left of a dead process.
    Done,
}

/// The deadline passed before the store took the rows.
#[derive(Debug)]
pub(crate) struct OutOfTime;

impl Drain {
    /// Runs until ordered to end. True when nothing is left to move and no call is under way.
    pub(crate) async fn run(mut self, mut orders: Orders) -> bool {
        let mut adopted: Option<Instant> = None;
        let mut closing = Instant::now() + CLOSE_FIRST;
        loop {
            if adopted.is_none_or(|at| at.elapsed() >= self.adopt_interval) {
                self.adopt().await;
                adopted = Some(Instant::now());
            }
            let ending = orders.borrow().is_some();
            if !ending && closing <= Instant::now() {
                closing = Instant::now() + self.close_day().await;
            }
            let moved = match self.pass(&mut orders).await {
                Ok(moved) => moved,
                Err(OutOfTime) => return false,
            };
            if moved {
                continue;
            }
            if ending {
                return !self.sources.iter().any(Source::has_live_calls);
            }
            // Without anybody left to give orders, the ledger was dropped: what is in the spool stays there.
            if let Ok(Err(_)) = tokio::time::timeout(self.interval, orders.changed()).await {
                return false;
            }
        }
    }

    /// Has the store close a day that is over. How long to wait before the next.
    async fn close_day(&self) -> Duration {
        match self.store.close_day(((self.now)() - LATE).div_euclid(MICROS_PER_DAY)).await {
            // Rows go first, and others who write meanwhile.
            Ok(true) => self.interval,
            Ok(false) => CLOSE_INTERVAL,
            Err(error) => {
                tracing::debug!(cause = %error.cause, "a day that is over can't be added up by name, its spend is read from the daily sums");
                CLOSE_INTERVAL
            }
        }
    }

    /// Takes over what dead processes left.
    pub(crate) async fn adopt(&mut self) {
        let (root, spool, stats) = (self.root.clone(), self.spool.clone(), self.stats.clone());
        let found = tokio::task::spawn_blocking(move || {
            let homes = Home::adopt(&spool.home.disk, &root)?;
            let sources = homes.into_iter().filter_map(|home| {
                let dir = home.dir.clone();
                Source::dead(home, spool.clone(), stats.clone())
                    .inspect_err(|error| tracing::warn!(spool = %dir.display(), %error, "can't read a spool that a dead process left"))
                    .ok()
            });
            Ok::<_, io::Error>(sources.collect::<Vec<_>>())
        });
        match found.await {
            // Before its own, so that what is oldest goes first.
            Ok(Ok(sources)) => drop(self.sources.splice(0..0, sources)),
            Ok(Err(error)) => tracing::warn!(%error, "can't look for spools that dead processes left"),
            Err(_) => {}
        }
    }

    /// Moves one batch from each source. False when nothing was there to move.
    pub(crate) async fn pass(&mut self, orders: &mut Orders) -> Result<bool, OutOfTime> {
        let mut moved = false;
        let mut left = Vec::with_capacity(self.sources.len());
        let mut result = Ok(());
        for source in std::mem::take(&mut self.sources) {
            if result.is_err() {
                left.push(source);
                continue;
            }
            match self.turn(source, orders).await {
                Ok((source, Turn::Done)) => match self.store.close_leases(source.instance()).await {
                    // All that it wrote is charged, so what it held and did not spend is free again.
                    Ok(()) => self.kept.extend(source.leave()),
                    Err(error) => {
                        self.note_down(&error);
                        left.push(source);
                    }
                },
                Ok((source, turn)) => {
                    moved |= turn == Turn::More;
                    left.push(source);
                }
                Err((source, error)) => {
                    left.extend(source);
                    result = Err(error);
                }
            }
        }
        self.sources = left;
        result.map(|()| moved)
    }

    /// Moves one batch from `source`.
    async fn turn(
        &self,
        mut source: Source,
        orders: &mut Orders,
    ) -> Result<(Source, Turn), (Option<Source>, OutOfTime)> {
        let limit = self.batch_rows;
        let read = tokio::task::spawn_blocking(move || {
            let mut batch = Batch { instance: Some(source.instance()), ..Batch::default() };
            let mut rows = 0;
            let result = source.fill(&mut batch, limit, &mut rows);
            (source, batch, rows, result)
        });
        // The task does not panic; should the runtime be shutting down, nothing can be moved any more.
        let Ok((mut source, batch, rows, result)) = read.await else { return Err((None, OutOfTime)) };
        if let Err(error) = &result {
            tracing::warn!(%error, "can't read the ledger's spool, trying again");
        }
        // A full batch calls for another at once; a few rows of our own wait for company.
        let mut turn =
            if batch.len() >= limit || (rows > 0 && !source.is_own()) { Turn::More } else { Turn::Idle };
        if self.deliver(batch, orders).await.is_err() {
            return Err((Some(source), OutOfTime));
        }
        source.stored(rows);
        let orphans = Batch { instance: Some(source.instance()), ..source.orphans(limit, (self.now)()) };
        if turn == Turn::Idle && !orphans.is_empty() {
            stats::add(&self.stats.orphaned, orphans.attempts.len() as u64);
            tracing::warn!(calls = orphans.calls.len(), "closing calls that a crash left open");
            if self.deliver(orphans.clone(), orders).await.is_err() {
                return Err((Some(source), OutOfTime));
            }
            source.closed(&orphans);
            turn = Turn::More;
        }
        match source.clean() {
            Ok(true) => turn = Turn::Done,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "can't remove a drained segment of the spool, trying again"),
        }
        Ok((source, turn))
    }

    /// Writes a batch to the store, again and again while the store is away. Rows that the store refuses for what
    /// they are go to a file, so that they don't hold up the others.
    async fn deliver(&self, batch: Batch, orders: &mut Orders) -> Result<(), OutOfTime> {
        let mut pause = FIRST_PAUSE;
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.store.write(&part).await {
                Ok(written) => {
                    stats::add(&self.stats.written_new, written.new);
                    stats::add(&self.stats.written_replayed, written.replayed);
                    pause = FIRST_PAUSE;
                    if self.stats.store_down.swap(false, Ordering::Relaxed) {
                        tracing::info!("the store takes rows again");
                    }
                }
                Err(error) if error.fault == Fault::Rejected => self.split(part, &error, &mut parts),
                Err(error) => {
                    self.note_down(&error);
                    parts.push(part);
                    wait(pause, orders).await?;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        Ok(())
    }

    fn split(&self, part: Batch, error: &StoreError, parts: &mut Vec<Batch>) {
        if part.len() > 1 {
            let (first, second) = part.halves();
            parts.extend([second, first]);
            return;
        }
        match self.set_aside(&part) {
            Ok(()) => {
                stats::add(&self.stats.rejected, 1);
                tracing::error!(cause = %error.cause, "the store refuses a row, it is set aside in rejected.jsonl");
            }
            Err(io) => {
                tracing::error!(cause = %error.cause, %io, "the store refuses a row, and it can't be set aside");
                parts.push(part);
            }
        }
    }

    fn set_aside(&self, part: &Batch) -> io::Result<()> {
        let mut lines = String::new();
        for row in &part.calls {
            lines += &serde_json::to_string(row)?;
            lines.push('\n');
        }
        for row in &part.attempts {
            lines += &serde_json::to_string(row)?;
            lines.push('\n');
        }
        let disk = &self.spool.home.disk;
        let path = self.root.join("rejected.jsonl");
        let file = disk.open(&path).or_else(|_| disk.create(&path))?;
        file.write_at(lines.as_bytes(), file.len()?)?;
        file.sync()
    }

    fn note_down(&self, error: &StoreError) {
        stats::add(&self.stats.write_failures, 1);
        if !self.stats.store_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(cause = %error.cause, "the store doesn't take rows, they wait in the spool");
        }
    }
}

/// Waits for `pause`, or as long as orders allow.
async fn wait(pause: Duration, orders: &mut Orders) -> Result<(), OutOfTime> {
    let until = Instant::now() + pause;
    loop {
        let deadline = *orders.borrow_and_update();
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(OutOfTime);
        }
        let wake = deadline.map_or(until, |deadline| deadline.min(until));
        if tokio::time::timeout_at(wake, orders.changed()).await.is_err() && Instant::now() >= until {
            return Ok(());
        }
        if orders.has_changed().is_err() {
            // Whoever gives orders is gone, and with it the reason to go on.
            return Err(OutOfTime);
        }
    }
}
