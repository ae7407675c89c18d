//! Watches one stream: how much it has made, and whether that is paid for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_catalog::NanoUsd;

use super::Purse;
use crate::bound::Ceiling;
use crate::error::AttemptError;

/// Asks for money, in its own time.
pub type Growth = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Watches one stream.
#[derive(Clone)]
pub struct Watch {
    purse: Arc<Purse>,
    /// Only where a hard budget applies.
    ceiling: Option<Ceiling>,
    /// Tokens that are paid for.
    covered: u64,
    /// Tokens that were made beyond that.
    unpaid: Option<u64>,
    /// Tokens that are paid for by the last [`Growth`]; 0: nobody pays for more.
    answer: Option<Arc<AtomicU64>>,
}

/// At least so many tokens more are asked for at a time.
const MORE: u64 = 16;

impl Watch {
    /// Over a stream that may make `covered` tokens before more has to be asked for.
    pub fn new(purse: Arc<Purse>, ceiling: Option<Ceiling>, covered: u64) -> Watch {
        Watch { purse, ceiling, covered, unpaid: None, answer: None }
    }

    /// Tokens that are paid for.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// `tokens` have been made, which cost about what `cost` says.
    ///
    /// # Errors
    /// The stream costs more than its client wants to pay.
    pub fn look(&mut self, tokens: u64, cost: impl FnOnce() -> Option<i64>) -> Result<(), AttemptError> {
        if tokens > self.covered && !self.extend(tokens) {
            self.unpaid = Some(tokens);
        }
        let Some(most) = self.purse.max_cost() else { return Ok(()) };
        let spent = self.purse.spent().saturating_add(cost().unwrap_or(0));
        if spent > most {
            return Err(AttemptError::MaxCost(format!(
                "the answer was cut: it had cost about {} USD, and `x-weir-max-cost` allows {}",
                NanoUsd(spent),
                NanoUsd(most)
            )));
        }
        Ok(())
    }

    /// Asks for more, where that is needed and could not be had at once.
    pub fn growth(&mut self) -> Option<Growth> {
        let tokens = self.unpaid.take()?;
        let (ceiling, purse) = (self.ceiling.clone()?, self.purse.clone());
        let (answer, ahead) = (Arc::new(AtomicU64::new(0)), self.ahead(tokens));
        self.answer = Some(answer.clone());
        Some(Box::pin(async move {
            // Only for what is needed: the provider goes on while this waits.
            let Some(cost) = ceiling.cost(tokens) else { return };
            if purse.clone().covers_soon(cost).await {
                let more = ceiling.cost(ahead).is_some_and(|cost| purse.covers(cost));
                answer.store(if more { ahead } else { tokens }, Ordering::Relaxed);
            }
        }))
    }

    /// Why the stream may not go on, if nobody pays for more.
    pub fn denied(&mut self) -> Option<AttemptError> {
        let covered = self.answer.take()?.load(Ordering::Relaxed);
        self.covered = self.covered.max(covered);
        (covered == 0).then(|| self.purse.exhausted())
    }

    /// Pays for more than `tokens`, or just for them.
    fn extend(&mut self, tokens: u64) -> bool {
        let Some(ceiling) = &self.ceiling else { return true };
        for covered in [self.ahead(tokens), tokens] {
            if ceiling.cost(covered).is_some_and(|cost| self.purse.covers(cost)) {
                self.covered = covered;
                return true;
            }
        }
        false
    }

    fn ahead(&self, tokens: u64) -> u64 {
        tokens.saturating_add(self.purse.step().unwrap_or(MORE).max(tokens / 8))
    }
}
