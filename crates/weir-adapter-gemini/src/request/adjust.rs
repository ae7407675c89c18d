//! A request's settings, with the route's defaults and after what the descriptor says about parameters.

use serde_json::{Map, Number, Value};
use weir_adapter::descriptor::{Clamp, Parameters};
use weir_adapter::{Descriptor, EncodeError, EncodeOptions, InvalidRequest};
use weir_wire::openai::chat;

/// Everything but the messages. Of a descriptor's `parameters`, this dialect heeds `drop`, `forbid` and `clamp`:
/// the others are about names and values on OpenAI's wire.
pub(super) fn settings(
    descriptor: &Descriptor,
    request: &chat::Request,
    options: &EncodeOptions<'_>,
    dropped: &mut Vec<String>,
) -> Result<chat::Request, EncodeError> {
    let Value::Object(mut members) = serde_json::to_value(without_messages(request)).unwrap_or_default()
    else {
        return Ok(chat::Request::default());
    };
    members.retain(|_, value| !value.is_null());
    for (name, value) in options.defaults.into_iter().flatten() {
        if name != "messages" && name != "model" {
            members.entry(name).or_insert_with(|| value.clone());
        }
    }
    let rules = descriptor.rules(options.model).map(|rule| &rule.parameters);
    for parameters in std::iter::once(&descriptor.parameters).chain(rules) {
        apply(parameters, &mut members, dropped)?;
    }
    serde_json::from_value(Value::Object(members)).map_err(|error| InvalidRequest::body(&error).into())
}

fn apply(
    parameters: &Parameters,
    members: &mut Map<String, Value>,
    dropped: &mut Vec<String>,
) -> Result<(), EncodeError> {
    if let Some(name) = parameters.forbid.iter().find(|name| members.contains_key(*name)) {
        return Err(EncodeError::unsupported(name, format!("this model does not take `{name}`")));
    }
    for name in &parameters.drop {
        if members.shift_remove(name).is_some() {
            dropped.push(name.clone());
        }
    }
    for (name, clamp) in &parameters.clamp {
        if let Some(bounded) = members.get(name).and_then(|value| bound(value, clamp)) {
            members.insert(name.clone(), Value::Number(bounded));
            dropped.push(name.clone());
        }
    }
    Ok(())
}

/// The bound that a value lies beyond, if it does.
fn bound(value: &Value, clamp: &Clamp) -> Option<Number> {
    let value = value.as_f64()?;
    let read = |text: &Option<String>| text.as_ref()?.parse::<Number>().ok();
    let below = read(&clamp.min).filter(|min| min.as_f64().is_some_and(|min| value < min));
    below.or_else(|| read(&clamp.max).filter(|max| max.as_f64().is_some_and(|max| value > max)))
}

/// A copy that leaves the conversation, which may be many megabytes, where it is.
fn without_messages(request: &chat::Request) -> chat::Request {
    let chat::Request {
        model,
        messages: _,
        stream,
        stream_options,
        max_tokens,
        max_completion_tokens,
        temperature,
        top_p,
        n,
        stop,
        seed,
        frequency_penalty,
        presence_penalty,
        logit_bias,
        logprobs,
        top_logprobs,
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        reasoning_effort,
        modalities,
        audio,
        prompt_cache_key,
        service_tier,
        user,
        metadata,
        extra,
    } = request;
    chat::Request {
        model: model.clone(),
        messages: Vec::new(),
        stream: *stream,
        stream_options: stream_options.clone(),
        max_tokens: *max_tokens,
        max_completion_tokens: *max_completion_tokens,
        temperature: temperature.clone(),
        top_p: top_p.clone(),
        n: *n,
        stop: stop.clone(),
        seed: seed.clone(),
        frequency_penalty: frequency_penalty.clone(),
        presence_penalty: presence_penalty.clone(),
        logit_bias: logit_bias.clone(),
        logprobs: *logprobs,
        top_logprobs: *top_logprobs,
        tools: tools.clone(),
        tool_choice: tool_choice.clone(),
        parallel_tool_calls: *parallel_tool_calls,
        response_format: response_format.clone(),
        reasoning_effort: reasoning_effort.clone(),
        modalities: modalities.clone(),
        audio: audio.clone(),
        prompt_cache_key: prompt_cache_key.clone(),
        service_tier: service_tier.clone(),
        user: user.clone(),
        metadata: metadata.clone(),
        extra: extra.clone(),
    }
}
