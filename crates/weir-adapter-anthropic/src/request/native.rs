//! A request of a client that speaks Anthropic's dialect: its bytes, with the model and the route's defaults spliced in.

use serde_json::{Value, json};
use weir_adapter::adapter::{EncodeOptions, WireRequest};
use weir_adapter::{Descriptor, Request};
use weir_wire::peek::as_u64;
use weir_wire::splice::ObjectSplice;

use super::{forward_betas, path};
use crate::rules::{Rules, Treatment};

/// The client's bytes with what the route sets.
pub(crate) fn native(descriptor: &Descriptor, request: &Request, options: &EncodeOptions<'_>) -> WireRequest {
    let (body, members) = (request.raw(), &request.peek().members);
    let mut splice = ObjectSplice::new(members);
    let mut dropped = Vec::new();
    if request.model() != options.model {
        splice.set(body, "model", json!(options.model).to_string().into_bytes());
    }
    let rules = Rules::of(descriptor, options.model);
    let mut limit = members.value(body, "max_tokens").is_some();
    for (name, value) in options.defaults.into_iter().flatten() {
        match native_member(name, value, &rules) {
            Some((member, value)) if rules.treat(member, &value, false) == Treatment::Drop => {
                dropped.push(name.clone());
            }
            Some((name, value)) if members.value(body, name).is_none() => {
                limit |= name == "max_tokens";
                splice.set(body, name, value.to_string().into_bytes());
            }
            Some(_) => {}
            None => dropped.push(name.clone()),
        }
    }
    let written = members.value(body, "max_tokens").and_then(as_u64);
    let lowered = options.output_cap.filter(|cap| written.is_some_and(|limit| limit > *cap));
    if let Some(tokens) = lowered.or(options.output_limit.filter(|_| !limit)) {
        splice.set(body, "max_tokens", tokens.to_string().into_bytes());
    }
    let bytes = splice.apply(body);
    let mut wire = WireRequest::json(path(descriptor, request), bytes);
    wire.dropped = dropped;
    forward_betas(request, &mut wire);
    wire
}

/// A question for the number of tokens: the client's bytes with the model, and nothing else.
pub(crate) fn count(descriptor: &Descriptor, request: &Request, options: &EncodeOptions<'_>) -> WireRequest {
    let (body, members) = (request.raw(), &request.peek().members);
    let mut splice = ObjectSplice::new(members);
    if request.model() != options.model {
        splice.set(body, "model", json!(options.model).to_string().into_bytes());
    }
    let path = path(descriptor, request);
    let (plain, query) = path.split_once('?').map_or((&*path, None), |(plain, query)| (plain, Some(query)));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut wire = WireRequest::json(format!("{plain}/count_tokens{query}"), splice.apply(body));
    forward_betas(request, &mut wire);
    wire
}

/// A default in OpenAI's name as a member of Anthropic's body.
fn native_member<'n>(name: &'n str, value: &Value, rules: &Rules<'_>) -> Option<(&'n str, Value)> {
    let value = value.clone();
    match name {
        "max_tokens" | "max_completion_tokens" => Some(("max_tokens", value)),
        "stop" if value.is_string() => Some(("stop_sequences", json!([value]))),
        "stop" => Some(("stop_sequences", value)),
        "user" => Some(("metadata", json!({"user_id": value}))),
        "temperature" | "top_p" | "service_tier" => Some((name, value)),
        _ if rules.knows(name) => Some((name, value)),
        _ => None,
    }
}
