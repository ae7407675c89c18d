//! One provider, ready to be called.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use weir_adapter::{Adapter, Descriptor};

use crate::credentials::{Chain, Credentials};
use crate::routing::health::Book;
use crate::upstream::Upstream;

/// One provider, ready to be called. Kept over a reload that leaves its entry as it was, with its connections.
pub struct Provider {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The descriptor's name.
    pub kind: Arc<str>,
    /// What it is like.
    pub descriptor: Descriptor,
    /// Its dialect.
    pub adapter: Arc<dyn Adapter>,
    /// Where it is.
    pub upstream: Upstream,
    /// Its keys.
    pub credentials: Credentials,
    /// What finds and renews its credential, where that is no key.
    pub chain: Option<Arc<dyn Chain>>,
    /// How each of its models does.
    pub health: Book,
    /// Headers that go with each request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its entry as written, to tell whether a reload changed it.
    pub(crate) entry: weir_config::Provider,
    /// How long a connection may take.
    pub(super) connect_timeout: std::time::Duration,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}
