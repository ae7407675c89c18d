//! What authorizes weir at a provider.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

/// A provider's key, or what a chain of credentials renews. Prints as `[redacted]`.
#[derive(Clone)]
pub struct Credential {
    /// Its name in rows and metrics: never the key itself.
    pub name: Arc<str>,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Key(String),
    Renewed(Arc<Renewed>),
}

/// What a request is authorized with.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A key or a token that stands on the request as it is.
    Bearer(String),
    /// Keys that sign the request, as AWS has them.
    Aws {
        /// Which keys: not secret.
        access_key: String,
        /// Signs, and is sent nowhere.
        secret_key: String,
        /// Goes with keys that end.
        session_token: Option<String>,
    },
}

/// A credential that ends and is replaced, ahead of its end, by whoever found it.
#[derive(Default)]
pub struct Renewed {
    now: RwLock<Option<Held>>,
    /// How many there were: which one a request was authorized with.
    count: AtomicU64,
}

#[derive(Clone)]
struct Held {
    identity: Arc<Identity>,
    ends: Option<SystemTime>,
}

impl Credential {
    /// A key under a name.
    pub fn new(name: impl Into<Arc<str>>, secret: impl Into<String>) -> Credential {
        Credential { name: name.into(), secret: Secret::Key(secret.into()) }
    }

    /// What is renewed, under a name.
    pub fn renewed(name: impl Into<Arc<str>>, renewed: Arc<Renewed>) -> Credential {
        Credential { name: name.into(), secret: Secret::Renewed(renewed) }
    }

    /// The key or token itself, to be written into a request's head and nowhere else. `None` where there is none now, or
    /// where requests are signed instead.
    pub fn bearer(&self) -> Option<Cow<'_, str>> {
        match &self.secret {
            Secret::Key(key) => Some(Cow::Borrowed(key)),
            Secret::Renewed(renewed) => match &*renewed.identity()? {
                Identity::Bearer(token) => Some(Cow::Owned(token.clone())),
                Identity::Aws { .. } => None,
            },
        }
    }

    /// What it is in whichever form; `None` where there is none now.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        match &self.secret {
            Secret::Key(key) => Some(Arc::new(Identity::Bearer(key.clone()))),
            Secret::Renewed(renewed) => renewed.identity(),
        }
    }

    /// Whether it is renewed: no key, but what a chain found.
    pub fn is_renewed(&self) -> bool {
        matches!(self.secret, Secret::Renewed(_))
    }

    /// Whether there is no key: a local server needs none.
    pub fn is_empty(&self) -> bool {
        matches!(&self.secret, Secret::Key(key) if key.is_empty())
    }
}

impl Renewed {
    /// Replaces it. Without an end it holds until it is replaced again.
    pub fn set(&self, identity: Identity, ends: Option<SystemTime>) {
        let held = Held { identity: Arc::new(identity), ends };
        *self.now.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(held);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// How often it was set.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether there is one that has not ended at `now`.
    pub fn holds(&self, now: SystemTime) -> bool {
        self.held().is_some_and(|held| held.ends.is_none_or(|end| now < end))
    }

    fn identity(&self) -> Option<Arc<Identity>> {
        self.held().map(|held| held.identity)
    }

    fn held(&self) -> Option<Held> {
        self.now.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, [redacted])", self.name)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity([redacted])")
    }
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewed([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_renewed_changes_under_its_name() {
        let renewed = Arc::new(Renewed::default());
        let credential = Credential::renewed("chain", renewed.clone());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        assert!(!renewed.holds(now) && !credential.is_empty());
        assert!(credential.bearer().is_none() && credential.identity().is_none());
        renewed.set(Identity::Bearer("one".to_owned()), Some(now + Duration::from_secs(1)));
        assert!(renewed.holds(now) && !renewed.holds(now + Duration::from_secs(1)));
        renewed.set(Identity::Bearer("two".to_owned()), None);
        assert_eq!(credential.bearer().as_deref(), Some("two"));
        assert!(renewed.holds(now + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn no_secret_is_printed() {
        let keys = Identity::Aws { access_key: "a".into(), secret_key: "s3cret".into(), session_token: None };
        let renewed = Arc::new(Renewed::default());
        renewed.set(keys.clone(), None);
        let credential = Credential::renewed("c", renewed.clone());
        let printed = format!("{keys:?} {renewed:?} {credential:?} {:?}", Credential::new("k", "s3cret"));
        assert!(!printed.contains("s3cret"), "{printed}");
        assert!(credential.bearer().is_none(), "keys that sign are no bearer");
    }
}
