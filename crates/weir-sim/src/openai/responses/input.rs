//! What a request of the Responses API says, as a chat: the simulated model has one mind for both.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::openai::error;
use crate::reply::Refusal;

/// The chat that is asked for.
pub(super) fn as_chat(body: &Value) -> Result<Value, Refusal> {
    let mut messages = Vec::new();
    if let Some(text) = body["instructions"].as_str() {
        messages.push(json!({"role": "developer", "content": text}));
    }
    match &body["input"] {
        Value::String(text) => messages.push(json!({"role": "user", "content": text})),
        Value::Array(items) if !items.is_empty() => {
            pairs(items)?;
            for (index, item) in items.iter().enumerate() {
                messages.extend(message(index, item)?);
            }
        }
        Value::Null => return Err(error::missing("input")),
        _ => return Err(error::wrong_type("input", "a string or a list of items")),
    }
    let mut chat = Map::new();
    chat.insert("model".to_owned(), body["model"].clone());
    chat.insert("messages".to_owned(), messages.into());
    let tools: Vec<Value> = body["tools"].as_array().into_iter().flatten().filter_map(tool).collect();
    if !tools.is_empty() {
        chat.insert("tools".to_owned(), tools.into());
    }
    for (ours, theirs) in
        [("max_output_tokens", "max_completion_tokens"), ("parallel_tool_calls", "parallel_tool_calls")]
    {
        if !body[ours].is_null() {
            chat.insert(theirs.to_owned(), body[ours].clone());
        }
    }
    if !body["reasoning"]["effort"].is_null() {
        chat.insert("reasoning_effort".to_owned(), body["reasoning"]["effort"].clone());
    }
    let choice = &body["tool_choice"];
    if !choice.is_null() {
        let written = match choice["name"].as_str() {
            Some(name) => json!({"type": "function", "function": {"name": name}}),
            None => choice.clone(),
        };
        chat.insert("tool_choice".to_owned(), written);
    }
    let format = &body["text"]["format"];
    match format["type"].as_str() {
        Some("json_schema") => {
            let schema = json!({"type": "json_schema", "json_schema": {"name": format["name"], "schema": format["schema"]}});
            chat.insert("response_format".to_owned(), schema);
        }
        Some("json_object") => {
            drop(chat.insert("response_format".to_owned(), json!({"type": "json_object"})))
        }
        _ => {}
    }
    Ok(Value::Object(chat))
}

/// Each output belongs to a call before it, and each call has its output.
fn pairs(items: &[Value]) -> Result<(), Refusal> {
    let mut open = BTreeSet::new();
    for item in items {
        let id = item["call_id"].as_str().unwrap_or_default().to_owned();
        match item["type"].as_str() {
            Some("function_call") => drop(open.insert(id)),
            Some("function_call_output") if !open.remove(&id) => {
                let message = format!("No tool call found for function call output with call_id {id}.");
                return Err(error::invalid(&message, Some("input"), None));
            }
            _ => {}
        }
    }
    match open.first() {
        Some(id) => {
            Err(error::invalid(&format!("No tool output found for function call {id}."), Some("input"), None))
        }
        None => Ok(()),
    }
}

fn message(index: usize, item: &Value) -> Result<Option<Value>, Refusal> {
    let kind = item["type"].as_str().unwrap_or("message");
    Ok(Some(match kind {
        "message" => {
            let role =
                item["role"].as_str().ok_or_else(|| error::missing(&format!("input[{index}].role")))?;
            json!({"role": role, "content": content(&item["content"])})
        }
        "function_call" => {
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": item["call_id"], "type": "function",
            "function": {"name": item["name"], "arguments": item["arguments"]}}]})
        }
        "function_call_output" => {
            json!({"role": "tool", "tool_call_id": item["call_id"], "content": content(&item["output"])})
        }
        "reasoning" | "item_reference" => return Ok(None),
        other => {
            return Err(error::bad_value(
                &format!("input[{index}].type"),
                &format!("'{other}' is not simulated."),
            ));
        }
    }))
}

fn content(content: &Value) -> Value {
    let Value::Array(parts) = content else { return content.clone() };
    let part = |part: &Value| match part["type"].as_str() {
        Some("input_image") => json!({"type": "image_url", "image_url": {"url": part["image_url"]}}),
        Some("input_file") => json!({"type": "file", "file": {"file_data": part["file_data"]}}),
        Some("refusal") => json!({"type": "refusal", "refusal": part["refusal"]}),
        _ => json!({"type": "text", "text": part["text"]}),
    };
    parts.iter().map(part).collect()
}

fn tool(tool: &Value) -> Option<Value> {
    (tool["type"] == "function").then(
        || json!({"type": "function", "function": {"name": tool["name"], "parameters": tool["parameters"]}}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_with_a_tool_is_a_chat() {
        let body = json!({"model": "gpt-4o", "instructions": "be short", "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"}],
            "tools": [{"type": "function", "name": "f", "parameters": {}}], "max_output_tokens": 20});
        let chat = as_chat(&body).unwrap();
        let roles: Vec<_> =
            chat["messages"].as_array().unwrap().iter().map(|message| message["role"].clone()).collect();
        assert_eq!(roles, ["developer", "user", "assistant", "tool"]);
        assert_eq!(
            (&chat["tools"][0]["function"]["name"], &chat["max_completion_tokens"]),
            (&json!("f"), &json!(20))
        );
    }

    #[test]
    fn outputs_need_their_calls_and_calls_their_outputs() {
        let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
        let output = json!({"type": "function_call_output", "call_id": "c", "output": "1"});
        let ask = |items: Value| as_chat(&json!({"model": "m", "input": items})).is_ok();
        assert!(ask(json!([call, output])));
        assert!(!ask(json!([call])) && !ask(json!([output])) && !ask(json!([output, call])));
        assert!(!ask(json!([])) && !ask(Value::Null));
    }
}
