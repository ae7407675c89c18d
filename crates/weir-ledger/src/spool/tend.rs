//! What the spool's own thread does: sync in groups, prepare the next segment, and write what the disk refused.
//!
//! [`Spool::tend`] is one round of it. The thread only decides when; tests call it at moments of their choosing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Durability, HEADER, SEAL, Spool, Write, new_segment};

/// Wakes the thread at the first append after a round, and at none after that.
#[derive(Default)]
pub(crate) struct Tender {
    dirty: AtomicBool,
    stop: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl Tender {
    pub(crate) fn wake(&self) {
        if !self.dirty.load(Ordering::Relaxed) && !self.dirty.swap(true, Ordering::AcqRel) {
            self.unpark();
        }
    }

    /// Lets so much time pass, unless the thread is to stop. The append that woke it wakes it no earlier.
    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stop.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn unpark(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }
}

/// The thread, stopped and joined when dropped.
pub(crate) struct TendThread {
    spool: Arc<Spool>,
    handle: Option<JoinHandle<()>>,
}

impl TendThread {
    pub(crate) fn start(spool: Arc<Spool>) -> io::Result<TendThread> {
        let tended = spool.clone();
        let handle =
            thread::Builder::new().name("weir-spool".into()).spawn(move || tended.tend_until_stopped())?;
        *spool.tender.thread.lock() = Some(handle.thread().clone());
        spool.tender.unpark();
        Ok(TendThread { spool, handle: Some(handle) })
    }
}

impl Drop for TendThread {
    fn drop(&mut self) {
        self.spool.tender.stop.store(true, Ordering::Release);
        if let Some(handle) = self.handle.take() {
            handle.thread().unpark();
            let _ = handle.join();
        }
    }
}

impl Spool {
    fn tend_until_stopped(&self) {
        let mut failing = false;
        let mut first = true;
        while !self.tender.stop.load(Ordering::Acquire) {
            if !first && !self.tender.dirty.load(Ordering::Acquire) && !failing {
                thread::park();
                continue;
            }
            let pause = match self.config.durability {
                _ if first => Duration::ZERO,
                _ if failing => Duration::from_millis(100),
                Durability::Strict => Duration::ZERO,
                Durability::Process | Durability::Interval => self.config.sync_interval,
            };
            self.tender.rest(pause);
            first = false;
            let result = self.tend();
            if let Err(error) = &result
                && !failing
            {
                tracing::warn!(%error, "the ledger's spool can't be kept up, trying on");
            }
            failing = result.is_err();
        }
        let _ = self.tend();
    }

    /// One round. An error means that something is still to be done.
    pub(crate) fn tend(&self) -> io::Result<()> {
        self.tender.dirty.store(false, Ordering::Release);
        // What is refused goes into the overflow.
        let gathered = self.put_gathered(&mut self.lock());
        let written = gathered.and(self.write_overflow());
        let synced = self.sync();
        let prepared = self.prepare_next();
        written.and(synced).and(prepared)
    }

    /// Writes what the disk refused before.
    fn write_overflow(&self) -> io::Result<()> {
        let mut core = self.lock();
        if core.overflow.is_empty() {
            return Ok(());
        }
        let mut frames = std::mem::take(&mut core.overflow);
        let before = core.appended;
        let result = self.write(&mut core, &mut frames, Write::Now);
        // They were counted when they were appended.
        core.appended = before;
        match &result {
            Ok(()) => self.gathers.store(!core.gathered.is_empty(), Ordering::Release),
            Err(_) => core.overflow = frames,
        }
        result
    }

    /// Syncs closed segments and the active one; then everything appended before survives a crash of the machine.
    fn sync(&self) -> io::Result<()> {
        let mut core = self.lock();
        let upto = core.appended - core.gathered.len() as u64 - core.overflow.len() as u64;
        let mut retired = std::mem::take(&mut core.retired);
        let active = core.active.file.clone();
        drop(core);
        let durable = self.config.durability != Durability::Process;
        let mut result = Ok(());
        retired.retain(|(file, end)| {
            let done = if durable { file.sync() } else { Ok(()) }.and_then(|()| file.truncate(*end));
            let failed = done.is_err();
            result = std::mem::replace(&mut result, Ok(())).and(done);
            failed
        });
        if durable && result.is_ok() && *self.synced.borrow() < upto {
            result = active.sync();
        }
        if result.is_err() {
            // After a failed sync the system may have dropped the data; no later success can vouch for it.
            self.sync_failed.store(durable, Ordering::Relaxed);
            self.lock().retired.extend(retired);
            return result;
        }
        let mut core = self.lock();
        for sealed in core.sealed.values_mut() {
            sealed.bytes = sealed.end;
        }
        core.retired.extend(retired);
        drop(core);
        if durable && !self.sync_failed() {
            self.synced.send_if_modified(|synced| {
                let more = *synced < upto;
                *synced = (*synced).max(upto);
                more
            });
        }
        Ok(())
    }

    /// Keeps a segment ready with the space that a change to it takes.
    fn prepare_next(&self) -> io::Result<()> {
        let mut core = self.lock();
        let space = (core.reserved + HEADER as u64 + SEAL).next_multiple_of(self.step) + self.step;
        let left = self.config.max_bytes.saturating_sub(self.total(&core));
        if let Some(next) = &mut core.next {
            // Calls under way have been promised more meanwhile.
            let missing = space.saturating_sub(self.step).saturating_sub(next.end);
            if missing > 0 && missing <= left {
                next.file.allocate(next.end, next.end + missing)?;
                next.end += missing;
            }
            return Ok(());
        }
        if space > left {
            return Ok(());
        }
        let number = core.active.identity.number + 1;
        core.preparing = space;
        drop(core);
        // Only this thread makes segments, so the number is still free afterwards.
        let made = new_segment(&self.home, number, space, self.config.durability);
        let mut core = self.lock();
        core.preparing = 0;
        core.next = Some(made?);
        Ok(())
    }
}
