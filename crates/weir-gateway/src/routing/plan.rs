//! The targets of one call, in order.

use std::sync::Arc;

use crate::call::Call;
use crate::error::GatewayError;
use crate::snapshot::{Route, Target};

/// The targets of one call, in order, each with the route it belongs to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The public name's own route.
    pub route: Arc<Route>,
    /// Whom to ask, first to last.
    pub steps: Vec<(Arc<Route>, Arc<Target>)>,
}

/// How many fallbacks are followed: a chain that is longer is a mistake in the configuration.
const MAX_ROUTES: usize = 16;

impl Plan {
    /// The targets of `route`, then those of its fallbacks, that can do what is asked.
    ///
    /// # Errors
    /// None can.
    pub fn new(call: &Call, route: Arc<Route>) -> Result<Plan, GatewayError> {
        let operation = call.request.operation;
        let mut steps = Vec::new();
        for route in Self::chain(call, &route) {
            let able = route.targets.iter().filter(|target| target.provider.adapter.serves(operation));
            steps.extend(able.map(|target| (route.clone(), target.clone())));
        }
        if call.options.no_fallback {
            steps.truncate(1);
        }
        if steps.is_empty() {
            let message = format!("no target of `{}` serves {operation}", route.name);
            return Err(GatewayError::Unsupported { param: "model".to_owned(), message });
        }
        Ok(Plan { route, steps })
    }

    /// The route and its fallbacks, each once, in the order in which they are tried.
    pub(crate) fn chain(call: &Call, first: &Arc<Route>) -> Vec<Arc<Route>> {
        let mut chain = vec![first.clone()];
        let mut at = 0;
        while at < chain.len() && chain.len() < MAX_ROUTES {
            for name in chain[at].fallbacks.clone() {
                let next = call.snapshot.resolve(&name).filter(|_| call.caller.may_call(&name));
                if let Some(next) = next.filter(|next| chain.iter().all(|route| route.name != next.name)) {
                    chain.push(next);
                }
            }
            at += 1;
        }
        chain
    }
}
