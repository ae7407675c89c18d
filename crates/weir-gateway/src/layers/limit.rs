//! Limits of keys, teams, users and models: a call that is over one is refused before it is routed.
//!
//! Without any limit the layer is not there: the call passes as it came.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::{Future, take_ready};
use crate::call::Call;
use crate::error::GatewayError;
use crate::limits::{Admission, Asks, Limiter, Refusal, Scope};
use crate::metrics::Metrics;
use crate::reply::Reply;

/// How many tokens an answer is taken for while nobody has set a limit to it. The truth corrects it.
const USUAL_OUTPUT: u64 = 1_000;

/// Makes [`LimitCalls`].
#[derive(Clone)]
pub struct LimitLayer {
    limiter: Arc<Limiter>,
    metrics: Arc<Metrics>,
}

/// Holds calls to their limits.
#[derive(Clone)]
pub struct LimitCalls<S> {
    inner: S,
    limiter: Arc<Limiter>,
    metrics: Arc<Metrics>,
}

impl LimitLayer {
    /// Counts here.
    pub fn new(limiter: &Arc<Limiter>, metrics: &Arc<Metrics>) -> LimitLayer {
        LimitLayer { limiter: limiter.clone(), metrics: metrics.clone() }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = LimitCalls<S>;

    fn layer(&self, inner: S) -> LimitCalls<S> {
        LimitCalls { inner, limiter: self.limiter.clone(), metrics: self.metrics.clone() }
    }
}

impl<S> Service<Arc<Call>> for LimitCalls<S>
where
    S: Service<Arc<Call>, Response = Reply, Error = GatewayError, Future = Future<Reply, GatewayError>>
        + Clone
        + Send
        + 'static,
{
    type Response = Reply;
    type Error = GatewayError;
    type Future = Future<Reply, GatewayError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GatewayError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Arc<Call>) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        if !may_be_limited(&call) {
            return inner.call(call);
        }
        let (limiter, metrics) = (self.limiter.clone(), self.metrics.clone());
        Box::pin(async move {
            let asks = asks(&call);
            if asks.is_empty() {
                return inner.call(call).await;
            }
            let mut held = match limiter.admit(asks).await {
                // Boxed, for it is handed on several times.
                Ok(admission) => Box::new(Held { admission, call: call.clone(), failed: true }),
                Err(refusal) => return Err(refused(&call, refusal, &metrics)),
            };
            let reply = inner.call(call).await;
            held.failed = reply.is_err();
            let ended = reply.as_ref().map_or(true, |reply| reply.outcome().is_some());
            if ended {
                held.end();
            }
            held.call.progress.lock().rate = Some(held.admission.view());
            let mut reply = reply?;
            if !ended {
                reply.on_end(move |_| drop(held));
            }
            Ok(reply)
        })
    }
}

/// What a call holds of its limits, till its end.
struct Held {
    admission: Admission,
    call: Arc<Call>,
    failed: bool,
}

impl Held {
    fn end(&mut self) {
        let progress = self.call.progress.lock();
        // What weir itself refused was nobody's work; an answer out of a cache is a call like others.
        let counts = progress.attempts > 0 || !self.failed;
        let usage = &progress.sum.usage;
        let used = usage.prompt_tokens().saturating_add(usage.completion_tokens());
        // A provider that says nothing of usage leaves the estimate as it is.
        let known = used > 0 || self.failed || progress.attempts == 0;
        drop(progress);
        self.admission.end(counts, known.then_some(used));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether there is any limit that a call could meet.
fn may_be_limited(call: &Call) -> bool {
    let (caller, snapshot) = (&call.caller, &call.snapshot);
    caller.limits.is_some()
        || caller.team_limits.is_some()
        || snapshot.limits_models()
        || call.facts.user.is_some()
}

/// All limits that a call meets.
pub fn asks(call: &Call) -> Asks {
    let mut asks = Asks::new();
    let (caller, snapshot) = (&call.caller, &call.snapshot);
    let route = snapshot.limits_models().then(|| snapshot.resolve(call.request.model())).flatten();
    let user = call.facts.user.as_ref();
    // A user's own limits go before those of each user, kind by kind.
    let own = user.and_then(|name| snapshot.keys.user_limits(name));
    let each = snapshot.settings.user_limits;
    let user_limits = own.map(|own| each.map_or(own, |each| own.or(each))).or(each);
    let scopes = [
        (Scope::Key, Some(&caller.name), caller.limits),
        (Scope::Team, caller.team.as_ref(), caller.team_limits),
        (Scope::User, user, user_limits),
        (
            Scope::Model,
            route.as_ref().map(|route| &route.label),
            route.as_ref().and_then(|route| route.limits),
        ),
    ];
    let mut tokens = None;
    for (scope, name, limits) in scopes {
        let (Some(name), Some(limits)) = (name, limits) else { continue };
        let estimate = match limits.counts_tokens() {
            true => *tokens.get_or_insert_with(|| estimate(call)),
            false => 0,
        };
        limits.ask(scope, name, estimate, &mut asks);
    }
    asks
}

/// How many tokens a call may come to: four bytes a token of what was sent, and the limit of the answer.
fn estimate(call: &Call) -> u64 {
    let request = &call.request;
    let prompt = request.raw().len() as u64 / 4;
    if !crate::bound::makes_tokens(request.operation) {
        return prompt;
    }
    let peek = request.peek();
    let output = peek.output_limit.unwrap_or_else(|| {
        let route = call.snapshot.resolve(request.model());
        let own = route.as_ref().and_then(|route| route.max_output_tokens);
        let model = route.as_ref().and_then(|route| route.targets.first()?.output_limit);
        own.unwrap_or_else(|| model.unwrap_or(USUAL_OUTPUT).min(USUAL_OUTPUT))
    });
    prompt.saturating_add(output.saturating_mul(u64::from(peek.choices.max(1))))
}

fn refused(call: &Call, refusal: Refusal, metrics: &Metrics) -> GatewayError {
    match refusal {
        Refusal::Limit { ask, wait, view } => {
            metrics.rate_limited(ask.scope, ask.kind);
            call.progress.lock().rate = Some(view);
            GatewayError::RateLimited { message: message(&ask, wait), retry_after: wait }
        }
        Refusal::Unknown => GatewayError::Overloaded {
            code: "coordination_lost",
            message: "the limits are shared with other replicas and can't be asked now; `coordination.on_loss: closed` lets no call in then",
            retry_after: std::time::Duration::from_secs(1),
        },
    }
}

fn message(ask: &crate::limits::Ask, wait: std::time::Duration) -> String {
    let name: String = ask.name.chars().take(100).collect();
    format!(
        "the limit of {} `{name}` is reached: {} {} (`limits.{}`); try again in {:.1} s",
        ask.scope.name(),
        ask.limit,
        ask.kind.words(),
        ask.kind.name(),
        wait.as_millis().div_ceil(100) as f64 / 10.0,
    )
}
