//! A request of `/v1/messages` in OpenAI's form.

use serde_json::{Map, Number, Value};
use weir_adapter::InvalidRequest;
use weir_wire::openai::chat::{
    Content, Function, JsonSchema, Message, OneOrMany, Request, ResponseFormat, Tool, ToolChoice,
};

use super::blocks;

/// Reads the body. Members that OpenAI lacks stay in `extra` under their own names.
pub(super) fn chat(body: &[u8]) -> Result<Request, InvalidRequest> {
    let mut members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| InvalidRequest::body(&error))?;
    members.retain(|_, value| !value.is_null());
    let mut chat = Request {
        model: string(&mut members, "model")?.ok_or_else(|| InvalidRequest::missing("model"))?,
        max_tokens: take(&mut members, "max_tokens", "a whole number from 0 up", |value| value.as_u64())?,
        stream: take(&mut members, "stream", "true or false", |value| value.as_bool())?,
        temperature: number(&mut members, "temperature")?,
        top_p: number(&mut members, "top_p")?,
        service_tier: string(&mut members, "service_tier")?,
        ..Request::default()
    };
    if let Some(stop) = members.remove("stop_sequences") {
        let texts: Vec<String> = typed("stop_sequences", stop)?;
        chat.stop = Some(OneOrMany::Many(texts));
    }
    if let Some(metadata) = members.remove("metadata") {
        chat.user = metadata.get("user_id").and_then(Value::as_str).map(str::to_owned);
    }
    if let Some(system) = members.remove("system") {
        chat.messages.extend(system_message(system)?);
    }
    let messages = members.remove("messages").ok_or_else(|| InvalidRequest::missing("messages"))?;
    let Value::Array(messages) = messages else { return Err(wrong("messages", "a list")) };
    for (at, message) in messages.into_iter().enumerate() {
        blocks::message(message, &format!("messages[{at}]"), &mut chat.messages)?;
    }
    if let Some(tools) = members.remove("tools") {
        let tools: Vec<Map<String, Value>> = typed("tools", tools)?;
        chat.tools =
            Some(tools.into_iter().enumerate().map(|(at, t)| tool(t, at)).collect::<Result<_, _>>()?);
    }
    if let Some(choice) = members.remove("tool_choice") {
        tool_choice(&choice, &mut chat)?;
    }
    output(&mut members, &mut chat);
    reasoning(&members, &mut chat);
    chat.extra = members;
    Ok(chat)
}

fn system_message(system: Value) -> Result<Option<Message>, InvalidRequest> {
    let content = match system {
        Value::String(text) => Content::Text(text),
        Value::Array(list) => Content::Parts(blocks::parts(list, "system")?),
        _ => return Err(wrong("system", "a string or a list of blocks")),
    };
    let empty = content == Content::Text(String::new()) || content == Content::Parts(Vec::new());
    Ok((!empty).then(|| Message { role: "system".to_owned(), content: Some(content), ..Message::default() }))
}

fn tool(mut tool: Map<String, Value>, at: usize) -> Result<Tool, InvalidRequest> {
    let path = format!("tools[{at}]");
    let cache_control = tool.remove("cache_control");
    let kind = match tool.get("type") {
        None | Some(Value::Null) => "custom".to_owned(),
        Some(Value::String(kind)) => kind.clone(),
        Some(_) => return Err(wrong(&format!("{path}.type"), "a string")),
    };
    tool.remove("type");
    if kind != "custom" {
        return Ok(Tool { kind, function: None, cache_control, extra: tool });
    }
    let name = string(&mut tool, "name").map_err(|_| wrong(&format!("{path}.name"), "a string"))?;
    let function = Function {
        name: name.ok_or_else(|| InvalidRequest::missing(&format!("{path}.name")))?,
        description: string(&mut tool, "description")
            .map_err(|_| wrong(&format!("{path}.description"), "a string"))?,
        parameters: tool.remove("input_schema"),
        strict: tool.remove("strict").and_then(|strict| strict.as_bool()),
        ..Function::default()
    };
    Ok(Tool { kind: "function".to_owned(), function: Some(function), cache_control, extra: tool })
}

fn tool_choice(choice: &Value, chat: &mut Request) -> Result<(), InvalidRequest> {
    chat.parallel_tool_calls = choice["disable_parallel_tool_use"].as_bool().map(|disabled| !disabled);
    chat.tool_choice = Some(match (choice["type"].as_str(), choice["name"].as_str()) {
        (Some("tool"), Some(name)) => {
            let object = serde_json::json!({"type": "function", "function": {"name": name}});
            ToolChoice::Object(object.as_object().cloned().unwrap_or_default())
        }
        (Some("tool"), None) => return Err(InvalidRequest::missing("tool_choice.name")),
        (Some("any"), _) => ToolChoice::Mode("required".to_owned()),
        (Some(mode @ ("auto" | "none")), _) => ToolChoice::Mode(mode.to_owned()),
        _ => return Err(wrong("tool_choice.type", "`auto`, `any`, `tool` or `none`")),
    });
    Ok(())
}

/// `output_config.format`, and `output_format` as it was called in its beta.
fn output(members: &mut Map<String, Value>, chat: &mut Request) {
    let beta = members.remove("output_format");
    let mut format = None;
    if let Some(Value::Object(config)) = members.get_mut("output_config") {
        format = config.remove("format");
        if config.is_empty() {
            members.remove("output_config");
        }
    }
    let Some(format) = format.or(beta).filter(|format| format["type"] == "json_schema") else { return };
    let schema = JsonSchema {
        name: "output".to_owned(),
        schema: format.get("schema").cloned(),
        strict: Some(true),
        ..JsonSchema::default()
    };
    chat.response_format = Some(ResponseFormat {
        kind: "json_schema".to_owned(),
        json_schema: Some(schema),
        ..ResponseFormat::default()
    });
}

/// OpenAI's word for Anthropic's thinking, for providers that think by effort. `thinking` itself stays in `extra`.
fn reasoning(members: &Map<String, Value>, chat: &mut Request) {
    let effort = members.get("output_config").and_then(|config| config["effort"].as_str());
    let thinking = members.get("thinking");
    let word = match (thinking.and_then(|thinking| thinking["type"].as_str()), effort) {
        (Some("disabled"), _) => return,
        (_, Some("max")) => "xhigh",
        (_, Some(effort)) => effort,
        (Some("enabled"), None) => {
            match thinking.and_then(|thinking| thinking["budget_tokens"].as_u64()).unwrap_or_default() {
                0..=4096 => "low",
                4097..=16_384 => "medium",
                _ => "high",
            }
        }
        (Some("adaptive"), None) => "high",
        _ => return,
    };
    chat.reasoning_effort = Some(word.to_owned());
}

// === Members ===

pub(super) fn wrong(param: &str, expected: &str) -> InvalidRequest {
    InvalidRequest::value(param, format!("`{param}` must be {expected}"))
}

fn take<T>(
    members: &mut Map<String, Value>,
    name: &str,
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, InvalidRequest> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(&value).map(Some).ok_or_else(|| wrong(name, expected)),
    }
}

pub(super) fn string(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, InvalidRequest> {
    take(members, name, "a string", |value| value.as_str().map(str::to_owned))
}

fn number(members: &mut Map<String, Value>, name: &str) -> Result<Option<Number>, InvalidRequest> {
    take(members, name, "a number", |value| value.as_number().cloned())
}

fn typed<T: for<'de> serde::Deserialize<'de>>(name: &str, value: Value) -> Result<T, InvalidRequest> {
    serde_json::from_value(value)
        .map_err(|error| InvalidRequest::value(name, format!("`{name}` does not fit: {error}")))
}
