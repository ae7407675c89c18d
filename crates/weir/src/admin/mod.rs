//! The admin API, `/admin/v1`: who may ask what stands in one table ([`api`]), which also makes its description.
//!
//! A [`Desk`] is what answers: the store and the configuration, and the running gateway where there is one. The
//! commands ask the same desk without a gateway, so what they say and refuse is the same.

pub mod api;
mod audit;
mod budgets;
mod catalog;
mod config;
mod errors;
mod explain;
mod groups;
mod http;
mod input;
mod keys;
pub mod line;
pub mod openapi;
mod page;
mod requests;
mod spend;
pub mod time;
mod write;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use weir_config::Config;
use weir_gateway::accounts::Book;
use weir_gateway::{Caller, GatewayError};
use weir_ledger::{Micros, Store, StoreError};

pub use http::{run as ask_endpoint, serve};

use crate::app::App;

/// What answers the admin API.
pub struct Desk<'d> {
    /// Where accounts and rows are.
    pub store: &'d dyn Store,
    /// What the file says: it owns what it declares.
    pub config: &'d Config,
    /// The running gateway, if this is one.
    pub app: Option<&'d App>,
}

/// Who asks, and for what.
pub struct Ask {
    /// Who.
    pub actor: Arc<Caller>,
    /// The key that they showed. Never kept.
    pub credential: String,
    /// The `{id}` of the path.
    pub id: String,
    /// Parameters, by name; only those that the endpoint has.
    pub query: Vec<(String, String)>,
    /// What was sent.
    pub body: Bytes,
    /// `Idempotency-Key`.
    pub once: Option<String>,
    /// Method and path, for telling a repeat from another request.
    pub what: String,
    /// When.
    pub now: Micros,
}

/// An answer, later.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, GatewayError>> + Send + 'a>>;

impl Ask {
    /// A parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Desk<'_> {
    /// The accounts as the store has them now.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn book(&self) -> Result<Book, GatewayError> {
        let accounts = self.store.accounts().accounts().await.map_err(|error| unavailable(&error))?;
        Ok(crate::accounts::read(&accounts))
    }
}

/// A store that does not answer: nothing was changed, and trying again can help.
pub fn unavailable(error: &StoreError) -> GatewayError {
    tracing::warn!(%error, cause = %error.cause, "the store did not answer");
    GatewayError::Overloaded {
        code: "store_unavailable",
        message: "the store does not answer now; nothing was changed that you don't see when you ask again",
        retry_after: Duration::from_secs(1),
    }
}

/// What does not exist.
pub fn missing(what: &str, id: &str) -> GatewayError {
    let shown: String = id.chars().take(100).collect();
    GatewayError::NotFound(format!("there is no {what} `{shown}`; GET the list for those that there are"))
}

/// What the file owns.
pub fn owned(what: &str, name: &str) -> GatewayError {
    let message =
        format!("the {what} `{name}` is declared in the configuration file, which owns it; change it there");
    GatewayError::Conflict { code: "owned_by_file", message }
}
