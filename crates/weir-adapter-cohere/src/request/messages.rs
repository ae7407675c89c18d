//! Messages in Cohere's form.

use serde_json::{Map, Value, json};
use weir_adapter::EncodeError;
use weir_wire::openai::chat::{Content, KnownPart, Message, Part};

/// The list of messages. What can't be carried is named in `dropped`.
pub(super) fn write(messages: &[Message], dropped: &mut Vec<String>) -> Result<Value, EncodeError> {
    let written = messages.iter().enumerate().map(|(at, message)| one(at, message, dropped));
    Ok(Value::Array(written.collect::<Result<_, _>>()?))
}

fn one(at: usize, message: &Message, dropped: &mut Vec<String>) -> Result<Value, EncodeError> {
    let mut written = Map::new();
    let role = match message.role.as_str() {
        "developer" => "system",
        "function" => "tool",
        role => role,
    };
    written.insert("role".to_owned(), role.into());
    if message.name.is_some() && role != "tool" {
        dropped.push(format!("messages[{at}].name"));
    }
    if message.cache_control.is_some() {
        dropped.push(format!("messages[{at}].cache_control"));
    }
    match role {
        "assistant" => assistant(at, message, &mut written, dropped)?,
        "tool" => {
            let id = message.tool_call_id.clone().or_else(|| message.name.clone()).unwrap_or_default();
            written.insert("tool_call_id".to_owned(), id.into());
            written.insert("content".to_owned(), content(at, message, dropped)?);
        }
        _ => {
            written.insert("content".to_owned(), content(at, message, dropped)?);
        }
    }
    Ok(Value::Object(written))
}

/// With calls, its text is the plan that led to them.
fn assistant(
    at: usize,
    message: &Message,
    written: &mut Map<String, Value>,
    dropped: &mut Vec<String>,
) -> Result<(), EncodeError> {
    let calls = message.tool_calls.as_deref().unwrap_or_default();
    let thinking = message.reasoning_text().filter(|text| !text.is_empty());
    if calls.is_empty() {
        let said = match message.refusal.as_deref() {
            Some(refusal) if message.content.is_none() => refusal.into(),
            _ => content(at, message, dropped)?,
        };
        written.insert("content".to_owned(), with_thinking(thinking, said));
        return Ok(());
    }
    match (&message.content, thinking) {
        (Some(Content::Text(text)), None) if !text.is_empty() => {
            written.insert("tool_plan".to_owned(), text.as_str().into());
        }
        (None | Some(Content::Text(_)), None) => {}
        (said, thinking) => {
            let said = if said.is_some() { content(at, message, dropped)? } else { Value::Array(Vec::new()) };
            written.insert("content".to_owned(), with_thinking(thinking, said));
        }
    }
    let calls = calls.iter().map(|call| {
        let function = call.function.clone().unwrap_or_default();
        let arguments = function.arguments.filter(|text| !text.trim().is_empty());
        json!({
            "id": call.id,
            "type": "function",
            "function": {"name": function.name, "arguments": arguments.unwrap_or_else(|| "{}".to_owned())},
        })
    });
    written.insert("tool_calls".to_owned(), calls.collect());
    Ok(())
}

fn with_thinking(thinking: Option<&str>, said: Value) -> Value {
    let Some(thinking) = thinking else { return said };
    let mut parts = vec![json!({"type": "thinking", "thinking": thinking})];
    match said {
        Value::Array(more) => parts.extend(more),
        Value::String(text) if text.is_empty() => {}
        text => parts.push(json!({"type": "text", "text": text})),
    }
    Value::Array(parts)
}

fn content(at: usize, message: &Message, dropped: &mut Vec<String>) -> Result<Value, EncodeError> {
    match &message.content {
        None => Ok("".into()),
        Some(Content::Text(text)) => Ok(text.as_str().into()),
        Some(Content::Parts(parts)) => {
            let parts = parts
                .iter()
                .enumerate()
                .map(|(n, one)| part(&format!("messages[{at}].content[{n}]"), one, dropped));
            Ok(Value::Array(parts.collect::<Result<_, _>>()?))
        }
    }
}

fn part(path: &str, part: &Part, dropped: &mut Vec<String>) -> Result<Value, EncodeError> {
    let mut uncached = |marker: &Option<Value>| {
        if marker.is_some() {
            dropped.push(format!("{path}.cache_control"));
        }
    };
    match part {
        Part::Known(KnownPart::Text(text)) => {
            uncached(&text.cache_control);
            Ok(json!({"type": "text", "text": text.text}))
        }
        Part::Known(KnownPart::ImageUrl(image)) => {
            uncached(&image.cache_control);
            let mut url = json!({"url": image.image_url.url});
            if let Some(detail) = &image.image_url.detail {
                url["detail"] = detail.as_str().into();
            }
            Ok(json!({"type": "image_url", "image_url": url}))
        }
        Part::Known(KnownPart::Refusal(refusal)) => Ok(json!({"type": "text", "text": refusal.refusal})),
        Part::Known(KnownPart::InputAudio(_)) => {
            Err(EncodeError::unsupported(path, "this provider takes no audio"))
        }
        Part::Known(KnownPart::File(_)) => Err(EncodeError::unsupported(
            path,
            "this provider takes no files; send their text, or `documents`",
        )),
        Part::Other(other)
            if other.get("type").is_some_and(|kind| kind == "document" || kind == "thinking") =>
        {
            Ok(Value::Object(other.clone().into_iter().collect()))
        }
        Part::Other(other) => {
            let kind = other.get("type").and_then(Value::as_str).unwrap_or("without a type");
            Err(EncodeError::unsupported(path, format!("this provider takes no content of type `{kind}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: Value, expected: Value, left_out: &[&str]) {
        let message: Message = serde_json::from_value(message).unwrap();
        let mut dropped = Vec::new();
        assert_eq!(write(&[message], &mut dropped).unwrap()[0], expected);
        assert_eq!(dropped, left_out);
    }

    #[test]
    fn roles_and_contents() {
        check(json!({"role": "developer", "content": "s"}), json!({"role": "system", "content": "s"}), &[]);
        check(
            json!({"role": "user", "name": "n", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}),
            json!({"role": "user", "content": [{"type": "text", "text": "a"}]}),
            &["messages[0].name", "messages[0].content[0].cache_control"],
        );
        check(
            json!({"role": "assistant", "content": "I look", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            json!({"role": "assistant", "tool_plan": "I look", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}),
            &[],
        );
        check(
            json!({"role": "assistant", "content": "b", "reasoning_content": "r"}),
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "r"}, {"type": "text", "text": "b"}]}),
            &[],
        );
        check(
            json!({"role": "tool", "tool_call_id": "1", "content": [{"type": "document", "document": {"id": "d"}}]}),
            json!({"role": "tool", "tool_call_id": "1", "content": [{"type": "document", "document": {"id": "d"}}]}),
            &[],
        );
    }

    #[test]
    fn what_it_can_not_read_is_refused() {
        for part in [
            json!({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}),
            json!({"type": "video_url"}),
            json!({"type": "file", "file": {}}),
        ] {
            let message: Message =
                serde_json::from_value(json!({"role": "user", "content": [part]})).unwrap();
            assert!(matches!(write(&[message], &mut Vec::new()), Err(EncodeError::Unsupported { .. })));
        }
    }
}
