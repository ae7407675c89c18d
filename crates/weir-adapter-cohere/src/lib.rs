//! Cohere's dialect, for providers: `/v2/chat`, `/v2/embed` and rerank, which passes as it is.
//!
//! Requests come in OpenAI's form and go out in Cohere's; replies come back the other way. What OpenAI's form has no
//! member for is carried beside it:
//!
//! - what the model says before it calls tools (`tool_plan`): the message's text, as OpenAI's models write it there
//! - thinking: `reasoning_content`
//! - citations: `citations` of a message or delta, as Cohere writes them
//! - Cohere's own settings: members of the body (`documents`, `citation_options`, `safety_mode`, `k`, `p`, …)
//!
//! Usage is what Cohere bills (`billed_units`): its `tokens` also count a preamble that nobody pays for. Both stand
//! in the reply's usage. Facts are from <https://docs.cohere.com/reference/chat> and from recorded exchanges.

mod embeddings;
mod error;
mod reply;
mod request;
mod rerank;
mod stream;
mod usage;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode};
use weir_adapter::{
    Adapter, Credential, Descriptor, EncodeError, EncodeOptions, Operation, ProviderError, ReplyForm,
    Request, WireBody, WireRequest,
};

/// The dialect of a provider with this descriptor.
pub fn adapter(descriptor: Descriptor) -> Arc<dyn Adapter> {
    Arc::new(Cohere { descriptor })
}

struct Cohere {
    descriptor: Descriptor,
}

impl Adapter for Cohere {
    fn serves(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Chat | Operation::Embeddings | Operation::Rerank)
            && self.descriptor.operations.contains(&operation)
    }

    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        match request.operation {
            Operation::Rerank => rerank::encode(request, options),
            _ => request::encode(request, options),
        }
    }

    fn authorize(
        &self,
        request: &mut WireRequest,
        key: &Credential,
        _now: SystemTime,
    ) -> Result<(), EncodeError> {
        request.authorize(&self.descriptor.auth, key)
    }

    fn reply_form(&self, request: &Request) -> ReplyForm {
        if request.operation == Operation::Rerank {
            return ReplyForm::Native(Box::new(rerank::RerankReader::default()));
        }
        ReplyForm::Foreign(Box::new(stream::CohereDecoder::new(request)))
    }

    fn error(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> ProviderError {
        error::error(status, body)
    }

    fn list_models(&self) -> Option<WireRequest> {
        Some(WireRequest {
            method: Method::GET,
            path: "/v1/models?page_size=1000".into(),
            headers: HeaderMap::new(),
            body: WireBody::Bytes(bytes::Bytes::new()),
            dropped: Vec::new(),
        })
    }

    fn model_ids(&self, body: &[u8]) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let models = body.get("models").and_then(serde_json::Value::as_array).into_iter().flatten();
        models.filter_map(|model| Some(model.get("name")?.as_str()?.to_owned())).collect()
    }
}
