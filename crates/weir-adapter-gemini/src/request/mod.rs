//! OpenAI's requests in Gemini's form.

mod adjust;
mod contents;
mod embeddings;
mod extras;
mod generation;
mod media;
mod model_turn;
mod results;
mod thinking;
mod tools;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use weir_adapter::{Descriptor, EncodeError, EncodeOptions, Operation, Request, WireRequest};
use weir_wire::openai;
use weir_wire::openai::chat;

use crate::facts::Facts;
use crate::path::{Method, path};
use crate::wire::GenerateContent;

/// What a call becomes. See [`weir_adapter::Adapter::encode`].
pub(crate) fn encode(
    descriptor: &Descriptor,
    request: &Request,
    options: &EncodeOptions<'_>,
) -> Result<WireRequest, EncodeError> {
    let mut wire = match request.front().dialect() == crate::front::DIALECT {
        true => crate::front::native::encode(descriptor, request, options),
        false if request.operation == Operation::CountTokens => {
            return Err(EncodeError::unsupported("model", "this provider counts for Gemini's clients only"));
        }
        false => foreign(descriptor, request, options)?,
    };
    for (name, value) in &descriptor.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            wire.headers.insert(name, value);
        }
    }
    Ok(wire)
}

fn foreign(
    descriptor: &Descriptor,
    request: &Request,
    options: &EncodeOptions<'_>,
) -> Result<WireRequest, EncodeError> {
    match request.typed()? {
        openai::Request::Chat(request) => chat(descriptor, request, options),
        openai::Request::Embeddings(request) => embeddings::encode(descriptor, request, options),
        openai::Request::Completions(_) => {
            Err(EncodeError::unsupported("model", "this provider has chat, but no text completions"))
        }
    }
}

fn chat(
    descriptor: &Descriptor,
    request: &chat::Request,
    options: &EncodeOptions<'_>,
) -> Result<WireRequest, EncodeError> {
    let mut dropped = Vec::new();
    let settings = adjust::settings(descriptor, request, options, &mut dropped)?;
    let facts = Facts::new(descriptor, options.model);
    let mut body = GenerateContent::default();
    contents::write(&request.messages, facts, &mut body, &mut dropped)?;
    tools::write(&settings, facts, &mut body, &mut dropped)?;
    generation::write(&settings, facts, options, &mut body, &mut dropped)?;
    thinking::write(&settings, facts, &mut body, &mut dropped);
    extras::write(&settings, &mut body, &mut dropped);
    leave_to_cache(&mut body, &mut dropped);
    let method = if settings.stream == Some(true) { Method::Stream } else { Method::Generate };
    let bytes = serde_json::to_vec(&body)
        .expect("string keys, numbers that JSON has, raw text that was read as JSON");
    let mut wire = WireRequest::json(path(descriptor, method, options.model), Bytes::from(bytes));
    wire.dropped = dropped;
    Ok(wire)
}

/// What stands in cached content must not be sent beside it.
fn leave_to_cache(body: &mut GenerateContent, dropped: &mut Vec<String>) {
    if !body.more.contains_key("cachedContent") {
        return;
    }
    if body.system_instruction.take().is_some() {
        dropped.push("messages[system]".to_owned());
    }
    if !std::mem::take(&mut body.tools).is_empty() {
        dropped.push("tools".to_owned());
    }
    if !std::mem::take(&mut body.tool_config).is_empty() {
        dropped.push("tool_choice".to_owned());
    }
}

#[cfg(test)]
mod tests;
