//! AWS's usual chain: variables, profiles (also assumed roles and SSO), web identities, containers, instances.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::OnceCell;
use weir_adapter::credential::Identity;

use super::renewal::{Found, Resolve};

/// How long one search may take: an instance's own service is asked last, and is slow to be missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// The chain, as it stands for this region.
pub(super) fn chain(region: String) -> Resolve {
    let region = Region::new(region);
    let chain: Arc<OnceCell<SharedCredentialsProvider>> = Arc::default();
    Box::new(move || {
        let (region, chain) = (region.clone(), chain.clone());
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, find(region, &chain)).await {
                Ok(found) => found,
                Err(_) => Err(format!("AWS's chain of credentials did not answer within {PATIENCE:?}")),
            }
        })
    })
}

async fn find(region: Region, chain: &OnceCell<SharedCredentialsProvider>) -> Result<Found, String> {
    let load = || async move {
        let config = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
        config
            .credentials_provider()
            .ok_or_else(|| "AWS's configuration has no chain of credentials".to_owned())
    };
    let provider = chain.get_or_try_init(load).await?;
    let found = provider.provide_credentials().await.map_err(|error| {
        let causes =
            std::iter::successors(Some(&error as &(dyn std::error::Error + 'static)), |cause| cause.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    })?;
    let identity = Identity::Aws {
        access_key: found.access_key_id().to_owned(),
        secret_key: found.secret_access_key().to_owned(),
        session_token: found.session_token().map(str::to_owned),
    };
    Ok(Found { identity, ends: found.expiry() })
}
