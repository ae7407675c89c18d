//! Budgets: what a call can cost at most is set aside before it is sent, what it did cost is settled at its end.
//!
//! Where nobody declared a budget, and the client asks for none, the layer is not there: the call passes as it came.

mod words;

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};
use weir_config::{BudgetAdmission, UnknownPrice};
use weir_ledger::budget::{
    Budget, BudgetSet, Budgets, CallScopes, Paying, Period, Refused, Reservation, Scope,
};

use super::{Future, take_ready};
use crate::bound::{Ceiling, Output, Unbounded, Wanted};
use crate::call::{Call, Routed};
use crate::error::{AttemptError, GatewayError};
use crate::purse::{Known, Purse, Reserved, WAIT, Words};
use crate::reply::Reply;
use crate::snapshot::Target;
pub(crate) use words::over;

/// Tokens that a stream reserves at a time, where it reserves step by step.
const STEP: u64 = 256;
/// The least output that is worth a call, where its limit is lowered to what is left.
const LEAST: u64 = 16;

/// Makes [`BudgetCalls`].
#[derive(Debug, Clone)]
pub struct BudgetLayer {
    budgets: Budgets,
}

/// Holds calls to their budgets.
#[derive(Debug, Clone)]
pub struct BudgetCalls<S> {
    inner: S,
    budgets: Budgets,
}

impl BudgetLayer {
    /// Reserves here.
    pub fn new(budgets: &Budgets) -> BudgetLayer {
        BudgetLayer { budgets: budgets.clone() }
    }
}

impl<S> Layer<S> for BudgetLayer {
    type Service = BudgetCalls<S>;

    fn layer(&self, inner: S) -> BudgetCalls<S> {
        BudgetCalls { inner, budgets: self.budgets.clone() }
    }
}

impl<S> Service<Routed> for BudgetCalls<S>
where
    S: Service<Routed, Response = Reply, Error = GatewayError, Future = Future<Reply, GatewayError>>
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

    fn call(&mut self, routed: Routed) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let options = &routed.call.options;
        let asked = options.max_cost.is_some() || options.session_budget.is_some();
        let set = routed.call.snapshot.spending.set();
        let free = super::encode::is_free(&routed.call.request);
        if free || !asked && set.is_empty() {
            return inner.call(routed);
        }
        let budgets = self.budgets.clone();
        Box::pin(async move {
            let began = routed.call.step();
            let admitted = admit(&routed, &set, &budgets).await?;
            routed.call.stepped("budget", began);
            let Some(purse) = admitted else { return inner.call(routed).await };
            routed.call.progress.lock().purse = Some(purse.clone());
            let held = Held(purse);
            let mut reply = inner.call(routed).await?;
            reply.on_end(move |_| drop(held));
            Ok(reply)
        })
    }
}

/// Settles a call when it has ended, however that is. The attempts' rows are closed before.
struct Held(Arc<Purse>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// What one target may cost.
struct Step {
    /// `None` where no price is known and that is allowed.
    ceiling: Option<Ceiling>,
    /// With all the output that it may make.
    cost: Option<i64>,
    output: Output,
    target: Arc<Target>,
}

impl Step {
    fn known(self) -> Option<Known> {
        let cost = (self.output.tokens?, self.cost?);
        Some(Known { target: self.target, ceiling: self.ceiling?, cost })
    }
}

/// Sets aside what the call can cost at most; `None` where nothing holds it.
async fn admit(
    routed: &Routed,
    set: &BudgetSet,
    budgets: &Budgets,
) -> Result<Option<Arc<Purse>>, GatewayError> {
    let call = &*routed.call;
    let paying = paying(call, set);
    let providers: Vec<&Budget> = routed
        .plan
        .steps
        .iter()
        .flat_map(|(_, target)| set.of_provider(&target.provider.name))
        .map(|budget| &**budget)
        .collect();
    if paying.is_empty() && providers.is_empty() && call.options.max_cost.is_none() {
        return Ok(None);
    }
    let hard = paying.iter().any(|budget| budget.hard);
    let mut wanted = Wanted { limit: hard || providers.iter().any(|budget| budget.hard), cap: None };
    if paying.is_empty() {
        return Ok(Some(Arc::new(Purse::new(call.options.max_cost, wanted))));
    }
    let steps = steps(routed, wanted, hard)?;
    let grows = call.snapshot.settings.admission == BudgetAdmission::Grow && call.request.peek().stream;
    let step = grows.then_some(STEP);
    let bound = most(&steps, step.unwrap_or(u64::MAX));
    let reservation = match reserve(budgets, call, &paying, bound).await {
        Err(refused) if may_clamp(call, &refused) => {
            let (cap, reservation) = clamp(budgets, call, &paying, &steps, refused).await?;
            wanted.cap = Some(cap);
            reservation
        }
        other => other.map_err(|refused| refusal(call, &refused, bound))?,
    };
    let spent_words = Words {
        budget: reservation_budget(&paying),
        at: call.facts.started_at,
        say: |budget, at| over(budget, at, None),
    };
    let charges = reservation.charges();
    let known = steps.into_iter().filter_map(Step::known).collect();
    let purse = Purse::new(call.options.max_cost, wanted).knowing(known).with(
        Box::new(Reserved { budgets: budgets.clone(), reservation }),
        charges,
        hard,
        Some(spent_words),
    );
    Ok(Some(Arc::new(match step {
        Some(tokens) => purse.in_steps(tokens),
        None => purse,
    })))
}

/// The budgets that pay for a call, whatever provider serves it.
pub fn paying(call: &Call, set: &BudgetSet) -> Paying {
    let facts = &call.facts;
    let scopes = CallScopes {
        key: &facts.key,
        team: facts.team.as_deref(),
        user: facts.user.as_deref(),
        session: facts.session.as_deref(),
        tags: &facts.tags,
    };
    let mut paying = set.matching(&scopes);
    if let Some((limit, session)) = call.options.session_budget.zip(facts.session.as_ref()) {
        // A session belongs to who names it: another key's of the same name is another.
        let id =
            Budget::declared_id(&Scope::Session(session.clone()), &format!("own/{}", facts.key), None, 0);
        paying.push(Arc::new(Budget::new(id, Scope::Session(session.clone()), limit, Period::Total)));
    }
    paying
}

/// What each target may cost. Those whose cost nobody knows are refused later, one by one, unless all are.
fn steps(routed: &Routed, wanted: Wanted, hard: bool) -> Result<Vec<Step>, GatewayError> {
    let call = &*routed.call;
    let allowed = !hard || call.snapshot.settings.unknown_price == UnknownPrice::Allow;
    let (mut steps, mut unknown) = (Vec::with_capacity(routed.plan.steps.len()), None);
    for (route, target) in &routed.plan.steps {
        let output = Output::of(call, route, target, wanted);
        let name = || format!("{}/{}", target.provider.name, target.model);
        let ceiling = Ceiling::new(call, target, target.price().as_ref()).and_then(|ceiling| {
            let tokens = output.tokens.ok_or_else(|| Unbounded::Output(name()))?;
            let cost = ceiling.cost(tokens).ok_or_else(|| Unbounded::Price(name()))?;
            Ok((ceiling, cost))
        });
        let unpriced = || Step { ceiling: None, cost: None, output, target: target.clone() };
        match ceiling {
            Ok((ceiling, cost)) => {
                steps.push(Step { ceiling: Some(ceiling), cost: Some(cost), ..unpriced() })
            }
            Err(Unbounded::Price(_)) if allowed => steps.push(unpriced()),
            Err(_) if !hard => steps.push(unpriced()),
            Err(error) => drop(unknown.get_or_insert((error, target.provider.name.clone()))),
        }
    }
    match unknown {
        Some((error, provider)) if steps.is_empty() => {
            Err(GatewayError::Attempt { error: AttemptError::Unbounded(error), provider, trail: Vec::new() })
        }
        _ => Ok(steps),
    }
}

/// What the dearest of the targets can cost with at most `tokens` of output.
fn most(steps: &[Step], tokens: u64) -> i64 {
    let cost = |step: &Step| {
        let all = step.output.tokens.unwrap_or(u64::MAX);
        if tokens >= all { step.cost } else { step.ceiling.as_ref()?.cost(tokens) }
    };
    steps.iter().filter_map(cost).max().unwrap_or(0)
}

async fn reserve(
    budgets: &Budgets,
    call: &Call,
    paying: &[Arc<Budget>],
    bound: i64,
) -> Result<Reservation, Refused> {
    budgets.reserve(paying, bound, call.facts.started_at, WAIT).await
}

fn may_clamp(call: &Call, refused: &Refused) -> bool {
    call.snapshot.settings.admission == BudgetAdmission::Clamp && !refused.unavailable
}

/// Lowers the output's limit to what is left. Another call may take of that meanwhile, so it is tried more than once.
async fn clamp(
    budgets: &Budgets,
    call: &Call,
    paying: &[Arc<Budget>],
    steps: &[Step],
    first: Refused,
) -> Result<(u64, Reservation), GatewayError> {
    let mut refused = first;
    for _ in 0..3 {
        let left = refused.limit_nanousd - refused.spent_nanousd - refused.held_nanousd;
        let cap = steps
            .iter()
            .filter_map(|step| {
                let tokens = step.ceiling.as_ref()?.output_within(left, step.output.tokens?)?;
                Some(tokens / step.output.choices.max(1))
            })
            .min()
            .filter(|cap| *cap >= LEAST);
        let Some(cap) = cap else { break };
        let choices = steps.iter().map(|step| step.output.choices).max().unwrap_or(1);
        match reserve(budgets, call, paying, most(steps, cap.saturating_mul(choices))).await {
            Ok(reservation) => return Ok((cap, reservation)),
            Err(again) => refused = again,
        }
    }
    Err(refusal(call, &refused, most(steps, u64::MAX)))
}

fn refusal(call: &Call, refused: &Refused, bound: i64) -> GatewayError {
    tracing::debug!(call.id = %call.id, budget = %refused.budget.id, "refused by a budget");
    GatewayError::OverBudget(Box::new(words::refused(refused, call.facts.started_at, bound)))
}

/// The budget that a stream is told of: the narrowest hard one.
fn reservation_budget(paying: &[Arc<Budget>]) -> Arc<Budget> {
    paying.iter().rev().find(|budget| budget.hard).unwrap_or(&paying[0]).clone()
}
