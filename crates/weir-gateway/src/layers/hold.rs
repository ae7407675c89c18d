//! An attempt is sent only if it is paid for: by what was set aside for its call, and by its provider's own budgets.
//! It stands between the provider's dialect and the row, so a target that nobody pays for was no attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use tower::{Layer, Service};
use weir_catalog::NanoUsd;
use weir_config::UnknownPrice;
use weir_ledger::budget::{Budgets, Charges, Reservation};

use super::budget::over;
use super::encode::Encoded;
use super::{Future, take_ready};
use crate::bound::{Unbounded, estimate};
use crate::dispatch::Failed;
use crate::error::AttemptError;
use crate::purse::{Purse, WAIT};
use crate::reply::Reply;

/// Makes [`Hold`].
#[derive(Debug, Clone)]
pub struct HoldLayer {
    budgets: Budgets,
}

/// Sees to it that attempts are paid for.
#[derive(Debug, Clone)]
pub struct Hold<S> {
    inner: S,
    budgets: Budgets,
}

impl HoldLayer {
    /// Reserves here.
    pub fn new(budgets: &Budgets) -> HoldLayer {
        HoldLayer { budgets: budgets.clone() }
    }
}

impl<S> Layer<S> for HoldLayer {
    type Service = Hold<S>;

    fn layer(&self, inner: S) -> Hold<S> {
        Hold { inner, budgets: self.budgets.clone() }
    }
}

impl<S> Service<Box<Encoded>> for Hold<S>
where
    S: Service<Box<Encoded>, Response = Reply, Error = Failed, Future = Future<Reply, Failed>>
        + Clone
        + Send
        + 'static,
{
    type Response = Reply;
    type Error = Failed;
    type Future = Future<Reply, Failed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut encoded: Box<Encoded>) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let Some(purse) = encoded.purse.clone() else { return inner.call(encoded) };
        if is_paid(&encoded, &purse) {
            return inner.call(encoded);
        }
        let budgets = self.budgets.clone();
        Box::pin(async move {
            let held = hold(&mut encoded, purse, &budgets).await?;
            let mut reply = inner.call(encoded).await?;
            reply.on_end(move |_| drop(held));
            Ok(reply)
        })
    }
}

/// What a provider's budgets hold for one attempt. Its row is closed when this is dropped, however it ended.
struct Held {
    purse: Arc<Purse>,
    /// What the attempt can cost at most.
    running: i64,
    reservation: Option<(Reservation, Arc<AtomicI64>)>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.purse.end(self.running);
        if let Some((reservation, paid)) = self.reservation.take() {
            reservation.settle(paid.load(Ordering::Relaxed));
        }
    }
}

/// Whether what was set aside for the call is all that the attempt needs: then there is nothing to ask or to hold. Two
/// attempts at the same time need it both, so each says what it holds.
fn is_paid(encoded: &Encoded, purse: &Purse) -> bool {
    let call = &encoded.attempt.call;
    let beside = encoded.attempt.racer.is_some();
    let asks = beside || purse.max_cost().is_some() || purse.step().is_some();
    !asks
        && call.snapshot.spending.set().of_provider(&encoded.attempt.target.provider.name).is_empty()
        && encoded.bound().is_ok_and(|bound| purse.covers(bound))
}

/// Sees to it that the attempt is paid for.
async fn hold(encoded: &mut Encoded, purse: Arc<Purse>, budgets: &Budgets) -> Result<Held, AttemptError> {
    within_max_cost(encoded, &purse)?;
    let (call, target) = (encoded.attempt.call.clone(), encoded.attempt.target.clone());
    let beside = encoded.attempt.racer.as_ref().is_some_and(|racer| racer.second);
    let mut held = Held { purse, running: 0, reservation: None };
    let bound = match encoded.bound() {
        Ok(bound) => bound,
        Err(_) if !held.purse.wanted().limit => 0,
        Err(Unbounded::Price(_)) if call.snapshot.settings.unknown_price == UnknownPrice::Allow => 0,
        Err(error) => return Err(error.into()),
    };
    let first = match (held.purse.step(), &encoded.ceiling, encoded.output.tokens) {
        (Some(step), Ok(ceiling), Some(tokens)) => ceiling.cost(step.min(tokens)).unwrap_or(bound),
        _ => bound,
    };
    let covered = match beside {
        true => held.purse.covers_beside(first),
        false => held.purse.clone().covers_soon(first).await,
    };
    if !covered {
        return Err(held.purse.exhausted());
    }
    held.purse.begin(first);
    held.running = first;
    let set = call.snapshot.spending.set();
    let providers = set.of_provider(&target.provider.name);
    if !providers.is_empty() {
        let reserved = budgets.reserve(providers, bound, call.facts.started_at, WAIT).await;
        let reservation = reserved.map_err(|refused| {
            let mut over = over(&refused.budget, call.facts.started_at, Some(&target.provider.name));
            over.unavailable = refused.unavailable;
            AttemptError::OverBudget(Box::new(over))
        })?;
        let charges: Vec<_> = encoded.charges.iter().chain(reservation.charges().iter()).cloned().collect();
        encoded.charges = Charges::from(charges);
        let paid = encoded.paid.insert(Arc::default()).clone();
        held.reservation = Some((reservation, paid));
    }
    Ok(held)
}

/// Refuses what is likely to cost more than the client wants to pay.
fn within_max_cost(encoded: &Encoded, purse: &Purse) -> Result<(), AttemptError> {
    let Some(most) = purse.max_cost() else { return Ok(()) };
    let target = &encoded.attempt.target;
    let name = || format!("{}/{}", target.provider.name, target.model);
    let price = encoded.price.as_ref().ok_or_else(|| Unbounded::Price(name()))?;
    let likely = match encoded.attempt.call.request.operation.has_units() {
        true => encoded.bound()?,
        false => estimate::cost(&encoded.attempt.call, price).ok_or_else(|| Unbounded::Price(name()))?,
    };
    let beside = encoded.attempt.racer.as_ref().is_some_and(|racer| racer.second);
    let running = if beside { purse.running() } else { 0 };
    if likely.saturating_add(purse.spent()).saturating_add(running) > most {
        return Err(AttemptError::MaxCost(format!(
            "the call would cost about {} USD at {}, and `x-weir-max-cost` allows {}; shorten it, lower `max_tokens`, or allow more",
            NanoUsd(likely),
            name(),
            NanoUsd(most)
        )));
    }
    Ok(())
}
