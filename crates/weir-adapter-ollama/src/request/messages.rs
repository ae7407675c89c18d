//! Messages in Ollama's form: text, pictures beside it, calls with their arguments as an object.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use weir_adapter::EncodeError;
use weir_wire::openai::chat::{Content, KnownPart, Message, Part, ToolCall};

/// The list of messages. What can't be carried is named in `dropped`.
pub(super) fn write(messages: &[Message], dropped: &mut Vec<String>) -> Result<Value, EncodeError> {
    let mut called = HashMap::new();
    let mut written = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        for call in message.tool_calls.iter().flatten() {
            if let (Some(id), Some(name)) = (&call.id, call.function.as_ref().and_then(|f| f.name.as_ref())) {
                called.insert(id.as_str(), name.as_str());
            }
        }
        written.push(one(at, message, &called, dropped)?);
    }
    Ok(Value::Array(written))
}

fn one(
    at: usize,
    message: &Message,
    called: &HashMap<&str, &str>,
    dropped: &mut Vec<String>,
) -> Result<Value, EncodeError> {
    let role = match message.role.as_str() {
        "developer" => "system",
        "function" => "tool",
        role => role,
    };
    if message.name.is_some() && role != "tool" {
        dropped.push(format!("messages[{at}].name"));
    }
    if message.cache_control.is_some() {
        dropped.push(format!("messages[{at}].cache_control"));
    }
    let mut said = Said::of(at, message, dropped)?;
    if said.text.is_empty() {
        said.text = message.refusal.clone().unwrap_or_default();
    }
    let mut written = Map::new();
    written.insert("role".to_owned(), role.into());
    written.insert("content".to_owned(), said.text.into());
    if !said.images.is_empty() {
        written.insert("images".to_owned(), said.images.into());
    }
    match role {
        "assistant" => assistant(at, message, &mut written)?,
        "tool" => result(message, called, &mut written),
        _ => {}
    }
    Ok(Value::Object(written))
}

fn assistant(at: usize, message: &Message, written: &mut Map<String, Value>) -> Result<(), EncodeError> {
    if let Some(thinking) = message.reasoning_text().filter(|text| !text.is_empty()) {
        written.insert("thinking".to_owned(), thinking.into());
    }
    let calls = message.tool_calls.as_deref().unwrap_or_default();
    if !calls.is_empty() {
        let calls = calls.iter().enumerate().map(|(n, call)| self::call(at, n, call));
        written.insert("tool_calls".to_owned(), Value::Array(calls.collect::<Result<_, _>>()?));
    }
    Ok(())
}

fn call(at: usize, n: usize, call: &ToolCall) -> Result<Value, EncodeError> {
    let function = call.function.clone().unwrap_or_default();
    let text = function.arguments.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "{}".to_owned());
    let arguments: Value = serde_json::from_str(&text).unwrap_or_default();
    if !arguments.is_object() {
        return Err(EncodeError::unsupported(
            format!("messages[{at}].tool_calls[{n}].function.arguments"),
            "this provider takes arguments only as a JSON object",
        ));
    }
    let mut written =
        json!({"function": {"name": function.name.unwrap_or_default(), "arguments": arguments}});
    if let Some(id) = &call.id {
        written["id"] = id.as_str().into();
    }
    Ok(written)
}

/// A tool's answer names its tool; newer servers also know the call by its id.
fn result(message: &Message, called: &HashMap<&str, &str>, written: &mut Map<String, Value>) {
    let id = message.tool_call_id.as_deref();
    let name = id.and_then(|id| called.get(id).copied()).or(message.name.as_deref());
    if let Some(name) = name {
        written.insert("tool_name".to_owned(), name.into());
    }
    if let Some(id) = id {
        written.insert("tool_call_id".to_owned(), id.into());
    }
}

/// The content of a message, told apart.
#[derive(Default)]
struct Said {
    text: String,
    images: Vec<Value>,
}

impl Said {
    fn of(at: usize, message: &Message, dropped: &mut Vec<String>) -> Result<Said, EncodeError> {
        let mut said = Said::default();
        match &message.content {
            None => {}
            Some(Content::Text(text)) => said.text.push_str(text),
            Some(Content::Parts(parts)) => {
                for (n, part) in parts.iter().enumerate() {
                    said.part(&format!("messages[{at}].content[{n}]"), part, dropped)?;
                }
            }
        }
        Ok(said)
    }

    fn add(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }

    fn part(&mut self, path: &str, part: &Part, dropped: &mut Vec<String>) -> Result<(), EncodeError> {
        let marker = match part {
            Part::Known(KnownPart::Text(text)) => {
                self.add(&text.text);
                &text.cache_control
            }
            Part::Known(KnownPart::Refusal(refusal)) => {
                self.add(&refusal.refusal);
                &None
            }
            Part::Known(KnownPart::ImageUrl(image)) => {
                self.images.push(picture(path, &image.image_url.url)?.into());
                &image.cache_control
            }
            Part::Known(KnownPart::InputAudio(_)) => {
                return Err(EncodeError::unsupported(path, "this provider takes no audio"));
            }
            Part::Known(KnownPart::File(_)) => {
                return Err(EncodeError::unsupported(path, "this provider takes no files; send their text"));
            }
            Part::Other(other) => {
                let kind = other.get("type").and_then(Value::as_str).unwrap_or("without a type");
                return Err(EncodeError::unsupported(
                    path,
                    format!("this provider takes no content of type `{kind}`"),
                ));
            }
        };
        if marker.is_some() {
            dropped.push(format!("{path}.cache_control"));
        }
        Ok(())
    }
}

/// The base64 of a `data:` URL.
fn picture<'u>(path: &str, url: &'u str) -> Result<&'u str, EncodeError> {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    data.map(|(_, data)| data).ok_or_else(|| {
        EncodeError::unsupported(path, "this provider fetches no pictures; send a `data:` URL with base64")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(messages: Value, expected: Value, left_out: &[&str]) {
        let messages: Vec<Message> = serde_json::from_value(messages).unwrap();
        let mut dropped = Vec::new();
        assert_eq!(write(&messages, &mut dropped).unwrap(), expected);
        assert_eq!(dropped, left_out);
    }

    #[test]
    fn roles_and_contents() {
        check(
            json!([{"role": "developer", "content": "s"}]),
            json!([{"role": "system", "content": "s"}]),
            &[],
        );
        check(
            json!([{"role": "user", "name": "n", "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "text", "text": "b"}]}]),
            json!([{"role": "user", "content": "a\nb", "images": ["AAAA"]}]),
            &["messages[0].name", "messages[0].content[0].cache_control"],
        );
        check(
            json!([{"role": "assistant", "content": null, "refusal": "no", "reasoning": "r"}]),
            json!([{"role": "assistant", "content": "no", "thinking": "r"}]),
            &[],
        );
    }

    #[test]
    fn calls_and_results_find_each_other() {
        check(
            json!([
                {"role": "assistant", "content": "I look", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
                {"role": "tool", "tool_call_id": "1", "content": "2"},
                {"role": "tool", "tool_call_id": "other", "name": "g", "content": [{"type": "text", "text": "3"}]}]),
            json!([
                {"role": "assistant", "content": "I look", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"a": 1}}}]},
                {"role": "tool", "content": "2", "tool_name": "f", "tool_call_id": "1"},
                {"role": "tool", "content": "3", "tool_name": "g", "tool_call_id": "other"}]),
            &[],
        );
    }

    #[test]
    fn what_it_can_not_read_is_refused() {
        for message in [
            json!({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}),
            json!({"role": "user", "content": [{"type": "video_url"}]}),
            json!({"role": "user", "content": [{"type": "file", "file": {}}]}),
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}),
            json!({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "[1]"}}]}),
        ] {
            let message: Message = serde_json::from_value(message).unwrap();
            assert!(matches!(write(&[message], &mut Vec::new()), Err(EncodeError::Unsupported { .. })));
        }
    }
}
