//! The body of a streamed reply, watched to its end.
//!
//! The meter reads what the provider sends, cuts it into frames, lets the client's own dialect pass and translates any
//! other, reads the usage on the way, and knows how the stream ended: whole, broken, too slow, or left by the client.
//! Then, and exactly once, it tells its observers. Nothing is spawned and nothing is buffered beyond one frame.

mod frames;
mod last;
mod leaving;
pub(crate) mod onward;
mod patience;
mod pay;
pub mod script;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt;
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep};
use weir_adapter::{Decoder, Encoder, Front, ProviderError, Reader};
use weir_ledger::State;
use weir_wire::Usage;
use weir_wire::framing::{Splitter, Verdict};

use frames::{foreign, native};
pub(crate) use patience::Patience;

use crate::cache::tap::Tap;
use crate::dispatch::account::Account;
use crate::error::{AttemptError, Wait};
use crate::reply::{Observer, Outcome};
use crate::upstream::{AnswerBody, BodyError};
use crate::watch::Said;
use crate::write::WriteWatch;

/// What the meter does with frames.
pub(crate) enum Form {
    /// The client's own dialect passes.
    Native(Box<dyn Reader>),
    /// Another is translated.
    Foreign(Box<dyn Decoder>, Box<dyn Encoder>),
    /// Another meter has taken over.
    Gone,
}

/// A wait that must be over before the last bytes leave.
pub type Barrier = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream and its accounts.
pub struct Meter {
    source: Option<AnswerBody>,
    splitter: Splitter,
    form: Form,
    front: Arc<dyn Front>,
    account: Account,
    patience: Patience,
    /// Fires at the next keep-alive or at the end of patience, whichever is sooner.
    alarm: Pin<Box<Sleep>>,
    /// When the last piece came.
    last_seen: Instant,
    /// When the client last got something.
    last_sent: Instant,
    out: VecDeque<Bytes>,
    observers: SmallVec<[Observer; 3]>,
    /// Makes the barrier once the observers have run.
    barrier: Option<Box<dyn FnOnce() -> Barrier + Send>>,
    waiting: Option<Barrier>,
    /// Bytes that wait for the barrier.
    held: VecDeque<Bytes>,
    /// Content has been seen: the attempt has committed.
    semantic: bool,
    /// Gets a copy of what the client gets.
    tap: Option<Tap>,
    /// Gets a copy of the beginning, for who wants to know what was said.
    said: Option<Said>,
    /// Whether a client that leaves is outlived, for the usage.
    drains: bool,
    /// Whether the alarm knows when the process ends.
    cut_seen: bool,
    /// What the connection knows of the client's reading.
    write: Option<Arc<WriteWatch>>,
    /// How it may go on where it breaks.
    onward: Option<Box<onward::Onward>>,
}

const KEEPALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

impl Meter {
    /// Over a body that begins.
    pub(crate) fn new(
        source: AnswerBody,
        form: Form,
        front: Arc<dyn Front>,
        account: Account,
        patience: Patience,
    ) -> Meter {
        let framing = match &form {
            Form::Native(reader) => reader.framing(),
            Form::Foreign(decoder, _) => decoder.framing(),
            Form::Gone => weir_wire::framing::Framing::Sse,
        };
        let now = Instant::now();
        Meter {
            source: Some(source),
            splitter: Splitter::new(framing),
            form,
            front,
            account,
            alarm: Box::pin(tokio::time::sleep_until(patience.deadline)),
            last_seen: now,
            last_sent: now,
            out: VecDeque::new(),
            observers: SmallVec::new(),
            barrier: None,
            waiting: None,
            held: VecDeque::new(),
            semantic: false,
            tap: None,
            said: None,
            drains: patience.drains,
            cut_seen: false,
            write: None,
            onward: None,
            patience,
        }
    }

    /// Tells `observer` how the stream ends.
    pub(crate) fn on_end(&mut self, observer: Observer) {
        self.observers.push(observer);
    }

    /// Whether the client left because it did not read is known here.
    pub fn watch_writes(&mut self, watch: Arc<WriteWatch>) {
        self.write = Some(watch);
    }

    /// Copies what the client gets.
    pub(crate) fn copy_to(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// Copies the beginning of what the client gets: what is already here, and what comes.
    pub(crate) fn tell(&mut self, said: Said) {
        self.held.iter().chain(&self.out).for_each(|bytes| said.keep(bytes));
        self.said = Some(said);
    }

    /// The copy of what the client gets, where one is made.
    pub(crate) fn copied(&self) -> Option<Tap> {
        self.tap.clone()
    }

    /// Lets the last bytes leave only after the barrier that `make` gives once the observers have run.
    pub fn hold_end(&mut self, make: impl FnOnce() -> Barrier + Send + 'static) {
        self.barrier = Some(Box::new(make));
    }

    /// Reads until the first content: from then on the attempt can't be replaced by another.
    ///
    /// # Errors
    /// Whatever comes instead of content; the outcome goes with it.
    pub(crate) async fn commit(&mut self) -> Result<(), (AttemptError, Outcome)> {
        let first_token = Instant::now() + self.patience.first_token;
        let (until, wait, limit) = match first_token < self.patience.deadline {
            true => (first_token, Wait::FirstToken, self.patience.first_token),
            false => (self.patience.deadline, Wait::Total, self.patience.total),
        };
        let cut = self.patience.cut.clone();
        let mut cut = std::pin::pin!(cut.wait());
        while !self.semantic {
            let source = self.source.as_mut().expect("the body is there until the stream has ended");
            let next = tokio::select! {
                next = tokio::time::timeout_at(until, source.frame()) => next.map_err(|_| AttemptError::TimedOut(wait, limit)),
                () = &mut cut => Err(AttemptError::ShuttingDown),
            };
            let failure = match next {
                Err(error) => Some(error),
                Ok(Some(Ok(frame))) => frame.into_data().ok().and_then(|data| self.take(data).err()),
                Ok(Some(Err(error))) => Some(broken(&error)),
                Ok(None) => Some(self.end_before_content()),
            };
            if let Some(error) = failure {
                let outcome = self.account.fail(&error, self.usage());
                self.observers.clear();
                self.source = None;
                return Err((error, outcome));
            }
        }
        self.last_seen = Instant::now();
        self.last_sent = self.last_seen;
        self.set_alarm();
        Ok(())
    }

    /// The body ended before any content: what it had said may still be an answer's proper end.
    fn end_before_content(&mut self) -> AttemptError {
        match self.last_frame().and_then(|()| self.tail()) {
            Err(error) => error,
            Ok(_) => ProviderError::empty().into(),
        }
    }

    /// Takes what one read returned.
    fn take(&mut self, data: Bytes) -> Result<(), AttemptError> {
        let Meter { splitter, form, account, out, semantic, tap, said, onward, .. } = self;
        let mut failure = None;
        let mut ear = onward.as_mut().and_then(|onward| Some((onward.ear.as_mut()?, &onward.script)));
        let pieces = match form {
            Form::Native(reader) => splitter.push(data, |frame| {
                if failure.is_some() {
                    return Verdict::Drop;
                }
                match native(reader.as_mut(), account, frame, semantic, tap.as_ref()) {
                    Ok(verdict) => {
                        if let Some((ear, script)) = &mut ear {
                            ear.frame(frame, script);
                        }
                        verdict
                    }
                    Err(error) => {
                        failure = Some(error);
                        Verdict::Drop
                    }
                }
            }),
            Form::Foreign(decoder, encoder) => splitter.push(data, |frame| {
                if failure.is_none() {
                    let mut chunks = Vec::new();
                    failure = decoder.frame(frame, &mut chunks).err();
                    let bytes =
                        foreign(chunks, decoder.as_ref(), encoder.as_mut(), account, semantic, tap.as_ref());
                    if !bytes.is_empty() {
                        return Verdict::Replace(bytes);
                    }
                }
                Verdict::Drop
            }),
            Form::Gone => Ok(SmallVec::new()),
        };
        let pieces = pieces.map_err(|error| ProviderError::nonsense(error.to_string()))?;
        if let Some(tap) = tap {
            pieces.iter().for_each(|bytes| tap.copy(bytes));
        }
        if let Some(said) = said {
            pieces.iter().for_each(|bytes| said.keep(bytes));
        }
        out.extend(pieces);
        match failure {
            Some(error) => Err(error.into()),
            None => self.pay(),
        }
    }

    /// A last frame that lacks its line end still counts.
    fn last_frame(&mut self) -> Result<(), AttemptError> {
        let rest = self.splitter.finish();
        if rest.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        self.take([&rest[..], b"\n\n"].concat().into())
    }

    /// The end of the body: what must follow so that the client sees a proper end.
    fn tail(&mut self) -> Result<Bytes, AttemptError> {
        match &mut self.form {
            Form::Native(reader) => Ok(reader.end()?),
            Form::Foreign(decoder, encoder) => {
                let mut chunks = Vec::new();
                decoder.end(&mut chunks)?;
                let mut bytes = BytesMut::from(
                    &foreign(
                        chunks,
                        decoder.as_ref(),
                        encoder.as_mut(),
                        &mut self.account,
                        &mut self.semantic,
                        self.tap.as_ref(),
                    )[..],
                );
                encoder.end(&mut bytes);
                Ok(bytes.freeze())
            }
            Form::Gone => Ok(Bytes::new()),
        }
    }

    fn usage(&self) -> Option<&Usage> {
        match &self.form {
            Form::Native(reader) => reader.usage(),
            Form::Foreign(decoder, _) => decoder.usage(),
            Form::Gone => None,
        }
    }

    /// Whether the client has had its clean end already.
    fn done(&self) -> bool {
        matches!(&self.form, Form::Native(reader) if reader.done())
    }

    /// The provider's body has ended.
    fn complete(&mut self) {
        match self.last_frame().and_then(|()| self.tail()) {
            Ok(tail) => {
                if !tail.is_empty() {
                    if let Some(tap) = &self.tap {
                        tap.copy(&tail);
                    }
                    self.said.iter().for_each(|said| said.keep(&tail));
                    self.out.push_back(tail);
                }
                let outcome = self.account.close(State::Ok, self.usage(), None);
                self.finish(&outcome);
            }
            Err(error) => self.broke(&error),
        }
    }

    /// The stream broke after content: the client is told so, and no clean end follows.
    fn fail(&mut self, error: &AttemptError) {
        let words = crate::error::GatewayError::Attempt {
            error: error.clone(),
            provider: self.account.provider(),
            trail: Vec::new(),
        }
        .body();
        let mut event = BytesMut::new();
        let written = match &mut self.form {
            Form::Foreign(_, encoder) => encoder.error(&words, &mut event),
            _ => false,
        };
        self.out.push_back(if written { event.freeze() } else { self.front.error_event(&words) });
        let outcome = self.account.close(error.state(), self.usage(), Some(error.code()));
        self.finish(&outcome);
    }

    /// Tells everybody, once.
    fn finish(&mut self, outcome: &Outcome) {
        self.source = None;
        for observer in self.observers.drain(..) {
            observer(outcome);
        }
        if let Some(make) = self.barrier.take() {
            self.waiting = Some(make());
            self.held.append(&mut self.out);
        }
    }

    fn set_alarm(&mut self) {
        let patience = &self.patience;
        let mut at = (self.last_seen + patience.idle).min(patience.deadline);
        if let Some(cut) = patience.cut.at() {
            self.cut_seen = true;
            at = at.min(cut);
        }
        if let Some(keepalive) = patience.keepalive {
            at = at.min(self.last_sent + keepalive);
        }
        self.alarm.as_mut().reset(at);
    }

    /// The alarm went off. It is not pushed on with each piece, so the silence is looked up here: patience may be
    /// over, the client may be due a comment, or nothing at all.
    fn alarmed(&mut self) {
        let now = Instant::now();
        let cut = self.patience.cut.at().is_some_and(|cut| now >= cut);
        let over = cut || now >= self.patience.deadline || now >= self.last_seen + self.patience.idle;
        if over && self.done() {
            return self.complete();
        }
        if cut {
            return self.fail(&AttemptError::ShuttingDown);
        }
        if now >= self.patience.deadline {
            return self.fail(&AttemptError::TimedOut(Wait::Total, self.patience.total));
        }
        if now >= self.last_seen + self.patience.idle {
            return self.broke(&AttemptError::TimedOut(Wait::Idle, self.patience.idle));
        }
        if self.patience.keepalive.is_some_and(|keepalive| now >= self.last_sent + keepalive) {
            self.out.push_back(KEEPALIVE);
            self.last_sent = now;
        }
        self.set_alarm();
    }

    /// The client left, and nobody reads on.
    fn left(&mut self) {
        let stuck = self.write.as_ref().is_some_and(|watch| watch.gave_up());
        let code = stuck.then(|| "write_timeout".to_owned());
        let outcome = self.account.close(State::ClientGone, self.usage(), code);
        self.finish(&outcome);
    }
}

fn broken(error: &BodyError) -> AttemptError {
    tracing::debug!(%error, "the provider's stream broke");
    ProviderError::truncated().into()
}

impl http_body::Body for Meter {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(barrier) = &mut this.waiting {
                std::task::ready!(barrier.as_mut().poll(cx));
                this.waited();
            }
            // Who does not take what came is offered no more; how long that may last is the connection's business.
            if let Some(write) = this.write.as_ref().filter(|_| this.source.is_some()) {
                std::task::ready!(write.poll_room(cx));
            }
            if let Some(bytes) = this.out.front()
                && (this.source.is_none() || !this.must_wait(bytes))
            {
                if let Some(write) = &this.write {
                    write.hand(bytes.len());
                }
                return Poll::Ready(this.out.pop_front().map(|bytes| Ok(Frame::data(bytes))));
            }
            if this.source.is_none() && this.waits_for_rest() {
                std::task::ready!(this.poll_rest(cx));
                continue;
            }
            let Some(source) = &mut this.source else { return Poll::Ready(None) };
            match Pin::new(source).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    this.last_seen = Instant::now();
                    let taken = this.take(data);
                    if !this.out.is_empty() {
                        this.last_sent = this.last_seen;
                    }
                    if let Err(error) = taken {
                        this.broke(&error);
                    } else if this.patience.cut.at().is_some_and(|cut| this.last_seen >= cut) && !this.done()
                    {
                        this.fail(&AttemptError::ShuttingDown);
                    } else if this.last_seen >= this.patience.deadline && !this.done() {
                        this.fail(&AttemptError::TimedOut(Wait::Total, this.patience.total));
                    }
                }
                Poll::Ready(Some(Err(error))) => this.broke(&broken(&error)),
                Poll::Ready(None) => this.complete(),
                Poll::Pending => {
                    // The end of the process may have been announced since the alarm was set.
                    if !this.cut_seen && this.patience.cut.at().is_some() {
                        this.set_alarm();
                    }
                    std::task::ready!(this.alarm.as_mut().poll(cx));
                    this.alarmed();
                }
            }
        }
    }
}

impl Drop for Meter {
    /// The client left, or the server closed: the call still ends in exactly one way. Where the route says so, what
    /// the provider goes on to say is read for its usage first.
    fn drop(&mut self) {
        if self.source.is_none()
            && let Some(outcome) = self.left_between()
        {
            return self.finish(&outcome);
        }
        if self.source.is_none() || self.observers.is_empty() {
            return;
        }
        self.barrier = None;
        if std::thread::panicking() {
            // Weir's own fault, not the client's; what panicked is not asked to read on.
            let outcome =
                self.account.close(State::InternalError, self.usage(), Some("internal_error".to_owned()));
            return self.finish(&outcome);
        }
        if self.done() && self.out.is_empty() {
            let outcome = self.account.close(State::Ok, self.usage(), None);
            return self.finish(&outcome);
        }
        match (self.drains, tokio::runtime::Handle::try_current()) {
            (true, Ok(runtime)) => drop(runtime.spawn(self.take_over().drain())),
            _ => self.left(),
        }
    }
}
