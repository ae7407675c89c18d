//! Amazon Bedrock's dialect, for providers: Converse and ConverseStream.
//!
//! Requests come in OpenAI's form and go out in Bedrock's; replies come back the other way. What OpenAI's form has no
//! member for is carried beside it:
//!
//! - reasoning: `reasoning_content` and `reasoning_details`; Claude's signatures are those of Anthropic's own API, so
//!   their format is named alike and they go to either. Redacted reasoning goes back to Bedrock only
//! - cache points: `cache_control` on parts, messages and tools
//! - what tools of the provider did (`server_tool_use` and its result): `bedrock_content` of a message or delta, as
//!   Bedrock writes it; citations: `citations`
//! - Bedrock's own blocks: content parts of one member and no `type` (`{"guardContent": …}`, `{"video": …}`)
//! - Bedrock's own settings: members of the body (`additionalModelRequestFields`, `guardrailConfig`, …)
//!
//! Usage is in disjoint classes already: `inputTokens` leaves the cache out. Facts are from the service's own description
//! (`bedrock-runtime` of 2023-09-30) and from recorded exchanges.

mod blocks;
mod error;
mod ids;
mod reply;
mod request;
mod sign;
mod stream;
mod usage;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use weir_adapter::{
    Adapter, Credential, Descriptor, EncodeError, EncodeOptions, Operation, ProviderError, ReplyForm,
    Request, WireRequest,
};

/// The dialect of a provider with this descriptor.
pub fn adapter(descriptor: Descriptor) -> Arc<dyn Adapter> {
    Arc::new(Bedrock { descriptor })
}

struct Bedrock {
    descriptor: Descriptor,
}

impl Adapter for Bedrock {
    fn serves(&self, operation: Operation) -> bool {
        operation == Operation::Chat && self.descriptor.operations.contains(&operation)
    }

    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        request::encode(&self.descriptor, request, options)
    }

    fn authorize(
        &self,
        request: &mut WireRequest,
        key: &Credential,
        now: SystemTime,
    ) -> Result<(), EncodeError> {
        sign::authorize(&self.descriptor, request, key, now)
    }

    fn reply_form(&self, request: &Request) -> ReplyForm {
        ReplyForm::Foreign(Box::new(stream::BedrockDecoder::new(request)))
    }

    fn credential_ended(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
        status == StatusCode::UNAUTHORIZED || error::credential_ended(headers, body)
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
        error::error(status, headers, body)
    }
}
