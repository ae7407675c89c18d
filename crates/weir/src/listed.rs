//! What providers say they have, where the catalog knows nothing of theirs: local servers, and those behind an address
//! of the user's own. Asked aside, never on the path of a call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Limited};
use parking_lot::RwLock;
use weir_gateway::snapshot::Provider;

use crate::app::App;

/// How often providers are asked.
const EVERY: Duration = Duration::from_secs(60);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The largest list, in bytes.
const MAX_LIST: usize = 4 << 20;

/// The lists, by provider.
#[derive(Debug, Default)]
pub struct Listed(RwLock<HashMap<Arc<str>, Vec<String>>>);

impl Listed {
    /// The models of a provider, as it said last.
    pub fn of(&self, provider: &str) -> Vec<String> {
        self.0.read().get(provider).cloned().unwrap_or_default()
    }
}

/// Asks again and again, until the gateway drains.
pub async fn ask_regularly(app: Arc<App>) {
    while !app.draining() {
        let snapshot = app.snapshot.load_full();
        for provider in snapshot.providers.values() {
            if snapshot.catalog.models_of(&provider.kind).next().is_none()
                && let Ok(Ok(ids)) = tokio::time::timeout(PATIENCE, ask(provider)).await
            {
                app.listed.0.write().insert(provider.name.clone(), ids);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The ids of a provider's models.
///
/// # Errors
/// Why it does not say, for the terminal.
pub async fn ask(provider: &Provider) -> Result<Vec<String>, String> {
    let mut request = provider.adapter.list_models().ok_or("has no list of models to ask for")?;
    if let Some(chain) = provider.chain.as_ref().filter(|chain| !chain.ready()) {
        chain.wait().await?;
    }
    let key = provider.credentials.get(0);
    provider.adapter.authorize(&mut request, key, SystemTime::now()).map_err(|error| error.to_string())?;
    for (name, value) in &provider.headers {
        request.headers.insert(name.clone(), value.clone());
    }
    let answer = provider.upstream.send(request).await.map_err(|error| error.to_string())?;
    let body =
        Limited::new(answer.body, MAX_LIST).collect().await.map_err(|error| error.to_string())?.to_bytes();
    if !answer.status.is_success() {
        let error = provider.adapter.error(answer.status, &answer.headers, &body);
        return Err(format!("answers {}: {}", answer.status.as_u16(), error.error.message));
    }
    Ok(provider.adapter.model_ids(&body))
}
