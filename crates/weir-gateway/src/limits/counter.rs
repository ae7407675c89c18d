//! What is counted for one limit of one key, team, user or model.

use std::time::Duration;

use parking_lot::Mutex;

use super::window::{Millis, Window};

/// A limit's unit and span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Calls in any 60 seconds.
    RequestsPerMinute,
    /// Calls in any 24 hours.
    RequestsPerDay,
    /// Tokens in any 60 seconds.
    TokensPerMinute,
    /// Tokens in any 24 hours.
    TokensPerDay,
    /// Calls at the same time.
    Concurrency,
}

const MINUTE: Millis = 60_000;
const DAY: Millis = 86_400_000;

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [
        Kind::RequestsPerMinute,
        Kind::RequestsPerDay,
        Kind::TokensPerMinute,
        Kind::TokensPerDay,
        Kind::Concurrency,
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Kind::RequestsPerMinute => "requests_per_minute",
            Kind::RequestsPerDay => "requests_per_day",
            Kind::TokensPerMinute => "tokens_per_minute",
            Kind::TokensPerDay => "tokens_per_day",
            Kind::Concurrency => "concurrency",
        }
    }

    /// In a sentence, behind a number.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Kind::RequestsPerMinute => "requests per minute",
            Kind::RequestsPerDay => "requests per day",
            Kind::TokensPerMinute => "tokens per minute",
            Kind::TokensPerDay => "tokens per day",
            Kind::Concurrency => "requests at the same time",
        }
    }

    /// How long something counts; `None` for what counts while it runs.
    pub fn span(self) -> Option<Millis> {
        match self {
            Kind::RequestsPerMinute | Kind::TokensPerMinute => Some(MINUTE),
            Kind::RequestsPerDay | Kind::TokensPerDay => Some(DAY),
            Kind::Concurrency => None,
        }
    }

    /// Whether tokens are counted.
    pub fn is_tokens(self) -> bool {
        matches!(self, Kind::TokensPerMinute | Kind::TokensPerDay)
    }
}

/// The counters of one key, team, user or model, one for each kind.
#[derive(Debug)]
pub struct Counters([Mutex<State>; Kind::ALL.len()]);

/// What it holds.
#[derive(Debug)]
pub(super) enum State {
    /// What counts for a span.
    Window(Window),
    /// What counts while it runs.
    Running(Running),
}

/// Calls under way.
#[derive(Debug)]
pub(super) struct Running {
    pub count: u64,
    /// How long such calls take, a moving average.
    average: Duration,
}

/// The shortest and longest wait that is told where only a guess is possible.
const GUESS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The guess without any experience.
const FIRST_GUESS: Duration = Duration::from_secs(5);

impl Running {
    pub fn ended(&mut self, after: Duration) {
        self.count = self.count.saturating_sub(1);
        self.average = (self.average * 7 + after) / 8;
    }

    /// When one of those under way has ended, by experience: all but sure after twice the average.
    pub fn wait(&self) -> Duration {
        (self.average * 2).clamp(GUESS.0, GUESS.1)
    }
}

impl Counters {
    /// Empty ones.
    pub(super) fn new() -> Counters {
        Counters(Kind::ALL.map(|kind| {
            Mutex::new(match kind.span() {
                Some(span) => State::Window(Window::new(span)),
                None => State::Running(Running { count: 0, average: FIRST_GUESS / 2 }),
            })
        }))
    }

    /// That of a kind.
    pub(super) fn of(&self, kind: Kind) -> &Mutex<State> {
        &self.0[kind as usize]
    }

    /// Whether nothing counts.
    pub(super) fn is_idle(&self, now: Millis) -> bool {
        self.0.iter().all(|state| match &mut *state.lock() {
            State::Window(window) => window.used(now) == 0,
            State::Running(running) => running.count == 0,
        })
    }
}
