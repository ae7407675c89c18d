//! From the public name to a plan: who may serve this call, in order.

use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};
use weir_config::Strategy;

use super::Future;
use crate::call::{Call, Routed};
use crate::error::GatewayError;
use crate::names;
use crate::reply::Reply;
use crate::routing::Plan;
use crate::snapshot::Snapshot;

/// Makes [`RouteCalls`].
#[derive(Debug, Clone, Default)]
pub struct RouteLayer;

/// Routes calls.
#[derive(Debug, Clone)]
pub struct RouteCalls<S> {
    inner: S,
}

impl<S> Layer<S> for RouteLayer {
    type Service = RouteCalls<S>;

    fn layer(&self, inner: S) -> RouteCalls<S> {
        RouteCalls { inner }
    }
}

impl<S> Service<Arc<Call>> for RouteCalls<S>
where
    S: Service<Routed, Response = Reply, Error = GatewayError, Future = Future<Reply, GatewayError>>,
{
    type Response = Reply;
    type Error = GatewayError;
    type Future = Future<Reply, GatewayError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GatewayError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Arc<Call>) -> Self::Future {
        match plan(&call) {
            Ok(plan) => self.inner.call(Routed { call, plan }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

/// Suffixes of a model's name that say how its order is found.
const SUFFIXES: [(&str, Strategy); 2] = [(":floor", Strategy::Cheapest), (":nitro", Strategy::Fastest)];

/// A name without `:floor` or `:nitro`, and what that asks for: where the name itself is none that is served, and is no
/// `provider/model` (there the provider may know the suffix).
pub fn suffix<'n>(snapshot: &Snapshot, name: &'n str) -> (&'n str, Option<Strategy>) {
    let found = SUFFIXES.iter().find_map(|(suffix, strategy)| Some((name.strip_suffix(suffix)?, *strategy)));
    match found {
        Some((base, strategy)) if snapshot.resolve(name).is_none() || snapshot.is_public(base) => {
            (base, Some(strategy))
        }
        _ => (name, None),
    }
}

pub(crate) fn base_name(call: &Call) -> &str {
    let name = call.request.model();
    match call.options.strategy {
        Some(_) => suffix(&call.snapshot, name).0,
        None => name,
    }
}

/// The plan of a call.
///
/// # Errors
/// A name that nobody serves, that the caller may not call, or whose targets can't do what is asked.
pub fn plan(call: &Call) -> Result<Plan, GatewayError> {
    let name = base_name(call);
    let Some(route) = call.snapshot.resolve(name) else {
        return Err(GatewayError::UnknownModel {
            model: name.to_owned(),
            nearest: names::nearest(&call.snapshot, &call.caller, name),
        });
    };
    if !call.caller.may_call(name) {
        let message =
            format!("key `{}` may not call `{name}`; GET /v1/models lists what it may", call.caller.name);
        return Err(GatewayError::Forbidden { code: "model_not_allowed", message });
    }
    {
        let mut progress = call.progress.lock();
        progress.route = Some(route.name.clone());
        let total = call.options.timeout.map_or(route.timeouts.total, |own| own.min(route.timeouts.total));
        progress.deadline = Some(call.started + total);
        progress.write = Some(route.timeouts.write);
    }
    Plan::new(call, route)
}
