//! What authorizes weir at a provider.

use std::fmt;
use std::sync::Arc;

/// A provider's key. Prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its name in rows and metrics: never the key itself.
    pub name: Arc<str>,
    secret: String,
}

impl Credential {
    /// A key under a name.
    pub fn new(name: impl Into<Arc<str>>, secret: impl Into<String>) -> Credential {
        Credential { name: name.into(), secret: secret.into() }
    }

    /// The key itself, to be written into a request's head and nowhere else.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Whether there is no key: a local server needs none.
    pub fn is_empty(&self) -> bool {
        self.secret.is_empty()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, [redacted])", self.name)
    }
}
