//! `/admin/v1/explain`: where a request would go and why not elsewhere, what would be sent, what it may cost, and what
//! is left of limits and budgets. Nothing is sent.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use weir_adapter::InvalidRequest;
use weir_gateway::Caller;
use weir_gateway::call::Role;

use super::catalog::running;
use super::{Answer, Ask, Desk, input};
use crate::commands::explain::{self, Live};

/// The parameters.
pub const PARAMETERS: &[(&str, &str)] =
    &[("key", "as if the key of this name asked: what it may call, and its limits and budgets")];

/// Explains the request in the body: chat completions', of which only `model` is needed.
pub fn request<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let mut request: Value = serde_json::from_slice(&ask.body).or_else(|_| input::object(&ask.body))?;
        if !request["model"].is_string() {
            return Err(InvalidRequest::missing("model").into());
        }
        if request["messages"].is_null() {
            request["messages"] = json!([{ "role": "user", "content": "hello" }]);
        }
        let app = running(desk)?;
        let snapshot = app.snapshot.load_full();
        let caller = match ask.parameter("key") {
            None => Arc::new(Caller::named("local", Role::Admin)),
            Some(name) => snapshot.keys.named(name).ok_or_else(|| super::missing("key", name))?,
        };
        let live = Live { caller, limiter: &app.limiter, budgets: app.budgets.view() };
        explain::explain(snapshot, Bytes::from(request.to_string()), Some(&live))
    })
}
