//! `/admin/v1/explain`: where a request would go, what would be sent, and what it may cost. Nothing is sent.

use bytes::Bytes;
use serde_json::{Value, json};
use weir_adapter::InvalidRequest;

use super::catalog::running;
use super::{Answer, Ask, Desk, input};
use crate::commands::explain;

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
        explain::explain(running(desk)?.snapshot.load_full(), Bytes::from(request.to_string()))
    })
}
