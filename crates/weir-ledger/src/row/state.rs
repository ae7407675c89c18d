//! The closed sets of words that rows use.

use serde::{Deserialize, Serialize};

/// Makes an enum whose variants have a name (in rows, JSON and metrics) and a number (in the spool).
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant = $number),+
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word in rows, JSON and metrics.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// The one that `name` names.
            pub fn from_name(name: &str) -> Option<$name> {
                match name { $($word => Some($name::$variant),)+ _ => None }
            }

            pub(crate) fn from_number(number: u8) -> Option<$name> {
                match number { $($number => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

words! {
    /// How an attempt ended.
    State {
        /// The provider answered to the end.
        Ok = 0 "ok",
        /// The provider refused, failed or could not be reached.
        UpstreamError = 1 "upstream_error",
        /// The answer stopped without its end marker.
        UpstreamTruncated = 2 "upstream_truncated",
        /// The answer stalled longer than allowed.
        UpstreamIdleTimeout = 3 "upstream_idle_timeout",
        /// The client left.
        ClientGone = 4 "client_gone",
        /// Cut because the budget was spent.
        BudgetExhausted = 5 "budget_exhausted",
        /// The call's time was up.
        Deadline = 6 "deadline",
        /// weir failed.
        InternalError = 7 "internal_error",
        /// Found open after a crash.
        Orphaned = 8 "orphaned",
        /// Cut, since another attempt of the same call began to answer first. Never a call's last.
        Superseded = 9 "superseded",
    }
}

words! {
    /// How a call ended.
    End {
        /// The client got the whole answer.
        Complete = 0 "complete",
        /// The client left.
        ClientGone = 1 "client_gone",
        /// The provider failed.
        ProviderError = 2 "provider_error",
        /// A deadline passed.
        Timeout = 3 "timeout",
        /// Cut because the budget was spent.
        Cut = 4 "cut",
        /// Refused before any attempt.
        Refused = 5 "refused",
        /// weir failed.
        GatewayError = 6 "gateway_error",
        /// Found open after a crash.
        Orphaned = 7 "orphaned",
    }
}

words! {
    /// Where the counts of a row come from.
    UsageSource {
        /// The provider said so.
        Reported = 0 "reported",
        /// Counted from what was seen.
        Estimated = 1 "estimated",
        /// Nothing was seen; the upper bound was charged.
        Bound = 2 "bound",
        /// Nothing is known, or nothing was used.
        None = 3 "none",
    }
}

words! {
    /// What the cache did for a call.
    Cache {
        /// Not asked.
        Off = 0 "off",
        /// Asked, without an answer.
        Miss = 1 "miss",
        /// The same request was answered before.
        Hit = 2 "hit",
        /// A similar request was answered before.
        SemanticHit = 3 "semantic-hit",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that makes the words knows no default")]
impl Default for Cache {
    fn default() -> Cache {
        Cache::Off
    }
}

impl State {
    /// How a call ends whose last attempt ended so.
    pub fn end(self) -> End {
        match self {
            State::Ok => End::Complete,
            State::UpstreamError | State::UpstreamTruncated => End::ProviderError,
            State::UpstreamIdleTimeout | State::Deadline => End::Timeout,
            State::ClientGone | State::Superseded => End::ClientGone,
            State::BudgetExhausted => End::Cut,
            State::InternalError => End::GatewayError,
            State::Orphaned => End::Orphaned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_end() {
        let ends: Vec<_> = State::ALL.iter().map(|state| (state.name(), state.end().name())).collect();
        let expected = [
            ("ok", "complete"),
            ("upstream_error", "provider_error"),
            ("upstream_truncated", "provider_error"),
            ("upstream_idle_timeout", "timeout"),
            ("client_gone", "client_gone"),
            ("budget_exhausted", "cut"),
            ("deadline", "timeout"),
            ("internal_error", "gateway_error"),
            ("orphaned", "orphaned"),
            ("superseded", "client_gone"),
        ];
        assert_eq!(ends, expected);
    }

    #[test]
    fn words_and_numbers_name_the_same() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(*state));
            assert_eq!(State::from_number(*state as u8), Some(*state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        assert_eq!((State::from_number(10), State::from_name("OK")), (None, None));
        assert_eq!(Cache::from_name("semantic-hit"), Some(Cache::SemanticHit));
    }
}
