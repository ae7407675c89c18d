//! What OpenAI refuses in a chat request.

use std::collections::HashSet;

use serde_json::Value;

use super::error;
use super::models::Kind;
use crate::reply::Refusal;

type Check = Result<(), Refusal>;

/// Top-level fields that exist.
const FIELDS: [&str; 36] = [
    "metadata",
    "top_logprobs",
    "temperature",
    "top_p",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "messages",
    "model",
    "service_tier",
    "modalities",
    "verbosity",
    "reasoning_effort",
    "max_completion_tokens",
    "frequency_penalty",
    "presence_penalty",
    "web_search_options",
    "response_format",
    "audio",
    "store",
    "moderation",
    "stream",
    "stop",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "prediction",
    "seed",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "function_call",
];

/// Refuses what OpenAI would refuse.
pub(crate) fn check(body: &Value, kind: Kind, strict_fields: bool) -> Check {
    if strict_fields {
        known_fields(body)?;
    }
    messages(body)?;
    numbers(body)?;
    if kind == Kind::Reasoning {
        reasoning_model(body)?;
    }
    tools(body)?;
    response_format(body)?;
    audio(body)?;
    streaming(body)
}

/// Speech needs a voice and a format; a stream can only carry one.
fn audio(body: &Value) -> Check {
    if !super::chat::wants_audio(body) {
        return Ok(());
    }
    for name in ["voice", "format"] {
        if body["audio"][name].is_null() {
            return Err(error::missing(&format!("audio.{name}")));
        }
    }
    if body["stream"] == true && body["audio"]["format"] != "pcm16" {
        let why = "'audio.format' must be 'pcm16' when 'stream' is true.";
        return Err(error::invalid(
            &format!("Unsupported value: {why}"),
            Some("audio.format"),
            Some("unsupported_value"),
        ));
    }
    Ok(())
}

fn known_fields(body: &Value) -> Check {
    let unknown = body
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, _)| !FIELDS.contains(&name.as_str()) && name.as_str() != "functions");
    unknown.map_or(Ok(()), |(name, _)| Err(error::unknown_parameter(name)))
}

fn messages(body: &Value) -> Check {
    let messages = match &body["messages"] {
        Value::Null => return Err(error::missing("messages")),
        Value::Array(messages) => messages,
        _ => return Err(error::wrong_type("messages", "an array of objects")),
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(error::invalid(message, Some("messages"), Some("empty_array")));
    }
    let mut open: HashSet<&str> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        let role = message["role"].as_str().ok_or_else(|| error::missing(&format!("{at}.role")))?;
        if role != "tool" && !open.is_empty() {
            return Err(unanswered(&open, &at));
        }
        match role {
            "system" | "developer" => content(&message["content"], &at, &["text"], false)?,
            "user" => {
                content(&message["content"], &at, &["text", "image_url", "input_audio", "file"], false)?
            }
            "assistant" => assistant(message, &at, &mut open)?,
            "tool" => {
                let id = message["tool_call_id"].as_str();
                let id = id.ok_or_else(|| error::missing(&format!("{at}.tool_call_id")))?;
                if !open.remove(id) {
                    let why = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
                    let param = format!("{at}.role");
                    return Err(error::invalid(&format!("Invalid parameter: {why}"), Some(&param), None));
                }
                content(&message["content"], &at, &["text"], false)?;
            }
            "function" => {}
            other => {
                return Err(error::bad_value(&format!("{at}.role"), &format!("'{other}' is not a role.")));
            }
        }
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&open, "messages")) }
}

fn unanswered(open: &HashSet<&str>, at: &str) -> Refusal {
    let mut ids: Vec<&str> = open.iter().copied().collect();
    ids.sort_unstable();
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. No response for: {}",
        ids.join(", ")
    );
    error::invalid(&message, Some(at), None)
}

fn assistant<'a>(message: &'a Value, at: &str, open: &mut HashSet<&'a str>) -> Check {
    let calls = message["tool_calls"].as_array();
    if message.get("tool_calls").is_some_and(|calls| !calls.is_null()) && calls.is_none_or(Vec::is_empty) {
        return Err(error::bad_value(&format!("{at}.tool_calls"), "expected a non-empty array."));
    }
    for (index, call) in calls.into_iter().flatten().enumerate() {
        let at = format!("{at}.tool_calls[{index}]");
        if call["type"] != "function" {
            return Err(error::bad_value(&format!("{at}.type"), "expected 'function'."));
        }
        let id = call["id"].as_str().ok_or_else(|| error::missing(&format!("{at}.id")))?;
        if call["function"]["name"].as_str().is_none_or(str::is_empty) {
            return Err(error::missing(&format!("{at}.function.name")));
        }
        if !call["function"]["arguments"].is_string() {
            return Err(error::wrong_type(&format!("{at}.function.arguments"), "a string"));
        }
        if !open.insert(id) {
            return Err(error::bad_value(&format!("{at}.id"), "duplicate tool call id."));
        }
    }
    let optional = calls.is_some() || message.get("audio").is_some() || message["refusal"].is_string();
    content(&message["content"], at, &["text", "refusal"], optional)
}

fn content(content: &Value, at: &str, kinds: &[&str], optional: bool) -> Check {
    let param = format!("{at}.content");
    match content {
        Value::String(_) => Ok(()),
        Value::Null if optional => Ok(()),
        Value::Null => Err(error::wrong_type(&param, "one of a string or array of objects, but got null")),
        Value::Array(parts) if parts.is_empty() => Err(error::bad_value(&param, "empty array.")),
        Value::Array(parts) => parts
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| part(item, &format!("{param}[{index}]"), kinds)),
        _ => Err(error::wrong_type(&param, "one of a string or array of objects")),
    }
}

fn part(part: &Value, at: &str, kinds: &[&str]) -> Check {
    let kind = part["type"].as_str().ok_or_else(|| error::missing(&format!("{at}.type")))?;
    if !kinds.contains(&kind) {
        let message = format!("Invalid value: '{kind}'. Supported values are: '{}'.", kinds.join("', '"));
        return Err(error::invalid(&message, Some(&format!("{at}.type")), Some("invalid_value")));
    }
    match kind {
        "text" if !part["text"].is_string() => Err(error::missing(&format!("{at}.text"))),
        "image_url" => image(part["image_url"]["url"].as_str(), at),
        "input_audio" => {
            let known = matches!(part["input_audio"]["format"].as_str(), Some("wav" | "mp3"));
            if !part["input_audio"]["data"].is_string() {
                Err(error::missing(&format!("{at}.input_audio.data")))
            } else if !known {
                Err(error::bad_value(&format!("{at}.input_audio.format"), "expected 'wav' or 'mp3'."))
            } else {
                Ok(())
            }
        }
        "file" => {
            let file = &part["file"];
            let data = file["file_data"].as_str();
            if data.is_none() && file["file_id"].as_str().is_none() {
                return Err(error::missing(&format!("{at}.file.file_id")));
            }
            match data {
                Some(data) if !data.starts_with("data:") => Err(error::bad_value(
                    &format!("{at}.file.file_data"),
                    "expected a base64-encoded data URL.",
                )),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn image(url: Option<&str>, at: &str) -> Check {
    let url = url.ok_or_else(|| error::missing(&format!("{at}.image_url.url")))?;
    let good = url.starts_with("http://")
        || url.starts_with("https://")
        || (url.starts_with("data:image/") && url.contains(";base64,"));
    if good {
        Ok(())
    } else {
        let message = "Invalid image URL: expected a valid URL or a base64-encoded data URL.";
        Err(error::invalid(message, Some(&format!("{at}.image_url.url")), Some("invalid_image_url")))
    }
}

/// Ranges: name, least, most.
const RANGES: [(&str, f64, f64); 6] = [
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("n", 1.0, 128.0),
    ("top_logprobs", 0.0, 20.0),
];

fn numbers(body: &Value) -> Check {
    for (name, least, most) in RANGES {
        in_range(body, name, least, most)?;
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        let value = &body[name];
        if !value.is_null() && !value.is_i64() && !value.is_u64() {
            return Err(error::wrong_type(name, "an integer"));
        }
        if value.as_i64().is_some_and(|value| value < 1) {
            let message = format!(
                "Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead."
            );
            return Err(error::invalid(&message, Some(name), Some("integer_below_min_value")));
        }
    }
    if !body["top_logprobs"].is_null() && body["logprobs"] != true {
        return Err(error::bad_value("top_logprobs", "'logprobs' must be true to use it."));
    }
    match &body["stop"] {
        Value::Array(stops) if stops.len() > 4 => {
            Err(error::bad_value("stop", "array too long. Expected at most 4."))
        }
        Value::Array(stops) if !stops.iter().all(Value::is_string) => {
            Err(error::wrong_type("stop[0]", "a string"))
        }
        Value::Null | Value::String(_) | Value::Array(_) => Ok(()),
        _ => Err(error::wrong_type("stop", "a string or an array of strings")),
    }
}

/// Checks that a number that stands there is one and lies between the two.
pub(super) fn in_range(body: &Value, name: &str, least: f64, most: f64) -> Check {
    let value = &body[name];
    if value.is_null() {
        return Ok(());
    }
    let number = value.as_f64().ok_or_else(|| error::wrong_type(name, "a number"))?;
    if (least..=most).contains(&number) {
        return Ok(());
    }
    let code = if number < least { "decimal_below_min_value" } else { "decimal_above_max_value" };
    let message =
        format!("Invalid '{name}': expected a value between {least} and {most}, but got {value} instead.");
    Err(error::invalid(&message, Some(name), Some(code)))
}

fn reasoning_model(body: &Value) -> Check {
    if !body["max_tokens"].is_null() {
        return Err(error::unsupported_parameter("max_tokens", " Use 'max_completion_tokens' instead."));
    }
    for name in ["stop", "logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty"] {
        let value = &body[name];
        let given = !value.is_null() && *value != false && value.as_f64() != Some(0.0);
        if given {
            return Err(error::unsupported_parameter(name, ""));
        }
    }
    for name in ["temperature", "top_p"] {
        if body[name].as_f64().is_some_and(|value| value != 1.0) {
            return Err(error::unsupported_value(name, &body[name].to_string()));
        }
    }
    Ok(())
}

fn tools(body: &Value) -> Check {
    let tools = match &body["tools"] {
        Value::Null => &Vec::new(),
        Value::Array(tools) if tools.is_empty() => {
            return Err(error::invalid("Invalid 'tools': empty array.", Some("tools"), Some("empty_array")));
        }
        Value::Array(tools) => tools,
        _ => return Err(error::wrong_type("tools", "an array of objects")),
    };
    for (index, item) in tools.iter().enumerate() {
        tool(item, &format!("tools[{index}]"))?;
    }
    let choice = &body["tool_choice"];
    if tools.is_empty() {
        for name in ["tool_choice", "parallel_tool_calls"] {
            if !body[name].is_null() {
                let message = format!(
                    "Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                );
                return Err(error::invalid(&message, Some(name), None));
            }
        }
    }
    let names = || tools.iter().filter_map(|tool| tool["function"]["name"].as_str());
    match choice {
        Value::Null => Ok(()),
        Value::String(word) if matches!(word.as_str(), "auto" | "none" | "required") => Ok(()),
        Value::Object(_) if choice["type"] == "function" => {
            let name = choice["function"]["name"].as_str();
            let name = name.ok_or_else(|| error::missing("tool_choice.function.name"))?;
            if names().any(|known| known == name) {
                Ok(())
            } else {
                Err(error::bad_value("tool_choice", &format!("function '{name}' is not among 'tools'.")))
            }
        }
        Value::Object(_) if choice["type"] == "allowed_tools" => Ok(()),
        _ => Err(error::bad_value("tool_choice", "expected 'none', 'auto', 'required' or an object.")),
    }
}

fn tool(tool: &Value, at: &str) -> Check {
    match tool["type"].as_str() {
        Some("function") => {}
        Some("custom") => return Ok(()),
        Some(other) => return Err(error::bad_value(&format!("{at}.type"), &format!("'{other}'."))),
        None => return Err(error::missing(&format!("{at}.type"))),
    }
    let function = &tool["function"];
    let name = function["name"].as_str().ok_or_else(|| error::missing(&format!("{at}.function.name")))?;
    let good = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !good {
        let message =
            format!("Invalid '{at}.function.name': string does not match pattern '^[a-zA-Z0-9_-]+$'.");
        return Err(error::invalid(&message, Some(&format!("{at}.function.name")), Some("invalid_value")));
    }
    let parameters = &function["parameters"];
    let bad_schema = |why: &str| {
        let message = format!("Invalid schema for function '{name}': {why}");
        error::invalid(
            &message,
            Some(&format!("{at}.function.parameters")),
            Some("invalid_function_parameters"),
        )
    };
    if !parameters.is_null() && parameters["type"] != "object" && parameters.get("$ref").is_none() {
        return Err(bad_schema("schema must be a JSON Schema of 'type: \"object\"'."));
    }
    if function["strict"] == true {
        strict_schema(parameters).map_err(|why| bad_schema(&why))
    } else {
        Ok(())
    }
}

/// The rules of strict schemas: every object closed, every property required.
fn strict_schema(schema: &Value) -> Result<(), String> {
    if schema["type"] == "object" || schema.get("properties").is_some() {
        if schema["additionalProperties"] != false {
            return Err("'additionalProperties' is required to be supplied and to be false.".to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let required = schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
            if !required {
                return Err(format!(
                    "'required' is required to include every key in properties. Missing '{name}'."
                ));
            }
            strict_schema(property)?;
        }
    }
    if schema["items"].is_object() {
        strict_schema(&schema["items"])?;
    }
    for key in ["anyOf", "allOf"] {
        schema[key].as_array().into_iter().flatten().try_for_each(strict_schema)?;
    }
    for key in ["$defs", "definitions"] {
        schema[key].as_object().into_iter().flatten().try_for_each(|(_, schema)| strict_schema(schema))?;
    }
    Ok(())
}

fn response_format(body: &Value) -> Check {
    let format = &body["response_format"];
    match format["type"].as_str() {
        None if format.is_null() => Ok(()),
        Some("text") => Ok(()),
        Some("json_object") => {
            if body["messages"].to_string().to_ascii_lowercase().contains("json") {
                return Ok(());
            }
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
            Err(error::invalid(message, Some("messages"), None))
        }
        Some("json_schema") => {
            let schema = &format["json_schema"];
            if schema["name"].as_str().is_none_or(str::is_empty) {
                return Err(error::missing("response_format.json_schema.name"));
            }
            if !schema["schema"].is_object() {
                return Err(error::missing("response_format.json_schema.schema"));
            }
            if schema["strict"] != true {
                return Ok(());
            }
            strict_schema(&schema["schema"]).map_err(|why| {
                let message = format!("Invalid schema for response_format '{}': {why}", schema["name"]);
                error::invalid(&message, Some("response_format"), None)
            })
        }
        _ => {
            Err(error::bad_value("response_format.type", "expected 'text', 'json_object' or 'json_schema'."))
        }
    }
}

fn streaming(body: &Value) -> Check {
    if !body["stream"].is_null() && !body["stream"].is_boolean() {
        return Err(error::wrong_type("stream", "a boolean"));
    }
    if !body["stream_options"].is_null() && body["stream"] != true {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(error::invalid(message, Some("stream_options"), None));
    }
    Ok(())
}
