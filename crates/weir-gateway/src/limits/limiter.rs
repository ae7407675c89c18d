//! The limiter: takes what a call asks of all its limits, or of none.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::{MutexGuard, RwLock};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::admission::{Admission, RateView, Standing};
use super::counter::{Counters, State};
use super::shared::{Answer, Loss, Push, Shared, Verdict};
use super::{Ask, Asks, Kind, Millis, Scope};

/// For how many names there may be counters before those of idle end users are thrown away. Past it, further users share
/// one counter for each limit, so that made-up names neither fill the memory nor get around the limits.
const MAX_COUNTERS: usize = 100_000;
/// How often idle counters are looked for, in milliseconds.
const SWEEP: Millis = 10_000;
/// The name that users share past the bound; no header can carry it.
const OTHERS: &str = "\0others";
/// What is told where no wait can be computed.
const UNKNOWN_WAIT: Duration = Duration::from_secs(5);

type Key = (Scope, Arc<str>);

/// All counters of the process.
pub struct Limiter {
    start: Instant,
    counters: RwLock<HashMap<Key, Arc<Counters>, RandomState>>,
    max_counters: usize,
    swept: AtomicU64,
    shared: Option<Arc<dyn Shared>>,
}

/// Why a call is not let in.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// A limit is reached.
    Limit {
        /// Which: of several, the one that takes longest.
        ask: Ask,
        /// When to come again. All limits of the call let it in then, if nobody else comes before.
        wait: Duration,
        /// How the limits stand.
        view: RateView,
    },
    /// The limits are shared, nobody can say how they stand, and the configuration lets no call in then.
    Unknown,
}

impl Limiter {
    /// Counts in this process, and with others where there is a shared store.
    pub fn new(shared: Option<Arc<dyn Shared>>) -> Arc<Limiter> {
        Limiter::bounded(shared, MAX_COUNTERS)
    }

    fn bounded(shared: Option<Arc<dyn Shared>>, max_counters: usize) -> Arc<Limiter> {
        Arc::new(Limiter {
            start: Instant::now(),
            counters: RwLock::default(),
            max_counters,
            swept: AtomicU64::new(0),
            shared,
        })
    }

    /// Milliseconds since the limiter began.
    pub fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what is asked.
    ///
    /// # Errors
    /// A limit that is reached; nothing was taken of any other then.
    pub async fn admit(self: &Arc<Limiter>, asks: Asks) -> Result<Admission, Refusal> {
        let Some(shared) = &self.shared else { return self.admit_here(asks, self.now(), None) };
        match shared.admit(&asks).await {
            Verdict::Admitted { answers, taken } => {
                let mut admission = self.record(asks, self.now(), &answers);
                admission.shared = Some((shared.clone(), taken, answers));
                Ok(admission)
            }
            Verdict::Refused { index, wait, answers } => Err(self.refused(&asks, index, wait, &answers)),
            Verdict::Lost(Loss::Closed) => Err(Refusal::Unknown),
            Verdict::Lost(loss) => self.admit_here(asks, self.now(), Some(loss)),
        }
    }

    /// How each of these limits stands, as this process knows it; nothing is taken.
    pub fn look(&self, asks: &Asks) -> Vec<Standing> {
        let now = self.now();
        let look = |ask: &Ask| match &mut *self.counter(ask, now).of(ask.kind).lock() {
            State::Window(window) => Standing {
                limit: ask.limit,
                remaining: ask.limit.saturating_sub(window.used(now)),
                reset: Duration::from_millis(window.reset(now)),
            },
            State::Running(running) => Standing {
                limit: ask.limit,
                remaining: ask.limit.saturating_sub(running.count),
                reset: Duration::ZERO,
            },
        };
        asks.iter().map(look).collect()
    }

    /// As [`Limiter::admit`], by this process's own counts at `now`.
    pub(super) fn admit_here(
        self: &Arc<Limiter>,
        asks: Asks,
        now: Millis,
        loss: Option<Loss>,
    ) -> Result<Admission, Refusal> {
        let counters = self.counters(&asks, now);
        {
            let mut states: SmallVec<[MutexGuard<'_, State>; 6]> =
                asks.iter().zip(&counters).map(|(ask, counter)| counter.of(ask.kind).lock()).collect();
            let waits = asks.iter().zip(&mut states).map(|(ask, state)| wait(ask, state, now, loss));
            let longest = waits.enumerate().filter_map(|(index, wait)| Some((wait?, index))).max();
            if let Some((wait, index)) = longest {
                let view = view(&asks, &mut states, now);
                return Err(Refusal::Limit { ask: asks[index].clone(), wait, view });
            }
            for (ask, state) in asks.iter().zip(&mut states) {
                take(ask, state, now);
            }
        }
        Ok(Admission { limiter: self.clone(), asks, counters, at: now, shared: None, ended: false })
    }

    /// Counts what a shared store has let in.
    fn record(self: &Arc<Limiter>, asks: Asks, now: Millis, answers: &[Answer]) -> Admission {
        let counters = self.counters(&asks, now);
        for ((ask, counter), answer) in asks.iter().zip(&counters).zip(answers) {
            let mut state = counter.of(ask.kind).lock();
            take(ask, &mut state, now);
            if let State::Window(window) = &mut *state {
                window.share(now, ask.amount);
                window.hear(now, answer.remaining);
            }
        }
        Admission { limiter: self.clone(), asks, counters, at: now, shared: None, ended: false }
    }

    fn refused(&self, asks: &Asks, index: usize, wait: Option<Duration>, answers: &[Answer]) -> Refusal {
        let mut view = RateView::default();
        let now = self.now();
        for (ask, answer) in asks.iter().zip(answers) {
            if let State::Window(window) = &mut *self.counter(ask, now).of(ask.kind).lock() {
                window.hear(now, answer.remaining);
            }
            let standing = Standing { limit: ask.limit, remaining: answer.remaining, reset: answer.reset };
            view.add(ask.kind, standing);
        }
        let ask = asks[index.min(asks.len() - 1)].clone();
        let wait = wait.unwrap_or_else(|| match &*self.counter(&ask, now).of(ask.kind).lock() {
            State::Running(running) => running.wait(),
            State::Window(_) => UNKNOWN_WAIT,
        });
        Refusal::Limit { ask, wait, view }
    }

    fn counters(&self, asks: &Asks, now: Millis) -> SmallVec<[Arc<Counters>; 6]> {
        let mut found: SmallVec<[Arc<Counters>; 6]> = SmallVec::new();
        for (at, ask) in asks.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| (&asks[before], &found[before]));
            let same =
                before.filter(|(other, _)| other.scope == ask.scope && Arc::ptr_eq(&other.name, &ask.name));
            let counters = same.map_or_else(|| self.counter(ask, now), |(_, counters)| counters.clone());
            found.push(counters);
        }
        found
    }

    fn counter(&self, ask: &Ask, now: Millis) -> Arc<Counters> {
        let mut key = (ask.scope, ask.name.clone());
        if let Some(counter) = self.counters.read().get(&key) {
            return counter.clone();
        }
        let mut counters = self.counters.write();
        if ask.scope == Scope::User && counters.len() >= self.max_counters {
            if self.swept.load(Ordering::Relaxed) + SWEEP <= now {
                self.swept.store(now, Ordering::Relaxed);
                counters.retain(|(scope, _), counter| *scope != Scope::User || !counter.is_idle(now));
            }
            if counters.len() >= self.max_counters {
                key.1 = OTHERS.into();
            }
        }
        counters.entry(key).or_insert_with(|| Arc::new(Counters::new())).clone()
    }

    /// What has been taken here and a shared store does not know of, and when that was looked up; with `all`, everything
    /// that counts.
    pub fn unshared(&self, all: bool) -> (Millis, Vec<Push>) {
        let now = self.now();
        let mut found = Vec::new();
        for ((scope, name), counters) in &*self.counters.read() {
            for kind in Kind::ALL {
                let State::Window(window) = &mut *counters.of(kind).lock() else { continue };
                if all {
                    window.forget_shared();
                }
                found.extend(window.unshared(now, all).into_iter().map(|one| Push {
                    scope: *scope,
                    name: name.clone(),
                    kind,
                    age: now.saturating_sub(one.at),
                    amount: one.amount,
                }));
            }
        }
        (now, found)
    }

    /// A shared store knows of these now; `now` is when they were looked up.
    pub fn pushed(&self, pushed: &[Push], now: Millis) {
        for one in pushed {
            let key = (one.scope, one.name.clone());
            if let Some(counters) = self.counters.read().get(&key)
                && let State::Window(window) = &mut *counters.of(one.kind).lock()
            {
                window.share(now.saturating_sub(one.age), one.amount);
            }
        }
    }
}

/// How long a limit makes the call wait; `None`: it lets it in.
fn wait(ask: &Ask, state: &mut State, now: Millis, loss: Option<Loss>) -> Option<Duration> {
    let limit = match (loss, &mut *state) {
        (None, _) => ask.limit,
        (Some(loss), State::Window(window)) => {
            loss.share(ask.limit)?;
            window.leased(now, ask.limit, |all| loss.share(all).unwrap_or(all))
        }
        (Some(loss), State::Running(_)) => loss.share(ask.limit)?,
    };
    if limit == 0 {
        return Some(UNKNOWN_WAIT);
    }
    match state {
        State::Window(window) => match window.wait(now, ask.amount, limit) {
            0 => None,
            wait => Some(Duration::from_millis(wait)),
        },
        State::Running(running) => (running.count >= limit).then(|| running.wait()),
    }
}

fn take(ask: &Ask, state: &mut State, now: Millis) {
    match state {
        State::Window(window) => window.take(now, ask.amount),
        State::Running(running) => running.count += 1,
    }
}

fn view(asks: &Asks, states: &mut [MutexGuard<'_, State>], now: Millis) -> RateView {
    let mut view = RateView::default();
    for (ask, state) in asks.iter().zip(states) {
        if let State::Window(window) = &mut **state {
            let remaining = ask.limit.saturating_sub(window.used(now));
            let reset = Duration::from_millis(window.reset(now));
            view.add(ask.kind, Standing { limit: ask.limit, remaining, reset });
        }
    }
    view
}

#[cfg(test)]
mod tests;
