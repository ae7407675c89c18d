//! What a call holds of its limits, until it has ended.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::counter::{Counters, State};
use super::shared::{Answer, Shared, Taken};
use super::{Ask, Asks, Kind, Limiter, Millis};

/// How a limit stands, for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How much is allowed.
    pub limit: u64,
    /// How much is left.
    pub remaining: u64,
    /// Until nothing counts any more.
    pub reset: Duration,
}

/// How the tightest limits stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateView {
    /// On calls.
    pub requests: Option<Standing>,
    /// On tokens.
    pub tokens: Option<Standing>,
}

impl RateView {
    /// Takes another limit in: the one with the least left stays.
    pub(super) fn add(&mut self, kind: Kind, standing: Standing) {
        let place = match kind {
            Kind::RequestsPerMinute | Kind::RequestsPerDay => &mut self.requests,
            Kind::TokensPerMinute | Kind::TokensPerDay => &mut self.tokens,
            Kind::Concurrency => return,
        };
        if place.is_none_or(|known| standing.remaining < known.remaining) {
            *place = Some(standing);
        }
    }
}

/// What a call holds. Dropped, it takes what it was admitted with for the truth.
pub struct Admission {
    pub(super) limiter: Arc<Limiter>,
    pub(super) asks: Asks,
    pub(super) counters: SmallVec<[Arc<Counters>; 6]>,
    /// When it was admitted.
    pub(super) at: Millis,
    pub(super) shared: Option<(Arc<dyn Shared>, Taken, Vec<Answer>)>,
    pub(super) ended: bool,
}

impl Admission {
    /// The call has ended. `requests`: whether it counts as a call; `tokens`: what it used, where that is known.
    pub fn end(&mut self, requests: bool, tokens: Option<u64>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = self.limiter.now();
        let truths: SmallVec<[u64; 6]> = self.asks.iter().map(|ask| truth(ask, requests, tokens)).collect();
        for ((ask, counter), truth) in self.asks.iter().zip(&self.counters).zip(&truths) {
            match &mut *counter.of(ask.kind).lock() {
                State::Window(window) => {
                    if ask.amount != *truth {
                        window.correct(now, self.at, ask.amount, *truth);
                    }
                }
                State::Running(running) => {
                    running.ended(Duration::from_millis(now.saturating_sub(self.at)));
                }
            }
        }
        if let Some((shared, taken, answers)) = &mut self.shared {
            shared.settle(*taken, &self.asks, &truths);
            for ((ask, answer), truth) in self.asks.iter().zip(answers).zip(&truths) {
                answer.remaining = (answer.remaining + ask.amount).min(ask.limit).saturating_sub(*truth);
            }
        }
    }

    /// How the tightest limits stand now.
    pub fn view(&self) -> RateView {
        let now = self.limiter.now();
        let mut view = RateView::default();
        if let Some((_, _, answers)) = &self.shared {
            for (ask, answer) in self.asks.iter().zip(answers) {
                let standing =
                    Standing { limit: ask.limit, remaining: answer.remaining, reset: answer.reset };
                view.add(ask.kind, standing);
            }
            return view;
        }
        for (ask, counter) in self.asks.iter().zip(&self.counters) {
            if let State::Window(window) = &mut *counter.of(ask.kind).lock() {
                let remaining = ask.limit.saturating_sub(window.used(now));
                let reset = Duration::from_millis(window.reset(now));
                view.add(ask.kind, Standing { limit: ask.limit, remaining, reset });
            }
        }
        view
    }
}

/// What a limit shall count in the end.
fn truth(ask: &Ask, requests: bool, tokens: Option<u64>) -> u64 {
    match ask.kind {
        Kind::RequestsPerMinute | Kind::RequestsPerDay => u64::from(requests),
        Kind::TokensPerMinute | Kind::TokensPerDay => tokens.unwrap_or(ask.amount),
        Kind::Concurrency => 0,
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.end(true, None);
    }
}
