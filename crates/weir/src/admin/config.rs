//! `/admin/v1/config`: what is in force and where each value comes from, and reading the file again.

use std::sync::Arc;

use serde_json::json;
use weir_gateway::GatewayError;

use super::catalog::running;
use super::input::invalid;
use super::{Answer, Ask, Desk};

/// Every value in force; secrets are masked.
pub fn effective<'a>(desk: &'a Desk<'_>, _: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let loaded = running(desk)?.loaded.load_full();
        let file = loaded.file.as_ref().map(|file| file.display().to_string());
        Ok(json!({ "file": file, "data": loaded.effective() }))
    })
}

/// Reads the file again. A wrong one is refused whole, and the old one goes on.
pub fn reload<'a>(desk: &'a Desk<'_>, _: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let app: Arc<_> = running(desk)?.own().ok_or(GatewayError::Internal)?;
        // Reading files blocks: not on the threads that serve calls.
        let read = tokio::task::spawn_blocking(move || app.reload().map_err(|error| error.to_string())).await;
        match read {
            Ok(Ok(())) => Ok(json!({ "status": "ok" })),
            Ok(Err(why)) => Err(invalid(format!("the configuration is wrong, the old one goes on: {why}"))),
            Err(_) => Err(GatewayError::Internal),
        }
    })
}
