//! Credentials that no file has: found by a cloud's own chain, renewed ahead of their end.

#[cfg(feature = "bedrock")]
mod aws;
#[cfg(feature = "vertex")]
mod google;
mod renewal;

use std::sync::Arc;

use weir_adapter::Descriptor;
use weir_adapter::descriptor::Auth;
use weir_gateway::credentials::{Chain, Chains};

/// The chains that are built into this binary.
pub struct Identities;

impl Chains for Identities {
    fn open(&self, descriptor: &Descriptor) -> Option<Arc<dyn Chain>> {
        match descriptor.auth {
            #[cfg(feature = "bedrock")]
            Auth::Aws => Some(renewal::Renewal::open(aws::chain(descriptor.region.clone()?))),
            #[cfg(feature = "vertex")]
            Auth::Google => Some(renewal::Renewal::open(google::chain())),
            _ => None,
        }
    }
}
