//! Ollama's own dialect, for providers: `/api/chat`, `/api/generate` and `/api/embed`, streamed as one JSON object a line.
//!
//! Requests come in OpenAI's form and go out in Ollama's; replies come back the other way. What OpenAI's form has no
//! member for is carried beside it:
//!
//! - thinking: `reasoning_content`
//! - Ollama's own settings: members of the body (`options`, `keep_alive`, `think`, `truncate`; `top_k`, `min_p`,
//!   `num_ctx`, `repeat_penalty` and `typical_p` also without `options`)
//! - durations (nanoseconds): members of `usage`, under Ollama's names
//!
//! Facts are from <https://docs.ollama.com/api>, its API description and recorded exchanges.

mod embeddings;
mod error;
mod reply;
mod request;
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
    Arc::new(Ollama { descriptor })
}

struct Ollama {
    descriptor: Descriptor,
}

impl Adapter for Ollama {
    fn serves(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Chat | Operation::Completions | Operation::Embeddings)
            && self.descriptor.operations.contains(&operation)
    }

    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        request::encode(request, options)
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
        ReplyForm::Foreign(Box::new(stream::OllamaDecoder::new(request)))
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
        error::error(status, headers, body)
    }

    fn list_models(&self) -> Option<WireRequest> {
        Some(WireRequest {
            method: Method::GET,
            path: "/api/tags".into(),
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
