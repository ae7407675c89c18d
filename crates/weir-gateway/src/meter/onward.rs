//! A stream that breaks and goes on: another attempt says the rest, and the client's stream stays the same one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use super::script::{Ear, Script};
use super::{Form, KEEPALIVE, Meter};
use crate::error::AttemptError;
use crate::layers::failover::class;
use crate::reply::Outcome;
use crate::snapshot::FailureClasses;

/// The rest of a stream: a meter over an attempt that has begun to say it, or nothing.
pub(crate) type Rest = Pin<Box<dyn Future<Output = Option<Box<Meter>>> + Send>>;

/// Asks for the rest.
pub(crate) type Ask = Box<dyn FnOnce(Script) -> Rest + Send>;

/// A line in the stream where another attempt goes on: every client takes it for a comment.
const MARK: Bytes = Bytes::from_static(b": weir-continued\n\n");

/// How a stream may go on.
pub(crate) struct Onward {
    pub(super) script: Script,
    /// Where the provider's own bytes pass.
    pub(super) ear: Option<Ear>,
    /// After which failures.
    classes: FailureClasses,
    ask: Option<Ask>,
    /// So many observers are the attempt's own: they are told when it ends, the others when the stream does.
    own: usize,
    state: Waiting,
}

enum Waiting {
    No,
    /// The rest is asked for, after this failure.
    For(Rest, AttemptError),
}

impl Onward {
    pub(crate) fn new(script: Script, ear: Option<Ear>, classes: FailureClasses) -> Onward {
        Onward { script, ear, classes, ask: None, own: 0, state: Waiting::No }
    }
}

impl Meter {
    /// May go on by what `onward` knows.
    pub(crate) fn may_go_on(&mut self, onward: Onward) {
        self.onward = Some(Box::new(onward));
    }

    /// Whom to ask for the rest, should it break. All that observes it so far observes the attempt.
    pub(crate) fn on_break(&mut self, ask: impl FnOnce() -> Ask) {
        if let Some(onward) = &mut self.onward {
            onward.own = self.observers.len();
            onward.ask = Some(ask());
        }
    }

    /// The stream broke: it goes on, or fails.
    pub(super) fn broke(&mut self, error: &AttemptError) {
        if !self.goes_on(error) {
            self.fail(error);
        }
    }

    fn goes_on(&mut self, error: &AttemptError) -> bool {
        if self.done() {
            return false;
        }
        let Some(onward) = &mut self.onward else { return false };
        let fits = class(error).is_some_and(|class| onward.classes.contains(class));
        if !fits || onward.script.so_far().is_none() {
            return false;
        }
        let Some(ask) = onward.ask.take() else { return false };
        let rest = ask(onward.script.clone());
        onward.state = Waiting::For(rest, error.clone());
        let own = onward.own.min(self.observers.len());
        let outcome = self.account.close(error.state(), self.usage(), Some(error.code()));
        self.source = None;
        for observer in self.observers.drain(..own) {
            observer(&outcome);
        }
        true
    }

    /// Whether the rest is waited for.
    pub(super) fn waits_for_rest(&self) -> bool {
        self.onward.as_ref().is_some_and(|onward| matches!(onward.state, Waiting::For(..)))
    }

    /// Waits for the rest. The client gets comments meanwhile, where it would in any silence.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(onward) = &mut self.onward else { return Poll::Ready(()) };
        let Waiting::For(rest, _) = &mut onward.state else { return Poll::Ready(()) };
        if let Poll::Ready(rest) = rest.as_mut().poll(cx) {
            let Waiting::For(_, error) = std::mem::replace(&mut onward.state, Waiting::No) else {
                return Poll::Ready(());
            };
            match rest {
                Some(meter) => self.adopt(meter),
                None => self.fail(&error),
            }
            return Poll::Ready(());
        }
        let Some(keepalive) = self.patience.keepalive else { return Poll::Pending };
        self.alarm.as_mut().reset(self.last_sent + keepalive);
        std::task::ready!(self.alarm.as_mut().poll(cx));
        self.out.push_back(KEEPALIVE);
        self.last_sent = Instant::now();
        Poll::Ready(())
    }

    /// Goes on with what another meter has begun.
    fn adopt(&mut self, mut other: Box<Meter>) {
        self.source = other.source.take();
        std::mem::swap(&mut self.splitter, &mut other.splitter);
        self.form = std::mem::replace(&mut other.form, Form::Gone);
        self.account = other.account.clone();
        self.patience = other.patience.clone();
        self.drains = other.drains;
        let outer = std::mem::take(&mut self.observers);
        self.observers = std::mem::take(&mut other.observers);
        self.observers.extend(outer);
        self.onward = other.onward.take();
        for bytes in std::iter::once(MARK).chain(other.out.drain(..)) {
            self.said.iter().for_each(|said| said.keep(&bytes));
            self.out.push_back(bytes);
        }
        self.last_seen = Instant::now();
        self.last_sent = self.last_seen;
        self.cut_seen = false;
        self.set_alarm();
    }

    /// The client left while the rest was waited for: the attempt that would have said it is dropped with this.
    pub(super) fn left_between(&mut self) -> Option<Outcome> {
        let onward = self.onward.take().filter(|onward| matches!(onward.state, Waiting::For(..)))?;
        drop(onward);
        Some(self.account.close(weir_ledger::State::ClientGone, self.usage(), None))
    }
}
