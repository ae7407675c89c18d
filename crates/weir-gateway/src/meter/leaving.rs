//! A client that leaves while its route wants the usage all the same: the stream is read on without it.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::Instant;
use weir_wire::framing::Splitter;

use super::{Form, Meter};

/// How long a stream is read on after its client left.
const DRAIN_TIME: Duration = Duration::from_secs(60);
/// How much of it, in bytes.
const DRAIN_BYTES: usize = 16 << 20;

impl Meter {
    /// Reads on for the usage, within bounds of time and size; then the client has left all the same.
    pub(super) async fn drain(mut self) {
        let until = self.patience.deadline.min(Instant::now() + DRAIN_TIME);
        let mut read = 0;
        while let Some(source) = &mut self.source {
            let cut = self.patience.cut.clone();
            let next = tokio::select! {
                next = tokio::time::timeout_at(until, source.frame()) => next,
                () = cut.wait() => break,
            };
            let next = match next {
                Ok(Some(Ok(frame))) => frame.into_data().ok(),
                _ => break,
            };
            let data = next.unwrap_or_default();
            read += data.len();
            if read > DRAIN_BYTES || self.take(data).is_err() {
                break;
            }
            self.out.clear();
        }
        self.left();
    }

    /// The same meter, for a task of its own; nothing is left of this one.
    pub(super) fn take_over(&mut self) -> Meter {
        Meter {
            source: self.source.take(),
            splitter: std::mem::replace(&mut self.splitter, Splitter::new(weir_wire::framing::Framing::Sse)),
            form: std::mem::replace(&mut self.form, Form::Gone),
            front: self.front.clone(),
            account: self.account.clone(),
            patience: self.patience.clone(),
            alarm: Box::pin(tokio::time::sleep_until(self.patience.deadline)),
            last_seen: self.last_seen,
            last_sent: self.last_sent,
            out: VecDeque::new(),
            observers: std::mem::take(&mut self.observers),
            barrier: None,
            waiting: None,
            held: VecDeque::new(),
            semantic: self.semantic,
            tap: None,
            said: self.said.clone(),
            drains: false,
            cut_seen: self.cut_seen,
            write: self.write.clone(),
            onward: None,
        }
    }
}
