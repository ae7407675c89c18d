//! Recorded requests in OpenAI's form, and both sides in one spelling: independent of the adapter, but for the members in
//! which it documents that it carries what OpenAI has none for.

use serde_json::{Map, Value, json};

// === One spelling ===

/// A body in one spelling: camel case, no nulls, nothing that says what is so anyway.
pub(crate) fn normal(body: &Value) -> Value {
    let mut body = spell(body);
    let members = body.as_object_mut().expect("a body is an object");
    members.remove("model");
    if let Some(system) = members.get_mut("systemInstruction") {
        let parts = match system["parts"].take() {
            Value::Array(parts) => parts,
            one => vec![one],
        };
        let said: Vec<Value> = parts.into_iter().filter(|part| part["text"] != "").collect();
        *system = json!({ "parts": said });
        if said_nothing(system) {
            members.remove("systemInstruction");
        }
    }
    if let Some(Value::Array(tools)) = members.get_mut("tools") {
        // Google's own tools first.
        tools.sort_by_key(|tool| tool.get("functionDeclarations").is_some());
        tools.retain(|tool| tool.as_object().is_none_or(|tool| !tool.is_empty()));
    }
    if members.get("generationConfig").is_some_and(|config| config["candidateCount"] == 1) {
        members["generationConfig"].as_object_mut().expect("an object").remove("candidateCount");
    }
    members.retain(|_, value| value.as_object().is_none_or(|value| !value.is_empty()) && *value != json!([]));
    body
}

fn said_nothing(system: &Value) -> bool {
    system["parts"].as_array().is_none_or(Vec::is_empty)
}

fn spell(value: &Value) -> Value {
    let members = match value {
        Value::Array(items) => return items.iter().map(spell).collect(),
        Value::Object(members) => members,
        other => return other.clone(),
    };
    let mut out = Map::new();
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        let name = camel(name);
        match name.as_str() {
            // The client's own names.
            "args" | "response" => drop(out.insert(name, value.clone())),
            "parameters" | "parametersJsonSchema" => {
                let schema = schema(value);
                if schema != json!({"type": "object"}) {
                    out.insert("parameters".to_owned(), schema);
                }
            }
            "responseSchema" | "responseJsonSchema" => drop(out.insert("schema".to_owned(), schema(value))),
            "thinkingLevel" => {
                let level = value.as_str().expect("a level").to_ascii_uppercase();
                out.insert(name, level.into());
            }
            "thought" if value == false => {}
            "description" if value == "" => {}
            "category" | "threshold" if value.is_number() => {
                drop(out.insert(name.clone(), word(&name, value)))
            }
            _ => drop(out.insert(name, spell(value))),
        }
    }
    Value::Object(out)
}

/// The words behind numbers of `enum-encoding=int`.
fn word(name: &str, value: &Value) -> Value {
    let number = value.as_u64().expect("a number") as usize;
    let words: &[&str] = match name {
        "category" => &[
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "HARM_CATEGORY_HARASSMENT",
            "HARM_CATEGORY_HATE_SPEECH",
            "HARM_CATEGORY_SEXUALLY_EXPLICIT",
            "HARM_CATEGORY_DANGEROUS_CONTENT",
        ],
        _ => &["", "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE"],
    };
    words[number].into()
}

/// A schema, whichever of the two forms it is in: lower-case types, no order, no closed objects, null as a type.
fn schema(value: &Value) -> Value {
    let members = match value {
        Value::Array(items) => return items.iter().map(schema).collect(),
        Value::Object(members) => members,
        other => return other.clone(),
    };
    let mut out = Map::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("type", Value::String(kind)) => drop(out.insert("type".to_owned(), kind.to_lowercase().into())),
            ("type", Value::Number(kind)) => {
                let words = ["", "string", "number", "integer", "boolean", "array", "object"];
                out.insert("type".to_owned(), words[kind.as_u64().expect("a number") as usize].into());
            }
            ("properties", Value::Object(each)) if each.is_empty() => {}
            ("properties" | "$defs", Value::Object(each)) => {
                let each: Map<String, Value> =
                    each.iter().map(|(name, value)| (name.clone(), schema(value))).collect();
                out.insert(name.clone(), Value::Object(each));
            }
            ("propertyOrdering" | "property_ordering" | "additionalProperties" | "$schema", _) => {}
            ("required", Value::Array(names)) if names.is_empty() => {}
            ("description", Value::String(text)) if text.is_empty() => {}
            _ => drop(out.insert(camel(name), schema(value))),
        }
    }
    Value::Object(out)
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.extend(letters);
    }
    if name.starts_with('_') { name.to_owned() } else { out }
}

/// A body of embeddings without what OpenAI has no member for.
pub(crate) fn plain_embeddings(body: &Value) -> Value {
    let one = |request: &Value| json!({"model": request["model"], "text": request["content"]["parts"][0]["text"], "dimensions": request["outputDimensionality"]});
    body["requests"].as_array().into_iter().flatten().map(one).collect()
}

// === OpenAI's form ===

/// A normal body as a client of OpenAI's would have sent it.
pub(crate) fn openai_request(body: &Value, model: &str) -> Value {
    let mut out = Map::new();
    out.insert("model".to_owned(), model.into());
    let mut messages = Vec::new();
    if let Some(parts) = body["systemInstruction"]["parts"].as_array() {
        let parts: Vec<Value> =
            parts.iter().map(|part| json!({"type": "text", "text": part["text"]})).collect();
        messages.push(json!({"role": "system", "content": parts}));
    }
    let mut ids = Ids::default();
    for content in body["contents"].as_array().into_iter().flatten() {
        let parts: Vec<&Value> = content["parts"].as_array().into_iter().flatten().collect();
        if content["role"] == "model" {
            messages.push(assistant(&parts, &mut ids));
        } else {
            user(&parts, &mut ids, &mut messages);
        }
    }
    out.insert("messages".to_owned(), messages.into());
    tools(body, &mut out);
    settings(&body["generationConfig"], &mut out);
    for name in ["safetySettings", "cachedContent", "modelArmorConfig"] {
        if let Some(value) = body.get(name) {
            out.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(out)
}

/// Ids for calls that have none, in the form that weir makes: results are in the order of calls.
#[derive(Default)]
struct Ids {
    made: usize,
    open: Vec<String>,
}

impl Ids {
    fn call(&mut self, given: &Value) -> String {
        self.made += 1;
        let id = given.as_str().map_or_else(|| format!("call_w_test_{}", self.made), str::to_owned);
        self.open.push(id.clone());
        id
    }

    fn result(&mut self, given: &Value) -> String {
        given.as_str().map_or_else(|| self.open.remove(0), str::to_owned)
    }
}

fn user(parts: &[&Value], ids: &mut Ids, messages: &mut Vec<Value>) {
    let mut said = Vec::new();
    for part in parts {
        let Some(result) = part.get("functionResponse") else {
            said.push(content_part(part));
            continue;
        };
        let mut content = vec![json!({"type": "text", "text": result["response"].to_string()})];
        content.extend(result["parts"].as_array().into_iter().flatten().map(content_part));
        messages.push(json!({"role": "tool", "tool_call_id": ids.result(&result["id"]), "content": content}));
    }
    if !said.is_empty() {
        messages.push(json!({"role": "user", "content": said}));
    }
}

fn content_part(part: &Value) -> Value {
    if let Some(text) = part["text"].as_str() {
        return json!({"type": "text", "text": text});
    }
    let (mime, url) = match part.get("inlineData") {
        Some(blob) => {
            let mime = blob["mimeType"].as_str().expect("a type");
            (mime, format!("data:{mime};base64,{}", blob["data"].as_str().expect("data")))
        }
        None => {
            let file = &part["fileData"];
            (file["mimeType"].as_str().expect("a type"), file["fileUri"].as_str().expect("a URI").to_owned())
        }
    };
    let (kind, format) = mime.split_once('/').expect("a type has two parts");
    match kind {
        "image" => json!({"type": "image_url", "image_url": {"url": url}}),
        "video" => json!({"type": "video_url", "video_url": {"url": url}}),
        "audio" if part.get("inlineData").is_some() => {
            json!({"type": "input_audio", "input_audio": {"data": part["inlineData"]["data"], "format": format}})
        }
        _ => {
            json!({"type": "file", "file": {"file_data": url, "filename": format!("file.{}", format.replace("mpeg", "mp3"))}})
        }
    }
}

fn assistant(parts: &[&Value], ids: &mut Ids) -> Value {
    let (mut text, mut calls, mut details) = (String::new(), Vec::new(), Vec::new());
    for part in parts {
        let signature = &part["thoughtSignature"];
        let said = part["text"].as_str().unwrap_or_default();
        if let Some(call) = part.get("functionCall") {
            let function = json!({"name": call["name"], "arguments": call["args"].to_string()});
            let mut call = json!({"id": ids.call(&call["id"]), "type": "function", "function": function});
            if !signature.is_null() {
                call["extra_content"] = json!({"google": {"thought_signature": signature}});
            }
            calls.push(call);
            continue;
        }
        let thought = part["thought"] == true;
        let length = if thought { 0 } else { said.len() };
        let position = json!({"calls": calls.len(), "start": text.len(), "end": text.len() + length});
        let mut detail = json!({"format": "google-gemini-v1", "index": details.len(), "position": position});
        if thought {
            detail["type"] = "reasoning.text".into();
            detail["text"] = said.into();
            if !signature.is_null() {
                detail["signature"] = signature.clone();
            }
            details.push(detail);
        } else {
            text.push_str(said);
            if !signature.is_null() {
                detail["type"] = "reasoning.encrypted".into();
                detail["data"] = signature.clone();
                details.push(detail);
            }
        }
    }
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    if !details.is_empty() {
        message["reasoning_details"] = details.into();
    }
    message
}

fn tools(body: &Value, out: &mut Map<String, Value>) {
    let mut tools = Vec::new();
    let config = &body["toolConfig"]["functionCallingConfig"];
    for tool in body["tools"].as_array().into_iter().flatten() {
        let Some(declared) = tool["functionDeclarations"].as_array() else {
            tools.push(tool.clone());
            continue;
        };
        for function in declared {
            let mut function = function.clone();
            function["strict"] = (config["mode"] == "VALIDATED").into();
            tools.push(json!({"type": "function", "function": function}));
        }
    }
    if !tools.is_empty() {
        out.insert("tools".to_owned(), tools.into());
    }
    let choice = match config["mode"].as_str() {
        Some("AUTO") => "auto",
        Some("ANY") => "required",
        Some("NONE") => "none",
        _ => return,
    };
    out.insert("tool_choice".to_owned(), choice.into());
}

fn settings(config: &Value, out: &mut Map<String, Value>) {
    let mut own = Map::new();
    for (name, value) in config.as_object().into_iter().flatten() {
        let openai = match name.as_str() {
            "maxOutputTokens" => "max_completion_tokens",
            "temperature" => "temperature",
            "topP" => "top_p",
            "topK" => "top_k",
            "stopSequences" => "stop",
            "seed" => "seed",
            "presencePenalty" => "presence_penalty",
            "frequencyPenalty" => "frequency_penalty",
            "responseMimeType" | "schema" => continue,
            _ => {
                own.insert(name.clone(), value.clone());
                continue;
            }
        };
        out.insert(openai.to_owned(), value.clone());
    }
    if config.get("responseMimeType").is_some_and(|kind| kind == "application/json") {
        let format = match config.get("schema") {
            Some(schema) => {
                json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}})
            }
            None => json!({"type": "json_object"}),
        };
        out.insert("response_format".to_owned(), format);
    }
    if !own.is_empty() {
        out.insert("extra_body".to_owned(), json!({ "google": own }));
    }
}
