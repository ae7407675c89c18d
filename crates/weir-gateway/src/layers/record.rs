//! The attempt's row: opened before dispatch, closed at its end, whatever that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower::{Layer, Service};
use weir_ledger::{AttemptRow, Micros, Open, State, UsageSource};
use weir_wire::usage::TOKEN_CLASSES;

use super::encode::Encoded;
use super::{Future, take_ready};
use crate::call::{Call, Racer};
use crate::dispatch::Failed;
use crate::dispatch::account::Account;
use crate::error::AttemptError;
use crate::reply::{Outcome, Reply};
use crate::snapshot::Target;

/// Makes [`Record`].
#[derive(Debug, Clone, Default)]
pub struct RecordLayer;

/// Records attempts.
#[derive(Debug, Clone)]
pub struct Record<S> {
    inner: S,
}

impl<S> Layer<S> for RecordLayer {
    type Service = Record<S>;

    fn layer(&self, inner: S) -> Record<S> {
        Record { inner }
    }
}

impl<S> Service<Box<Encoded>> for Record<S>
where
    S: Service<Box<Encoded>, Response = Reply, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Failed;
    type Future = Future<Reply, Failed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut encoded: Box<Encoded>) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        Box::pin(async move {
            let record = OpenRecord::open(&mut encoded)?;
            match inner.call(encoded).await {
                Ok(mut reply) => {
                    reply.on_end(move |outcome| record.close(outcome, true));
                    Ok(reply)
                }
                Err(failed) => {
                    if let Some(outcome) = &failed.outcome {
                        record.close(outcome, false);
                    }
                    Err(failed)
                }
            }
        })
    }
}

/// An attempt's row while it is open. Dropped open (the client left while weir waited for the provider, or another
/// attempt was faster), it closes itself.
struct OpenRecord {
    open: Option<Open>,
    call: Arc<Call>,
    target: Arc<Target>,
    /// For the estimate of a client that left.
    account: Account,
    started: Instant,
    /// Where another attempt may be under way at the same time.
    racer: Option<Arc<Racer>>,
    /// Where what it cost is told to who holds a provider's budget for it.
    paid: Option<Arc<AtomicI64>>,
}

impl OpenRecord {
    fn open(encoded: &mut Encoded) -> Result<OpenRecord, AttemptError> {
        let (call, target) = (encoded.attempt.call.clone(), encoded.attempt.target.clone());
        let started = Instant::now();
        let started_at = now_micros(&call, started);
        let mut progress = call.progress.lock();
        let ordinal = progress.attempts + 1;
        encoded.attempt.ordinal = ordinal;
        let open = Open {
            id: call.id.attempt(ordinal),
            facts: call.facts.clone(),
            started_at,
            provider: target.provider.name.clone(),
            model: target.model.clone(),
            credential: Some(encoded.credential.name.clone()),
            bound_nanousd: encoded.bound().ok(),
            price_id: encoded.price.as_ref().map(|price| price.id().clone()),
            charges: encoded.charges.clone(),
        };
        let room =
            progress.room.as_ref().ok_or(AttemptError::Internal("a call without room in the ledger"))?;
        room.open(&open).map_err(|error| {
            tracing::error!(%error, "an attempt can't be recorded, so it is not sent");
            AttemptError::LedgerFull
        })?;
        progress.attempts = ordinal;
        progress.target = Some(target.clone());
        progress.max_tokens = encoded.output.injected.or(encoded.output.lowered);
        progress.dropped.clone_from(&encoded.wire.dropped);
        drop(progress);
        let account = Account::open(crate::dispatch::terms(encoded), started);
        let (racer, paid) = (encoded.attempt.racer.clone(), encoded.paid.clone());
        Ok(OpenRecord { open: Some(open), call, target, account, started, racer, paid })
    }

    /// Closes the row: at once where the call goes on, together with the call's where `last`.
    fn close(mut self, outcome: &Outcome, last: bool) {
        self.write(outcome, last);
    }

    fn write(&mut self, outcome: &Outcome, last: bool) {
        let Some(open) = self.open.take() else { return };
        self.count(outcome);
        if last {
            self.target.metrics.broke(&self.call, outcome);
        }
        let row = row(&self.call, open, self.started, outcome);
        let mut progress = self.call.progress.lock();
        if let Some(purse) = &progress.purse {
            purse.spend(row.cost_nanousd.unwrap_or(0));
        }
        if let Some(paid) = &self.paid {
            paid.store(row.cost_nanousd.unwrap_or(0), Ordering::Relaxed);
        }
        progress.sum.add(&row);
        if let Some(seen) = &mut progress.seen {
            seen.attempts.push(row.clone());
        }
        if row.state != State::Superseded {
            progress.last = Some((row.state, row.usage_source, row.price_id.clone()));
        }
        if outcome.ttft.is_some() {
            let began = self.started - self.call.started;
            // What was said first counts, whoever went on.
            progress.ttft = progress.ttft.or(outcome.ttft.map(|ttft| ttft + began));
        }
        // Two may end together with their call: where its client left while both were under way.
        let settled = if last { progress.unsettled.replace(row) } else { Some(row) };
        if let (Some(row), Some(room)) = (settled, &progress.room) {
            room.settle(&row);
        }
    }

    fn count(&self, outcome: &Outcome) {
        let metrics = &self.target.metrics;
        metrics.attempt(outcome.state);
        for class in TOKEN_CLASSES {
            metrics.tokens(class, outcome.usage.tokens(class));
        }
        metrics.cost(self.call.caller.team.as_deref(), outcome.cost_nanousd);
        let streamed = self.call.facts.stream;
        if let Some(ttft) = outcome.ttft.filter(|_| streamed) {
            metrics.ttft(ttft);
            let tokens = outcome.usage.completion_tokens();
            if outcome.state == State::Ok && tokens > 1 {
                metrics.per_token((outcome.duration.saturating_sub(ttft)).div_f64(tokens as f64));
            }
        }
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        if self.open.is_some() {
            let lost = self.racer.as_ref().is_some_and(|racer| racer.has_lost());
            let state = match lost {
                _ if std::thread::panicking() => State::InternalError,
                true => State::Superseded,
                false => State::ClientGone,
            };
            let outcome = self.account.close(state, None, None);
            self.write(&outcome, !lost);
        }
    }
}

fn row(call: &Call, open: Open, started: Instant, outcome: &Outcome) -> AttemptRow {
    let now = Instant::now();
    AttemptRow {
        id: open.id,
        facts: open.facts,
        started_at: open.started_at,
        ended_at: now_micros(call, now),
        provider: open.provider,
        model: open.model,
        credential: open.credential,
        state: outcome.state,
        upstream_status: outcome.upstream_status,
        upstream_request_id: outcome.upstream_request_id.clone(),
        usage: outcome.usage.clone(),
        usage_source: outcome.source,
        reason: outcome.reason.map(Into::into),
        price_id: open.price_id.filter(|_| outcome.source != UsageSource::None),
        cost_nanousd: outcome.cost_nanousd,
        ttft_ms: outcome.ttft.map(millis),
        duration_ms: millis(now - started),
        error_code: outcome.error_code.as_deref().map(Into::into),
        charges: open.charges,
    }
}

/// The time of day at `at`, on the call's own clock: it never runs backwards within a call.
pub(crate) fn now_micros(call: &Call, at: Instant) -> Micros {
    let since = at.saturating_duration_since(call.started);
    call.facts.started_at.saturating_add(Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
