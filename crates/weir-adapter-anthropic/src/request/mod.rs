//! A chat request as Anthropic wants it.

mod draft;
mod messages;
mod native;
mod output;
mod parameters;
mod parts;
mod reasoning;
mod schema;
mod tools;

pub(crate) use native::{count, native};
pub(crate) use parts::UNTITLED;

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Map, Value};
use weir_adapter::adapter::{EncodeError, EncodeOptions, WireRequest};
use weir_adapter::{Descriptor, InvalidRequest, Operation, Request};
use weir_wire::openai::chat;

use crate::rules::Rules;
use draft::Draft;

/// The most tokens that are asked for where nobody knows the model's limit.
const OUTPUT_LIMIT: u64 = 4096;

/// Translates a request of another dialect.
///
/// # Errors
/// A body that does not read, or asks for what can't be left out.
pub(crate) fn foreign(
    descriptor: &Descriptor,
    request: &Request,
    options: &EncodeOptions<'_>,
) -> Result<WireRequest, EncodeError> {
    let typed = request.typed()?;
    let chat = typed.as_chat().ok_or_else(|| EncodeError::unsupported("model", "only chat is served"))?;
    let chat = with_defaults(chat, options)?;
    let mut draft = Draft::new(Rules::of(descriptor, options.model));
    let body = body(&chat, options, &mut draft)?;
    let bytes = serde_json::to_vec(&body).expect("JSON values are JSON");
    let mut wire = WireRequest::json(path(descriptor, request), Bytes::from(bytes));
    wire.dropped = draft.dropped;
    forward_betas(request, &mut wire);
    for beta in draft.betas {
        if let Ok(value) = HeaderValue::try_from(beta) {
            wire.headers.append("anthropic-beta", value);
        }
    }
    Ok(wire)
}

/// The path, with the part of the client's query that travels.
fn path(descriptor: &Descriptor, request: &Request) -> Cow<'static, str> {
    let beta = request.query.as_deref().is_some_and(|query| query.split('&').any(|pair| pair == "beta=true"));
    match (descriptor.paths.get(&Operation::Chat), beta) {
        (None, false) => Cow::Borrowed("/v1/messages"),
        (None, true) => Cow::Borrowed("/v1/messages?beta=true"),
        (Some(path), false) => Cow::Owned(path.clone()),
        (Some(path), true) => Cow::Owned(format!("{path}?beta=true")),
    }
}

fn forward_betas(request: &Request, wire: &mut WireRequest) {
    for value in request.headers.get_all("anthropic-beta") {
        wire.headers.append("anthropic-beta", value.clone());
    }
}

/// The request with the route's defaults where the client sent nothing.
fn with_defaults<'r>(
    chat: &'r chat::Request,
    options: &EncodeOptions<'_>,
) -> Result<Cow<'r, chat::Request>, InvalidRequest> {
    let Some(defaults) = options.defaults.filter(|defaults| !defaults.is_empty()) else {
        return Ok(Cow::Borrowed(chat));
    };
    let mut members = Map::new();
    for (name, value) in defaults {
        let is_limit = matches!(name.as_str(), "max_tokens" | "max_completion_tokens");
        if !(is_limit && chat.output_limit().is_some()) {
            members.insert(name.clone(), value.clone());
        }
    }
    let sent = serde_json::to_value(chat).map_err(|error| InvalidRequest::body(&error))?;
    if let Value::Object(sent) = sent {
        members.extend(sent.into_iter().filter(|(_, value)| !value.is_null()));
    }
    let merged = serde_json::from_value(Value::Object(members));
    merged.map(Cow::Owned).map_err(|error| InvalidRequest::body(&error))
}

/// The body, tools first: cache markers count in the order of the prompt.
fn body(
    chat: &chat::Request,
    options: &EncodeOptions<'_>,
    draft: &mut Draft<'_>,
) -> Result<Map<String, Value>, EncodeError> {
    refuse(chat)?;
    let limit = chat.output_limit().or(options.output_limit).or(options.model_output_limit);
    let limit = limit.or_else(|| draft.rules.output_limit()).unwrap_or(OUTPUT_LIMIT);
    let limit = options.output_cap.map_or(limit, |cap| limit.min(cap));
    let top = chat.extra.get("cache_control").and_then(|marker| draft.marker(Some(marker), "cache_control"));
    let mut tools = tools::tools(chat, draft);
    let conversation = messages::conversation(&chat.messages, draft)?;
    let mut thinking = reasoning::Plan::of(chat, limit, &conversation, draft);
    let output = output::Plan::of(chat, draft);
    let choice = tools::choice(chat, &mut tools, output.tool(), draft);
    thinking.yield_to(choice.as_ref(), draft);

    let mut body = Map::new();
    body.insert("model".to_owned(), options.model.into());
    body.insert("max_tokens".to_owned(), limit.into());
    if let Some(system) = conversation.system() {
        body.insert("system".to_owned(), system);
    }
    body.insert("messages".to_owned(), conversation.messages());
    let none_sent = chat.tools.as_ref().is_some_and(Vec::is_empty);
    if !tools.is_empty() || none_sent {
        body.insert("tools".to_owned(), Value::Array(tools));
    }
    if let Some(choice) = choice {
        body.insert("tool_choice".to_owned(), choice);
    }
    let on = thinking.on();
    if let Some(thinking) = thinking.config() {
        body.insert("thinking".to_owned(), thinking);
    }
    if let Some(config) = output::config(chat, thinking.effort(), output.format()) {
        body.insert("output_config".to_owned(), config);
    }
    if let Some(top) = top {
        body.insert("cache_control".to_owned(), top);
    }
    parameters::add(chat, on, &mut body, draft)?;
    Ok(body)
}

/// Refuses what can't be left out: the answer would be another.
fn refuse(chat: &chat::Request) -> Result<(), EncodeError> {
    if chat.n.is_some_and(|n| n > 1) {
        return Err(EncodeError::unsupported("n", "this provider makes one choice: set `n` to 1"));
    }
    if chat.modalities.iter().flatten().any(|modality| modality != "text") || chat.audio.is_some() {
        return Err(EncodeError::unsupported("modalities", "this provider answers text only"));
    }
    Ok(())
}
