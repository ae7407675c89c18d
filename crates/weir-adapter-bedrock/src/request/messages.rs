//! Messages in Bedrock's form: turns of the user and the assistant, with results of tools in the user's.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value, json};
use weir_adapter::EncodeError;
use weir_adapter::descriptor::ToolIds;
use weir_wire::openai::chat::{Message, ReasoningDetail, ToolCall};

use crate::blocks::{Blocks, cache_point, push_text};
use crate::{ids, reply};

/// What the messages become.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Blocks of instructions.
    pub(super) system: Vec<Value>,
    /// The turns.
    pub(super) messages: Vec<Value>,
    /// Functions that the assistant called, in the order of their first call.
    pub(super) called: Vec<String>,
}

/// Takes messages apart. What can't be carried is named in `dropped`.
pub(super) fn write(
    messages: &[Message],
    ids: ToolIds,
    dropped: &mut Vec<String>,
) -> Result<Turns, EncodeError> {
    let mut turns = Turns::default();
    let mut blocks = Blocks::default();
    for (at, message) in messages.iter().enumerate() {
        if message.name.is_some() && !matches!(message.role.as_str(), "tool" | "function") {
            dropped.push(format!("messages[{at}].name"));
        }
        let (role, mut content) = match message.role.as_str() {
            "system" | "developer" => (None, blocks.of(at, message)?),
            "assistant" => (Some("assistant"), assistant(at, message, ids, &mut blocks, &mut turns.called)?),
            "tool" | "function" => (Some("user"), vec![result(at, message, ids, &mut blocks)?]),
            _ => (Some("user"), blocks.of(at, message)?),
        };
        content.extend(message.cache_control.as_ref().map(cache_point));
        match role {
            None => turns.system.extend(content),
            Some(role) => turns.add(role, content),
        }
    }
    Ok(turns)
}

impl Turns {
    /// Turns alternate: what the same side says next belongs to its turn. A turn that says nothing is none.
    fn add(&mut self, role: &str, content: Vec<Value>) {
        if content.is_empty() {
            return;
        }
        if let Some(last) = self.messages.last_mut().filter(|last| last["role"] == role)
            && let Some(blocks) = last["content"].as_array_mut()
        {
            blocks.extend(content);
            return;
        }
        self.messages.push(json!({"role": role, "content": content}));
    }
}

fn assistant(
    at: usize,
    message: &Message,
    ids: ToolIds,
    blocks: &mut Blocks,
    called: &mut Vec<String>,
) -> Result<Vec<Value>, EncodeError> {
    let details = message.reasoning_details.as_deref().unwrap_or_default();
    let mut content: Vec<Value> = details.iter().filter_map(reasoning).collect();
    let own = message.extra.get(reply::OWN).and_then(Value::as_array).into_iter().flatten();
    content.extend(own.cloned());
    content.extend(blocks.of(at, message)?);
    if let Some(refusal) = message.refusal.as_deref().filter(|_| message.content.is_none()) {
        push_text(&mut content, refusal);
    }
    for (n, call) in message.tool_calls.iter().flatten().enumerate() {
        let name = call.function.as_ref().and_then(|function| function.name.clone()).unwrap_or_default();
        if !called.contains(&name) {
            called.push(name.clone());
        }
        content.push(use_of(at, n, call, &name, ids)?);
    }
    Ok(content)
}

/// A reasoning block, where Bedrock can take it back: signed, or its own redacted one.
fn reasoning(detail: &ReasoningDetail) -> Option<Value> {
    let format = detail.format.as_deref();
    match detail.kind.as_str() {
        "reasoning.text" if format.is_none_or(|format| format == reply::SIGNED) => {
            let signature = detail.signature.as_deref().filter(|signature| !signature.is_empty())?;
            let text = detail.text.as_deref().unwrap_or_default();
            Some(json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}))
        }
        "reasoning.encrypted" if format == Some(reply::REDACTED) => {
            Some(json!({"reasoningContent": {"redactedContent": whole(detail.data.as_deref()?)}}))
        }
        _ => None,
    }
}

/// A blob whose pieces, each in base64 of its own, were put one behind the other.
fn whole(data: &str) -> String {
    let pieces = data.split_inclusive('=').filter(|piece| *piece != "=");
    let bytes = pieces.map(|piece| STANDARD_NO_PAD.decode(piece.trim_end_matches('=')));
    match bytes.collect::<Result<Vec<_>, _>>() {
        Ok(bytes) => STANDARD.encode(bytes.concat()),
        Err(_) => data.to_owned(),
    }
}

fn use_of(at: usize, n: usize, call: &ToolCall, name: &str, ids: ToolIds) -> Result<Value, EncodeError> {
    let text = call.function.as_ref().and_then(|function| function.arguments.as_deref()).unwrap_or_default();
    let input: Value = match text.trim() {
        "" => Value::Object(Map::new()),
        text => serde_json::from_str(text).unwrap_or_default(),
    };
    if !input.is_object() {
        return Err(EncodeError::unsupported(
            format!("messages[{at}].tool_calls[{n}].function.arguments"),
            "this provider takes arguments only as a JSON object",
        ));
    }
    let id = ids::write(call.id.as_deref().unwrap_or_default(), ids);
    Ok(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}))
}

fn result(at: usize, message: &Message, ids: ToolIds, blocks: &mut Blocks) -> Result<Value, EncodeError> {
    let id = message.tool_call_id.as_deref().or(message.name.as_deref()).unwrap_or_default();
    let mut content = blocks.of(at, message)?;
    // A marker within a result stands for its end, which the caller marks.
    content.retain(|block| block.get("cachePoint").is_none());
    let own = message.extra.get("content_json").filter(|value| value.is_object());
    if let Some(value) = own {
        content.push(json!({"json": value}));
    }
    if content.is_empty() {
        content.push(json!({"text": "(no output)"}));
    }
    let mut written = json!({"toolUseId": ids::write(id, ids), "content": content});
    if message.is_error == Some(true) {
        written["status"] = "error".into();
    }
    Ok(json!({"toolResult": written}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(messages: Value) -> Turns {
        let messages: Vec<Message> = serde_json::from_value(messages).unwrap();
        write(&messages, ToolIds::Any, &mut Vec::new()).unwrap()
    }

    #[test]
    fn turns_alternate_and_instructions_stand_apart() {
        let turns = turns(json!([
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": "a"},
            {"role": "user", "content": "b", "cache_control": {"type": "ephemeral"}},
            {"role": "developer", "content": "d"},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": "c"}
        ]));
        let point = json!({"cachePoint": {"type": "default"}});
        assert_eq!(turns.system, [json!({"text": "s"}), point.clone(), json!({"text": "d"})]);
        assert_eq!(
            turns.messages,
            [
                json!({"role": "user", "content": [{"text": "a"}, {"text": "b"}, point]}),
                json!({"role": "assistant", "content": [{"text": "c"}]})
            ]
        );
    }

    #[test]
    fn calls_results_and_errors() {
        let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
        let turns = turns(json!([
            {"role": "assistant", "content": null, "tool_calls": [call("1", "{\"x\":2}"), call("a b", "")]},
            {"role": "tool", "tool_call_id": "1", "content": "3"},
            {"role": "tool", "tool_call_id": "a b", "content": "", "is_error": true},
            {"role": "user", "content": "and?"}
        ]));
        let made = ids::write("a b", ToolIds::Any);
        assert_eq!(turns.called, ["f"]);
        assert_eq!(
            turns.messages,
            [
                json!({"role": "assistant", "content": [
                    {"toolUse": {"toolUseId": "1", "name": "f", "input": {"x": 2}}},
                    {"toolUse": {"toolUseId": made, "name": "f", "input": {}}}]}),
                json!({"role": "user", "content": [
                    {"toolResult": {"toolUseId": "1", "content": [{"text": "3"}]}},
                    {"toolResult": {"toolUseId": made, "content": [{"text": "(no output)"}], "status": "error"}},
                    {"text": "and?"}]})
            ]
        );
        let message: Message =
            serde_json::from_value(json!({"role": "assistant", "tool_calls": [call("1", "[1]")]})).unwrap();
        assert!(write(&[message], ToolIds::Any, &mut Vec::new()).is_err());
    }

    #[test]
    fn pieces_of_a_blob_become_one() {
        for (pieces, expected) in
            [("YWI=Yw==", "YWJj"), ("YWJj", "YWJj"), ("YQ==Yg==Yw==", "YWJj"), ("?", "?")]
        {
            assert_eq!(whole(pieces), expected, "{pieces}");
        }
    }

    #[test]
    fn only_reasoning_that_it_made_goes_back() {
        let turns = turns(json!([{"role": "assistant", "content": "t", "reasoning_details": [
            {"type": "reasoning.text", "text": "r", "signature": "S", "format": "anthropic-claude-v1"},
            {"type": "reasoning.text", "text": "unsigned", "format": "anthropic-claude-v1"},
            {"type": "reasoning.encrypted", "data": "UkVE", "format": "amazon-bedrock-v1"},
            {"type": "reasoning.encrypted", "data": "G", "format": "google-gemini-v1"},
            {"type": "reasoning.summary", "summary": "u"}]}]));
        assert_eq!(
            turns.messages[0]["content"],
            json!([
                {"reasoningContent": {"reasoningText": {"text": "r", "signature": "S"}}},
                {"reasoningContent": {"redactedContent": "UkVE"}},
                {"text": "t"}
            ])
        );
    }
}
