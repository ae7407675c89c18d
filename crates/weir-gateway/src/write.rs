//! A client that does not read: what its connection knows, what its call's row must say, and that its provider is held
//! back as long as what came is not taken.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

/// How much of an answer is handed to a connection before it has written some, in bytes.
const AHEAD: usize = 64 << 10;

/// Shared by a connection and the answer that goes out on it.
#[derive(Debug)]
pub struct WriteWatch {
    /// Milliseconds that the client may take none of what is offered.
    patience: AtomicU64,
    gave_up: AtomicBool,
    /// Whether the connection says what it writes.
    tells: bool,
    /// The system takes no more for the moment.
    stuck: AtomicBool,
    /// Bytes handed to the connection since it last wrote.
    ahead: AtomicUsize,
    /// Who waits for it to write.
    waiting: Mutex<Option<Waker>>,
}

impl WriteWatch {
    /// Of an answer whose connection carries others, too. With a patience for answers that bring none of their own.
    pub fn new(patience: Duration) -> WriteWatch {
        WriteWatch {
            patience: AtomicU64::new(millis(patience)),
            gave_up: AtomicBool::new(false),
            tells: false,
            stuck: AtomicBool::new(false),
            ahead: AtomicUsize::new(0),
            waiting: Mutex::new(None),
        }
    }

    /// Of a connection that carries one answer at a time, and tells what it writes by [`WriteWatch::wrote`].
    pub fn of_connection(patience: Duration) -> WriteWatch {
        WriteWatch { tells: true, ..WriteWatch::new(patience) }
    }

    /// The connection has written, or could not write any more.
    pub fn wrote(&self, more: bool) {
        self.stuck.store(!more, Ordering::Relaxed);
        if more {
            self.ahead.store(0, Ordering::Relaxed);
            self.wake();
        }
    }

    /// So many bytes of an answer were handed to the connection.
    pub(crate) fn hand(&self, bytes: usize) {
        if self.tells {
            self.ahead.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Ready when the connection may be handed more. It and the answer are polled by the same task.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.stuck.load(Ordering::Relaxed) && self.ahead.load(Ordering::Relaxed) < AHEAD {
            return Poll::Ready(());
        }
        *self.waiting.lock() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn wake(&self) {
        if let Some(waker) = self.waiting.lock().take() {
            waker.wake();
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_connection_is_handed_no_more_than_it_writes() {
        let watch = WriteWatch::of_connection(Duration::from_secs(1));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let has_room = || watch.poll_room(&mut Context::from_waker(&waker)).is_ready();
        watch.hand(AHEAD - 1);
        assert!(has_room());
        watch.hand(1);
        assert!(!has_room());
        watch.wrote(true);
        assert!(has_room() && woken.0.load(Ordering::Relaxed) == 1);
        watch.wrote(false);
        assert!(!has_room(), "the system takes no more");
        watch.wrote(true);
        assert!(has_room() && woken.0.load(Ordering::Relaxed) == 2);
    }

    #[test]
    fn an_answer_among_others_is_held_back_by_its_protocol() {
        let watch = WriteWatch::new(Duration::from_secs(1));
        watch.hand(10 * AHEAD);
        assert!(watch.poll_room(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
