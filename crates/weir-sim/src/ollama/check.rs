//! What Ollama refuses in a chat, and what it would silently pass over and a strict test must not.

use serde_json::Value;

use super::{ask, error};
use crate::reply::Refusal;
use crate::service::Call;

type Check = Result<(), Refusal>;

/// Refuses what Ollama would refuse.
pub(super) fn chat(call: &Call<'_>) -> Check {
    let body = call.body;
    let Some(messages) = body["messages"].as_array() else {
        return Err(wrong_type("messages", "[]api.Message"));
    };
    let mut called: Vec<&str> = Vec::new();
    for message in messages {
        one(message)?;
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        called.extend(calls.filter_map(|call| call["function"]["name"].as_str()));
        let answers = message["role"] == "tool" && call.state.config.strict_fields;
        if answers && !called.iter().any(|name| message["tool_name"] == **name) {
            return Err(error::invalid("a tool's answer names no tool that was called"));
        }
    }
    settings(call)
}

fn one(message: &Value) -> Check {
    if !matches!(message["role"].as_str(), Some("system" | "user" | "assistant" | "tool")) {
        return Err(error::invalid(&format!("invalid role: {}", message["role"])));
    }
    if !message["content"].is_string() && !message["content"].is_null() {
        return Err(wrong_type("messages.content", "string"));
    }
    for image in message["images"].as_array().into_iter().flatten() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if image.as_str().is_none_or(|data| data.is_empty() || !data.bytes().all(plain)) {
            return Err(error::invalid("illegal base64 data at input byte 0"));
        }
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        if !call["function"]["arguments"].is_object() {
            return Err(wrong_type("tool_calls.function.arguments", "api.ToolCallFunctionArguments"));
        }
    }
    Ok(())
}

/// What both chat and generate have beside the prompt.
pub(super) fn settings(call: &Call<'_>) -> Check {
    let body = call.body;
    for name in ["tool_choice", "functions", "response_format", "max_tokens", "temperature", "stop", "seed"] {
        if call.state.config.strict_fields && !body[name].is_null() {
            return Err(error::invalid(&format!("{name} is nothing that this endpoint knows")));
        }
    }
    let format = &body["format"];
    if !(format.is_null() || format.is_object() || matches!(format.as_str(), Some("" | "json"))) {
        return Err(error::invalid(&format!("invalid format: {format}; expected \"json\" or a JSON schema")));
    }
    let think = &body["think"];
    let levels = matches!(think.as_str(), Some("low" | "medium" | "high" | "max"));
    if !(think.is_null() || think.is_boolean() || levels) {
        return Err(error::invalid(&format!("invalid think value: {think}")));
    }
    if (levels || think == true) && !ask::thinks(call.model) {
        return Err(error::invalid(&format!("{:?} does not support thinking", call.model)));
    }
    if !body["options"].is_null() && !body["options"].is_object() {
        return Err(wrong_type("options", "map[string]interface {}"));
    }
    Ok(())
}

fn wrong_type(field: &str, wanted: &str) -> Refusal {
    error::invalid(&format!("json: cannot unmarshal value into Go struct field .{field} of type {wanted}"))
}
