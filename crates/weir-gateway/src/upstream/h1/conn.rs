//! One connection, and the memory that all connections of a thread read into.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::upstream::connect::Io;

/// How much is read at once, in bytes.
/// One such piece may wait for each client that reads slowly.
const READ: usize = 16 << 10;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// Lends the thread's buffer: a connection that waits holds none.
pub(super) fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| work(buffer))
}

/// One connection.
pub(in crate::upstream) struct Conn {
    io: Io,
    /// Goes off no later than the deadline that is waited for; kept from call to call, because setting one costs more
    /// than looking at it when it went off too early.
    alarm: Option<Pin<Box<Sleep>>>,
    /// It has carried a call before.
    used: bool,
    /// Where it leads; `None` through a proxy, and within this process.
    peer: Option<IpAddr>,
}

impl Conn {
    pub(in crate::upstream) fn new(io: Io, peer: Option<IpAddr>) -> Conn {
        Conn { io, alarm: None, used: false, peer }
    }

    /// Where it leads, where that is the provider itself.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Whether it has carried a call before.
    pub(in crate::upstream) fn is_used(&self) -> bool {
        self.used
    }

    /// Notes that it has carried a call.
    pub(super) fn used(mut self) -> Conn {
        self.used = true;
        self
    }

    /// Whether an idle connection can carry a request: the other side has neither closed it nor said anything.
    pub(super) fn is_fresh(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_read(&mut cx, &mut byte).is_pending()
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [one] => Pin::new(&mut self.io).poll_write(cx, one),
            more => Pin::new(&mut self.io).poll_write_vectored(cx, more),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Ready once `deadline` has passed.
    pub(super) fn poll_alarm(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if alarm.is_elapsed() || alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
    }
}
