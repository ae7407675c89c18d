//! What went wrong at a provider, in OpenAI's words, and whether trying again can help.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use weir_wire::{Usage, openai};

use crate::wait;

/// What kind of failure it was. Routes name these in `fallback_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: 400, 409, 415, 422, ….
    InvalidRequest,
    /// The provider refuses weir's key: 401, 402, 403.
    Auth,
    /// No such model or path: 404.
    NotFound,
    /// Body too large: 413.
    TooLarge,
    /// Prompt and limit don't fit the model's window.
    ContextLength,
    /// A content filter stopped it.
    ContentFilter,
    /// Too many requests or tokens: 429.
    RateLimit,
    /// The account's quota is used up: 429 that no waiting helps, 402.
    Quota,
    /// No capacity: 503, 529.
    Overloaded,
    /// The provider gave up waiting: 408, 504.
    Timeout,
    /// Any other 5xx.
    Server,
    /// A reply that is no reply: not JSON, wrong shape, oversized, wrong encoding.
    Nonsense,
    /// A reply without an answer.
    Empty,
    /// A stream that ended before it was complete.
    Truncated,
}

/// Whether and where another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// At the same target and at once: what was wrong has been replaced since.
    AtOnce,
    /// At the same target, after a pause.
    Here,
    /// At another target only.
    Elsewhere,
    /// Nowhere.
    Never,
}

/// A failure of a provider, as the client may see it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind:?} ({status}): {}", error.message)]
pub struct ProviderError {
    /// What kind.
    pub kind: ErrorKind,
    /// The status for the client: the provider's for 4xx and 5xx, 502 for its 401, 402, 403, 3xx and nonsense.
    pub status: u16,
    /// Message, type, code and parameter in OpenAI's words; holds no secret of weir's.
    pub error: openai::Error,
    /// Whether another try can help.
    pub retry: Retry,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// What the failed call used, where the provider says so.
    pub usage: Option<Usage>,
}

impl ErrorKind {
    /// By status alone.
    pub fn of_status(status: u16) -> ErrorKind {
        match status {
            401..=403 => ErrorKind::Auth,
            404 => ErrorKind::NotFound,
            408 | 504 => ErrorKind::Timeout,
            413 => ErrorKind::TooLarge,
            429 => ErrorKind::RateLimit,
            503 | 529 => ErrorKind::Overloaded,
            400..=499 => ErrorKind::InvalidRequest,
            500..=599 => ErrorKind::Server,
            _ => ErrorKind::Nonsense,
        }
    }

    /// Whether another try can help.
    pub fn retry(self) -> Retry {
        match self {
            ErrorKind::RateLimit
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Server
            | ErrorKind::Nonsense
            | ErrorKind::Empty
            | ErrorKind::Truncated => Retry::Here,
            ErrorKind::Auth
            | ErrorKind::Quota
            | ErrorKind::NotFound
            | ErrorKind::ContextLength
            | ErrorKind::ContentFilter
            | ErrorKind::TooLarge => Retry::Elsewhere,
            ErrorKind::InvalidRequest => Retry::Never,
        }
    }

    /// OpenAI's `type`, and weir's `code` where the provider has none.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            ErrorKind::InvalidRequest => ("invalid_request_error", "invalid_request"),
            ErrorKind::Auth => ("upstream_error", "upstream_auth"),
            ErrorKind::NotFound => ("invalid_request_error", "model_not_found"),
            ErrorKind::TooLarge => ("invalid_request_error", "request_too_large"),
            ErrorKind::ContextLength => ("invalid_request_error", "context_length_exceeded"),
            ErrorKind::ContentFilter => ("invalid_request_error", "content_filter"),
            ErrorKind::RateLimit => ("rate_limit_error", "rate_limit_exceeded"),
            ErrorKind::Quota => ("upstream_error", "upstream_quota"),
            ErrorKind::Overloaded => ("upstream_error", "upstream_overloaded"),
            ErrorKind::Timeout => ("upstream_error", "upstream_timeout"),
            ErrorKind::Server => ("upstream_error", "upstream_error"),
            ErrorKind::Nonsense => ("upstream_error", "upstream_invalid_response"),
            ErrorKind::Empty => ("upstream_error", "upstream_empty_response"),
            ErrorKind::Truncated => ("upstream_error", "upstream_truncated"),
        }
    }
}

impl ProviderError {
    /// A failure that the provider reported with `status`. The client's status, the words and the retry follow from
    /// the kind; an adapter then puts the provider's own code and parameter in where OpenAI's clients know them.
    pub fn reported(kind: ErrorKind, status: u16, message: impl Into<String>) -> ProviderError {
        let status = match (kind, status) {
            (ErrorKind::Auth | ErrorKind::Quota, _) => 502,
            (_, 400..=599) => status,
            (ErrorKind::RateLimit, _) => 429,
            (ErrorKind::Overloaded, _) => 503,
            (ErrorKind::Timeout, _) => 504,
            (ErrorKind::InvalidRequest | ErrorKind::ContextLength | ErrorKind::ContentFilter, _) => 400,
            (ErrorKind::NotFound, _) => 404,
            (ErrorKind::TooLarge, _) => 413,
            _ => 502,
        };
        let (kind_word, code) = kind.words();
        let error = openai::Error::new(kind_word, code, message);
        ProviderError { kind, status, error, retry: kind.retry(), retry_after: None, usage: None }
    }

    /// A reply that is no reply.
    pub fn nonsense(message: impl Into<String>) -> ProviderError {
        ProviderError::reported(ErrorKind::Nonsense, 502, message)
    }

    /// A stream that ended too early.
    pub fn truncated() -> ProviderError {
        ProviderError::reported(
            ErrorKind::Truncated,
            502,
            "the provider ended the stream before the answer was complete",
        )
    }

    /// A reply without an answer.
    pub fn empty() -> ProviderError {
        ProviderError::reported(ErrorKind::Empty, 502, "the provider answered without an answer")
    }

    /// Takes in how long the reply's headers ask to wait: outright, or, where the call was throttled, by when a limit
    /// resets. What the body said stays if it is longer: who comes too early is sent away again.
    pub fn asked_to_wait(&mut self, headers: &HeaderMap, now: SystemTime) {
        use ErrorKind::{Auth, Overloaded, Quota, RateLimit, Server, Timeout};
        if !matches!(self.kind, Auth | Overloaded | Quota | RateLimit | Server | Timeout) {
            return;
        }
        self.retry_after = self.retry_after.max(wait::retry_after(headers, now));
        if self.retry_after.is_none() && self.kind == RateLimit {
            self.retry_after = wait::limits_reset(headers, now);
        }
    }

    /// With the provider's own code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> ProviderError {
        self.error.code = Some(code.into());
        self
    }

    /// With the parameter that is wrong.
    #[must_use]
    pub fn param(mut self, param: Option<String>) -> ProviderError {
        self.error.param = param;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_throttled_looks_at_limits_and_the_longest_wait_counts() {
        let check = |kind, own: Option<u64>, list: &[(&'static str, &'static str)], want: Option<u64>| {
            let headers = list.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            });
            let mut error = ProviderError::reported(kind, 429, "x");
            error.retry_after = own.map(Duration::from_secs);
            error.asked_to_wait(&headers.collect(), SystemTime::UNIX_EPOCH);
            assert_eq!(error.retry_after, want.map(Duration::from_secs), "{kind:?} {own:?} {list:?}");
        };
        let (after, resets) = (("retry-after", "3"), ("x-ratelimit-reset-requests", "6m0s"));
        check(ErrorKind::RateLimit, None, &[after, resets], Some(3));
        check(ErrorKind::RateLimit, None, &[resets], Some(360));
        // Gemini's body says it, too.
        check(ErrorKind::RateLimit, Some(34), &[after], Some(34));
        check(ErrorKind::RateLimit, Some(2), &[after, resets], Some(3));
        check(ErrorKind::Overloaded, None, &[resets], None);
        check(ErrorKind::Overloaded, None, &[after], Some(3));
        check(ErrorKind::InvalidRequest, None, &[after, resets], None);
    }

    #[test]
    fn a_providers_401_is_not_the_clients() {
        assert_eq!(ProviderError::reported(ErrorKind::of_status(401), 401, "x").status, 502);
        assert_eq!(ProviderError::reported(ErrorKind::of_status(429), 429, "x").status, 429);
        assert_eq!(ProviderError::reported(ErrorKind::of_status(301), 301, "x").status, 502);
        assert_eq!(ProviderError::reported(ErrorKind::RateLimit, 200, "x").status, 429);
    }
}
