//! The body of a reply that nobody reads: sound, files, whatever a provider's own API answers. It passes piece by piece;
//! what ends it is known, and told once.
//!
//! Other than a stream of events it has no words for a failure: where it breaks, the connection to the client does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep};
use weir_ledger::State;
use weir_wire::Usage;

use crate::dispatch::account::Account;
use crate::error::{AttemptError, Wait};
use crate::meter::{Barrier, Patience};
use crate::reply::{Observer, Outcome};
use crate::upstream::AnswerBody;
use weir_adapter::ProviderError;

/// Bytes on their way, and their account.
pub struct Passing {
    source: Option<AnswerBody>,
    account: Account,
    /// What is used whatever comes, where the request says it.
    usage: Option<Usage>,
    /// How the row ends where the bytes come to their end.
    state: State,
    patience: Patience,
    alarm: Pin<Box<Sleep>>,
    last_seen: Instant,
    observers: SmallVec<[Observer; 3]>,
    barrier: Option<Box<dyn FnOnce() -> Barrier + Send>>,
    waiting: Option<Barrier>,
    begun: bool,
}

/// The bytes broke off.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub struct Broken;

impl Passing {
    pub(crate) fn new(
        source: AnswerBody,
        account: Account,
        usage: Option<Usage>,
        state: State,
        patience: Patience,
    ) -> Passing {
        let now = Instant::now();
        let first = (now + patience.first_token).min(patience.deadline);
        Passing {
            source: Some(source),
            account,
            usage,
            state,
            alarm: Box::pin(tokio::time::sleep_until(first)),
            last_seen: now,
            observers: SmallVec::new(),
            barrier: None,
            waiting: None,
            begun: false,
            patience,
        }
    }

    /// Tells `observer` how it ends.
    pub(crate) fn on_end(&mut self, observer: Observer) {
        self.observers.push(observer);
    }

    /// Lets the end be seen only after the barrier that `make` gives once the observers have run.
    pub(crate) fn hold_end(&mut self, make: impl FnOnce() -> Barrier + Send + 'static) {
        self.barrier = Some(Box::new(make));
    }

    fn finish(&mut self, outcome: &Outcome) {
        self.source = None;
        for observer in self.observers.drain(..) {
            observer(outcome);
        }
        self.waiting = self.barrier.take().map(|make| make());
    }

    fn fail(&mut self, error: &AttemptError) -> Broken {
        tracing::debug!(%error, "bytes from the provider broke off");
        let outcome = self.account.close(error.state(), self.usage.as_ref(), Some(error.code()));
        self.finish(&outcome);
        Broken
    }

    /// Why it may not go on, once the alarm went off.
    fn late(&self) -> Option<AttemptError> {
        let now = Instant::now();
        if self.patience.cut.at().is_some_and(|cut| now >= cut) {
            return Some(AttemptError::ShuttingDown);
        }
        if now >= self.patience.deadline {
            return Some(AttemptError::TimedOut(Wait::Total, self.patience.total));
        }
        let (wait, limit) = match self.begun {
            true => (Wait::Idle, self.patience.idle),
            false => (Wait::FirstToken, self.patience.first_token),
        };
        (now >= self.last_seen + limit).then_some(AttemptError::TimedOut(wait, limit))
    }

    fn set_alarm(&mut self) {
        let limit = if self.begun { self.patience.idle } else { self.patience.first_token };
        let mut at = (self.last_seen + limit).min(self.patience.deadline);
        if let Some(cut) = self.patience.cut.at() {
            at = at.min(cut);
        }
        self.alarm.as_mut().reset(at);
    }
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        loop {
            if let Some(barrier) = &mut this.waiting {
                std::task::ready!(barrier.as_mut().poll(cx));
                this.waiting = None;
            }
            let Some(source) = &mut this.source else { return Poll::Ready(None) };
            match Pin::new(source).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    this.last_seen = Instant::now();
                    this.begun = true;
                    this.account.first_content();
                    if let Some(late) = this.late() {
                        return Poll::Ready(Some(Err(this.fail(&late))));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "the provider's answer broke");
                    let broken = this.fail(&ProviderError::truncated().into());
                    return Poll::Ready(Some(Err(broken)));
                }
                Poll::Ready(None) => {
                    let outcome = this.account.close(this.state, this.usage.as_ref(), None);
                    this.finish(&outcome);
                }
                Poll::Pending => {
                    // The end of the process may have been announced since the alarm was set.
                    if this.patience.cut.at().is_some() {
                        this.set_alarm();
                    }
                    std::task::ready!(this.alarm.as_mut().poll(cx));
                    if let Some(late) = this.late() {
                        return Poll::Ready(Some(Err(this.fail(&late))));
                    }
                    this.set_alarm();
                }
            }
        }
    }
}

impl Drop for Passing {
    /// The client left: what it has had so far is charged as the request says.
    fn drop(&mut self) {
        if self.source.is_none() || self.observers.is_empty() {
            return;
        }
        self.barrier = None;
        let (state, code) = match std::thread::panicking() {
            true => (State::InternalError, Some("internal_error".to_owned())),
            false => (State::ClientGone, None),
        };
        let outcome = self.account.close(state, self.usage.as_ref(), code);
        self.finish(&outcome);
    }
}
