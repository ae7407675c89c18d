//! The stack, read from top to bottom.
//!
//! Each stage has its own request type, so a layer in the wrong place does not compile. A further concern is one more
//! layer at the stage whose type has what it needs.

use std::sync::Arc;

use tower::ServiceBuilder;
use weir_ledger::Ledger;
use weir_ledger::budget::Budgets;

use crate::cache::Cache;
use crate::dispatch::Dispatch;
use crate::layers::breaker::{Breaker, BreakerLayer};
use crate::layers::budget::{BudgetCalls, BudgetLayer};
use crate::layers::cache::{CacheLayer, Cached};
use crate::layers::encode::{Encode, EncodeLayer};
use crate::layers::failover::{Failover, FailoverLayer};
use crate::layers::fault::{Fault, FaultLayer};
use crate::layers::hold::{Hold, HoldLayer};
use crate::layers::limit::{LimitCalls, LimitLayer};
use crate::layers::observe::{Observe, ObserveLayer};
use crate::layers::record::{Record, RecordLayer};
use crate::layers::route::{RouteCalls, RouteLayer};
use crate::limits::Limiter;
use crate::metrics::Metrics;

/// All layers, outermost first.
pub type Stack = Observe<LimitCalls<RouteCalls<Cached<Paid>>>>;

/// What costs money.
type Paid = BudgetCalls<Failover<Breaker<Encode<Hold<Record<Fault<Dispatch>>>>>>>;

/// Builds the stack over these.
pub fn stack(
    metrics: &Arc<Metrics>,
    ledger: &Ledger,
    limiter: &Arc<Limiter>,
    budgets: &Budgets,
    cache: &Arc<Cache>,
) -> Stack {
    ServiceBuilder::new()
        // A call: what the client asked.
        .layer(ObserveLayer::new(metrics, ledger)) // room in the ledger, the call's row, metrics; 503 when the ledger is full
        .layer(LimitLayer::new(limiter, metrics)) // keys, teams, users and models over their limits: 429
        .layer(RouteLayer) // public name → plan
        // A routed call: who may serve it.
        .layer(CacheLayer::new(cache, metrics)) // a stored answer costs nothing: before all that does
        .layer(BudgetLayer::new(budgets)) // what the call can cost at most is set aside: 429 where a budget is spent
        .layer(FailoverLayer::default()) // the plan's targets, one after another
        // An attempt: one try at one target.
        .layer(BreakerLayer) // failing targets and refused keys rest
        .layer(EncodeLayer) // the provider's dialect; what can't be written is no attempt
        .layer(HoldLayer::new(budgets)) // the attempt is paid for, by the caller's budgets and the provider's
        .layer(RecordLayer) // the attempt's row: open before dispatch, closed at its end
        .layer(FaultLayer) // failures on purpose, where that is allowed
        .service(Dispatch)
}
