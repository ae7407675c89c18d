//! The plan's targets, one after another, until one commits.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rand::RngExt;
use tower::{Layer, Service};
use weir_adapter::{ErrorKind, Retry};

use super::{Future, take_ready};
use crate::call::{Attempt, Call, Routed, Tried};
use crate::dispatch::Failed;
use crate::error::{AttemptError, GatewayError};
use crate::names;
use crate::reply::Reply;
use crate::snapshot::{FailureClass, Route, Target};

/// Makes [`Failover`].
#[derive(Debug, Clone, Default)]
pub struct FailoverLayer;

/// Tries targets until one commits.
#[derive(Debug, Clone)]
pub struct Failover<S> {
    inner: S,
}

impl<S> Layer<S> for FailoverLayer {
    type Service = Failover<S>;

    fn layer(&self, inner: S) -> Failover<S> {
        Failover { inner }
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
        Box::pin(async move {
            let Routed { call, plan } = routed;
            let mut failure = None;
            for (route, target) in &plan.steps {
                let mut tries = 0;
                let error = loop {
                    tries += 1;
                    let attempt = Attempt {
                        call: call.clone(),
                        target: target.clone(),
                        route: route.clone(),
                        ordinal: 0,
                    };
                    match inner.call(attempt).await {
                        Ok(reply) => return Ok(reply),
                        Err(failed) => {
                            note(&call, target, &failed);
                            match pause(&call, route, &failed.error, tries) {
                                Some(pause) => {
                                    tokio::time::sleep(pause).await;
                                    call.progress.lock().waited += pause;
                                }
                                None => break failed.error,
                            }
                        }
                    }
                };
                let moves_on = class(&error).is_some_and(|class| route.fallback_on.contains(class));
                failure = Some((error, target.provider.name.clone()));
                if !moves_on || is_late(&call) {
                    break;
                }
            }
            let (mut error, provider) = failure.expect("a plan has a target");
            suggest(&call, &mut error);
            Err(GatewayError::Attempt { error, provider, trail: call.progress.lock().trail.clone() })
        })
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

/// How long to wait before another try at the same target; `None` where another can't help, or not in time.
fn pause(call: &Call, route: &Route, error: &AttemptError, tries: u32) -> Option<Duration> {
    if tries >= route.retry.attempts {
        return None;
    }
    let asked = match error {
        AttemptError::Provider(error) if error.retry == Retry::Here => error.retry_after,
        AttemptError::Unreachable { .. } => None,
        _ => return None,
    };
    let most = route.retry.base.saturating_mul(1 << (tries - 1).min(16)).min(route.retry.max);
    let pause = match asked {
        // Longer than a pause may be: another target, or the client's own retry, is the better answer.
        Some(asked) if asked > route.retry.max => return None,
        Some(asked) => asked,
        None => most.mul_f64(rand::rng().random_range(0.0..1.0)),
    };
    let deadline = call.progress.lock().deadline?;
    (Instant::now() + pause < deadline).then_some(pause)
}

fn is_late(call: &Call) -> bool {
    call.progress.lock().deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

fn note(call: &Call, target: &Target, failed: &Failed) {
    let state = failed.outcome.as_ref().map_or("not_sent", |outcome| outcome.state.name());
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
        | AttemptError::UnknownPrice(_) => Some(FailureClass::Error),
        AttemptError::TimedOut(crate::error::Wait::Total, _) | AttemptError::Invalid(_) => None,
        AttemptError::TimedOut(..) => Some(FailureClass::Timeout),
        AttemptError::LedgerFull | AttemptError::ShuttingDown => None,
        AttemptError::Internal(_) => Some(FailureClass::Error),
    }
}
