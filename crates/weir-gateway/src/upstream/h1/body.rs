//! The body of an answer, read from its connection by whoever wants it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::chunked::{Chunks, Malformed};
use super::conn::{Conn, with_buffer};
use super::head::Length;
use super::{Opened, Pool};

/// Why a body did not come whole.
#[derive(Debug, thiserror::Error)]
pub(in crate::upstream) enum BodyError {
    /// The connection ended before the body did.
    #[error("the connection ended in the middle of the answer")]
    Ended,
    /// The connection broke.
    #[error("the connection broke in the middle of the answer")]
    Broken(#[source] io::Error),
    /// What came is no chunked body.
    #[error(transparent)]
    Chunks(#[from] Malformed),
}

/// A body as it comes. Dropped before its end, it takes its connection with it.
pub(in crate::upstream) struct Body {
    /// There until the body has ended.
    conn: Option<Conn>,
    pool: Arc<Pool>,
    /// What came with the head.
    first: Bytes,
    left: Left,
    keep: bool,
}

enum Left {
    Exact(u64),
    Chunked(Chunks),
    UntilClose,
}

impl Body {
    /// The body that begins with `opened`; its connection goes to `pool` afterwards. A body that is here whole gives
    /// it back at once.
    pub(in crate::upstream) fn new(opened: Opened, pool: &Arc<Pool>) -> Result<Body, BodyError> {
        let Opened { conn, first, length, keep } = opened;
        let left = match length {
            Length::Exact(length) => Left::Exact(length),
            Length::Chunked => Left::Chunked(Chunks::new()),
            Length::UntilClose => Left::UntilClose,
        };
        let mut body = Body { conn: Some(conn), pool: pool.clone(), first: Bytes::new(), left, keep };
        body.first = match &body.left {
            Left::Chunked(_) if !first.is_empty() => {
                let mut bytes = Vec::from(first);
                let content = body.decode(&mut bytes)?;
                bytes.truncate(content);
                bytes.into()
            }
            Left::Chunked(_) => first,
            _ => {
                let mut first = first;
                let content = body.count(first.len());
                first.truncate(content);
                first
            }
        };
        Ok(body)
    }

    /// Notes that `read` bytes came; how many of them are content.
    fn count(&mut self, read: usize) -> usize {
        let Left::Exact(left) = &mut self.left else { return read };
        let content = usize::try_from(*left).unwrap_or(usize::MAX).min(read);
        *left -= content as u64;
        if *left == 0 {
            // Bytes beyond the end belong to no answer.
            self.end(content == read);
        }
        content
    }

    /// Decodes one piece in place; how many bytes at its beginning are content.
    fn decode(&mut self, piece: &mut [u8]) -> Result<usize, Malformed> {
        let Left::Chunked(chunks) = &mut self.left else { return Ok(self.count(piece.len())) };
        let decoded = chunks.decode(piece)?;
        if chunks.done() {
            self.end(decoded.taken == piece.len());
        }
        Ok(decoded.content)
    }

    /// The body has ended: its connection can serve another call, or goes.
    fn end(&mut self, clean: bool) {
        if let Some(conn) = self.conn.take()
            && clean
            && self.keep
        {
            self.pool.put(conn);
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        with_buffer(|buffer| {
            loop {
                let Some(conn) = &mut self.conn else { return Poll::Ready(None) };
                let read = match ready!(conn.poll_read(cx, buffer)) {
                    Ok(read) => read,
                    Err(error) => return self.broken(BodyError::Broken(error)),
                };
                if read == 0 {
                    if matches!(self.left, Left::UntilClose) {
                        self.conn = None;
                        return Poll::Ready(None);
                    }
                    return self.broken(BodyError::Ended);
                }
                match self.decode(&mut buffer[..read]) {
                    Ok(0) => {}
                    Ok(content) => return Poll::Ready(Some(Ok(Bytes::copy_from_slice(&buffer[..content])))),
                    Err(error) => return self.broken(error.into()),
                }
            }
        })
    }

    fn broken(&mut self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.conn = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        Poll::Ready(ready!(self.read(cx)).map(|read| read.map(Frame::data)))
    }
}
