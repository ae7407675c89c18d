//! A client that does not read: what its connection knows, and what its call's row must say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Shared by a connection and the answer that goes out on it.
#[derive(Debug)]
pub struct WriteWatch {
    /// Milliseconds that the client may take none of what is offered.
    patience: AtomicU64,
    gave_up: AtomicBool,
}

impl WriteWatch {
    /// With a patience for answers that bring none of their own.
    pub fn new(patience: Duration) -> WriteWatch {
        WriteWatch { patience: AtomicU64::new(millis(patience)), gave_up: AtomicBool::new(false) }
    }

    /// The patience of the answer that goes out now.
    pub fn set_patience(&self, patience: Duration) {
        self.patience.store(millis(patience), Ordering::Relaxed);
    }

    /// How long the client may take none of what is offered.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.load(Ordering::Relaxed))
    }

    /// The patience is over: the connection ends.
    pub fn give_up(&self) {
        self.gave_up.store(true, Ordering::Relaxed);
    }

    /// Whether it is over.
    pub fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The patience of an answer, told to its connection.
#[derive(Debug, Clone, Copy)]
pub struct WritePatience(pub Duration);
