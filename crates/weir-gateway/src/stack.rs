//! The stack, read from top to bottom.
//!
//! Each stage has its own request type, so a layer in the wrong place does not compile. A further concern is one more
//! layer at the stage whose type has what it needs.

use std::sync::Arc;

use tower::ServiceBuilder;
use weir_ledger::Ledger;

use crate::cache::Cache;
use crate::dispatch::Dispatch;
use crate::layers::breaker::{Breaker, BreakerLayer};
use crate::layers::cache::{CacheLayer, Cached};
use crate::layers::encode::{Encode, EncodeLayer};
use crate::layers::failover::{Failover, FailoverLayer};
use crate::layers::fault::{Fault, FaultLayer};
use crate::layers::limit::{LimitCalls, LimitLayer};
use crate::layers::observe::{Observe, ObserveLayer};
use crate::layers::record::{Record, RecordLayer};
use crate::layers::route::{RouteCalls, RouteLayer};
use crate::limits::Limiter;
use crate::metrics::Metrics;

/// All layers, outermost first.
pub type Stack = Observe<LimitCalls<RouteCalls<Cached<Failover<Breaker<Encode<Record<Fault<Dispatch>>>>>>>>>;

/// Builds the stack over these.
pub fn stack(metrics: &Arc<Metrics>, ledger: &Ledger, limiter: &Arc<Limiter>, cache: &Arc<Cache>) -> Stack {
    ServiceBuilder::new()
        // A call: what the client asked.
        .layer(ObserveLayer::new(metrics, ledger)) // room in the ledger, the call's row, metrics; 503 when the ledger is full
        .layer(LimitLayer::new(limiter, metrics)) // keys, teams, users and models over their limits: 429
        .layer(RouteLayer) // public name → plan
        // A routed call: who may serve it.
        .layer(CacheLayer::new(cache, metrics)) // a stored answer costs nothing: before all that does
        .layer(FailoverLayer::default()) // the plan's targets, one after another
        // An attempt: one try at one target.
        .layer(BreakerLayer) // failing targets and refused keys rest
        .layer(EncodeLayer) // the provider's dialect; what can't be written is no attempt
        .layer(RecordLayer) // the attempt's row: open before dispatch, closed at its end
        .layer(FaultLayer) // failures on purpose, where that is allowed
        .service(Dispatch)
}
