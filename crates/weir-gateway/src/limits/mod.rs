//! Limits: how much may be called in a minute, in a day, and at the same time.

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
}
