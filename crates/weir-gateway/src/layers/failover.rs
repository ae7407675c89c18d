//! The plan's targets, one after another, until one commits; a second beside a slow one, where the route hedges.

mod onward;
mod race;

use std::cell::OnceCell;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rand::RngExt;
use smallvec::SmallVec;
use tower::{Layer, Service};
use weir_adapter::{ErrorKind, Request, Retry};

use super::{Future, take_ready};
use crate::call::{Attempt, Call, Pass, Routed, Tried};
use crate::dispatch::Failed;
use crate::error::{AttemptError, GatewayError};
use crate::names;
use crate::reply::Reply;
use crate::routing::Plan;
use crate::routing::retries::RetryBudget;
use crate::snapshot::{self, FailureClass, Target};

/// What must be left of a call's time for another attempt.
const LEAST_LEFT: Duration = Duration::from_millis(20);

/// Makes [`Failover`].
#[derive(Debug, Clone)]
pub struct FailoverLayer {
    retries: Arc<RetryBudget>,
}

impl Default for FailoverLayer {
    fn default() -> FailoverLayer {
        FailoverLayer { retries: Arc::new(RetryBudget::new(Instant::now())) }
    }
}

/// Tries targets until one commits.
#[derive(Debug, Clone)]
pub struct Failover<S> {
    inner: S,
    retries: Arc<RetryBudget>,
}

impl<S> Layer<S> for FailoverLayer {
    type Service = Failover<S>;

    fn layer(&self, inner: S) -> Failover<S> {
        Failover { inner, retries: self.retries.clone() }
    }
}

impl<S> Service<Routed> for Failover<S>
where
    S: Service<Attempt, Response = Reply, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = GatewayError;
    type Future = Future<Reply, GatewayError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GatewayError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, routed: Routed) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let retries = self.retries.clone();
        Box::pin(async move {
            retries.call();
            let Routed { call, plan } = routed;
            let mut tour = Tour::new(&call, &plan);
            if let Some(hedge) = &plan.route.hedge {
                hedge.call();
            }
            while let Some((at, pause)) = tour.next(&retries) {
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                    call.progress.lock().waited += pause;
                }
                // A form that streams through can be sent once.
                let once = call.request.upload.as_ref().is_some_and(|upload| !upload.is_whole());
                if let Some(hedge) = plan.route.hedge.as_ref().filter(|_| !once) {
                    // Boxed, so that calls without it hold no room for two attempts.
                    if let Some(mut reply) = Box::pin(race::race(&mut inner, &mut tour, at, hedge)).await {
                        onward::arm(&inner, &tour, &retries, &mut reply);
                        return Ok(reply);
                    }
                    continue;
                }
                match inner.call(tour.attempt(at)).await {
                    Ok(mut reply) => {
                        tour.served(at);
                        onward::arm(&inner, &tour, &retries, &mut reply);
                        return Ok(reply);
                    }
                    Err(failed) => tour.failed(at, failed),
                }
            }
            Err(tour.give_up())
        })
    }
}

/// The targets of a plan on their way: each is asked once before any is asked again.
struct Tour<'c> {
    call: &'c Arc<Call>,
    plan: &'c Plan,
    /// The places of those that were not asked yet, next last.
    ahead: SmallVec<[usize; 4]>,
    /// Those that may be asked again, with the pause that their providers ask for.
    again: SmallVec<[(usize, Option<Duration>); 4]>,
    /// Those that are asked once more over a new connection, by bits.
    fresh: u64,
    /// How often each was asked.
    tries: SmallVec<[u32; 4]>,
    /// The last failure, and whose.
    failure: Option<(AttemptError, usize)>,
    /// The shortest rest among targets that were left out.
    rests: Option<Duration>,
    /// The request without its tools, once it was wanted.
    bare: OnceCell<Option<Arc<Request>>>,
}

impl<'c> Tour<'c> {
    fn new(call: &'c Arc<Call>, plan: &'c Plan) -> Tour<'c> {
        Tour {
            call,
            plan,
            ahead: (0..plan.steps.len()).rev().collect(),
            again: SmallVec::new(),
            fresh: 0,
            tries: SmallVec::from_elem(0, plan.steps.len()),
            failure: None,
            rests: None,
            bare: OnceCell::new(),
        }
    }

    /// Whom to ask next, and after what pause.
    fn next(&mut self, retries: &RetryBudget) -> Option<(usize, Option<Duration>)> {
        let left = self.left();
        if left < LEAST_LEFT && self.failure.is_some() {
            return None;
        }
        if let Some(at) = self.ahead.pop() {
            return Some((at, None));
        }
        while !self.again.is_empty() {
            let (at, asked) = self.again.remove(0);
            let Some(pause) = pause(&self.plan.steps[at].0.retry, asked, self.tries[at]) else { continue };
            if pause + LEAST_LEFT < left && retries.take(Instant::now()) {
                return Some((at, Some(pause)));
            }
        }
        None
    }

    fn attempt(&self, at: usize) -> Attempt {
        let (route, target) = &self.plan.steps[at];
        let pass = Pass {
            affinity: self.plan.affinity,
            alone: self.plan.steps.len() == 1 && !route.breaker_written,
            kept: at < 64 && self.plan.kept & 1 << at != 0,
            fresh: at < 64 && self.fresh & 1 << at != 0,
            key: 0,
        };
        Attempt {
            call: self.call.clone(),
            target: target.clone(),
            route: route.clone(),
            ordinal: 0,
            pass,
            instead: self.instead(at),
            racer: None,
            script: None,
        }
    }

    /// What is sent in place of the call's own request: one without tools, where the target can't use any.
    fn instead(&self, at: usize) -> Option<Arc<Request>> {
        if !self.plan.route.degrade.drops_tools || !self.plan.steps[at].1.offers.lacks_tools() {
            return None;
        }
        self.bare.get_or_init(|| self.call.request.without_tools().map(Arc::new)).clone()
    }

    /// A target serves the call: is that what was asked for?
    fn served(&self, at: usize) {
        let plan = self.plan;
        let smaller = plan.smaller.as_ref().is_some_and(|smaller| smaller.name == plan.steps[at].0.name);
        let bare = self.instead(at).is_some();
        if smaller || bare {
            let mut progress = self.call.progress.lock();
            progress.degraded.extend(smaller.then_some("model"));
            progress.degraded.extend(bare.then_some("tools"));
        }
    }

    /// An attempt gave nothing: who may be asked now?
    fn failed(&mut self, at: usize, failed: Failed) {
        let (route, target) = &self.plan.steps[at];
        if let AttemptError::Resting(left) = failed.error {
            self.rests = Some(self.rests.map_or(left, |rests| rests.min(left)));
            return;
        }
        note(self.call, target, &failed);
        if at_once(&failed.error) && at < 64 && self.fresh & 1 << at == 0 && !self.call.request.is_spent() {
            // No fault of the target's: it is asked at once, over a connection that nobody has kept, with what its credential is now.
            self.fresh |= 1 << at;
            self.ahead.push(at);
            self.failure = Some((failed.error, at));
            return;
        }
        self.tries[at] += 1;
        if self.call.request.is_spent() {
            // The form went out, and is not kept.
            self.ahead.clear();
            self.again.clear();
            self.failure = Some((failed.error, at));
            return;
        }
        let class = class(&failed.error);
        let again = asks_again(&failed.error);
        if let Some(asked) = again {
            self.again.push((at, asked));
        }
        if !class.is_some_and(|class| route.fallback_on.contains(class)) {
            self.ahead.clear();
            self.again.retain(|(other, _)| *other == at && again.is_some());
        }
        if class == Some(FailureClass::ContextLength) {
            self.larger_first(target.offers.context);
        }
        self.failure = Some((failed.error, at));
    }

    /// The prompt was too long for a model: those with a larger window come first, those without last.
    fn larger_first(&mut self, window: Option<u64>) {
        let steps = &self.plan.steps;
        // Next last: the largest at the end.
        self.ahead.sort_by_key(|at| match (steps[*at].1.offers.context, window) {
            (Some(own), Some(window)) if own <= window => (0, own),
            (None, _) => (1, 0),
            (Some(own), _) => (2, own),
        });
    }

    fn left(&self) -> Duration {
        let deadline = self.call.progress.lock().deadline;
        deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn give_up(self) -> GatewayError {
        let Some((mut error, at)) = self.failure else {
            return GatewayError::Overloaded {
                code: "no_healthy_target",
                message: "every target of this model is left alone after failures",
                retry_after: self.rests.unwrap_or_default().max(Duration::from_millis(1)),
            };
        };
        suggest(self.call, &mut error);
        let trail = self.call.progress.lock().trail.clone();
        GatewayError::Attempt { error, provider: self.plan.steps[at].1.provider.name.clone(), trail }
    }
}

/// A model that its provider does not know: the names that come nearest stand in the message.
fn suggest(call: &Call, error: &mut AttemptError) {
    if let AttemptError::Provider(error) = error
        && error.kind == ErrorKind::NotFound
    {
        let nearest = names::nearest(&call.snapshot, &call.caller, call.request.model());
        if !nearest.is_empty() {
            let list: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
            error.error.message =
                format!("{}; did you mean {}?", error.error.message.trim_end_matches('.'), list.join(", "));
        }
    }
}

/// Whether what went wrong is over: a connection that was kept too long, a credential that has been replaced.
pub(super) fn at_once(error: &AttemptError) -> bool {
    match error {
        AttemptError::Unreachable { stale, .. } => *stale,
        AttemptError::Provider(error) => error.retry == Retry::AtOnce,
        _ => false,
    }
}

/// Whether the same target may be asked again, and after what pause at least.
fn asks_again(error: &AttemptError) -> Option<Option<Duration>> {
    match error {
        AttemptError::Provider(error) if error.retry == Retry::Here => Some(error.retry_after),
        AttemptError::Unreachable { .. } => Some(None),
        _ => None,
    }
}

/// How long to wait before another try at the same target; `None` where another can't help.
fn pause(retry: &snapshot::Retry, asked: Option<Duration>, tries: u32) -> Option<Duration> {
    if tries >= retry.attempts {
        return None;
    }
    let most = retry.base.saturating_mul(1 << (tries - 1).min(16)).min(retry.max);
    match asked {
        // Longer than a pause may be: the client's own retry is the better answer.
        Some(asked) if asked > retry.max => None,
        Some(asked) => Some(asked),
        None => Some(most.mul_f64(rand::rng().random_range(0.0..1.0))),
    }
}

fn note(call: &Call, target: &Target, failed: &Failed) {
    let state = failed.outcome.as_ref().map_or("not_sent", |outcome| outcome.state.name());
    target.metrics.failed(call, failed);
    tracing::debug!(target.provider = %target.provider.name, target.model = %target.model, error = %failed.error, "target failed");
    call.progress.lock().trail.push(Tried {
        provider: target.provider.name.clone(),
        model: target.model.clone(),
        result: state,
        status: failed.outcome.as_ref().and_then(|outcome| outcome.upstream_status),
        code: Some(failed.error.code()),
    });
}

/// Which class of `fallback_on` a failure is; `None`: no other target can help either.
pub(crate) fn class(error: &AttemptError) -> Option<FailureClass> {
    match error {
        AttemptError::Provider(error) => match error.kind {
            ErrorKind::RateLimit | ErrorKind::Overloaded => Some(FailureClass::RateLimit),
            ErrorKind::Auth | ErrorKind::Quota => Some(FailureClass::Auth),
            ErrorKind::NotFound => Some(FailureClass::NotFound),
            ErrorKind::ContextLength | ErrorKind::TooLarge => Some(FailureClass::ContextLength),
            ErrorKind::ContentFilter => Some(FailureClass::ContentFilter),
            ErrorKind::Timeout => Some(FailureClass::Timeout),
            ErrorKind::Server | ErrorKind::Nonsense | ErrorKind::Empty | ErrorKind::Truncated => {
                Some(FailureClass::Error)
            }
            ErrorKind::InvalidRequest => None,
        },
        AttemptError::Unreachable { .. }
        | AttemptError::Unsupported { .. }
        | AttemptError::Unbounded(_)
        | AttemptError::UnknownPrice(_) => Some(FailureClass::Error),
        AttemptError::OverBudget(over) if over.of_provider => Some(FailureClass::Budget),
        AttemptError::OverBudget(_) | AttemptError::MaxCost(_) => None,
        AttemptError::TimedOut(crate::error::Wait::Total, _) | AttemptError::Invalid(_) => None,
        AttemptError::TimedOut(..) => Some(FailureClass::Timeout),
        AttemptError::LedgerFull | AttemptError::ShuttingDown | AttemptError::Resting(_) => None,
        AttemptError::Internal(_) => Some(FailureClass::Error),
    }
}
