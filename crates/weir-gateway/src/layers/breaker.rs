//! Whether a target and a key may be asked now, and what is learned from how the attempt ended.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower::{Layer, Service};
use weir_adapter::ErrorKind;
use weir_config::Strategy;
use weir_ledger::State;
use weir_wire::Class;

use super::failover::at_once;
use super::{Future, take_ready};
use crate::call::Attempt;
use crate::dispatch::Failed;
use crate::error::{AttemptError, Wait};
use crate::reply::{Outcome, Reply};
use crate::routing::health::{Admit, BreakerSettings, MAX_REST};
use crate::snapshot::Target;

/// The first rest of a key that its provider throttles without saying for how long.
const THROTTLED: Duration = Duration::from_secs(1);

/// Makes [`Breaker`].
#[derive(Debug, Clone, Default)]
pub struct BreakerLayer;

/// Leaves failing targets and keys alone.
#[derive(Debug, Clone)]
pub struct Breaker<S> {
    inner: S,
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Breaker<S> {
        Breaker { inner }
    }
}

impl<S> Service<Attempt> for Breaker<S>
where
    S: Service<Attempt, Response = Reply, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Failed;
    type Future = Future<Reply, Failed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut attempt: Attempt) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        Box::pin(async move {
            let mut watch = Watch::begin(&mut attempt)?;
            match inner.call(attempt).await {
                Ok(mut reply) => {
                    watch.committed();
                    reply.on_end(move |outcome| watch.ended(outcome));
                    Ok(reply)
                }
                Err(failed) => {
                    watch.failed(&failed);
                    Err(failed)
                }
            }
        })
    }
}

/// An attempt from its admission to its end. Dropped before that, it lets another probe go.
struct Watch {
    target: Arc<Target>,
    key: usize,
    began: Instant,
    settings: Option<BreakerSettings>,
    /// Whether its end decides about the target.
    probe: bool,
    /// Whether it went without asking, for want of another target.
    alone: bool,
    /// What it belongs to, where a warm cache counts.
    warms: Option<u64>,
}

impl Watch {
    fn begin(attempt: &mut Attempt) -> Result<Watch, AttemptError> {
        let (target, pass, now) = (attempt.target.clone(), attempt.pass, Instant::now());
        let settings = attempt.route.breaker;
        let choice = target.provider.credentials.choose(&target.health, pass.affinity, now);
        let mut probe = false;
        if settings.is_some() && !pass.alone {
            if let Some(left) = choice.rests {
                return Err(AttemptError::Resting(left));
            }
            match target.health.breaker().admit(pass.kept, now) {
                Admit::Go => {}
                Admit::Probe => probe = true,
                Admit::Rest(left) => return Err(AttemptError::Resting(left)),
            }
        }
        attempt.pass.key = choice.key;
        target.health.begin();
        let warms = pass.affinity.filter(|_| attempt.route.strategy == Strategy::Cheapest);
        Ok(Watch { target, key: choice.key, began: now, settings, probe, alone: pass.alone, warms })
    }

    /// Content came: a probe has shown what it was to show.
    fn committed(&mut self) {
        if std::mem::replace(&mut self.probe, false) {
            self.succeeded(true, Instant::now());
        }
    }

    fn succeeded(&self, probe: bool, now: Instant) {
        let Some(settings) = &self.settings else { return };
        self.target.health.breaker().succeed(probe, self.alone, settings, now);
        self.target.health.keys.works(self.key, self.began);
        self.target.provider.credentials.rests.works(self.key, self.began);
        self.show(now);
    }

    /// The reply ended, one way or the other.
    fn ended(mut self, outcome: &Outcome) {
        let now = Instant::now();
        match outcome.state {
            State::Ok => {
                self.succeeded(false, now);
                self.measure(outcome, now);
            }
            State::UpstreamError | State::UpstreamTruncated | State::UpstreamIdleTimeout => self.fail(now),
            _ => {}
        }
        self.probe = false;
    }

    fn measure(&self, outcome: &Outcome, now: Instant) {
        let health = &self.target.health;
        match outcome.ttft.filter(|ttft| *ttft < outcome.duration) {
            Some(ttft) => {
                let tokens = u32::try_from(outcome.usage.completion_tokens()).unwrap_or(u32::MAX);
                let per_token = (tokens > 1).then(|| (outcome.duration - ttft) / tokens);
                health.streamed(ttft, per_token, now);
            }
            None => health.answered(outcome.duration, now),
        }
        let read = outcome.usage.tokens(Class::CacheRead) + outcome.usage.tokens(Class::CacheWrite5m);
        if let Some(affinity) = self.warms.filter(|_| read > 0) {
            health.warmed(affinity, now);
        }
    }

    fn fail(&mut self, now: Instant) {
        let Some(settings) = &self.settings else { return };
        self.target.health.breaker().fail(std::mem::replace(&mut self.probe, false), settings, now);
        self.show(now);
    }

    /// Nothing came of it.
    fn failed(mut self, failed: &Failed) {
        let now = Instant::now();
        let Some(settings) = self.settings else { return };
        let health = self.target.health.clone();
        match &failed.error {
            // Connections that are kept are closed at times, and credentials end: that tells nothing.
            error if at_once(error) => {}
            AttemptError::Unreachable { .. } => self.fail(now),
            AttemptError::TimedOut(wait, limit) if *wait != Wait::Total => {
                health.streamed(*limit, None, now);
                self.fail(now);
            }
            AttemptError::Provider(error) => {
                let status = failed.outcome.as_ref().and_then(|outcome| outcome.upstream_status);
                match (error.kind, status) {
                    (ErrorKind::RateLimit, _) => {
                        health.keys.rest(self.key, error.retry_after, THROTTLED, settings.cooldown, now);
                    }
                    (ErrorKind::Quota, _) | (ErrorKind::Auth, Some(401 | 402)) => {
                        self.target.provider.credentials.rests.rest(
                            self.key,
                            error.retry_after,
                            settings.cooldown,
                            MAX_REST,
                            now,
                        );
                        tracing::warn!(target.provider = %self.target.provider.name, key = %self.target.provider.credentials.get(self.key).name, error = %error.error.message, "the provider refuses this key: it rests");
                    }
                    // A key may be good for one model and not for another.
                    (ErrorKind::Auth, _) => {
                        health.keys.rest(self.key, error.retry_after, settings.cooldown, MAX_REST, now);
                    }
                    (ErrorKind::Overloaded, status) => {
                        self.fail(now);
                        let asked = error.retry_after.or((status == Some(529)).then_some(THROTTLED));
                        if let Some(asked) = asked {
                            health.breaker().pause(asked, now);
                            self.show(now);
                        }
                    }
                    (
                        ErrorKind::Server
                        | ErrorKind::Nonsense
                        | ErrorKind::Empty
                        | ErrorKind::Truncated
                        | ErrorKind::Timeout,
                        _,
                    ) => self.fail(now),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn show(&self, now: Instant) {
        let number = self.target.health.breaker().number(now);
        self.target.metrics.breaker(number);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.target.health.end();
        if self.probe {
            self.target.health.breaker().release(Instant::now());
        }
    }
}
