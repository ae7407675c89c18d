//! A budget that does not pay for a call.

use std::time::Duration;

use weir_wire::openai;

/// A budget that does not pay for a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OverBudget {
    /// Which, how much, when it resets, and whom to ask.
    pub message: String,
    /// When it pays again; `None`: never by itself.
    pub resets_in: Option<Duration>,
    /// Whether it is a provider's: another target may do.
    pub of_provider: bool,
    /// Whether nobody can say what is left: the store is out of reach.
    pub unavailable: bool,
}

impl OverBudget {
    pub(super) fn status(&self) -> u16 {
        if self.unavailable { 503 } else { 429 }
    }

    pub(super) fn code(&self) -> &'static str {
        if self.unavailable { "budget_unavailable" } else { "insufficient_quota" }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        if self.unavailable { Some(Duration::from_secs(1)) } else { self.resets_in }
    }

    pub(super) fn words(&self) -> openai::Error {
        let kind = if self.unavailable { "server_error" } else { "insufficient_quota" };
        openai::Error::new(kind, self.code(), self.message.clone())
    }
}
