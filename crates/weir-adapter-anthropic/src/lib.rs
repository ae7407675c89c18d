//! Anthropic's dialect, for providers ([`adapter`]) and for clients ([`front`]).
//!
//! Where both sides speak it, bytes pass with the model spliced in, and a [`weir_adapter::Reader`] glances at the
//! reply. Elsewhere it is translated to and from OpenAI's types, which carry what OpenAI does not have:
//!
//! - `reasoning_details` with `format: anthropic-claude-v1`: `thinking` blocks (`reasoning.text` with `signature`) and
//!   `redacted_thinking` (`reasoning.encrypted`); `index` is the block's place in the message.
//! - request members under Anthropic's own names in `extra`: `thinking`, `output_config` (`effort`), `top_k`,
//!   `container`, `mcp_servers`, `context_management`, `inference_geo`, `speed`, `cache_control`.
//! - content parts that OpenAI lacks (`server_tool_use`, `web_search_tool_result`, `search_result`, …), unchanged, as
//!   [`weir_wire::openai::chat::Part::Other`]; `citations` on text parts; `title`, `context`, `citations` on files.
//! - tools of Anthropic's own (`web_search_20250305`, …) under their `type`; `caller` on tool calls.
//! - in replies with such blocks, `content_blocks`: every block in order, to be sent back in place of `content`.
//!   Citations also stand in `annotations`.
//! - `native_finish_reason` and `stop_sequence` on a choice, where OpenAI's word says less.

mod carrier;
mod error;
mod finish;
mod front;
mod reader;
mod reply;
mod request;
mod rules;
mod stream;
mod wire;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use weir_adapter::adapter::{EncodeError, EncodeOptions, ReplyForm, WireBody, WireRequest};
use weir_adapter::count::CountReader;
use weir_adapter::{Adapter, Credential, Descriptor, Front, Operation, ProviderError, Request};

/// The dialect's name, in descriptors and of the front.
pub const DIALECT: &str = "anthropic";

/// The version of the API, where the descriptor names none.
const VERSION: &str = "2023-06-01";

/// The tool that weir has the model call where a JSON answer is wanted and the model has no format for it.
const OUTPUT_TOOL: &str = "weir_json_output";

/// A provider that speaks Anthropic's Messages API, by its descriptor. Serves chat only.
pub fn adapter(descriptor: Descriptor) -> Arc<dyn Adapter> {
    Arc::new(Anthropic { descriptor })
}

/// Clients of `/v1/messages`.
pub fn front() -> Arc<dyn Front> {
    Arc::new(front::Messages)
}

struct Anthropic {
    descriptor: Descriptor,
}

impl Anthropic {
    /// Headers that go with each request.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
        for (name, value) in &self.descriptor.headers {
            let name = HeaderName::try_from(name.as_str());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

impl Adapter for Anthropic {
    fn serves(&self, operation: Operation) -> bool {
        // Whoever chats counts, too.
        matches!(operation, Operation::Chat | Operation::CountTokens)
            && self.descriptor.operations.contains(&Operation::Chat)
    }

    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        let native = request.front().dialect() == DIALECT;
        if request.operation != Operation::Chat && !(native && request.operation == Operation::CountTokens) {
            let message = format!("{} does not do {}", self.descriptor.title, request.operation);
            return Err(EncodeError::unsupported("model", message));
        }
        let mut wire = match native {
            true if request.operation == Operation::CountTokens => {
                request::count(&self.descriptor, request, options)
            }
            true => request::native(&self.descriptor, request, options),
            false => request::foreign(&self.descriptor, request, options)?,
        };
        for (name, value) in &self.headers() {
            wire.headers.insert(name, value.clone());
        }
        Ok(wire)
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
        match request.front().dialect() == DIALECT {
            true if request.operation == Operation::CountTokens => {
                ReplyForm::Native(Box::new(CountReader::new("input_tokens")))
            }
            true => ReplyForm::Native(Box::new(reader::MessageReader::default())),
            false => ReplyForm::Foreign(Box::new(stream::MessageDecoder::default())),
        }
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
        error::of_reply(status.as_u16(), headers, body)
    }

    fn list_models(&self) -> Option<WireRequest> {
        let mut request = WireRequest::json("/v1/models?limit=1000", bytes::Bytes::new());
        request.method = Method::GET;
        request.headers = self.headers();
        request.body = WireBody::Bytes(bytes::Bytes::new());
        Some(request)
    }

    fn model_ids(&self, body: &[u8]) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct List {
            data: Vec<Model>,
        }
        #[derive(serde::Deserialize)]
        struct Model {
            id: String,
        }
        let list = serde_json::from_slice::<List>(body);
        list.map_or_else(|_| Vec::new(), |list| list.data.into_iter().map(|model| model.id).collect())
    }
}
