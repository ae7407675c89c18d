//! HTTP/1.1 to providers, spoken by the very task that answers the client: no task of the connection's own, no channel,
//! and what one read returned goes on in one piece.

pub(super) mod body;
mod chunked;
pub(super) mod conn;
mod head;
pub(super) mod pool;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method};

pub(super) use body::Body;
use conn::{Conn, with_buffer};
use head::{BadHead, Head, HeadReader, Length};
pub(super) use pool::Pool;

/// A body up to this size is sent in one piece with its head, in bytes.
const IN_ONE_PIECE: usize = 8 << 10;

/// A request, ready to be sent, and sent again.
pub(super) struct Request {
    method: Method,
    /// The head, with the body behind it where that is small.
    head: Bytes,
    body: Bytes,
}

impl Request {
    /// `path` in pieces; `host` stands where the headers have none.
    pub(super) fn new(
        method: Method,
        path: &[&str],
        host: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Request {
        let mut head = BytesMut::with_capacity(512 + if body.len() <= IN_ONE_PIECE { body.len() } else { 0 });
        head::write(&mut head, &method, path, host, headers, body.len());
        let body = if body.len() <= IN_ONE_PIECE {
            head.extend_from_slice(&body);
            Bytes::new()
        } else {
            body
        };
        Request { method, head: head.freeze(), body }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Not a byte of the request left this machine: it can go out on another connection.
    #[error("the connection was gone before the request was written")]
    Unwritten,
    /// The connection broke before a byte of the answer came.
    #[error("the connection broke before the answer")]
    Lost(#[source] io::Error),
    /// The connection broke before the answer's head was whole.
    #[error("the connection broke within the answer's head")]
    Torn(#[source] io::Error),
    /// What came is no answer.
    #[error(transparent)]
    Bad(#[from] BadHead),
    /// The deadline passed.
    #[error("no answer in time")]
    Late,
}

/// Sends a request and reads the head of its answer.
pub(super) async fn exchange(
    conn: Conn,
    request: &Request,
    deadline: Instant,
) -> Result<(Head, Opened), Failure> {
    let mut exchange = Exchange {
        conn: Some(conn),
        request,
        written: 0,
        flushed: false,
        head: HeadReader::default(),
        deadline: deadline.into(),
    };
    poll_fn(|cx| exchange.poll(cx)).await
}

/// The body of an answer as far as it came with the head, and the connection that the rest comes on.
pub(super) struct Opened {
    conn: Conn,
    first: Bytes,
    length: Length,
    keep: bool,
}

struct Exchange<'r> {
    conn: Option<Conn>,
    request: &'r Request,
    /// Bytes of head and body.
    written: usize,
    flushed: bool,
    head: HeadReader,
    deadline: tokio::time::Instant,
}

impl Exchange<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Head, Opened), Failure>> {
        // An answer may come before all is written: a body that is refused, say. A connection that can't be written
        // to any more may still hold it.
        let written = self.write(cx);
        if let Poll::Ready(Err(_)) = &written
            && self.written == 0
        {
            return Poll::Ready(Err(Failure::Unwritten));
        }
        if let Poll::Ready(done) = self.read(cx) {
            return Poll::Ready(done);
        }
        if let Poll::Ready(Err(error)) = written {
            return Poll::Ready(Err(broken(&self.head, error)));
        }
        let conn = self.conn.as_mut().expect("there until the answer begins");
        ready!(conn.poll_alarm(cx, self.deadline));
        Poll::Ready(Err(Failure::Late))
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let conn = self.conn.as_mut().expect("there until the answer begins");
        let (head, body) = (&self.request.head, &self.request.body);
        while self.written < head.len() + body.len() {
            let mut rest = (&head[..]).chain(&body[..]);
            rest.advance(self.written);
            let mut slices = [IoSlice::new(&[]); 2];
            let count = rest.chunks_vectored(&mut slices);
            match ready!(conn.poll_write(cx, &slices[..count]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => self.written += more,
            }
        }
        if !self.flushed {
            ready!(conn.poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Head, Opened), Failure>> {
        with_buffer(|buffer| {
            loop {
                let conn = self.conn.as_mut().expect("there until the answer begins");
                let piece = match ready!(conn.poll_read(cx, buffer)) {
                    Ok(0) => {
                        return Poll::Ready(Err(broken(&self.head, io::ErrorKind::UnexpectedEof.into())));
                    }
                    Ok(count) => &mut buffer[..count],
                    Err(error) => return Poll::Ready(Err(broken(&self.head, error))),
                };
                let Some((head, taken)) = self.head.feed(&self.request.method, piece)? else { continue };
                let all_sent = self.written == self.request.head.len() + self.request.body.len();
                let opened = Opened {
                    conn: self.conn.take().expect("there until the answer begins"),
                    first: Bytes::copy_from_slice(&piece[taken..]),
                    length: head.length,
                    keep: head.keep && all_sent,
                };
                return Poll::Ready(Ok((head, opened)));
            }
        })
    }
}

fn broken(head: &HeadReader, error: io::Error) -> Failure {
    if head.begun() { Failure::Torn(error) } else { Failure::Lost(error) }
}

#[cfg(test)]
mod tests;
