//! Google's usual chain: a file that `GOOGLE_APPLICATION_CREDENTIALS` names (service accounts, workload identity), what
//! gcloud left, the metadata server.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use google_cloud_auth::credentials::{AccessTokenCredentials, Builder};
use tokio::sync::OnceCell;
use weir_adapter::credential::Identity;

use super::renewal::{Found, Resolve};

/// What the token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long one search may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a token is used before it is asked for again. The library keeps it, and renews it four minutes before its end.
const LIFE: Duration = Duration::from_secs(180);

/// The chain.
pub(super) fn chain() -> Resolve {
    let chain: Arc<OnceCell<AccessTokenCredentials>> = Arc::default();
    Box::new(move || {
        let chain = chain.clone();
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, find(&chain)).await {
                Ok(found) => found,
                Err(_) => Err(format!("Google's chain of credentials did not answer within {PATIENCE:?}")),
            }
        })
    })
}

async fn find(chain: &OnceCell<AccessTokenCredentials>) -> Result<Found, String> {
    let build = || async {
        let built = Builder::default().with_scopes([SCOPE]).build_access_token_credentials();
        built.map_err(|error| told(&error))
    };
    let token = chain.get_or_try_init(build).await?.access_token().await.map_err(|error| told(&error))?;
    Ok(Found { identity: Identity::Bearer(token.token), ends: Some(SystemTime::now() + LIFE) })
}

/// An error with its causes.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
