//! The response body: plays steps, and keeps the truth log's entry until its end.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::conn::Conn;
use crate::reply::Piece;
use crate::truth::{End, Entry};

/// One thing a body does.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Piece),
    Wait(Duration),
    /// Nothing more, for ever.
    Stall,
    /// TCP reset.
    Reset,
    /// The connection closes in the middle of the body.
    Abort,
    /// The same bytes again and again.
    Repeat(Bytes, Duration),
}

/// A response body.
#[derive(Debug)]
pub(crate) struct SimBody {
    kind: Kind,
    entry: Option<Entry>,
}

#[derive(Debug)]
enum Kind {
    Whole(Option<Piece>),
    Shared { frames: Arc<[Bytes]>, next: usize },
    Steps(Box<Steps>),
}

#[derive(Debug)]
struct Steps {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    conn: Arc<Conn>,
    /// Whether a fault left something out, so that the end of the steps is not a good end.
    faulty: bool,
}

impl SimBody {
    /// A body of known length.
    pub(crate) fn whole(piece: Piece, entry: Option<Entry>) -> Self {
        Self { kind: Kind::Whole(Some(piece)), entry }
    }

    /// Frames made beforehand, sent as fast as the connection takes them.
    pub(crate) fn shared(frames: Arc<[Bytes]>, entry: Option<Entry>) -> Self {
        Self { kind: Kind::Shared { frames, next: 0 }, entry }
    }

    /// A script.
    pub(crate) fn steps(steps: Vec<Step>, faulty: bool, conn: Arc<Conn>, entry: Option<Entry>) -> Self {
        let steps = Steps { steps: steps.into(), sleep: None, conn, faulty };
        Self { kind: Kind::Steps(Box::new(steps)), entry }
    }

    fn sent(&mut self, piece: &Piece) {
        if let Some(entry) = &mut self.entry {
            entry.bytes_out += piece.bytes.len() as u64;
            entry.output_sent = piece.output;
            entry.usage_sent |= piece.usage;
        }
    }

    fn ended(&mut self, end: End) {
        if let Some(entry) = &mut self.entry
            && entry.end != End::Refused
        {
            entry.end = end;
        }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = &mut *self;
        match &mut this.kind {
            Kind::Whole(piece) => {
                let Some(piece) = piece.take() else { return Poll::Ready(None) };
                this.sent(&piece);
                this.ended(End::Completed);
                Poll::Ready(Some(Ok(Frame::data(piece.bytes))))
            }
            Kind::Shared { frames, next } => {
                let Some(bytes) = frames.get(*next).cloned() else { return Poll::Ready(None) };
                *next += 1;
                let last = *next == frames.len();
                if let Some(entry) = &mut this.entry {
                    entry.bytes_out += bytes.len() as u64;
                    entry.usage_sent = last && entry.reported.is_some();
                    entry.output_sent = entry.billed.all_output() * *next as u64 / frames.len() as u64;
                    entry.end = if last { End::Completed } else { End::ClientGone };
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Steps(steps) => {
                let step = ready!(steps.poll(cx));
                let faulty = steps.faulty;
                match step {
                    Some(Ok(piece)) => {
                        this.sent(&piece);
                        Poll::Ready(Some(Ok(Frame::data(piece.bytes))))
                    }
                    Some(Err(cause)) => {
                        this.ended(End::Fault);
                        Poll::Ready(Some(Err(cause)))
                    }
                    None => {
                        this.ended(if faulty { End::Fault } else { End::Completed });
                        Poll::Ready(None)
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(piece) => {
                SizeHint::with_exact(piece.as_ref().map_or(0, |piece| piece.bytes.len()) as u64)
            }
            _ => SizeHint::default(),
        }
    }
}

impl Steps {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<std::io::Result<Piece>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Send(piece)) => return Poll::Ready(Some(Ok(piece))),
                Some(Step::Wait(time)) => self.sleep = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Stall) => {
                    self.steps.push_front(Step::Stall);
                    self.sleep = Some(Box::pin(tokio::time::sleep(Duration::from_secs(3600))));
                }
                Some(Step::Reset) => {
                    self.conn.reset.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())));
                }
                Some(Step::Abort) => {
                    return Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionAborted.into())));
                }
                Some(Step::Repeat(bytes, every)) => {
                    let piece = Piece { bytes: bytes.clone(), output: 0, usage: false };
                    self.steps.push_front(Step::Repeat(bytes, every));
                    self.steps.push_front(Step::Wait(every));
                    return Poll::Ready(Some(Ok(piece)));
                }
            }
        }
    }
}
