//! The spool: an append-only, checksummed log of this process's own, on disk before a call spends anything.
//!
//! Each process writes to a folder named after itself, under a lock that dies with it. Records go to the *active*
//! segment with one write each, no task and no channel. Space for what admitted calls still have to write is taken
//! from the disk beforehand ([`Spool::reserve`]), so a full disk refuses new calls and never loses one under way.
//! One thread of its own ([`tend`]) syncs in groups and prepares the next segment.
//!
//! Invariant: `active.end - active.at >= reserved`. Whatever is admitted fits into space that the disk already gave.

pub(crate) mod codec;
pub mod disk;
pub(crate) mod frame;
pub(crate) mod home;
pub(crate) mod segment;
#[cfg(any(test, feature = "testing"))]
pub mod sim;
pub(crate) mod tend;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use self::disk::DiskFile;
use self::frame::{HEADER, Identity, SEAL};
use self::home::Home;

/// What a call sets aside before it is routed, in bytes: its own row at its longest, which even a refused call writes.
pub(crate) const CALL_ROOM: u64 = 6 * 1024;
/// How many bytes are gathered before they are written in any case.
const GATHERED: usize = 64 * 1024;
/// How long a failed attempt to get more space keeps others from trying.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// How much the spool survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The death of the process: records are in the system's cache when the append returns.
    Process,
    /// Also, but for the last `sync_interval`, the death of the machine.
    #[default]
    Interval,
    /// Also the death of the machine, for every answer whose end was released after
    /// [`Ledger::strict_wait`](crate::Ledger::strict_wait).
    Strict,
}

/// How the spool is laid out and kept.
#[derive(Debug, Clone)]
pub(crate) struct SpoolConfig {
    pub(crate) durability: Durability,
    pub(crate) sync_interval: Duration,
    /// The most bytes that all segments may take.
    pub(crate) max_bytes: u64,
    /// The size at which a segment is closed, in bytes.
    pub(crate) segment_bytes: u64,
}

/// When a record goes to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Write {
    /// At once.
    #[default]
    Now,
    /// Together with those of other calls, at the latest when [`Ledger::flush_gathered`](crate::Ledger::flush_gathered)
    /// says so, or when records are synced next. Whoever appends so has that said before anything leaves this process
    /// that the record is to vouch for.
    Gathered,
}

/// A place in the spool: everything appended up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

/// Why an attempt could not be opened. It must not be dispatched then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No space is left for it.
    #[error("the ledger's spool is full")]
    Full,
    /// The disk failed.
    #[error("cannot write to the ledger's spool")]
    Disk(#[source] io::Error),
}

/// The log of this process.
pub(crate) struct Spool {
    pub(crate) home: Home,
    config: SpoolConfig,
    /// The growth of a segment file, in bytes.
    step: u64,
    core: Mutex<Core>,
    /// Bytes that others' segments take which this process is draining.
    pub(crate) foreign_bytes: AtomicU64,
    tender: tend::Tender,
    synced: watch::Sender<u64>,
    sync_failed: AtomicBool,
    /// Whether frames are gathered, or were and are in the overflow.
    gathers: AtomicBool,
    /// Rows (not opens) appended so far.
    pub(crate) rows: AtomicU64,
}

struct Core {
    active: Segment,
    next: Option<Segment>,
    /// Bytes of a segment that is being made ready: nobody else may take them meanwhile.
    preparing: u64,
    /// Closed segments that are still there.
    sealed: BTreeMap<u32, Sealed>,
    /// Closed, not yet synced and cut.
    retired: Vec<(Arc<dyn DiskFile>, u64)>,
    /// Bytes that admitted calls may still write.
    reserved: u64,
    /// Bytes of frames appended since the start, those in `overflow` included.
    appended: u64,
    /// Signed frames that end at `active.at` and were not given to the system yet.
    gathered: Vec<u8>,
    /// Frames that the disk refused although their space was set aside. Kept until it takes them.
    overflow: Vec<u8>,
    full_until: Option<Instant>,
}

struct Segment {
    identity: Identity,
    file: Arc<dyn DiskFile>,
    /// Where the next frame goes.
    at: u64,
    /// How far the disk's space is taken.
    end: u64,
    frames: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sealed {
    end: u64,
    bytes: u64,
}

/// One segment of this process as its reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) number: u32,
    /// Frames are complete up to here.
    pub(crate) end: u64,
    pub(crate) sealed: bool,
}

impl Spool {
    /// Opens a new spool in `home`.
    pub(crate) fn start(home: Home, mut config: SpoolConfig) -> io::Result<Spool> {
        let free = home.disk.free(&home.dir)?;
        // Small disks get small segments, so that there is always one more to write to while another drains.
        config.segment_bytes = config.segment_bytes.min(config.max_bytes / 8).min(free / 8).max(64 * 1024);
        let step = (config.segment_bytes / 8).clamp(32 * 1024, 1024 * 1024);
        let active = new_segment(&home, 1, step, config.durability)?;
        let core = Core {
            active,
            next: None,
            preparing: 0,
            sealed: BTreeMap::new(),
            retired: Vec::new(),
            reserved: 0,
            appended: 0,
            gathered: Vec::new(),
            overflow: Vec::new(),
            full_until: None,
        };
        Ok(Spool {
            home,
            config,
            step,
            core: Mutex::new(core),
            foreign_bytes: AtomicU64::new(0),
            tender: tend::Tender::default(),
            synced: watch::Sender::new(0),
            sync_failed: AtomicBool::new(false),
            gathers: AtomicBool::new(false),
            rows: AtomicU64::new(0),
        })
    }

    pub(crate) fn durability(&self) -> Durability {
        self.config.durability
    }

    /// Sets `bytes` of the disk aside.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<(), OpenError> {
        self.claim(&mut self.core.lock(), bytes)
    }

    /// Gives back what was set aside.
    pub(crate) fn release(&self, bytes: u64) {
        let mut core = self.core.lock();
        core.reserved = core.reserved.saturating_sub(bytes);
    }

    /// Appends the record that opens an attempt, which needs `keep` bytes to end well; `held` were set aside before.
    /// Returns how many are set aside now.
    pub(crate) fn open(
        &self,
        frames: &mut [u8],
        held: u64,
        keep: u64,
        write: Write,
    ) -> Result<u64, OpenError> {
        let mut core = self.core.lock();
        let needed = frames.len() as u64 + keep;
        if needed > held {
            self.claim(&mut core, needed - held)?;
        }
        let set_aside = held.max(needed);
        if let Err(error) = self.write(&mut core, frames, write) {
            core.reserved = core.reserved.saturating_sub(set_aside - held);
            return Err(OpenError::Disk(error));
        }
        core.reserved = core.reserved.saturating_sub(set_aside - keep);
        drop(core);
        self.touched();
        Ok(keep)
    }

    /// Appends terminal records, giving back `release` bytes that were set aside. Does not fail: what the disk
    /// refuses is kept in memory until it takes it, and no call is admitted meanwhile.
    pub(crate) fn append(&self, frames: &mut [u8], rows: u64, release: u64, write: Write) -> Position {
        let mut core = self.core.lock();
        let refused = !core.overflow.is_empty() || self.write(&mut core, frames, write).is_err();
        if refused {
            core.overflow.extend_from_slice(frames);
            core.appended += frames.len() as u64;
        }
        core.reserved = core.reserved.saturating_sub(release);
        let position = Position(core.appended);
        drop(core);
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.touched();
        position
    }

    /// Appends copies of records, if there is space to spare.
    pub(crate) fn carry(&self, frames: &mut [u8]) -> Option<Position> {
        let mut core = self.core.lock();
        let len = frames.len() as u64;
        self.claim(&mut core, len).ok()?;
        let written = self.write(&mut core, frames, Write::Now);
        core.reserved = core.reserved.saturating_sub(len);
        let position = Position(core.appended);
        drop(core);
        self.touched();
        written.ok().map(|()| position)
    }

    /// Gives all gathered frames to the system. An error says that some of what was appended so far is only in memory:
    /// what it was to vouch for must not happen.
    pub(crate) fn flush_gathered(&self) -> Result<(), OpenError> {
        if !self.gathers.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut core = self.core.lock();
        self.put_gathered(&mut core).map_err(OpenError::Disk)?;
        if core.overflow.is_empty() { Ok(()) } else { Err(OpenError::Full) }
    }

    /// The size at which a segment is closed.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.config.segment_bytes
    }

    /// Whether everything before `position` survives what this process's durability says.
    pub(crate) fn is_kept(&self, position: Position) -> bool {
        self.config.durability == Durability::Process || *self.synced.borrow() >= position.0
    }

    /// Everything before this place survives the death of the machine.
    #[cfg(test)]
    pub(crate) fn synced(&self) -> Position {
        Position(*self.synced.borrow())
    }

    /// Waits until everything up to `position` survives the death of the machine; false if that failed or took
    /// longer than `patience`.
    pub(crate) async fn wait_synced(&self, position: Position, patience: Duration) -> bool {
        let mut synced = self.synced.subscribe();
        let reached = synced.wait_for(|synced| *synced >= position.0);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// The segments of this process, oldest first.
    pub(crate) fn extents(&self) -> Vec<Extent> {
        let core = self.core.lock();
        let sealed = core.sealed.iter().map(|(number, sealed)| Extent {
            number: *number,
            end: sealed.end,
            sealed: true,
        });
        let active = &core.active;
        let end = active.at - core.gathered.len() as u64;
        let last = Extent { number: active.identity.number, end, sealed: false };
        sealed.chain([last]).collect()
    }

    /// Forgets a closed segment whose file is gone.
    pub(crate) fn forget(&self, number: u32) {
        self.core.lock().sealed.remove(&number);
    }

    /// Removes the folder, after everything in it is in the store; false where something stays.
    pub(crate) fn clear(&self) -> bool {
        let core = self.core.lock();
        let next = core.next.iter().map(|next| next.identity.number);
        let mut numbers = core.sealed.keys().copied().chain([core.active.identity.number]).chain(next);
        numbers.all(|number| self.home.remove(number).is_ok()) && self.home.remove_if_empty().unwrap_or(false)
    }

    /// How many bytes all segments take, and how many are set aside for calls under way.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let core = self.core.lock();
        (self.total(&core), core.reserved)
    }

    /// Whether terminal records wait in memory because the disk refused them.
    pub(crate) fn overflowing(&self) -> bool {
        !self.core.lock().overflow.is_empty()
    }

    /// Whether a sync has failed, after which nothing can be promised to be durable.
    pub(crate) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Relaxed)
    }

    fn total(&self, core: &Core) -> u64 {
        let sealed: u64 = core.sealed.values().map(|sealed| sealed.bytes).sum();
        let next = core.next.as_ref().map_or(0, |next| next.end);
        sealed + core.active.end + next + core.preparing + self.foreign_bytes.load(Ordering::Relaxed)
    }

    /// Adds `bytes` to what is set aside, growing the active segment where needed.
    fn claim(&self, core: &mut Core, bytes: u64) -> Result<(), OpenError> {
        if !core.overflow.is_empty() || (self.config.durability == Durability::Strict && self.sync_failed()) {
            return Err(OpenError::Full);
        }
        let needed = core.active.at + core.reserved + bytes + SEAL;
        if needed > core.active.end {
            self.grow(core, needed)?;
        }
        core.reserved += bytes;
        Ok(())
    }

    /// Takes more of the disk for the active segment, up to `needed` at least.
    fn grow(&self, core: &mut Core, needed: u64) -> Result<(), OpenError> {
        if core.full_until.is_some_and(|until| Instant::now() < until) {
            return Err(OpenError::Full);
        }
        let left = self.config.max_bytes.saturating_sub(self.total(core));
        let from = core.active.end;
        for to in [needed.next_multiple_of(self.step), needed.next_multiple_of(4_096)] {
            if to - from <= left && core.active.file.allocate(from, to).is_ok() {
                core.active.end = to;
                core.full_until = None;
                return Ok(());
            }
        }
        core.full_until = Some(Instant::now() + FULL_PAUSE);
        Err(OpenError::Full)
    }

    /// Writes frames to the active segment, or to the next one where this one is long enough.
    fn write(&self, core: &mut Core, frames: &mut [u8], write: Write) -> io::Result<()> {
        let len = frames.len() as u64;
        let gathers = write == Write::Gathered && core.gathered.len() < GATHERED;
        if !gathers || core.active.at + len + SEAL > self.config.segment_bytes {
            self.put_gathered(core)?;
        }
        if core.active.at + len + SEAL > self.config.segment_bytes {
            roll(core, len);
        }
        let active = &mut core.active;
        let count = active.identity.sign(frames, active.at);
        if gathers {
            core.gathered.extend_from_slice(frames);
            self.gathers.store(true, Ordering::Release);
        } else {
            active.file.write_at(frames, active.at)?;
        }
        active.at += len;
        active.end = active.end.max(active.at);
        active.frames += count;
        core.appended += len;
        Ok(())
    }

    /// Gives gathered frames to the system; what it refuses is kept in memory until it takes it.
    fn put_gathered(&self, core: &mut Core) -> io::Result<()> {
        if core.gathered.is_empty() {
            return Ok(());
        }
        let active = &mut core.active;
        let from = active.at - core.gathered.len() as u64;
        let result = active.file.write_at(&core.gathered, from);
        if result.is_err() {
            active.at = from;
            active.frames -= frame::count(&core.gathered);
            core.overflow.extend_from_slice(&core.gathered);
        }
        core.gathered.clear();
        // As long as they are in memory only, everybody who gathered is told so.
        self.gathers.store(result.is_err(), Ordering::Release);
        result
    }

    fn touched(&self) {
        self.tender.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock()
    }
}

/// Closes the active segment and goes on in the next one, if that has the space that admitted calls were promised.
/// Otherwise the active one goes on growing, which its own space allows.
fn roll(core: &mut Core, len: u64) {
    if core.next.as_ref().is_none_or(|next| next.end - next.at < core.reserved + len + SEAL) {
        return;
    }
    let active = &mut core.active;
    let mut seal = frame::seal(active.frames);
    active.identity.sign(&mut seal, active.at);
    if active.file.write_at(&seal, active.at).is_err() {
        return;
    }
    active.at += SEAL;
    if let Some(next) = core.next.take() {
        let old = std::mem::replace(&mut core.active, next);
        core.sealed.insert(old.identity.number, Sealed { end: old.at, bytes: old.end.max(old.at) });
        core.retired.push((old.file, old.at));
    }
}

/// Makes a segment's file, takes `space` of the disk for it, and, but in mode `process`, makes it durable.
fn new_segment(home: &Home, number: u32, space: u64, durability: Durability) -> io::Result<Segment> {
    let path = home.segment(number);
    let identity = Identity { instance: home.instance, number };
    let file = home.disk.create(&path)?;
    let prepare = || {
        file.allocate(0, space)?;
        file.write_at(&identity.header(), 0)?;
        if durability != Durability::Process {
            file.sync()?;
            home.disk.sync_dir(&home.dir)?;
        }
        Ok(())
    };
    if let Err(error) = prepare() {
        // Its number is needed again; a file that could not be prepared holds nothing.
        let _ = home.disk.remove(&path);
        return Err(error);
    }
    Ok(Segment { identity, file, at: HEADER as u64, end: space, frames: 0 })
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("dir", &self.home.dir).finish_non_exhaustive()
    }
}

/// The folder of all spools below `data_dir`.
pub(crate) fn root(data_dir: &std::path::Path) -> PathBuf {
    data_dir.join("weir.spool")
}

#[cfg(test)]
mod tests;
