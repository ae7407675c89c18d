//! Who wants to know of calls that ended: exporters and logs. Each has a queue that is looked at now and then; a call
//! puts its rows there and goes on, and what finds no room is counted and forgotten.

mod said;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use weir_ledger::{AttemptRow, CallRow, Micros};

use crate::call::Call;
use crate::layers::record::now_micros;
use crate::snapshot::Snapshot;
use crate::trace::Trace;
pub(crate) use said::Said;

/// A call that ended.
pub struct Ended {
    /// Its row.
    pub row: CallRow,
    /// The rows of its attempts.
    pub attempts: Vec<AttemptRow>,
    /// What weir itself did meanwhile.
    pub steps: Vec<Step>,
    /// The trace that it belongs to.
    pub trace: Option<Trace>,
    /// What it was served with.
    pub snapshot: Arc<Snapshot>,
    /// What was said, where that is wanted.
    pub content: Option<Content>,
}

/// What was said in a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The request's body, perhaps its beginning only.
    pub request: Bytes,
    /// The answer's body as if it had been asked for whole, or the beginning of it; of a stream that is too long for that,
    /// or broke, its first words.
    pub answer: Option<Bytes>,
}

/// What weir itself did in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// `translate`, `cache`, `budget`.
    pub name: &'static str,
    /// When it began.
    pub began: Micros,
    /// When it ended.
    pub ended: Micros,
}

/// What is gathered while a watched call runs.
#[derive(Debug, Default)]
pub struct Seen {
    /// The rows of attempts that ended.
    pub(crate) attempts: Vec<AttemptRow>,
    steps: Vec<Step>,
    pub(crate) content: Option<Content>,
}

/// Which calls someone wants to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wants {
    /// Those whose trace is recorded.
    Traced = 1,
    /// All.
    All = 2,
}

/// Calls that ended and were not looked at yet.
pub struct Queue {
    wants: Wants,
    most: usize,
    ended: Mutex<Vec<Arc<Ended>>>,
    dropped: AtomicU64,
}

impl Queue {
    /// Room for so many calls.
    pub fn new(wants: Wants, most: usize) -> Arc<Queue> {
        Arc::new(Queue { wants, most, ended: Mutex::default(), dropped: AtomicU64::new(0) })
    }

    /// Everything since the last time, in the order in which it ended.
    pub fn take(&self) -> Vec<Arc<Ended>> {
        std::mem::take(&mut *self.ended.lock())
    }

    /// How many calls found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn push(&self, call: &Arc<Ended>) {
        let mut ended = self.ended.lock();
        if ended.len() < self.most {
            ended.push(call.clone());
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// All queues.
#[derive(Default)]
pub struct Watchers {
    /// The most that any wants; 0 where there is none.
    wanted: AtomicU8,
    /// How many bytes of requests and answers are kept; 0 for none.
    content: AtomicUsize,
    contents: Mutex<BTreeMap<&'static str, usize>>,
    queues: RwLock<Vec<Arc<Queue>>>,
}

impl Watchers {
    /// Another one wants to know.
    pub fn add(&self, queue: &Arc<Queue>) {
        self.change(|queues| queues.push(queue.clone()));
    }

    /// It doesn't any more.
    pub fn remove(&self, queue: &Arc<Queue>) {
        self.change(|queues| queues.retain(|one| !Arc::ptr_eq(one, queue)));
    }

    /// `who` wants so many bytes of requests and answers.
    pub fn want_content(&self, who: &'static str, bytes: usize) {
        let mut contents = self.contents.lock();
        contents.insert(who, bytes);
        self.content.store(contents.values().copied().max().unwrap_or(0), Ordering::Relaxed);
    }

    /// The beginning of it, as far as it is wanted.
    fn beginning(&self, bytes: &[u8]) -> Bytes {
        // A copy: the whole would stay in memory as long as its beginning waits.
        Bytes::copy_from_slice(&bytes[..bytes.len().min(self.content.load(Ordering::Relaxed))])
    }

    /// A whole answer, where it is wanted.
    pub(crate) fn answered(&self, call: &Call, answer: &[u8]) {
        if self.content.load(Ordering::Relaxed) == 0 {
            return;
        }
        let answer = self.beginning(answer);
        if let Some(content) = call.progress.lock().seen.as_mut().and_then(|seen| seen.content.as_mut()) {
            content.answer = Some(answer);
        }
    }

    /// Where the beginning of a stream is kept, where it is wanted.
    pub(crate) fn hears(&self) -> Option<Said> {
        let most = self.content.load(Ordering::Relaxed);
        (most > 0).then(|| Said::new(most))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Queue>>)) {
        let mut queues = self.queues.write();
        change(&mut queues);
        let most = queues.iter().map(|queue| queue.wants as u8).max().unwrap_or(0);
        self.wanted.store(most, Ordering::Relaxed);
    }

    /// What is gathered of this call; `None` where nobody asks.
    pub(crate) fn begin(&self, call: &Call) -> Option<Box<Seen>> {
        match self.wanted.load(Ordering::Relaxed) {
            0 => None,
            1 if !call.is_traced() => None,
            _ => {
                let wanted = self.content.load(Ordering::Relaxed) > 0;
                let content =
                    wanted.then(|| Content { request: self.beginning(call.request.raw()), answer: None });
                Some(Box::new(Seen { content, ..Seen::default() }))
            }
        }
    }

    /// It ended.
    pub(crate) fn end(&self, seen: Seen, call: &Call, row: &CallRow) {
        let Seen { attempts, steps, content } = seen;
        let ended = Arc::new(Ended {
            row: row.clone(),
            attempts,
            steps,
            trace: call.options.trace.as_deref().cloned(),
            snapshot: call.snapshot.clone(),
            content,
        });
        for queue in &*self.queues.read() {
            if queue.wants == Wants::All || call.is_traced() {
                queue.push(&ended);
            }
        }
    }
}

impl Call {
    /// Whether its trace is recorded.
    pub fn is_traced(&self) -> bool {
        self.options.trace.as_ref().is_some_and(|trace| trace.sampled)
    }

    /// The beginning of a step, where that is wanted.
    pub(crate) fn step(&self) -> Option<Instant> {
        self.is_traced().then(Instant::now)
    }

    /// The end of it.
    pub(crate) fn stepped(&self, name: &'static str, began: Option<Instant>) {
        let Some(began) = began else { return };
        if let Some(seen) = &mut self.progress.lock().seen {
            let (began, ended) = (now_micros(self, began), now_micros(self, Instant::now()));
            seen.steps.push(Step { name, began, ended });
        }
    }
}
