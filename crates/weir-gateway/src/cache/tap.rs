//! A copy of a stream as its client gets it, kept till its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use weir_adapter::{Operation, Replay};
use weir_wire::framing::{Framing, Splitter, Verdict, sse};

/// A copy of a stream. Clones share it.
#[derive(Clone)]
pub struct Tap(Arc<Mutex<Copied>>);

struct Copied {
    /// `None`: it grew too large, and is not kept.
    seen: Option<BytesMut>,
    /// Events that the client did not ask for, but another may.
    withheld: Vec<Bytes>,
    /// The most that is kept, in bytes.
    limit: usize,
    /// What all taps hold together, and the most that they may.
    shared: Arc<Share>,
    held: usize,
}

/// What all taps hold together, in bytes.
#[derive(Default)]
pub(super) struct Share {
    held: AtomicUsize,
    limit: AtomicUsize,
}

impl Share {
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes held by all streams that are copied now.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Tap {
    pub(super) fn new(limit: usize, shared: &Arc<Share>) -> Tap {
        let (seen, withheld) = (Some(BytesMut::new()), Vec::new());
        Tap(Arc::new(Mutex::new(Copied { seen, withheld, limit, shared: shared.clone(), held: 0 })))
    }

    /// The client gets these bytes.
    pub(crate) fn copy(&self, bytes: &[u8]) {
        let mut copied = self.0.lock();
        if copied.take_room(bytes.len())
            && let Some(seen) = &mut copied.seen
        {
            seen.extend_from_slice(bytes);
        }
    }

    /// The client does not get this event.
    pub(crate) fn withhold(&self, data: &[u8]) {
        let mut copied = self.0.lock();
        if copied.take_room(data.len()) {
            copied.withheld.push(Bytes::copy_from_slice(data));
        }
    }

    /// The whole answer, where the stream was one.
    pub(crate) fn assemble(&self, replay: &dyn Replay, operation: Operation) -> Option<Bytes> {
        let mut copied = self.0.lock();
        let seen = copied.seen.take()?.freeze();
        assemble(seen, std::mem::take(&mut copied.withheld), replay, operation)
    }
}

/// The whole answer that a stream of events was, with other events before it.
pub(crate) fn assemble(
    stream: Bytes,
    mut events: Vec<Bytes>,
    replay: &dyn Replay,
    operation: Operation,
) -> Option<Bytes> {
    each_event(stream, |event| events.push(event))?;
    let events: Vec<&[u8]> = events.iter().map(|event| &event[..]).collect();
    replay.assemble(operation, &events)
}

/// Looks at what each event of a stream has; `None` where it is no stream of events.
pub(crate) fn each_event(stream: Bytes, mut look: impl FnMut(Bytes)) -> Option<()> {
    let split = Splitter::new(Framing::Sse).push(stream, |frame| {
        if let Some(data) = sse::data(frame) {
            look(match data {
                std::borrow::Cow::Borrowed(data) => frame.slice_ref(data),
                std::borrow::Cow::Owned(data) => data.into(),
            });
        }
        Verdict::Drop
    });
    split.ok().map(drop)
}

impl Copied {
    fn take_room(&mut self, bytes: usize) -> bool {
        if self.seen.is_none() {
            return false;
        }
        self.held += bytes;
        let all = self.shared.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let fits = self.held <= self.limit && all <= self.shared.limit.load(Ordering::Relaxed);
        if !fits {
            self.seen = None;
            self.withheld = Vec::new();
            self.give_back();
        }
        fits
    }

    fn give_back(&mut self) {
        self.shared.held.fetch_sub(std::mem::take(&mut self.held), Ordering::Relaxed);
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.give_back();
    }
}
