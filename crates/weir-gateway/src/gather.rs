//! Sends are gathered while there is other work to do.
//!
//! A send that finds its receiver asleep has to wake it, which costs more than the send: some microseconds, and a call to
//! the hypervisor on a virtual machine. A worker that answers one call after another, each with its own sends, wakes the
//! same receivers again and again. So under load each call gets ready to send, lets the others do the same, and then they
//! send one after another: the first wakes whoever listens, the others find them awake.
//!
//! With few calls under way nothing is gathered: nobody waits for anybody.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// From how many calls under way on sends are gathered.
const MANY: usize = 6;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A call that is under way as long as this lives.
#[derive(Debug)]
pub struct UnderWay(());

impl UnderWay {
    /// One more.
    pub fn begin() -> UnderWay {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        UnderWay(())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether so many calls are under way that sends, and records, are gathered.
pub fn is_worthwhile() -> bool {
    UNDER_WAY.load(Ordering::Relaxed) >= MANY
}

/// One send that may wait for others.
#[derive(Debug, Default)]
pub struct Gather {
    waited: bool,
}

impl Gather {
    /// Ready when it is time to send; at once where few calls are under way.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waited || !is_worthwhile() {
            return Poll::Ready(());
        }
        self.waited = true;
        pin!(tokio::task::yield_now()).poll(cx)
    }

    /// Begins anew, for the next send.
    pub fn sent(&mut self) {
        self.waited = false;
    }

    /// Done when it is time to send.
    pub async fn turn() {
        let mut gather = Gather::default();
        poll_fn(|cx| gather.poll(cx)).await;
    }
}
