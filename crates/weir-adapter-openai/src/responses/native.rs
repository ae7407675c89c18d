//! A request to a provider that has the Responses API itself: the client's bytes, spliced.

use bytes::Bytes;
use serde_json::Value;
use weir_adapter::descriptor::Reasons;
use weir_adapter::{EncodeError, EncodeOptions, Request};
use weir_wire::peek::{Members, as_str, key_bytes};
use weir_wire::splice::ObjectSplice;

use super::carrier;
use crate::parameters::{Fate, fate};
use crate::rules::Active;

/// The body for the provider. What is left out is named in `dropped`.
///
/// weir keeps the answers: the turns before stand in `input` already, and their ids mean nothing to the provider.
///
/// # Errors
/// A parameter that the provider must honour and can't.
pub(crate) fn encode(
    request: &Request,
    active: &Active<'_>,
    options: &EncodeOptions<'_>,
    dropped: &mut Vec<String>,
) -> Result<Bytes, EncodeError> {
    let (body, members) = (request.raw(), &request.peek().members);
    let mut splice = ObjectSplice::new(members);
    if request.model() != options.model {
        splice.set(body, "model", serde_json::to_vec(options.model).expect("a string is JSON"));
    }
    let reasoning = active.asks_for_reasoning() && reasons(active, body, members);
    for (index, member) in members.list.iter().enumerate() {
        let Ok(name) = std::str::from_utf8(key_bytes(body, member)) else { continue };
        let value = &body[member.value.clone()];
        match name {
            "previous_response_id" | "conversation" => splice.remove(index),
            "input" => {
                if let Some(input) = without_foreign(value, dropped) {
                    splice.replace(member.value.clone(), input);
                }
            }
            "temperature" | "top_p" | "top_logprobs" | "service_tier" | "user" | "metadata"
            | "prompt_cache_key" | "safety_identifier" => match fate(active, name, value, reasoning)? {
                Fate::Keep => {}
                Fate::Drop => {
                    splice.remove(index);
                    if value != b"null" {
                        dropped.push(name.to_owned());
                    }
                }
                Fate::Change(change) => {
                    if let Some(value) = change.value {
                        splice.replace(member.value.clone(), value.into_owned());
                    }
                    if change.reported {
                        dropped.push(name.to_owned());
                    }
                }
            },
            _ => {}
        }
    }
    if let Some(limit) = options.changed_limit(request.peek().output_limit) {
        splice.set(body, "max_output_tokens", limit.to_string().into_bytes());
    }
    defaults(request, active, options, reasoning, &mut splice)?;
    Ok(splice.apply(body))
}

/// The input without what weir put into the answers of other providers: their reasoning can't be proven here, and ids
/// that weir made mean nothing. `None` where nothing changes.
fn without_foreign(raw: &[u8], dropped: &mut Vec<String>) -> Option<Vec<u8>> {
    memchr::memmem::find(raw, b"\"id\"")?;
    let mut items: Vec<Value> = serde_json::from_slice(raw).ok()?;
    let (mut at, mut changed) = (0, false);
    items.retain_mut(|item| {
        let path = format!("input[{at}]");
        at += 1;
        let made = item["id"].as_str().is_some_and(is_made_here);
        let packed = item["encrypted_content"].as_str().is_some_and(carrier::is_packed);
        changed |= made || packed;
        if item["type"] == "reasoning" && (made || packed) {
            dropped.push(path);
            return false;
        }
        if made && let Some(members) = item.as_object_mut() {
            members.shift_remove("id");
        }
        true
    });
    changed.then(|| Value::Array(items).to_string().into_bytes())
}

/// Whether weir made this id of an item: a kind, 32 digits of the call's id, the item's place.
fn is_made_here(id: &str) -> bool {
    let Some((kind, rest)) = id.split_once('_') else { return false };
    matches!(kind, "msg" | "rs" | "fc" | "ctc" | "ig")
        && rest.len() == 34
        && rest.as_bytes()[12] == b'7'
        && rest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether the model reasons on this request.
fn reasons(active: &Active<'_>, body: &[u8], members: &Members) -> bool {
    let asked = members.value(body, "reasoning").and_then(|raw| {
        let inner = Members::read(raw).ok()?;
        inner.value(raw, "effort").and_then(as_str).map(|effort| effort.into_owned())
    });
    match (active.reasons(), asked.as_deref()) {
        (None | Some(Reasons::Never), _) => false,
        (Some(Reasons::Always), _) => true,
        (Some(_), Some("none")) => false,
        (Some(_), Some(_)) => true,
        (Some(Reasons::ByDefault), None) => true,
        (Some(Reasons::OnRequest), None) => false,
    }
}

/// The route's defaults, which have chat's names, where the client sent nothing.
fn defaults(
    request: &Request,
    active: &Active<'_>,
    options: &EncodeOptions<'_>,
    reasoning: bool,
    splice: &mut ObjectSplice<'_>,
) -> Result<(), EncodeError> {
    let (body, members) = (request.raw(), &request.peek().members);
    for (name, value) in options.defaults.into_iter().flatten() {
        let json = serde_json::to_vec(value).expect("a value is JSON");
        let own = match name.as_str() {
            "max_tokens" | "max_completion_tokens" => {
                if options.output_limit.is_some() {
                    continue;
                }
                "max_output_tokens"
            }
            "reasoning_effort" => {
                if members.value(body, "reasoning").is_none() {
                    let effort = serde_json::json!({ "effort": value }).to_string();
                    splice.set(body, "reasoning", effort.into_bytes());
                }
                continue;
            }
            "temperature"
            | "top_p"
            | "service_tier"
            | "user"
            | "metadata"
            | "prompt_cache_key"
            | "parallel_tool_calls"
            | "tools"
            | "tool_choice" => name,
            // Chat's other parameters have no place here.
            _ => continue,
        };
        if members.value(body, own).is_some() || fate(active, own, &json, reasoning)? == Fate::Drop {
            continue;
        }
        splice.set(body, own, json);
    }
    Ok(())
}
