//! How many tokens a prompt has: asked of providers of the client's dialect, estimated for all others, and said so.

use http::{HeaderName, HeaderValue, Response};
use serde_json::json;
use weir_adapter::Operation;
use weir_gateway::{Call, GatewayError};

use crate::respond::{ResponseBody, full};

/// A token has about this many bytes.
const BYTES_PER_TOKEN: usize = 4;

/// Whether nobody can be asked: the model's provider speaks another dialect. Nothing is called then, so there is no row.
pub fn must_estimate(call: &Call) -> bool {
    if call.request.operation != Operation::CountTokens {
        return false;
    }
    match weir_gateway::layers::route::plan(call) {
        Ok(plan) => {
            let first = plan.steps.first();
            first.is_some_and(|(_, target)| {
                target.provider.descriptor.dialect != call.request.front().dialect()
            })
        }
        Err(error) => matches!(error, GatewayError::Unsupported { .. }),
    }
}

/// A count by the prompt's size.
pub fn estimate(call: &Call, request_id: &HeaderValue) -> Response<ResponseBody> {
    let tokens = call.request.raw().len().div_ceil(BYTES_PER_TOKEN);
    let body = match call.request.front().dialect() {
        weir_adapter_gemini::front::DIALECT => json!({ "totalTokens": tokens }),
        _ => json!({ "input_tokens": tokens }),
    };
    let mut response = Response::new(full(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("x-weir-degraded"), HeaderValue::from_static("estimated"));
    headers.insert(HeaderName::from_static("x-request-id"), request_id.clone());
    response
}
