//! Patience with clients that do not read what is offered to them: `timeouts.write`.
//!
//! Over HTTP/1.1 a connection carries one answer, so the connection itself has the deadline. Over HTTP/2 one answer may
//! stand still while others flow: there each answer is watched, and the connection's own task looks after them. Nothing
//! is spawned, and a connection whose client reads has no timer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use weir_gateway::gather::Gather;
use weir_gateway::meter::Meter;
use weir_gateway::{Cut, WriteWatch};
use weir_ledger::Ledger;

/// The patience with answers that bring none of their own: the default of `timeouts.write`.
pub const USUAL: Duration = Duration::from_secs(30);

/// A connection whose writes have a deadline.
pub struct Patient<IO> {
    inner: IO,
    watch: Arc<WriteWatch>,
    /// Runs while the client takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
    gather: Gather,
    ledger: Ledger,
}

impl<IO> Patient<IO> {
    /// Over a connection; `watch` holds its patience, and learns when it is over. What leaves over it is in `ledger`.
    pub fn new(inner: IO, watch: Arc<WriteWatch>, ledger: Ledger) -> Patient<IO> {
        Patient { inner, watch, stuck: None, gather: Gather::default(), ledger }
    }

    /// Ready when it is time to write, and what the bytes vouch for is written.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.gather.poll(cx));
        self.ledger.flush_gathered();
        Poll::Ready(())
    }

    fn judge<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.watch.wrote(written.is_ready());
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let watch = &self.watch;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(watch.patience())));
        ready!(stuck.as_mut().poll(cx));
        self.watch.give_up();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Patient<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Patient<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx));
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.judge(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judge(shut, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx));
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.judge(written, cx)
    }
}

// === impl Streams ===

/// The streamed answers of one HTTP/2 connection.
#[derive(Default)]
pub struct Streams {
    all: Mutex<Vec<Arc<Mutex<Stream>>>>,
    /// There has been one.
    watched: AtomicBool,
    came: Notify,
}

/// One of them.
struct Stream {
    /// `None` once it was given up, or has ended.
    meter: Option<Box<Meter>>,
    watch: Arc<WriteWatch>,
    /// Since when the client takes nothing more; `None` while the provider is waited for.
    offered: Option<Instant>,
    /// Who polls it.
    waker: Option<Waker>,
}

/// The body of one of them.
pub struct Watched(Arc<Mutex<Stream>>);

impl Streams {
    /// Watches an answer from now on.
    pub fn watch(&self, mut meter: Box<Meter>, patience: Duration) -> Watched {
        let watch = Arc::new(WriteWatch::new(patience));
        meter.watch_writes(watch.clone());
        let stream = Stream { meter: Some(meter), watch, offered: Some(Instant::now()), waker: None };
        let stream = Arc::new(Mutex::new(stream));
        self.all.lock().push(stream.clone());
        self.watched.store(true, Ordering::Relaxed);
        self.came.notify_one();
        Watched(stream)
    }

    /// Whether [`Streams::look_after`] has anything to look after.
    pub fn are_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Gives up answers that stand still, for as long as the connection lives. When the process ends, all are woken
    /// to say so.
    pub async fn look_after(&self, cut: &Cut) {
        let mut cut = std::pin::pin!(cut.wait());
        let mut is_cut = false;
        loop {
            let sweep = match self.sweep() {
                Some(next) => tokio::time::sleep_until(next),
                None => {
                    self.came.notified().await;
                    continue;
                }
            };
            tokio::select! {
                () = sweep => {}
                () = &mut cut, if !is_cut => {
                    is_cut = true;
                    self.wake();
                }
            }
        }
    }

    /// Gives up what stood still too long, forgets what has ended, and says when to look again.
    fn sweep(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut given_up = Vec::new();
        self.all.lock().retain(|stream| {
            let mut stream = stream.lock();
            let over = stream.offered.unwrap_or(now) + stream.watch.patience();
            if over <= now {
                stream.watch.give_up();
                given_up.push(stream.meter.take());
            } else {
                next = Some(next.map_or(over, |next| next.min(over)));
            }
            stream.meter.is_some()
        });
        // Ends their calls: outside the locks.
        drop(given_up);
        next
    }

    fn wake(&self) {
        for stream in &*self.all.lock() {
            if let Some(waker) = stream.lock().waker.take() {
                waker.wake();
            }
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut stream = self.0.lock();
        let Some(meter) = &mut stream.meter else {
            return Poll::Ready(Some(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client did not read",
            ))));
        };
        let polled = Pin::new(&mut **meter).poll_frame(cx);
        match &polled {
            Poll::Pending => {
                stream.offered = None;
                stream.waker = Some(cx.waker().clone());
            }
            Poll::Ready(Some(_)) => stream.offered = Some(Instant::now()),
            Poll::Ready(None) => stream.meter = None,
        }
        polled.map_err(|never| match never {})
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let meter = self.0.lock().meter.take();
        drop(meter);
    }
}
