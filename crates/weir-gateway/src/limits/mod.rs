//! Limits: how much may be called in a minute, in a day, and at the same time, by a key, a team, an end user, and of a
//! model.
//!
//! A [`Limiter`] counts in this process, exactly. Where several replicas share their limits, a [`Shared`] store decides,
//! and the process's own counts are what it falls back on.

mod admission;
mod counter;
mod limiter;
mod shared;
mod window;

pub use admission::{Admission, RateView, Standing};
pub use counter::Kind;
pub use limiter::{Limiter, Refusal};
pub use shared::{Answer, Loss, Push, Shared, Taken, Verdict};
pub use window::{Millis, Unshared, Window};

/// How much may be called. What is `None` is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Calls in any 60 seconds.
    pub requests_per_minute: Option<u64>,
    /// Calls in any 24 hours.
    pub requests_per_day: Option<u64>,
    /// Tokens in any 60 seconds.
    pub tokens_per_minute: Option<u64>,
    /// Tokens in any 24 hours.
    pub tokens_per_day: Option<u64>,
    /// Calls at the same time.
    pub concurrency: Option<u64>,
}

/// Whose limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A key's.
    Key,
    /// A team's: of all its keys together.
    Team,
    /// An end user's.
    User,
    /// A public name's: of everybody together.
    Model,
}

impl Scope {
    /// The name in metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Key => "key",
            Scope::Team => "team",
            Scope::User => "user",
            Scope::Model => "model",
        }
    }
}

/// One limit that a call meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Whose limit.
    pub scope: Scope,
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// Of what.
    pub kind: Kind,
    /// How much is allowed.
    pub limit: u64,
    /// How much the call takes.
    pub amount: u64,
}

/// The limits that a call meets, in the order of scopes and kinds: the order in which counters are locked.
pub type Asks = smallvec::SmallVec<[Ask; 6]>;

impl Limits {
    /// The limits as written; `None` where nothing is limited.
    pub fn of(written: Option<&weir_config::Limits>) -> Option<Limits> {
        let written = written?;
        let limits = Limits {
            requests_per_minute: written.requests_per_minute,
            requests_per_day: written.requests_per_day,
            tokens_per_minute: written.tokens_per_minute,
            tokens_per_day: written.tokens_per_day,
            concurrency: written.concurrency,
        };
        (limits != Limits::default()).then_some(limits)
    }

    /// These, and where they say nothing, those.
    pub fn or(self, others: Limits) -> Limits {
        Limits {
            requests_per_minute: self.requests_per_minute.or(others.requests_per_minute),
            requests_per_day: self.requests_per_day.or(others.requests_per_day),
            tokens_per_minute: self.tokens_per_minute.or(others.tokens_per_minute),
            tokens_per_day: self.tokens_per_day.or(others.tokens_per_day),
            concurrency: self.concurrency.or(others.concurrency),
        }
    }

    /// The limit of a kind.
    pub fn get(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::RequestsPerMinute => self.requests_per_minute,
            Kind::RequestsPerDay => self.requests_per_day,
            Kind::TokensPerMinute => self.tokens_per_minute,
            Kind::TokensPerDay => self.tokens_per_day,
            Kind::Concurrency => self.concurrency,
        }
    }

    /// Whether tokens are limited.
    pub fn counts_tokens(&self) -> bool {
        self.tokens_per_minute.is_some() || self.tokens_per_day.is_some()
    }

    /// Adds what a call of `tokens` (an estimate) asks of these limits. An estimate above a whole limit asks for all
    /// of it: the truth corrects it, and no call waits for what can never be.
    pub fn ask(&self, scope: Scope, name: &std::sync::Arc<str>, tokens: u64, asks: &mut Asks) {
        for kind in Kind::ALL {
            if let Some(limit) = self.get(kind) {
                let amount = if kind.is_tokens() { tokens.min(limit) } else { 1 };
                asks.push(Ask { scope, name: name.clone(), kind, limit, amount });
            }
        }
    }
}
