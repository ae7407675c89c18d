//! The one error of the stack, and what a failed attempt is.

pub mod codes;
mod over;

use std::time::Duration;

use serde_json::json;
use weir_adapter::{ErrorKind, InvalidRequest, ProviderError};
use weir_ledger::State;
use weir_wire::openai;

use crate::bound::Unbounded;
use crate::call::Tried;
pub use over::OverBudget;

/// A wait that has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// For the connection.
    Connect,
    /// For the head of the answer.
    FirstByte,
    /// For the first content.
    FirstToken,
    /// Between pieces of content.
    Idle,
    /// For all of it.
    Total,
    /// For a client that does not read.
    Write,
}

impl Wait {
    /// The name in errors and rows.
    pub fn name(self) -> &'static str {
        match self {
            Wait::Connect => "connect",
            Wait::FirstByte => "first_byte",
            Wait::FirstToken => "first_token",
            Wait::Idle => "idle",
            Wait::Total => "total",
            Wait::Write => "write",
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AttemptError {
    /// The provider said so, or sent what is no answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The provider can't be reached: DNS, connect, TLS, reset. The cause is for the log only.
    #[error("{what}")]
    Unreachable {
        /// In a few words that hold no address: `connection refused`.
        what: &'static str,
        /// Whether any byte of the request may have reached the provider.
        sent: bool,
        /// The connection, kept from earlier calls, closed just as this one was sent: another one takes it.
        stale: bool,
    },
    /// A deadline passed.
    #[error("no answer within the {} timeout of {}", .0.name(), humane(*.1))]
    TimedOut(Wait, Duration),
    /// This target can't do what is asked; another may.
    #[error("{message}")]
    Unsupported {
        /// The parameters.
        param: String,
        /// What to change.
        message: String,
    },
    /// No price is known, and the configuration refuses such calls.
    #[error(
        "no price is known for `{0}`, and `unknown_price: block` refuses such calls; set one under `prices.overrides`"
    )]
    UnknownPrice(String),
    /// A hard budget applies, and what the attempt can cost is not known.
    #[error(transparent)]
    Unbounded(#[from] Unbounded),
    /// A budget does not pay for it: the provider's, or the caller's when it has begun.
    #[error(transparent)]
    OverBudget(Box<OverBudget>),
    /// It costs more than the client wants to pay.
    #[error("{0}")]
    MaxCost(String),
    /// The body is wrong, at any target.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The target, or each of its keys, is left alone for so long.
    #[error("left alone after failures for another {}", humane(*.0))]
    Resting(Duration),
    /// The process ends, and its patience with calls under way is over.
    #[error("the gateway is shutting down; ask again")]
    ShuttingDown,
    /// The ledger takes no record: nothing was sent.
    #[error("the ledger has no room for another attempt; its disk may be full, or its database down")]
    LedgerFull,
    /// weir's own fault.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// Seconds as people write them.
fn humane(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}

impl AttemptError {
    /// The state in the attempt's row.
    pub fn state(&self) -> State {
        match self {
            AttemptError::Provider(error) if error.kind == ErrorKind::Truncated => State::UpstreamTruncated,
            AttemptError::Provider(_) | AttemptError::Unreachable { .. } => State::UpstreamError,
            AttemptError::TimedOut(Wait::Connect, _) => State::UpstreamError,
            AttemptError::TimedOut(Wait::Total, _) => State::Deadline,
            AttemptError::TimedOut(..) => State::UpstreamIdleTimeout,
            AttemptError::OverBudget(_) | AttemptError::MaxCost(_) => State::BudgetExhausted,
            AttemptError::Unsupported { .. }
            | AttemptError::UnknownPrice(_)
            | AttemptError::Unbounded(_)
            | AttemptError::Invalid(_)
            | AttemptError::LedgerFull
            | AttemptError::Resting(_)
            | AttemptError::ShuttingDown
            | AttemptError::Internal(_) => State::InternalError,
        }
    }

    /// Whether the provider may have read the request although no head of an answer came back.
    pub fn may_have_been_read(&self) -> bool {
        match self {
            AttemptError::Unreachable { sent, .. } => *sent,
            AttemptError::TimedOut(wait, _) => *wait != Wait::Connect,
            AttemptError::ShuttingDown => true,
            _ => false,
        }
    }

    /// The error's code.
    pub fn code(&self) -> String {
        match self {
            AttemptError::Provider(error) => {
                error.error.code.clone().unwrap_or_else(|| error.kind.words().1.to_owned())
            }
            AttemptError::Unreachable { .. } => "upstream_unreachable".to_owned(),
            AttemptError::TimedOut(..) => "upstream_timeout".to_owned(),
            AttemptError::Unsupported { .. } => "unsupported_parameter".to_owned(),
            AttemptError::UnknownPrice(_) => "unknown_price".to_owned(),
            AttemptError::Unbounded(unbounded) => unbounded.code().to_owned(),
            AttemptError::OverBudget(over) => over.code().to_owned(),
            AttemptError::MaxCost(_) => "max_cost_exceeded".to_owned(),
            AttemptError::LedgerFull => "ledger_full".to_owned(),
            AttemptError::ShuttingDown => "shutting_down".to_owned(),
            AttemptError::Resting(_) => "no_healthy_target".to_owned(),
            AttemptError::Invalid(invalid) => invalid.code.to_owned(),
            AttemptError::Internal(_) => "internal_error".to_owned(),
        }
    }
}

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatewayError {
    /// The request is wrong.
    #[error(transparent)]
    InvalidRequest(#[from] InvalidRequest),
    /// No target can do what is asked.
    #[error("{message}")]
    Unsupported {
        /// The parameters, as JSON paths.
        param: String,
        /// What to change.
        message: String,
    },
    /// No key, or a wrong one.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The key may not.
    #[error("{message}")]
    Forbidden {
        /// `model_not_allowed` or `permission_denied`.
        code: &'static str,
        /// What to change.
        message: String,
    },
    /// Nobody serves this model.
    #[error("{}", unknown_model(.model, .nearest))]
    UnknownModel {
        /// What was asked for.
        model: String,
        /// The nearest names.
        nearest: Vec<String>,
    },
    /// A stored answer was wanted, and there is none.
    #[error("{0}")]
    NotCached(String),
    /// Some other thing that does not exist.
    #[error("{0}")]
    NotFound(String),
    /// What is there does not answer this method.
    #[error("{0}")]
    WrongMethod(String),
    /// It can't be done as things stand.
    #[error("{message}")]
    Conflict {
        /// `already_exists`, `owned_by_file`, `changed_meanwhile`, `revoked`, `in_use`, `idempotency_key_reused`.
        code: &'static str,
        /// What to change.
        message: String,
    },
    /// The body is larger than allowed.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The body came too slowly.
    #[error("the body came at less than {pace} bytes a second; send it faster, or less of it")]
    TooSlow {
        /// Bytes a second.
        pace: u64,
    },
    /// The call came through too many gateways.
    #[error("the call passed {0} gateways: they send it to each other")]
    Loop(u32),
    /// The last attempt's failure, with what was tried.
    #[error("{error}")]
    Attempt {
        /// The failure.
        error: AttemptError,
        /// The provider's name.
        provider: std::sync::Arc<str>,
        /// Each attempt.
        trail: Vec<Tried>,
    },
    /// A limit of the caller's, or of the model, is reached.
    #[error("{message}")]
    RateLimited {
        /// Which limit.
        message: String,
        /// When to come again.
        retry_after: Duration,
    },
    /// A budget of the caller's does not pay for it.
    #[error(transparent)]
    OverBudget(Box<OverBudget>),
    /// It would cost more than the client wants to pay.
    #[error("{0}")]
    MaxCost(String),
    /// No room for another call.
    #[error("{message}")]
    Overloaded {
        /// `overloaded`, `ledger_full`, `no_healthy_target`, `shutting_down`.
        code: &'static str,
        /// What is full.
        message: &'static str,
        /// When to come again.
        retry_after: Duration,
    },
    /// weir's own fault.
    #[error("internal error; the log has the cause")]
    Internal,
}

fn unknown_model(model: &str, nearest: &[String]) -> String {
    let shown: String = model.chars().take(100).collect();
    match nearest {
        [] => format!("the model `{shown}` does not exist; GET /v1/models lists those that do"),
        names => format!(
            "the model `{shown}` does not exist; did you mean {}?",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

impl GatewayError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            GatewayError::InvalidRequest(_) | GatewayError::Unsupported { .. } | GatewayError::Loop(_) => 400,
            GatewayError::Unauthenticated(_) => 401,
            GatewayError::Forbidden { .. } => 403,
            GatewayError::UnknownModel { .. } | GatewayError::NotFound(_) | GatewayError::NotCached(_) => 404,
            GatewayError::WrongMethod(_) => 405,
            GatewayError::Conflict { .. } => 409,
            GatewayError::TooLarge { .. } => 413,
            GatewayError::TooSlow { .. } => 408,
            GatewayError::Attempt { error, .. } => match error {
                AttemptError::Provider(error) => error.status,
                AttemptError::Unreachable { .. } => 502,
                AttemptError::TimedOut(..) => 504,
                AttemptError::Unsupported { .. }
                | AttemptError::UnknownPrice(_)
                | AttemptError::Unbounded(_)
                | AttemptError::MaxCost(_)
                | AttemptError::Invalid(_) => 400,
                AttemptError::OverBudget(over) => over.status(),
                AttemptError::LedgerFull | AttemptError::ShuttingDown | AttemptError::Resting(_) => 503,
                AttemptError::Internal(_) => 500,
            },
            GatewayError::RateLimited { .. } => 429,
            GatewayError::OverBudget(over) => over.status(),
            GatewayError::MaxCost(_) => 400,
            GatewayError::Overloaded { .. } => 503,
            GatewayError::Internal => 500,
        }
    }

    /// Whom to blame.
    pub fn blame(&self) -> &'static str {
        match self {
            GatewayError::Attempt { error: AttemptError::Provider(error), .. } => match error.kind {
                ErrorKind::InvalidRequest
                | ErrorKind::ContextLength
                | ErrorKind::ContentFilter
                | ErrorKind::TooLarge
                | ErrorKind::NotFound => "client",
                _ => "provider",
            },
            GatewayError::Attempt {
                error: AttemptError::Unreachable { .. } | AttemptError::TimedOut(..),
                ..
            } => "provider",
            GatewayError::OverBudget(over)
            | GatewayError::Attempt { error: AttemptError::OverBudget(over), .. }
                if over.unavailable =>
            {
                "gateway"
            }
            GatewayError::Overloaded { .. }
            | GatewayError::Internal
            | GatewayError::Attempt {
                error: AttemptError::Internal(_) | AttemptError::LedgerFull | AttemptError::ShuttingDown,
                ..
            } => "gateway",
            _ => "client",
        }
    }

    /// When to come again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            GatewayError::Overloaded { retry_after, .. } | GatewayError::RateLimited { retry_after, .. } => {
                Some(*retry_after)
            }
            GatewayError::OverBudget(over)
            | GatewayError::Attempt { error: AttemptError::OverBudget(over), .. } => over.retry_after(),
            GatewayError::Attempt {
                error: AttemptError::LedgerFull | AttemptError::ShuttingDown, ..
            } => Some(Duration::from_secs(1)),
            GatewayError::Attempt { error: AttemptError::Provider(error), .. }
                if matches!(error.status, 429 | 503 | 529) =>
            {
                Some(error.retry_after.unwrap_or(Duration::from_secs(1)))
            }
            _ => None,
        }
    }

    /// Whether the client's own retry can help.
    pub fn should_retry(&self) -> bool {
        match self {
            // Whoever comes again is refused again until the budget resets.
            GatewayError::OverBudget(over)
            | GatewayError::Attempt { error: AttemptError::OverBudget(over), .. } => over.unavailable,
            _ => !matches!(self.status(), 400..=407 | 409..=428 | 430..=499),
        }
    }

    /// The error in OpenAI's words, without the `weir` member.
    pub fn words(&self) -> openai::Error {
        let invalid = "invalid_request_error";
        let new = |kind: &str, code: &str| openai::Error::new(kind, code, self.to_string());
        let with = |mut error: openai::Error, param: &str| {
            error.param = Some(param.to_owned());
            error
        };
        match self {
            GatewayError::InvalidRequest(error) => {
                openai::Error { param: error.param.clone(), ..new(invalid, error.code) }
            }
            GatewayError::Unsupported { param, .. } => with(new(invalid, "unsupported_parameter"), param),
            GatewayError::Unauthenticated(_) => new(invalid, "invalid_api_key"),
            GatewayError::Forbidden { code, .. } => new(invalid, code),
            GatewayError::UnknownModel { .. } => with(new(invalid, "model_not_found"), "model"),
            GatewayError::NotFound(_) => new(invalid, "not_found"),
            GatewayError::NotCached(_) => new(invalid, "not_cached"),
            GatewayError::WrongMethod(_) => new(invalid, "method_not_allowed"),
            GatewayError::Conflict { code, .. } => new(invalid, code),
            GatewayError::TooLarge { .. } => new(invalid, "request_too_large"),
            GatewayError::TooSlow { .. } => new(invalid, "request_timeout"),
            GatewayError::Loop(_) => new(invalid, "gateway_loop"),
            GatewayError::Attempt { error, trail, .. } => attempt_words(error, trail.len()),
            GatewayError::RateLimited { .. } => new("rate_limit_error", "rate_limit_exceeded"),
            GatewayError::OverBudget(over) => over.words(),
            GatewayError::MaxCost(_) => new(invalid, "max_cost_exceeded"),
            GatewayError::Overloaded { code, .. } => new("server_error", code),
            GatewayError::Internal => new("server_error", "internal_error"),
        }
    }

    /// The error in OpenAI's words, with whom to blame and what was tried.
    pub fn body(&self) -> openai::Error {
        let mut words = self.words();
        let mut weir = json!({ "blame": self.blame() });
        if let GatewayError::Attempt { error, provider, trail } = self {
            weir["provider"] = json!(provider);
            weir["attempts"] = json!(trail);
            if let AttemptError::TimedOut(wait, _) = error {
                weir["timeout"] = json!(wait);
            }
        }
        words.weir = Some(weir);
        words
    }
}

/// One attempt that failed speaks for itself; after several, the code says that all did.
fn attempt_words(error: &AttemptError, tried: usize) -> openai::Error {
    let mut words = match error {
        AttemptError::Provider(error) => error.error.clone(),
        AttemptError::Invalid(invalid) => {
            let error = openai::Error::new("invalid_request_error", invalid.code, invalid.to_string());
            openai::Error { param: invalid.param.clone(), ..error }
        }
        AttemptError::Unsupported { param, .. } => {
            let error =
                openai::Error::new("invalid_request_error", "unsupported_parameter", error.to_string());
            openai::Error { param: Some(param.clone()), ..error }
        }
        AttemptError::OverBudget(over) => over.words(),
        AttemptError::MaxCost(_) | AttemptError::Unbounded(_) | AttemptError::UnknownPrice(_) => {
            openai::Error::new("invalid_request_error", &error.code(), error.to_string())
        }
        AttemptError::LedgerFull | AttemptError::ShuttingDown | AttemptError::Resting(_) => {
            return openai::Error::new("server_error", &error.code(), error.to_string());
        }
        AttemptError::Internal(_) => {
            return openai::Error::new(
                "server_error",
                "internal_error",
                "internal error; the log has the cause",
            );
        }
        _ => openai::Error::new(
            "upstream_error",
            &error.code(),
            format!("the provider gave no answer: {error}"),
        ),
    };
    if tried > 1 && words.kind == "upstream_error" {
        words.message = format!("all {tried} attempts failed; the last: {}", words.message);
        words.code = Some("all_targets_failed".to_owned());
    }
    words
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
