//! Sends are gathered while there is other work to do.
//!
//! A send that finds its receiver asleep has to wake it, which costs more than the send: some microseconds, and a call to
//! the hypervisor on a virtual machine. A worker that answers one call after another, each with its own sends, wakes the
//! same receivers again and again. So under load each call gets ready to send, lets the others do the same, and then they
//! send one after another: the first wakes whoever listens, the others find them awake. Records of the ledger are
//! written in the same rounds (`weir_ledger::Write::Gathered`).
//!
//! A worker that sleeps between calls gathers nothing: nobody waits for anybody then.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

/// How many calls a worker begins without sleeping until it gathers.
const MANY: u32 = 4;

thread_local! {
    static BEGUN: Cell<u32> = const { Cell::new(0) };
}

/// This worker has slept: to be called whenever the runtime wakes one.
pub fn slept() {
    BEGUN.set(0);
}

/// A call begins on this worker.
pub(crate) fn begins() {
    BEGUN.set(BEGUN.get().saturating_add(1));
}

/// Whether this worker has so much to do that sends, and records, are gathered.
pub(crate) fn is_worthwhile() -> bool {
    BEGUN.get() >= MANY
}

/// One send that may wait for others.
#[derive(Debug, Default)]
pub struct Gather {
    waited: bool,
}

impl Gather {
    /// Ready when it is time to send: at once where this worker has nothing else to do. What is polled after that is
    /// the next send.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waited || !is_worthwhile() {
            self.waited = false;
            return Poll::Ready(());
        }
        self.waited = true;
        pin!(tokio::task::yield_now()).poll(cx)
    }

    /// Done when it is time to send; whether that took a while.
    pub(crate) async fn turn() -> bool {
        let mut gather = Gather::default();
        let mut waited = false;
        poll_fn(|cx| {
            let polled = gather.poll(cx);
            waited |= polled.is_pending();
            polled
        })
        .await;
        waited
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// How many of ten tasks had got ready when the first sent.
    async fn ready_at_the_first_send() -> u32 {
        let (ready, first) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let (ready, first) = (ready.clone(), first.clone());
                tokio::spawn(async move {
                    begins();
                    let now = ready.fetch_add(1, Ordering::Relaxed) + 1;
                    Gather::turn().await;
                    let sees = ready.load(Ordering::Relaxed).max(now);
                    let _ = first.compare_exchange(0, sees, Ordering::Relaxed, Ordering::Relaxed);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        first.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_busy_worker_sends_when_all_are_ready_and_one_that_slept_sends_at_once() {
        slept();
        assert_eq!(ready_at_the_first_send().await, 1);
        // It has begun ten calls without sleeping.
        assert_eq!(ready_at_the_first_send().await, 10);
        slept();
        assert!(!is_worthwhile());
    }
}
