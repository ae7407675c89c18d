//! What went wrong, grouped by cause: class, provider, and the shape of the message. No message is kept as it came: it
//! may repeat what the client sent, or a key.

mod shape;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use weir_ledger::{CallId, Micros};

use crate::call::Call;
use crate::dispatch::Failed;
use crate::error::{AttemptError, GatewayError};
use crate::layers::record::now_micros;
use crate::reply::Outcome;
pub use shape::shape;

/// How many causes are told apart; then the one that was not seen for longest is forgotten.
const MOST: usize = 500;

/// Everything that went wrong in this process, by cause.
#[derive(Default)]
pub struct Errors(Mutex<HashMap<u64, Group>>);

/// One cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The same for the same cause, in each process.
    pub fingerprint: u64,
    /// What kind of error: a code of weir's.
    pub class: String,
    /// Whose.
    pub provider: Option<Arc<str>>,
    /// The message, without anything of the client's.
    pub shape: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Micros,
    /// When last.
    pub last: Micros,
    /// The last one.
    pub sample: Sample,
}

/// One call that an error met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The call.
    pub call: CallId,
    /// The client's id of it.
    pub request_id: Arc<str>,
    /// The key's name.
    pub key: Arc<str>,
    /// What was asked for.
    pub route: Arc<str>,
    /// The provider's status, or the client's where no provider was asked.
    pub status: Option<u16>,
}

impl Errors {
    /// All causes, the one seen last first.
    pub fn list(&self) -> Vec<Group> {
        let mut all: Vec<Group> = self.0.lock().values().cloned().collect();
        all.sort_by(|one, other| other.last.cmp(&one.last).then(one.fingerprint.cmp(&other.fingerprint)));
        all
    }

    /// An attempt gave nothing.
    pub(crate) fn failed(&self, call: &Call, provider: &Arc<str>, failed: &Failed) {
        let (class, status) = match &failed.error {
            AttemptError::Provider(error) => (error.kind.words().1.to_owned(), Some(error.status)),
            other => (other.code(), None),
        };
        let status = failed.outcome.as_ref().and_then(|outcome| outcome.upstream_status).or(status);
        self.add(class, Some(provider), &failed.error.to_string(), call, status);
    }

    /// An answer that had begun broke.
    pub(crate) fn broke(&self, call: &Call, provider: &Arc<str>, outcome: &Outcome) {
        let class = outcome.state.name().to_owned();
        let reason = outcome.reason.unwrap_or("the answer broke after it had begun");
        self.add(class, Some(provider), reason, call, outcome.upstream_status);
    }

    /// A call was refused without any attempt: those of attempts are known already.
    pub(crate) fn refused(&self, call: &Call, error: &GatewayError) {
        if matches!(error, GatewayError::Attempt { .. }) {
            return;
        }
        let class = error.words().code.unwrap_or_else(|| "refused".into());
        self.add(class, None, &error.to_string(), call, Some(error.status()));
    }

    fn add(
        &self,
        class: String,
        provider: Option<&Arc<str>>,
        message: &str,
        call: &Call,
        status: Option<u16>,
    ) {
        let shape = shape(message);
        let fingerprint = fingerprint(&class, provider.map_or("", |name| name), &shape);
        let now = now_micros(call, Instant::now());
        let facts = &call.facts;
        let sample = Sample {
            call: call.id,
            request_id: facts.request_id.clone(),
            key: facts.key.clone(),
            route: facts.route.clone(),
            status,
        };
        let mut groups = self.0.lock();
        if let Some(group) = groups.get_mut(&fingerprint) {
            group.count += 1;
            group.last = group.last.max(now);
            group.sample = sample;
            return;
        }
        if groups.len() >= MOST {
            let oldest = groups.values().min_by_key(|group| group.last).map(|group| group.fingerprint);
            if let Some(oldest) = oldest {
                groups.remove(&oldest);
            }
        }
        let provider = provider.cloned();
        let group = Group { fingerprint, class, provider, shape, count: 1, first: now, last: now, sample };
        groups.insert(fingerprint, group);
    }
}

/// FNV-1a: it is the same in each process and each version.
fn fingerprint(class: &str, provider: &str, shape: &str) -> u64 {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    (class, provider, shape).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_stays_the_same() {
        let of = |class, provider, message: &str| fingerprint(class, provider, &shape(message));
        assert_eq!(of("server_error", "openai", "the server had an error: id req_1a2b3c4d5e6f"), {
            of("server_error", "openai", "the server had an error: id req_9z8y7x6w5v4u")
        });
        assert_ne!(of("server_error", "openai", "overloaded"), of("server_error", "azure", "overloaded"));
        assert_ne!(of("server_error", "openai", "overloaded"), of("rate_limit", "openai", "overloaded"));
    }
}
