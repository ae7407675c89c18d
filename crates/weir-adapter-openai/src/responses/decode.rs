//! A request of `/v1/responses` in chat's form.

use serde_json::{Map, Number, Value};
use weir_adapter::InvalidRequest;
use weir_wire::openai::chat::{Content, JsonSchema, Message, Request, ResponseFormat};

use super::{items, tools, wrong};

/// Members that ask for nothing of the provider: weir keeps answers, and its streams have what they say.
const OWN: [&str; 9] = [
    "previous_response_id",
    "conversation",
    "store",
    "stream_options",
    "background",
    "prompt_cache_retention",
    "client_metadata",
    "safety_identifier",
    "include",
];

/// Reads the body. Members that chat lacks stay in `extra` under their own names.
pub(super) fn chat(body: &[u8]) -> Result<Request, InvalidRequest> {
    let mut members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| InvalidRequest::body(&error))?;
    members.retain(|_, value| !value.is_null());
    let mut chat = Request {
        model: text(&mut members, "model")?.ok_or_else(|| InvalidRequest::missing("model"))?,
        stream: take(&mut members, "stream", "true or false", Value::as_bool)?,
        max_tokens: take(&mut members, "max_output_tokens", "a whole number from 0 up", Value::as_u64)?,
        temperature: number(&mut members, "temperature")?,
        top_p: number(&mut members, "top_p")?,
        parallel_tool_calls: take(&mut members, "parallel_tool_calls", "true or false", Value::as_bool)?,
        prompt_cache_key: text(&mut members, "prompt_cache_key")?,
        service_tier: text(&mut members, "service_tier")?,
        user: text(&mut members, "user")?.or(text(&mut members, "safety_identifier")?),
        metadata: members.remove("metadata"),
        ..Request::default()
    };
    include(&mut members, &mut chat)?;
    if let Some(instructions) = text(&mut members, "instructions")? {
        let content = Some(Content::Text(instructions));
        chat.messages.push(Message { role: "system".to_owned(), content, ..Message::default() });
    }
    let input = members.remove("input").ok_or_else(|| InvalidRequest::missing("input"))?;
    items::messages(input, &mut chat.messages, &mut chat.extra)?;
    if let Some(list) = members.remove("tools") {
        let Value::Array(list) = list else { return Err(wrong("tools", "a list")) };
        let list = tools::tools(list, &mut tools::Forms::new(), &mut chat.extra)?;
        chat.tools = (!list.is_empty()).then_some(list);
    }
    if let Some(choice) = members.remove("tool_choice") {
        match tools::choice(choice) {
            Ok(choice) => chat.tool_choice = Some(choice),
            Err(other) => drop(chat.extra.insert("tool_choice.type".to_owned(), other)),
        }
    }
    output(&mut members, &mut chat)?;
    reasoning(&mut members, &mut chat)?;
    if members.get("truncation").is_some_and(|word| word == "disabled") {
        members.remove("truncation");
    }
    members.retain(|name, _| !OWN.contains(&name.as_str()));
    chat.extra.extend(members);
    Ok(chat)
}

/// `include` asks for more in the answer: log probabilities chat can ask for, reasoning comes along in any case.
fn include(members: &mut Map<String, Value>, chat: &mut Request) -> Result<(), InvalidRequest> {
    let top = take(members, "top_logprobs", "a whole number from 0 to 20", Value::as_u64)?;
    chat.top_logprobs = top.and_then(|top| u32::try_from(top).ok()).filter(|top| *top > 0);
    chat.logprobs = chat.top_logprobs.map(|_| true);
    let list = members.get("include").and_then(Value::as_array).into_iter().flatten();
    for (at, word) in list.enumerate() {
        match word.as_str() {
            Some("reasoning.encrypted_content") => {}
            Some("message.output_text.logprobs") => chat.logprobs = Some(true),
            _ => drop(chat.extra.insert(format!("include[{at}]"), word.clone())),
        }
    }
    Ok(())
}

/// `text`: the form of the answer, and how much of it.
fn output(members: &mut Map<String, Value>, chat: &mut Request) -> Result<(), InvalidRequest> {
    let Some(text) = members.remove("text") else { return Ok(()) };
    let Value::Object(mut text) = text else { return Err(wrong("text", "an object")) };
    if let Some(verbosity) = text.remove("verbosity").filter(|verbosity| !verbosity.is_null()) {
        chat.extra.insert("verbosity".to_owned(), verbosity);
    }
    let Some(format) = text.remove("format").filter(|format| !format.is_null()) else { return Ok(()) };
    let word = |name: &str| format[name].as_str().map(str::to_owned);
    let kind = word("type").ok_or_else(|| InvalidRequest::missing("text.format.type"))?;
    let json_schema = match kind.as_str() {
        "text" => return Ok(()),
        "json_schema" => Some(JsonSchema {
            name: word("name").ok_or_else(|| InvalidRequest::missing("text.format.name"))?,
            description: word("description"),
            schema: format.get("schema").cloned(),
            strict: format["strict"].as_bool(),
            ..JsonSchema::default()
        }),
        "json_object" => None,
        _ => return Err(wrong("text.format.type", "`text`, `json_object` or `json_schema`")),
    };
    chat.response_format = Some(ResponseFormat { kind, json_schema, ..ResponseFormat::default() });
    Ok(())
}

/// `reasoning`: its effort. Summaries come where the provider shows its reasoning, asked or not.
fn reasoning(members: &mut Map<String, Value>, chat: &mut Request) -> Result<(), InvalidRequest> {
    let Some(reasoning) = members.remove("reasoning") else { return Ok(()) };
    let Value::Object(reasoning) = reasoning else { return Err(wrong("reasoning", "an object")) };
    for (name, value) in reasoning.into_iter().filter(|(_, value)| !value.is_null()) {
        match (name.as_str(), value) {
            ("effort", Value::String(effort)) => chat.reasoning_effort = Some(effort),
            ("effort", _) => return Err(wrong("reasoning.effort", "a text")),
            ("summary" | "generate_summary", _) => {}
            (_, value) => drop(chat.extra.insert(format!("reasoning.{name}"), value)),
        }
    }
    Ok(())
}

// === Members ===

fn take<T>(
    members: &mut Map<String, Value>,
    name: &str,
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, InvalidRequest> {
    match members.remove(name) {
        None => Ok(None),
        Some(value) => read(&value).map(Some).ok_or_else(|| wrong(name, expected)),
    }
}

fn text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, InvalidRequest> {
    take(members, name, "a text", |value| value.as_str().map(str::to_owned))
}

fn number(members: &mut Map<String, Value>, name: &str) -> Result<Option<Number>, InvalidRequest> {
    take(members, name, "a number", |value| value.as_number().cloned())
}
