//! A request of Gemini's in OpenAI's form.

use serde_json::{Map, Value, json};
use weir_adapter::InvalidRequest;
use weir_wire::openai::chat::{
    Content, File, FilePart, Function, FunctionCall, ImagePart, ImageUrl, InputAudio, JsonSchema, KnownPart,
    Message, OneOrMany, Part, Request, ResponseFormat, TextPart, Tool, ToolCall, ToolChoice,
};
use weir_wire::openai::{Extra, embeddings};

use super::carrier;

type Object = Map<String, Value>;

/// A member under its name or, as protocol buffers allow, in snake case.
fn take(object: &mut Object, name: &str) -> Option<Value> {
    let snake: String = name
        .chars()
        .flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
        .collect();
    object.remove(name).or_else(|| object.remove(&snake)).filter(|value| !value.is_null())
}

fn wrong(path: &str, expected: &str) -> InvalidRequest {
    InvalidRequest::value(path, format!("`{path}` must be {expected}"))
}

fn object(value: Value, path: &str) -> Result<Object, InvalidRequest> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(wrong(path, "an object")),
    }
}

fn list(value: Value, path: &str) -> Result<Vec<Value>, InvalidRequest> {
    match value {
        Value::Array(list) => Ok(list),
        // Some SDKs send one where a list stands.
        Value::Object(one) => Ok(vec![Value::Object(one)]),
        _ => Err(wrong(path, "a list")),
    }
}

fn text_of(object: &mut Object, name: &str) -> Option<String> {
    take(object, name).and_then(|value| value.as_str().map(str::to_owned))
}

/// Reads the body. What chat lacks stays in `extra` under its path.
pub(super) fn chat(body: &[u8]) -> Result<Request, InvalidRequest> {
    let mut members: Object = serde_json::from_slice(body).map_err(|error| InvalidRequest::body(&error))?;
    let mut chat =
        Request { model: text_of(&mut members, "model").unwrap_or_default(), ..Request::default() };
    chat.stream = take(&mut members, "stream").and_then(|stream| stream.as_bool());
    if take(&mut members, "cachedContent").is_some() {
        let message = "`cachedContent` lives at Gemini; this model is elsewhere: send the content itself";
        return Err(InvalidRequest::value("cachedContent", message));
    }
    if let Some(system) = take(&mut members, "systemInstruction") {
        let text = match system {
            Value::String(text) => text,
            system => plain_text(object(system, "systemInstruction")?),
        };
        let content = Some(Content::Text(text));
        chat.messages.push(Message { role: "system".to_owned(), content, ..Message::default() });
    }
    let contents = take(&mut members, "contents").ok_or_else(|| InvalidRequest::missing("contents"))?;
    let mut calls = Calls::default();
    for (at, content) in list(contents, "contents")?.into_iter().enumerate() {
        let path = format!("contents[{at}]");
        calls.content(object(content, &path)?, &path, &mut chat)?;
    }
    if let Some(tools) = take(&mut members, "tools") {
        read_tools(list(tools, "tools")?, &mut chat)?;
    }
    if let Some(config) = take(&mut members, "toolConfig") {
        tool_choice(object(config, "toolConfig")?, &mut chat);
    }
    if let Some(config) = take(&mut members, "generationConfig") {
        generation(object(config, "generationConfig")?, &mut chat)?;
    }
    chat.extra.extend(members.into_iter().filter(|(_, value)| !value.is_null() && *value != json!([])));
    Ok(chat)
}

fn plain_text(mut content: Object) -> String {
    let parts = take(&mut content, "parts").unwrap_or_default();
    let parts = if parts.is_object() { vec![parts] } else { parts.as_array().cloned().unwrap_or_default() };
    parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
}

// === Contents ===

/// Calls without an answer yet: Gemini's clients may leave ids out and answer in order.
#[derive(Default)]
struct Calls {
    open: Vec<(String, String)>,
    made: usize,
}

impl Calls {
    fn content(&mut self, mut content: Object, path: &str, chat: &mut Request) -> Result<(), InvalidRequest> {
        let role = text_of(&mut content, "role").unwrap_or_else(|| "user".to_owned());
        let parts = list(take(&mut content, "parts").unwrap_or_else(|| json!([])), &format!("{path}.parts"))?;
        let parts = parts.into_iter().enumerate().map(|(at, part)| {
            let path = format!("{path}.parts[{at}]");
            object(part, &path).map(|part| (path, part))
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        match role.as_str() {
            "model" => self.model(parts, chat),
            "user" | "function" | "tool" => self.user(parts, chat),
            _ => Err(wrong(&format!("{path}.role"), "`user` or `model`")),
        }
    }

    fn user(&mut self, parts: Vec<(String, Object)>, chat: &mut Request) -> Result<(), InvalidRequest> {
        let mut said = Vec::new();
        for (path, mut part) in parts {
            match take(&mut part, "functionResponse") {
                Some(response) => {
                    let message = self.result(object(response, &path)?, &path)?;
                    chat.messages.push(message);
                }
                None => match media(part, &path)? {
                    Ok(part) => said.push(Part::Known(part)),
                    Err(other) => drop(chat.extra.insert(path, Value::Object(other))),
                },
            }
        }
        if !said.is_empty() {
            let content = Some(Content::Parts(said));
            chat.messages.push(Message { role: "user".to_owned(), content, ..Message::default() });
        }
        Ok(())
    }

    fn result(&mut self, mut response: Object, path: &str) -> Result<Message, InvalidRequest> {
        let name = text_of(&mut response, "name").unwrap_or_default();
        let id = text_of(&mut response, "id");
        let at = self.open.iter().position(|(call, known)| match &id {
            Some(id) => call == id,
            None => *known == name,
        });
        let id = match at {
            Some(at) => self.open.remove(at).0,
            None => id.ok_or_else(|| wrong(path, "the answer to a call of that name"))?,
        };
        let output = take(&mut response, "response").unwrap_or_else(|| json!({}));
        let plain = output.as_object().filter(|members| members.len() == 1);
        let single = plain.and_then(|members| members.get("result").or(members.get("output")));
        let failed = plain.and_then(|members| members.get("error"));
        let text = match single.or(failed) {
            Some(Value::String(text)) => text.clone(),
            _ => output.to_string(),
        };
        Ok(Message {
            role: "tool".to_owned(),
            content: Some(Content::Text(text)),
            tool_call_id: Some(id),
            is_error: failed.map(|_| true),
            ..Message::default()
        })
    }

    fn model(&mut self, parts: Vec<(String, Object)>, chat: &mut Request) -> Result<(), InvalidRequest> {
        let mut message = Message { role: "assistant".to_owned(), ..Message::default() };
        let (mut said, mut calls, mut thought) = (Vec::new(), Vec::new(), String::new());
        for (path, mut part) in parts {
            let signature = text_of(&mut part, "thoughtSignature");
            if take(&mut part, "thought") == Some(Value::Bool(true)) {
                thought.push_str(&text_of(&mut part, "text").unwrap_or_default());
                continue;
            }
            match take(&mut part, "functionCall") {
                Some(call) => {
                    let carried = signature.as_deref().and_then(carrier::unpack).unwrap_or_default();
                    if !carried.details.is_empty() {
                        message.reasoning_details.get_or_insert_default().extend(carried.details);
                    }
                    calls.push(self.call(object(call, &path)?, carried.extra, &path)?);
                }
                None => match media(part, &path)? {
                    Ok(part) => said.push(Part::Known(part)),
                    Err(other) => drop(chat.extra.insert(path, Value::Object(other))),
                },
            }
        }
        message.content = (!said.is_empty()).then_some(Content::Parts(said));
        message.tool_calls = (!calls.is_empty()).then_some(calls);
        message.reasoning_content = (!thought.is_empty()).then_some(thought);
        if message.content.is_some() || message.tool_calls.is_some() {
            chat.messages.push(message);
        }
        Ok(())
    }

    fn call(&mut self, mut call: Object, extra: Extra, path: &str) -> Result<ToolCall, InvalidRequest> {
        let name = text_of(&mut call, "name")
            .ok_or_else(|| InvalidRequest::missing(&format!("{path}.functionCall.name")))?;
        self.made += 1;
        let made = self.made;
        let id =
            text_of(&mut call, "id").filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{made}"));
        self.open.push((id.clone(), name.clone()));
        let arguments = take(&mut call, "args").unwrap_or_else(|| json!({})).to_string();
        let function =
            FunctionCall { name: Some(name), arguments: Some(arguments), ..FunctionCall::default() };
        Ok(ToolCall {
            id: Some(id),
            kind: Some("function".to_owned()),
            function: Some(function),
            extra,
            ..ToolCall::default()
        })
    }
}

/// Text, pictures, sounds and documents; anything else comes back as it is.
fn media(mut part: Object, path: &str) -> Result<Result<KnownPart, Object>, InvalidRequest> {
    if let Some(text) = part.get("text") {
        let text = text.as_str().ok_or_else(|| wrong(&format!("{path}.text"), "a text"))?.to_owned();
        return Ok(Ok(KnownPart::Text(TextPart { text, ..TextPart::default() })));
    }
    let (kind, url, data) = if let Some(blob) = take(&mut part, "inlineData") {
        let mut blob = object(blob, path)?;
        let kind = text_of(&mut blob, "mimeType").unwrap_or_default();
        // The SDK writes bytes in the alphabet of URLs.
        let data = text_of(&mut blob, "data").unwrap_or_default().replace('-', "+").replace('_', "/");
        (kind.clone(), format!("data:{kind};base64,{data}"), Some(data))
    } else if let Some(file) = take(&mut part, "fileData") {
        let mut file = object(file, path)?;
        let url = text_of(&mut file, "fileUri").unwrap_or_default();
        (text_of(&mut file, "mimeType").unwrap_or_default(), url, None)
    } else {
        return Ok(Err(part));
    };
    let extra = Extra::new();
    Ok(Ok(match (kind.split('/').next().unwrap_or_default(), data) {
        ("image", _) => {
            let image_url = ImageUrl { url, ..ImageUrl::default() };
            KnownPart::ImageUrl(ImagePart { image_url, cache_control: None, extra })
        }
        ("audio", Some(data)) => {
            let format = match kind.as_str() {
                "audio/mpeg" => "mp3",
                kind => kind.trim_start_matches("audio/").trim_start_matches("x-"),
            };
            let input_audio = InputAudio { data, format: format.to_owned(), ..InputAudio::default() };
            KnownPart::InputAudio(weir_wire::openai::chat::AudioPart { input_audio, extra })
        }
        _ => {
            let filename = Some("document".to_owned());
            let file = File { file_data: Some(url), filename, ..File::default() };
            KnownPart::File(FilePart { file, cache_control: None, extra })
        }
    }))
}

// === Tools ===

fn read_tools(list: Vec<Value>, chat: &mut Request) -> Result<(), InvalidRequest> {
    let mut tools = Vec::new();
    for (at, tool) in list.into_iter().enumerate() {
        let path = format!("tools[{at}]");
        let mut tool = object(tool, &path)?;
        let declared = take(&mut tool, "functionDeclarations").unwrap_or_else(|| json!([]));
        for (at, function) in self::list(declared, &path)?.into_iter().enumerate() {
            let path = format!("{path}.functionDeclarations[{at}]");
            let mut function = object(function, &path)?;
            let schema = take(&mut function, "parametersJsonSchema")
                .or_else(|| take(&mut function, "parameters").map(json_schema));
            let name = text_of(&mut function, "name");
            let function = Function {
                name: name.ok_or_else(|| InvalidRequest::missing(&format!("{path}.name")))?,
                description: text_of(&mut function, "description"),
                parameters: schema,
                ..Function::default()
            };
            let kind = "function".to_owned();
            tools.push(Tool { kind, function: Some(function), ..Tool::default() });
        }
        for (name, value) in tool.into_iter().filter(|(_, value)| !value.is_null()) {
            chat.extra.insert(format!("{path}.{name}"), value);
        }
    }
    chat.tools = (!tools.is_empty()).then_some(tools);
    Ok(())
}

/// Gemini's schemas write types in capitals, and say `nullable`.
fn json_schema(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut out = Object::new();
            let nullable = members.get("nullable") == Some(&Value::Bool(true));
            for (name, value) in members {
                let value = match (name.as_str(), value) {
                    ("type", Value::String(kind)) => {
                        let kind = Value::from(kind.to_ascii_lowercase());
                        if nullable { json!([kind, "null"]) } else { kind }
                    }
                    ("nullable" | "propertyOrdering" | "property_ordering", _) => continue,
                    // Names of members are the client's own.
                    ("properties", Value::Object(properties)) => Value::Object(
                        properties.into_iter().map(|(name, schema)| (name, json_schema(schema))).collect(),
                    ),
                    (
                        "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
                        | "maxProperties",
                        Value::String(text),
                    ) => text.parse::<u64>().map_or(Value::String(text), Value::from),
                    ("items" | "anyOf" | "any_of", value) => json_schema(value),
                    (_, value) => value,
                };
                out.insert(if name == "any_of" { "anyOf".to_owned() } else { name }, value);
            }
            Value::Object(out)
        }
        Value::Array(list) => Value::Array(list.into_iter().map(json_schema).collect()),
        other => other,
    }
}

fn tool_choice(mut config: Object, chat: &mut Request) {
    let calling = take(&mut config, "functionCallingConfig");
    if let Some(Value::Object(mut calling)) = calling {
        let mode = text_of(&mut calling, "mode").unwrap_or_default();
        let names = take(&mut calling, "allowedFunctionNames");
        let names: Vec<&str> = names
            .as_ref()
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let function = |name: &str| json!({"type": "function", "function": {"name": name}});
        let object = |value: Value| ToolChoice::Object(value.as_object().cloned().unwrap_or_default());
        chat.tool_choice = match (mode.as_str(), names.as_slice()) {
            ("NONE", _) => Some(ToolChoice::Mode("none".to_owned())),
            ("ANY", []) => Some(ToolChoice::Mode("required".to_owned())),
            ("ANY", [one]) => Some(object(function(one))),
            ("ANY", many) => Some(object(json!({"type": "allowed_tools", "allowed_tools": {
                "mode": "required", "tools": many.iter().map(|name| function(name)).collect::<Vec<_>>(),
            }}))),
            ("AUTO", _) => Some(ToolChoice::Mode("auto".to_owned())),
            _ => None,
        };
    }
    for (name, value) in config.into_iter().filter(|(_, value)| !value.is_null()) {
        chat.extra.insert(format!("toolConfig.{name}"), value);
    }
}

// === Settings ===

fn generation(mut config: Object, chat: &mut Request) -> Result<(), InvalidRequest> {
    let mut number = |name: &str| match take(&mut config, name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number)),
        Some(_) => Err(wrong(&format!("generationConfig.{name}"), "a number")),
    };
    chat.temperature = number("temperature")?;
    chat.top_p = number("topP")?;
    chat.seed = number("seed")?;
    chat.presence_penalty = number("presencePenalty")?;
    chat.frequency_penalty = number("frequencyPenalty")?;
    chat.max_tokens = number("maxOutputTokens")?.and_then(|number| number.as_u64());
    chat.n = number("candidateCount")?.and_then(|n| u32::try_from(n.as_u64()?).ok()).filter(|n| *n > 1);
    chat.top_logprobs = number("logprobs")?.and_then(|n| u32::try_from(n.as_u64()?).ok());
    if let Some(top_k) = number("topK")? {
        chat.extra.insert("top_k".to_owned(), Value::Number(top_k));
    }
    chat.logprobs = take(&mut config, "responseLogprobs").and_then(|value| value.as_bool());
    if let Some(stop) = take(&mut config, "stopSequences") {
        let stop = serde_json::from_value(stop)
            .map_err(|_| wrong("generationConfig.stopSequences", "a list of texts"))?;
        chat.stop = Some(OneOrMany::Many(stop));
    }
    output(&mut config, chat);
    if let Some(Value::Object(thinking)) = take(&mut config, "thinkingConfig") {
        chat.reasoning_effort = effort(thinking);
    }
    let modalities = take(&mut config, "responseModalities");
    if let Some(modalities) = modalities.filter(|list| *list != json!(["TEXT"])) {
        chat.extra.insert("generationConfig.responseModalities".to_owned(), modalities);
    }
    for (name, value) in config.into_iter().filter(|(_, value)| !value.is_null()) {
        chat.extra.insert(format!("generationConfig.{name}"), value);
    }
    Ok(())
}

fn output(config: &mut Object, chat: &mut Request) {
    let kind = text_of(config, "responseMimeType");
    let schema =
        take(config, "responseJsonSchema").or_else(|| take(config, "responseSchema").map(json_schema));
    let format = |kind: &str, json_schema| {
        Some(ResponseFormat { kind: kind.to_owned(), json_schema, ..ResponseFormat::default() })
    };
    chat.response_format = match (kind.as_deref(), schema) {
        (_, Some(schema)) => format(
            "json_schema",
            Some(JsonSchema { name: "output".to_owned(), schema: Some(schema), ..JsonSchema::default() }),
        ),
        (Some("application/json"), None) => format("json_object", None),
        (None | Some("text/plain"), None) => None,
        (Some(other), None) => {
            chat.extra.insert("generationConfig.responseMimeType".to_owned(), other.into());
            None
        }
    };
}

/// OpenAI's word for Gemini's level, or for its budget of tokens.
fn effort(mut thinking: Object) -> Option<String> {
    let level = text_of(&mut thinking, "thinkingLevel").map(|level| level.to_ascii_lowercase());
    let budget = take(&mut thinking, "thinkingBudget").and_then(|budget| budget.as_i64());
    let word = match budget {
        None => return level.filter(|level| level != "thinking_level_unspecified"),
        Some(0) => "none",
        Some(i64::MIN..0) => return None,
        Some(1..=4_096) => "low",
        Some(4_097..=16_384) => "medium",
        Some(_) => "high",
    };
    Some(word.to_owned())
}

/// An embedding, or a batch of them.
pub(super) fn embeddings(body: &[u8]) -> Result<embeddings::Request, InvalidRequest> {
    let mut members: Object = serde_json::from_slice(body).map_err(|error| InvalidRequest::body(&error))?;
    let model = text_of(&mut members, "model").unwrap_or_default();
    let requests = match take(&mut members, "requests") {
        Some(requests) => list(requests, "requests")?,
        None => vec![Value::Object(members)],
    };
    let (mut texts, mut dimensions, mut extra) = (Vec::new(), None, Extra::new());
    for (at, request) in requests.into_iter().enumerate() {
        let mut request = object(request, &format!("requests[{at}]"))?;
        let content = take(&mut request, "content").ok_or_else(|| InvalidRequest::missing("content"))?;
        texts.push(plain_text(object(content, "content")?));
        let length = take(&mut request, "outputDimensionality").and_then(|length| length.as_u64());
        dimensions = dimensions.or(length);
        for name in ["taskType", "title", "autoTruncate"] {
            if let Some(value) = take(&mut request, name) {
                extra.insert(name.to_owned(), value);
            }
        }
    }
    Ok(embeddings::Request {
        model,
        input: embeddings::Input::Texts(texts),
        dimensions: dimensions.and_then(|length| u32::try_from(length).ok()),
        extra,
        ..embeddings::Request::default()
    })
}
