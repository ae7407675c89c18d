//! The outermost layer: room in the ledger before anything, the call's row and its metrics after everything.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower::{Layer, Service};
use weir_ledger::{CallRow, End, Ledger, Position, State, UsageSource};

use super::record::{millis, now_micros};
use super::{Future, take_ready};
use crate::call::Call;
use crate::error::GatewayError;
use crate::gather;
use crate::metrics::Metrics;
use crate::reply::{Body, Reply};

/// Makes [`Observe`].
#[derive(Clone)]
pub struct ObserveLayer {
    metrics: Arc<Metrics>,
    ledger: Ledger,
}

/// Watches calls from beginning to end.
#[derive(Clone)]
pub struct Observe<S> {
    inner: S,
    metrics: Arc<Metrics>,
    ledger: Ledger,
}

impl ObserveLayer {
    /// Writes to these.
    pub fn new(metrics: &Arc<Metrics>, ledger: &Ledger) -> ObserveLayer {
        ObserveLayer { metrics: metrics.clone(), ledger: ledger.clone() }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, metrics: self.metrics.clone(), ledger: self.ledger.clone() }
    }
}

impl<S> Service<Arc<Call>> for Observe<S>
where
    S: Service<Arc<Call>, Response = Reply, Error = GatewayError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = GatewayError;
    type Future = Future<Reply, GatewayError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GatewayError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Arc<Call>) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let (metrics, ledger) = (self.metrics.clone(), self.ledger.clone());
        Box::pin(async move {
            let mut watched = Watched::begin(call.clone(), metrics, &ledger)?;
            match inner.call(call).await {
                Ok(mut reply) => {
                    let own = reply.head.as_ref().and_then(|head| head.status);
                    watched.status = own.map_or(200, |status| status.as_u16());
                    watched.overhead = Some(watched.call.overhead(Instant::now()));
                    watched.hear(&mut reply);
                    end_with(&mut reply, watched, &ledger).await;
                    Ok(reply)
                }
                Err(error) => {
                    watched.metrics.errors.refused(&watched.call, &error);
                    watched.status = error.status();
                    watched.code = error.words().code;
                    let position = watched.end();
                    ledger.strict_wait(position).await;
                    Err(error)
                }
            }
        })
    }
}

/// Lets the call end with its reply. In strict mode its last bytes wait for the disk.
async fn end_with(reply: &mut Reply, mut watched: Watched, ledger: &Ledger) {
    if !ledger.is_strict() {
        return reply.on_end(move |outcome| {
            watched.code.clone_from(&outcome.error_code);
            watched.end();
        });
    }
    let written = Arc::new(parking_lot::Mutex::new(Position::default()));
    let writes = written.clone();
    reply.on_end(move |outcome| {
        watched.code.clone_from(&outcome.error_code);
        *writes.lock() = watched.end();
    });
    let ledger = ledger.clone();
    let wait = move || {
        let position = *written.lock();
        let wait: crate::meter::Barrier = Box::pin(async move {
            if !ledger.strict_wait(position).await {
                tracing::warn!("an answer left before its record was synced: the disk is too slow");
            }
        });
        wait
    };
    match &mut reply.body {
        Body::Whole(_) => wait().await,
        Body::Stream(meter) => meter.hold_end(wait),
        Body::Passing(passing) => passing.hold_end(wait),
    }
}

/// A call from its beginning to its end. Dropped before its end (the client left while weir waited), it ends itself.
struct Watched {
    call: Arc<Call>,
    metrics: Arc<Metrics>,
    status: u16,
    code: Option<String>,
    /// weir's own share until the reply began; what follows is the provider's and the client's pace.
    overhead: Option<Duration>,
    ended: bool,
}

impl Watched {
    /// Keeps what is said, where that is wanted.
    fn hear(&self, reply: &mut Reply) {
        let watchers = &self.metrics.watchers;
        match &mut reply.body {
            Body::Whole(answer) => watchers.answered(&self.call, answer),
            Body::Stream(meter) => {
                let Some(said) = watchers.hears() else { return };
                meter.tell(said.clone());
                let (call, metrics) = (self.call.clone(), self.metrics.clone());
                reply.on_end(move |_| metrics.watchers.answered(&call, &said.answer(&call.request)));
            }
            Body::Passing(_) => {}
        }
    }

    fn begin(call: Arc<Call>, metrics: Arc<Metrics>, ledger: &Ledger) -> Result<Watched, GatewayError> {
        let room = ledger.reserve().map_err(|full| GatewayError::Overloaded {
            code: "ledger_full",
            message: "the ledger has no room for another call; its database may be down or slow",
            retry_after: full.retry_after,
        })?;
        gather::begins();
        if gather::is_worthwhile() && !ledger.is_strict() {
            room.gather();
        }
        let seen = metrics.watchers.begin(&call);
        let mut progress = call.progress.lock();
        progress.room = Some(room);
        progress.seen = seen;
        drop(progress);
        metrics.inflight.inc();
        Ok(Watched { call, metrics, status: 499, code: None, overhead: None, ended: false })
    }

    fn end(&mut self) -> Position {
        if std::mem::replace(&mut self.ended, true) {
            return Position::default();
        }
        self.metrics.inflight.dec();
        let now = Instant::now();
        let overhead = self.overhead.unwrap_or_else(|| self.call.overhead(now));
        let mut progress = self.call.progress.lock();
        let unsettled = progress.unsettled.take();
        let (state, source, price_id) = progress.last.take().unwrap_or((State::Ok, UsageSource::None, None));
        let target = progress.target.clone();
        let end = match (progress.attempts, self.status) {
            (0, 500) => End::GatewayError,
            (0, 499) => End::ClientGone,
            (0, 200) => End::Complete,
            // A stored answer, for want of another.
            (_, 200) if progress.cache == weir_ledger::Cache::Hit => End::Complete,
            (0, _) => End::Refused,
            _ => state.end(),
        };
        let row = CallRow {
            id: self.call.id,
            facts: self.call.facts.clone(),
            ended_at: now_micros(&self.call, now),
            provider: target.as_ref().map(|target| target.provider.name.clone()),
            model: target.as_ref().map(|target| target.model.clone()),
            status: self.status,
            end,
            attempts: progress.attempts,
            cache: progress.cache,
            usage: progress.sum.usage.clone(),
            usage_source: source,
            price_id,
            cost_nanousd: progress.sum.cost_nanousd,
            cache_saved_nanousd: progress.saved_nanousd,
            ttft_ms: progress.ttft.map(millis),
            duration_ms: millis(now - self.call.started),
            overhead_us: u64::try_from(overhead.as_micros()).unwrap_or(u64::MAX),
            error_code: self.code.as_deref().map(Into::into),
        };
        let position =
            progress.room.take().map_or_else(Position::default, |room| room.finish(&row, unsettled.as_ref()));
        let seen = progress.seen.take();
        drop(progress);
        if let Some(seen) = seen {
            self.metrics.watchers.end(*seen, &self.call, &row);
        }
        self.metrics.call(&self.call, target.as_deref(), &row, now - self.call.started, overhead);
        position
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.status = 500;
        }
        self.end();
    }
}
