//! Google's Vertex AI: models of two publishers, each in its own dialect, at addresses and with tokens of Google Cloud.
//!
//! Google's models speak Gemini's dialect, and `weir-adapter-gemini` writes and reads it; Anthropic's speak Anthropic's, and
//! `weir-adapter-anthropic` does. What differs here: the model stands in the path, and for Anthropic's not in the body,
//! which names the version of the API instead. Which model is whose stands in the descriptor (fact `publisher`).
//!
//! Facts are from <https://cloud.google.com/vertex-ai/generative-ai/docs> and from recorded exchanges, whose bodies and
//! replies the two adapters' own tests check.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use weir_adapter::{
    Adapter, Credential, Descriptor, EncodeError, EncodeOptions, InvalidRequest, Operation, ProviderError,
    ReplyForm, Request, WireBody, WireRequest,
};
use weir_wire::peek::Members;
use weir_wire::percent;
use weir_wire::splice::ObjectSplice;

/// What stands as it is in a model's id within a path: `@` comes before a date.
const PLAIN: &[u8] = b"-._~@";
/// The version of Anthropic's API, as Vertex wants it in the body.
const VERSION: &str = "\"vertex-2023-10-16\"";
/// How the path of a model begins: the gateway has put project and region in.
const GOOGLE: &str = "/publishers/google/models/{model}";

/// The dialect of a provider with this descriptor.
pub fn adapter(descriptor: Descriptor) -> Arc<dyn Adapter> {
    let mut plain = descriptor.clone();
    // Anthropic's adapter knows one path, which is replaced here.
    plain.paths.clear();
    let anthropic = weir_adapter_anthropic::adapter(plain);
    Arc::new(Vertex { anthropic, google: weir_adapter_gemini::adapter(descriptor.clone()), descriptor })
}

struct Vertex {
    descriptor: Descriptor,
    google: Arc<dyn Adapter>,
    anthropic: Arc<dyn Adapter>,
}

impl Vertex {
    fn is_anthropics(&self, model: &str) -> bool {
        self.descriptor.fact(model, "publisher") == Some("anthropic")
    }

    fn of(&self, model: &str) -> &Arc<dyn Adapter> {
        if self.is_anthropics(model) { &self.anthropic } else { &self.google }
    }

    /// Anthropic's request as Vertex wants it: the model in the path instead of the body, its version in the body.
    fn moved(&self, mut wire: WireRequest, model: &str, stream: bool) -> Result<WireRequest, EncodeError> {
        let WireBody::Bytes(body) = &wire.body else {
            return Err(EncodeError::unsupported("model", "this provider takes whole bodies"));
        };
        let members = Members::read(body).map_err(InvalidRequest::from)?;
        let mut splice = ObjectSplice::new(&members);
        splice.set(body, "anthropic_version", VERSION.as_bytes());
        // Counting is a model of its own, and has the model that counts in its body.
        let counts = wire.path.starts_with("/v1/messages/count_tokens");
        if !counts
            && let Some(at) =
                members.list.iter().position(|member| weir_wire::peek::key_bytes(body, member) == b"model")
        {
            splice.remove(at);
        }
        let body = splice.apply(body);
        let (name, verb) = match (counts, stream) {
            (true, _) => ("count-tokens".to_owned(), "rawPredict"),
            (false, true) => (percent::encoded(model, PLAIN), "streamRawPredict"),
            (false, false) => (percent::encoded(model, PLAIN), "rawPredict"),
        };
        let chat = self.descriptor.paths.get(&Operation::Chat).map_or("", String::as_str);
        let place = chat.strip_suffix(GOOGLE).unwrap_or_default();
        wire.path = format!("{place}/publishers/anthropic/models/{name}:{verb}").into();
        wire.headers.remove("anthropic-version");
        wire.body = WireBody::Bytes(body);
        Ok(wire)
    }
}

impl Adapter for Vertex {
    fn serves(&self, operation: Operation) -> bool {
        operation == Operation::CountTokens || self.descriptor.operations.contains(&operation)
    }

    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        let wire = self.of(options.model).encode(request, options)?;
        if self.is_anthropics(options.model) {
            return self.moved(wire, options.model, request.peek().stream);
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
        self.reply_form_of(request, request.model())
    }

    fn reply_form_of(&self, request: &Request, model: &str) -> ReplyForm {
        self.of(model).reply_form(request)
    }

    /// Google's own errors come for both: no quota, no permission, no such model. Anthropic's say so.
    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
        let told: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        match told["type"] == "error" {
            true => self.anthropic.error(status, headers, body),
            false => self.google.error(status, headers, body),
        }
    }
}
