//! One connection: a byte stream that can be told to break, and the switches to tell it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Switches of one connection, shared by its calls.
#[derive(Debug, Default)]
pub(crate) struct Conn {
    /// The next close sends a TCP reset.
    pub(crate) reset: AtomicBool,
    /// Most bytes per write; 0, no limit.
    pub(crate) slice: AtomicUsize,
    /// Asks for GOAWAY.
    pub(crate) goaway: Notify,
}

/// A byte stream under the switches of a [`Conn`].
pub(crate) struct FaultIo<IO> {
    io: IO,
    conn: Arc<Conn>,
    /// Makes the stream's close a reset, where it can.
    arm_reset: fn(&IO),
}

impl<IO> FaultIo<IO> {
    pub(crate) fn new(io: IO, conn: Arc<Conn>, arm_reset: fn(&IO)) -> Self {
        Self { io, conn, arm_reset }
    }

    fn resetting(&self) -> bool {
        self.conn.reset.load(Ordering::Relaxed)
    }
}

impl<IO> Drop for FaultIo<IO> {
    fn drop(&mut self) {
        if self.resetting() {
            (self.arm_reset)(&self.io);
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for FaultIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for FaultIo<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.resetting() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let bytes = match self.conn.slice.load(Ordering::Relaxed) {
            0 => bytes,
            slice => &bytes[..bytes.len().min(slice)],
        };
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.resetting() || self.conn.slice.load(Ordering::Relaxed) > 0 {
            let first = buffers.iter().find(|buffer| !buffer.is_empty()).map_or(&[][..], |buffer| buffer);
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.resetting() {
            // A FIN before the reset would make it a clean end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
