//! Gemini's dialect, for providers: `generateContent`, `streamGenerateContent`, `embedContent`, `batchEmbedContents`.
//!
//! Requests come in OpenAI's form and go out in Gemini's; replies come back the other way. What OpenAI's form has no
//! member for is carried beside it, in names that clients of other hosts know:
//!
//! - thoughts: `reasoning_content`, and `reasoning_details` of the format `google-gemini-v1`
//! - signatures of calls: `extra_content.google.thought_signature` on the call, as Google's own OpenAI-compatible
//!   endpoint has it; signatures of texts: a reasoning detail `reasoning.encrypted` whose `position` says of which text
//! - code that Google ran, and other parts of its own: reasoning details of the type `google.part`
//! - pictures: `images` of a message or delta; sources: `annotations`, and whole in `extra_content.google`
//! - Gemini's own settings: `extra_body.google`, `google`, or members of the body (`safety_settings`, `thinking_config`, …)
//!
//! What a model can do stands in the descriptor (see `facts`): nothing here knows a model by name.

mod error;
mod facts;
pub mod front;
mod ids;
mod path;
mod place;
mod reply;
mod request;
mod schema;
mod stream;
mod wire;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode};
use weir_adapter::count::CountReader;
use weir_adapter::{
    Adapter, Credential, Descriptor, EncodeError, EncodeOptions, Front, Operation, ProviderError, ReplyForm,
    Request, WireBody, WireRequest,
};

/// The dialect of a provider with this descriptor.
pub fn adapter(descriptor: Descriptor) -> Arc<dyn Adapter> {
    Arc::new(Gemini { descriptor: Arc::new(descriptor) })
}

/// Clients of Gemini's API.
pub fn front() -> Arc<dyn Front> {
    Arc::new(front::GenerateContent)
}

struct Gemini {
    descriptor: Arc<Descriptor>,
}

impl Adapter for Gemini {
    fn serves(&self, operation: Operation) -> bool {
        match operation {
            Operation::Completions => false,
            // Whoever chats counts, too.
            Operation::CountTokens => self.descriptor.operations.contains(&Operation::Chat),
            operation => self.descriptor.operations.contains(&operation),
        }
    }

    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        request::encode(&self.descriptor, request, options)
    }

    /// In a header, never in the URL, where it would reach logs.
    fn authorize(
        &self,
        request: &mut WireRequest,
        key: &Credential,
        _now: SystemTime,
    ) -> Result<(), EncodeError> {
        request.authorize(&self.descriptor.auth, key)
    }

    fn reply_form(&self, request: &Request) -> ReplyForm {
        if request.operation == Operation::CountTokens {
            return ReplyForm::Native(Box::new(CountReader::new("totalTokens")));
        }
        let decoder = stream::GeminiDecoder::new(self.descriptor.clone(), request);
        match request.front().dialect() == front::DIALECT {
            true => ReplyForm::Native(Box::new(front::native::NativeReader(decoder))),
            false => ReplyForm::Foreign(Box::new(decoder)),
        }
    }

    fn error(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> ProviderError {
        error::error(status, body)
    }

    fn list_models(&self) -> Option<WireRequest> {
        Some(WireRequest {
            method: Method::GET,
            path: "/v1beta/models?pageSize=1000".into(),
            headers: HeaderMap::new(),
            body: WireBody::Bytes(bytes::Bytes::new()),
            dropped: Vec::new(),
        })
    }

    fn model_ids(&self, body: &[u8]) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let models = body.get("models").and_then(serde_json::Value::as_array).into_iter().flatten();
        let names = models.filter_map(|model| model.get("name")?.as_str());
        names.map(|name| name.strip_prefix("models/").unwrap_or(name).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests;
