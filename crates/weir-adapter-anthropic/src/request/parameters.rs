//! Sampling, stop texts, and whatever else stands beside the messages.

use serde_json::{Map, Value, json};
use weir_adapter::adapter::EncodeError;
use weir_wire::openai::chat;

use super::draft::Draft;
use crate::rules::Treatment;

/// Members of the body that weir acts on itself, or that say nothing of their own at this provider.
const SILENT: [&str; 6] = ["models", "provider", "reasoning", "thinking", "output_config", "cache_control"];

/// Adds the parameters to the body; what the provider can't honour is reported.
pub(super) fn add(
    chat: &chat::Request,
    thinking: bool,
    body: &mut Map<String, Value>,
    draft: &mut Draft<'_>,
) -> Result<(), EncodeError> {
    let number = |number: &Option<serde_json::Number>| number.clone().map(Value::Number);
    put("temperature", number(&chat.temperature), thinking, body, draft)?;
    let one_only = body.contains_key("temperature") && draft.rules.yes("temperature_or_top_p");
    match (number(&chat.top_p), one_only) {
        (Some(_), true) => draft.drop("top_p"),
        (top_p, _) => put("top_p", top_p, thinking, body, draft)?,
    }
    if let Some(stop) = &chat.stop {
        let (kept, blank): (Vec<&String>, Vec<&String>) =
            stop.as_slice().iter().partition(|text| !text.trim().is_empty());
        if !blank.is_empty() {
            draft.drop("stop");
        }
        if !kept.is_empty() || blank.is_empty() {
            body.insert("stop_sequences".to_owned(), json!(kept));
        }
    }
    if let Some(stream) = chat.stream {
        body.insert("stream".to_owned(), stream.into());
    }
    if let Some(user) = &chat.user {
        body.insert("metadata".to_owned(), json!({"user_id": user}));
    }
    service_tier(chat, body, draft);
    for (name, value) in &chat.extra {
        let silent = SILENT.contains(&name.as_str());
        match draft.rules.knows(name) {
            _ if silent => {}
            true => {
                draft.need_beta(name);
                put(name, Some(value.clone()), thinking, body, draft)?;
            }
            false if value.is_null() => {}
            false => draft.drop(name.clone()),
        }
    }
    report_unknown(chat, draft);
    Ok(())
}

/// Adds one parameter as the descriptor's rules have it.
fn put(
    name: &str,
    value: Option<Value>,
    thinking: bool,
    body: &mut Map<String, Value>,
    draft: &mut Draft<'_>,
) -> Result<(), EncodeError> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(()) };
    match draft.rules.treat(name, &value, thinking) {
        Treatment::Keep => {
            body.insert(name.to_owned(), value);
        }
        Treatment::Drop => draft.drop(name),
        Treatment::Forbid => {
            return Err(EncodeError::unsupported(name, format!("this model does not take `{name}`")));
        }
        Treatment::Clamp(nearest) => {
            draft.drop(name);
            body.insert(name.to_owned(), Value::Number(nearest));
        }
    }
    Ok(())
}

fn service_tier(chat: &chat::Request, body: &mut Map<String, Value>, draft: &mut Draft<'_>) {
    let tier = match chat.service_tier.as_deref() {
        None => return,
        Some("auto") => "auto",
        Some("default" | "standard_only") => "standard_only",
        Some(_) => return draft.drop("service_tier"),
    };
    body.insert("service_tier".to_owned(), tier.into());
}

/// Reports OpenAI's parameters that Anthropic lacks, where they are not set to what happens anyway.
fn report_unknown(chat: &chat::Request, draft: &mut Draft<'_>) {
    let not_zero =
        |number: &Option<serde_json::Number>| number.as_ref().is_some_and(|n| n.as_f64() != Some(0.0));
    let set = [
        ("seed", chat.seed.is_some()),
        ("frequency_penalty", not_zero(&chat.frequency_penalty)),
        ("presence_penalty", not_zero(&chat.presence_penalty)),
        (
            "logit_bias",
            chat.logit_bias.as_ref().is_some_and(|bias| bias.as_object().is_none_or(|map| !map.is_empty())),
        ),
        ("logprobs", chat.logprobs == Some(true)),
        ("top_logprobs", chat.top_logprobs.is_some_and(|count| count > 0)),
        ("prompt_cache_key", chat.prompt_cache_key.is_some()),
    ];
    set.iter().filter(|(_, set)| *set).for_each(|(name, _)| draft.drop(*name));
}
