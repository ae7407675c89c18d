//! The ledger as the gateway sees it: room for a call, its records, and what it all adds up to for health.

mod room;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

pub use self::room::Room;
use crate::drain::{Drain, Source};
use crate::row::Micros;
use crate::spool::disk::{Disk, OsDisk};
use crate::spool::home::Home;
use crate::spool::tend::TendThread;
use crate::spool::{self, CALL_ROOM, Durability, Position, Spool, SpoolConfig};
use crate::stats::{self, Health, LedgerStats, StatsView};
use crate::store::Store;

/// How long a strict wait takes at most.
const STRICT_PATIENCE: Duration = Duration::from_secs(5);

/// How the ledger is kept.
#[derive(Debug, Clone)]
pub struct LedgerConfig {
    /// The folder that `weir.spool` goes into.
    pub data_dir: PathBuf,
    /// What records survive.
    pub durability: Durability,
    /// How long records may wait to be synced together.
    pub sync_interval: Duration,
    /// The most bytes that the spool takes on the disk.
    pub max_spool: u64,
    /// The size at which a segment is closed, in bytes. Small disks get smaller ones.
    pub segment_size: u64,
    /// How long rows may wait to be written together.
    pub drain_interval: Duration,
    /// How often to look for what dead processes left.
    pub adopt_interval: Duration,
    /// The most rows of one batch.
    pub batch_rows: usize,
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// The clock, for rows that nobody closed.
    pub now: fn() -> Micros,
}

impl LedgerConfig {
    /// The defaults, for a spool below `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> LedgerConfig {
        LedgerConfig {
            data_dir: data_dir.into(),
            durability: Durability::Interval,
            sync_interval: Duration::from_millis(50),
            max_spool: 1024 * 1024 * 1024,
            segment_size: 8 * 1024 * 1024,
            drain_interval: Duration::from_millis(100),
            adopt_interval: Duration::from_secs(10),
            // Half calls, half attempts: enough of each for the longest statements of the store.
            batch_rows: 2_048,
            disk: Arc::new(OsDisk),
            now: crate::clock::now,
        }
    }
}

/// The accounts of one process. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    spool: Arc<Spool>,
    stats: Arc<LedgerStats>,
    store: Arc<dyn Store>,
    now: fn() -> Micros,
    closed: AtomicBool,
    orders: watch::Sender<Option<Instant>>,
    drain: Mutex<Option<JoinHandle<bool>>>,
    tend: Mutex<Option<TendThread>>,
}

/// No room is left in the spool; the call must be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is full")]
pub struct Full {
    /// When to try again.
    pub retry_after: Duration,
}

/// The spool could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the ledger's spool in {}", dir.display())]
pub struct StartError {
    /// Where.
    pub dir: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

impl Ledger {
    /// Makes this process's spool and begins to drain it, and those that dead processes left, into `store`. To be
    /// called within a tokio runtime; the drain runs there.
    pub fn start(config: LedgerConfig, store: Arc<dyn Store>) -> Result<Ledger, StartError> {
        let root = spool::root(&config.data_dir);
        let spool = start_spool(&config).map_err(|cause| StartError { dir: root.clone(), cause })?;
        let tend =
            TendThread::start(spool.clone()).map_err(|cause| StartError { dir: root.clone(), cause })?;
        let (orders, receiver) = watch::channel(None);
        let stats = Arc::new(LedgerStats::default());
        let drain = Drain {
            store: store.clone(),
            sources: vec![Source::own(spool.clone(), stats.clone())],
            spool: spool.clone(),
            stats: stats.clone(),
            root,
            now: config.now,
            interval: config.drain_interval,
            adopt_interval: config.adopt_interval,
            batch_rows: config.batch_rows.max(1),
            kept: Vec::new(),
        };
        let drain = tokio::spawn(drain.run(receiver));
        let inner = Inner {
            spool,
            stats,
            store,
            now: config.now,
            closed: AtomicBool::new(false),
            orders,
            drain: Mutex::new(Some(drain)),
            tend: Mutex::new(Some(tend)),
        };
        Ok(Ledger { inner: Arc::new(inner) })
    }

    /// Sets room aside for a call, to be taken before it is routed: whatever is admitted can be recorded.
    pub fn reserve(&self) -> Result<Room, Full> {
        let inner = &self.inner;
        if inner.closed.load(Ordering::Relaxed) || inner.spool.reserve(CALL_ROOM).is_err() {
            stats::add(&inner.stats.refused, 1);
            return Err(Full { retry_after: Duration::from_secs(1) });
        }
        Ok(Room::new(self.inner.clone(), CALL_ROOM))
    }

    /// In mode `strict`, waits until everything up to `position` survives the death of the machine; false if that
    /// can't be had. In other modes true at once.
    pub async fn strict_wait(&self, position: Position) -> bool {
        let spool = &self.inner.spool;
        spool.durability() != Durability::Strict || spool.wait_synced(position, STRICT_PATIENCE).await
    }

    /// Gives gathered records to the system: to be called before anything leaves that they vouch for. Where the disk
    /// refuses, they are kept in memory, and calls are refused meanwhile.
    pub fn flush_gathered(&self) {
        drop(self.inner.spool.flush_gathered());
    }

    /// Whether answers have to wait for [`Ledger::strict_wait`].
    pub fn is_strict(&self) -> bool {
        self.inner.spool.durability() == Durability::Strict
    }

    /// What the ledger counts.
    pub fn stats(&self) -> StatsView {
        let spool = &self.inner.spool;
        self.inner.stats.view(spool.rows.load(Ordering::Relaxed), spool.bytes())
    }

    /// What is wrong with the ledger, if anything.
    pub fn health(&self) -> Health {
        let spool = &self.inner.spool;
        let mut health = self.inner.stats.health(&self.stats(), spool.overflowing(), spool.sync_failed());
        if self.inner.drain.lock().as_ref().is_some_and(JoinHandle::is_finished) {
            health.degraded.push("the drain has ended, rows stay in the spool until a restart".into());
        }
        health
    }

    /// The store that rows end up in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The name of this process's spool.
    pub fn instance(&self) -> Uuid {
        self.inner.spool.home.instance
    }

    /// Waits until all rows appended so far are in the store; false if that took longer than `patience`.
    pub async fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.stats().spooled_entries > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Admits no more calls, moves what is left to the store until `deadline`, and ends. What is not moved by then
    /// stays in the spool for the next process. True when nothing stayed.
    pub async fn flush_and_stop(&self, patience: Duration) -> bool {
        let inner = &self.inner;
        inner.closed.store(true, Ordering::Relaxed);
        let Some(drain) = inner.drain.lock().take() else { return false };
        let deadline = Instant::now() + patience;
        // A call that ended just now may hold its room for a moment longer.
        while inner.spool.bytes().1 > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // What is still gathered is read, too.
        self.flush_gathered();
        inner.orders.send_replace(Some(deadline));
        let mut drain = drain;
        let grace = Duration::from_secs(1);
        let ended = tokio::time::timeout_at(deadline + grace, &mut drain).await;
        if ended.is_err() {
            drain.abort();
        }
        let drained = matches!(ended, Ok(Ok(true))) && self.stats().queue_entries == 0;
        let tend = inner.tend.lock().take();
        let spool = inner.spool.clone();
        // Before the folder goes: whoever finds one closes its leases.
        let drained =
            drained && spool.bytes().1 == 0 && inner.store.close_leases(self.instance()).await.is_ok();
        let cleared = tokio::task::spawn_blocking(move || {
            drop(tend);
            drained && spool.clear()
        });
        cleared.await.unwrap_or(false)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Ledger {
    /// Ends as a crash does: tasks stop, locks are free, files stay, and calls under way write nothing more. True when
    /// nothing else holds the ledger.
    pub async fn crash(self, rooms: Vec<Room>) -> bool {
        rooms.into_iter().for_each(Room::vanish);
        let drain = self.inner.drain.lock().take();
        if let Some(drain) = drain {
            drain.abort();
            let _ = drain.await;
        }
        drop(self.inner.tend.lock().take());
        Arc::strong_count(&self.inner) == 1
    }
}

fn start_spool(config: &LedgerConfig) -> io::Result<Arc<Spool>> {
    let root = spool::root(&config.data_dir);
    config.disk.create_dir(&root)?;
    let home = Home::create(config.disk.clone(), &root, Uuid::now_v7())?;
    let spool = SpoolConfig {
        durability: config.durability,
        sync_interval: config.sync_interval,
        max_bytes: config.max_spool,
        segment_bytes: config.segment_size,
    };
    Ok(Arc::new(Spool::start(home, spool)?))
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("spool", &self.inner.spool).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
