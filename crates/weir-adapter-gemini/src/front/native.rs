//! A request to Gemini itself: the client's bytes, without what the router put in.

use bytes::Bytes;
use serde_json::Value;
use weir_adapter::adapter::{Glance, Reader};
use weir_adapter::{Decoder, Descriptor, EncodeOptions, Operation, ProviderError, Request, WireRequest};
use weir_wire::Usage;
use weir_wire::framing::Framing;
use weir_wire::openai;
use weir_wire::openai::chat::{Content, Delta};
use weir_wire::peek::key_bytes;
use weir_wire::splice::ObjectSplice;

use crate::path::{Method, path, resource};
use crate::stream::GeminiDecoder;

/// The request, with its model in the path.
pub(crate) fn encode(descriptor: &Descriptor, request: &Request, options: &EncodeOptions<'_>) -> WireRequest {
    let (body, members) = (request.raw(), &request.peek().members);
    let batch = members.value(body, "requests").is_some();
    let mut splice = ObjectSplice::new(members);
    for (index, member) in members.list.iter().enumerate() {
        match key_bytes(body, member) {
            b"model" | b"stream" => splice.remove(index),
            b"generateContentRequest" => {
                let mut inner: Value =
                    serde_json::from_slice(&body[member.value.clone()]).unwrap_or_default();
                // Anything but an object is the provider's to refuse.
                if let Some(inner) = inner.as_object_mut() {
                    inner.insert("model".to_owned(), resource(options.model).into());
                }
                splice.replace(member.value.clone(), inner.to_string().into_bytes());
            }
            // Each request of a batch names the model, too.
            b"requests" => {
                let mut list: Value = serde_json::from_slice(&body[member.value.clone()]).unwrap_or_default();
                for one in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                    one.insert("model".to_owned(), resource(options.model).into());
                }
                splice.replace(member.value.clone(), list.to_string().into_bytes());
            }
            _ => {}
        }
    }
    if let (Some(limit), Operation::Chat) =
        (options.changed_limit(request.peek().output_limit), request.operation)
    {
        let config = ["generationConfig", "generation_config"]
            .into_iter()
            .find(|name| members.value(body, name).is_some());
        let name = config.unwrap_or("generationConfig");
        let raw = members.value(body, name).unwrap_or(b"{}");
        let mut config: Value = serde_json::from_slice(raw).unwrap_or_default();
        if let Some(config) = config.as_object_mut() {
            config.remove("max_output_tokens");
        }
        config["maxOutputTokens"] = limit.into();
        splice.set(body, name, config.to_string().into_bytes());
    }
    let method = match (request.operation, request.peek().stream, batch) {
        (Operation::Embeddings, _, true) => Method::EmbedBatch,
        (Operation::Embeddings, ..) => Method::Embed,
        (Operation::CountTokens, ..) => Method::Count,
        (_, true, _) => Method::Stream,
        _ => Method::Generate,
    };
    WireRequest::json(path(descriptor, method, options.model), splice.apply(body))
}

/// Reads what passes, by decoding it aside.
pub(crate) struct NativeReader(pub(crate) GeminiDecoder);

impl Reader for NativeReader {
    fn framing(&self) -> Framing {
        self.0.framing()
    }

    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        self.0.whole(body)?;
        // The decoder remembers the usage once it is asked.
        Ok(Glance { semantic: true, output_bytes: body.len(), ..Glance::default() })
    }

    fn frame(&mut self, frame: &[u8]) -> Result<Glance, ProviderError> {
        let mut chunks = Vec::new();
        self.0.frame(frame, &mut chunks)?;
        let output_bytes = chunks.iter().map(said).sum();
        let ended = |chunk: &openai::Chunk| match chunk {
            openai::Chunk::Chat(chunk) => chunk.choices.iter().any(|choice| {
                choice.finish_reason.is_some()
                    || choice.delta.tool_calls.is_some()
                    || choice.delta.reasoning_details.is_some()
                    || !choice.delta.extra.is_empty()
            }),
            openai::Chunk::Completions(_) => false,
        };
        let semantic = output_bytes > 0 || chunks.iter().any(ended);
        Ok(Glance { semantic, output_bytes, ..Glance::default() })
    }

    fn done(&self) -> bool {
        false
    }

    fn end(&mut self) -> Result<Bytes, ProviderError> {
        self.0.end(&mut Vec::new())?;
        Ok(Bytes::new())
    }

    fn usage(&self) -> Option<&Usage> {
        self.0.usage()
    }
}

fn said(chunk: &openai::Chunk) -> usize {
    let text = |delta: &Delta| match &delta.content {
        Some(Content::Text(text)) => text.len(),
        _ => 0,
    };
    match chunk {
        openai::Chunk::Chat(chunk) => chunk
            .choices
            .iter()
            .map(|choice| {
                text(&choice.delta) + choice.delta.reasoning_content.as_ref().map_or(0, String::len)
            })
            .sum(),
        openai::Chunk::Completions(_) => 0,
    }
}
