//! What Anthropic refuses in a request: fields, parameters, messages and their blocks.

use serde_json::Value;

use super::models::{self, Traits};
use super::{cache, error, replay, tools};
use crate::reply::Refusal;
use crate::service::Call;

pub(super) type Check = Result<(), Refusal>;

/// Fields of a messages request.
const FIELDS: [&str; 19] = [
    "model",
    "messages",
    "cache_control",
    "container",
    "inference_geo",
    "max_tokens",
    "metadata",
    "output_config",
    "output_format",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// Fields of a count request.
const COUNT_FIELDS: [&str; 9] = [
    "cache_control",
    "messages",
    "model",
    "output_config",
    "output_format",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// Whether and how the model thinks in this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    Off,
    Budget(u64),
    Adaptive,
}

/// Checks a messages request.
pub(super) fn messages(call: &Call<'_>) -> Result<Thinking, Refusal> {
    let traits = common(call, &FIELDS)?;
    let body = call.body;
    let limit = match &body["max_tokens"] {
        Value::Null => return Err(error::invalid("max_tokens: Field required")),
        value => value.as_u64().filter(|limit| *limit > 0).ok_or_else(|| {
            error::invalid("max_tokens: Input should be a valid integer greater than or equal to 1")
        })?,
    };
    if limit > traits.max_output {
        let message = format!(
            "max_tokens: {limit} > {}, which is the maximum allowed number of output tokens for {}",
            traits.max_output, call.model
        );
        return Err(error::invalid(&message));
    }
    let thinking = thinking(body, traits, Some(limit))?;
    sampling(body, traits, thinking)?;
    stops(body)?;
    format(body)?;
    tools::check(body, thinking)?;
    history(call, thinking)?;
    Ok(thinking)
}

/// Checks a count request.
pub(super) fn count(call: &Call<'_>) -> Check {
    let traits = common(call, &COUNT_FIELDS)?;
    let thinking = thinking(call.body, traits, None)?;
    tools::check(call.body, thinking)?;
    history(call, thinking)
}

fn common(call: &Call<'_>, fields: &[&str]) -> Result<Traits, Refusal> {
    let body = call.body;
    let Some(object) = body.as_object() else {
        return Err(error::invalid("Input should be a valid dictionary"));
    };
    if call.model.is_empty() {
        return Err(error::invalid("model: Field required"));
    }
    let traits = models::traits(call, call.model).ok_or_else(|| models::unknown(call.model))?;
    if call.state.config.strict_fields
        && let Some((name, _)) = object.iter().find(|(name, _)| !fields.contains(&name.as_str()))
    {
        return Err(error::invalid(&format!("{name}: Extra inputs are not permitted")));
    }
    system(&body["system"])?;
    cache::check(body)?;
    Ok(traits)
}

fn system(system: &Value) -> Check {
    match system {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(blocks) => blocks.iter().enumerate().try_for_each(|(index, block)| {
            if block["type"] != "text" {
                return Err(error::invalid(&format!("system.{index}.type: Input should be 'text'")));
            }
            if block["text"].as_str().is_none_or(str::is_empty) {
                return Err(error::invalid(&format!(
                    "system.{index}: text content blocks must be non-empty"
                )));
            }
            replay::keys(block, &format!("system.{index}"))
        }),
        _ => Err(error::invalid("system: Input should be a valid string or list")),
    }
}

fn thinking(body: &Value, traits: Traits, limit: Option<u64>) -> Result<Thinking, Refusal> {
    let thinking = &body["thinking"];
    match thinking["type"].as_str() {
        None if thinking.is_null() => {
            Ok(if traits.thinks_by_default { Thinking::Adaptive } else { Thinking::Off })
        }
        Some("disabled") => Ok(Thinking::Off),
        Some("adaptive") if traits.adaptive => Ok(Thinking::Adaptive),
        Some("adaptive") => Err(error::invalid("thinking: adaptive thinking is not supported on this model")),
        Some("enabled") if traits.no_sampling => {
            let message = "thinking.type: \"enabled\" is not supported for this model. Use \"adaptive\" and output_config.effort.";
            Err(error::invalid(message))
        }
        Some("enabled") if !traits.thinks => {
            Err(error::invalid("thinking: this model does not support thinking"))
        }
        Some("enabled") => {
            let budget = thinking["budget_tokens"].as_u64();
            let budget =
                budget.ok_or_else(|| error::invalid("thinking.enabled.budget_tokens: Field required"))?;
            if budget < 1024 {
                let message = "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
                return Err(error::invalid(message));
            }
            if limit.is_some_and(|limit| limit <= budget) {
                return Err(error::invalid("`max_tokens` must be greater than `thinking.budget_tokens`."));
            }
            Ok(Thinking::Budget(budget))
        }
        _ => Err(error::invalid("thinking.type: Input should be 'enabled', 'disabled' or 'adaptive'")),
    }
}

fn sampling(body: &Value, traits: Traits, thinking: Thinking) -> Check {
    let given = |name: &str| !body[name].is_null();
    for name in ["temperature", "top_p"] {
        if given(name) && !body[name].as_f64().is_some_and(|value| (0.0..=1.0).contains(&value)) {
            return Err(error::invalid(&format!("{name}: range: 0..1")));
        }
    }
    if given("top_k") && body["top_k"].as_u64().is_none() {
        return Err(error::invalid("top_k: Input should be a valid integer"));
    }
    if traits.no_sampling
        && let Some(name) = ["temperature", "top_p", "top_k"].into_iter().find(|name| given(name))
    {
        return Err(error::invalid(&format!("`{name}` is not supported for this model.")));
    }
    if traits.one_sampler && given("temperature") && given("top_p") {
        let message =
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
        return Err(error::invalid(message));
    }
    if thinking != Thinking::Off {
        if body["temperature"].as_f64().is_some_and(|value| value != 1.0) {
            return Err(error::invalid("`temperature` may only be set to 1 when thinking is enabled."));
        }
        if body["top_p"].as_f64().is_some_and(|value| value < 0.95) {
            let message = "`top_p` must be greater than or equal to 0.95 when thinking is enabled.";
            return Err(error::invalid(message));
        }
        if given("top_k") {
            return Err(error::invalid("`top_k` must be unset when thinking is enabled."));
        }
    }
    Ok(())
}

fn stops(body: &Value) -> Check {
    let stops = match &body["stop_sequences"] {
        Value::Null => return Ok(()),
        Value::Array(stops) => stops,
        _ => return Err(error::invalid("stop_sequences: Input should be a valid list")),
    };
    for (index, stop) in stops.iter().enumerate() {
        match stop.as_str() {
            None => {
                return Err(error::invalid(&format!(
                    "stop_sequences.{index}: Input should be a valid string"
                )));
            }
            Some(text) if text.trim().is_empty() => {
                return Err(error::invalid("stop_sequences: each stop sequence must contain non-whitespace"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The output format, in its place or in its older one.
pub(super) fn output_format(body: &Value) -> &Value {
    let format = &body["output_config"]["format"];
    if format.is_null() { &body["output_format"] } else { format }
}

fn format(body: &Value) -> Check {
    if let Some(effort) = body["output_config"]["effort"].as_str()
        && !["low", "medium", "high", "xhigh", "max"].contains(&effort)
    {
        return Err(error::invalid(
            "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        ));
    }
    let format = output_format(body);
    if format.is_null() {
        return Ok(());
    }
    if format["type"] != "json_schema" {
        return Err(error::invalid("output_config.format.type: Input should be 'json_schema'"));
    }
    if !format["schema"].is_object() {
        return Err(error::invalid("output_config.format.schema: Field required"));
    }
    closed(&format["schema"])
}

/// The rules of output schemas: closed objects, no bounds.
fn closed(schema: &Value) -> Check {
    let kind = schema["type"].as_str().unwrap_or("");
    let bounds: &[&str] = match kind {
        "integer" | "number" => &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
        "string" => &["minLength", "maxLength"],
        "array" => &["maxItems"],
        _ => &[],
    };
    if let Some(bound) = bounds.iter().find(|bound| schema.get(**bound).is_some()) {
        let message = format!("output_format.schema: For '{kind}' type, property '{bound}' is not supported");
        return Err(error::invalid(&message));
    }
    if kind == "object" && schema["additionalProperties"] != false {
        let message =
            "output_format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false";
        return Err(error::invalid(message));
    }
    for key in ["properties", "$defs", "definitions"] {
        schema[key].as_object().into_iter().flatten().try_for_each(|(_, schema)| closed(schema))?;
    }
    for key in ["anyOf", "allOf"] {
        schema[key].as_array().into_iter().flatten().try_for_each(closed)?;
    }
    if schema["items"].is_object() { closed(&schema["items"]) } else { Ok(()) }
}

fn history(call: &Call<'_>, thinking: Thinking) -> Check {
    let messages = match &call.body["messages"] {
        Value::Null => return Err(error::invalid("messages: Field required")),
        Value::Array(messages) if messages.is_empty() => {
            return Err(error::invalid("messages: at least one message is required"));
        }
        Value::Array(messages) => messages,
        _ => return Err(error::invalid("messages: Input should be a valid list")),
    };
    let mut before = "";
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or("");
        match role {
            "user" | "assistant" => {}
            "system" => {
                let message = "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.";
                return Err(error::invalid(message));
            }
            _ => {
                let message = format!("messages.{index}.role: Input should be 'user' or 'assistant'");
                return Err(error::invalid(&message));
            }
        }
        if index == 0 && role != "user" {
            return Err(error::invalid("messages: first message must use the \"user\" role"));
        }
        if role == before {
            let message = format!(
                "messages: roles must alternate between \"user\" and \"assistant\", but found multiple \"{role}\" roles in a row"
            );
            return Err(error::invalid(&message));
        }
        before = role;
        replay::blocks(call, messages, index, index + 1 == messages.len())?;
    }
    tools::pairs(messages)?;
    // With adaptive thinking, earlier turns may have none.
    if matches!(thinking, Thinking::Budget(_)) { replay::thinking_stands(messages) } else { Ok(()) }
}
