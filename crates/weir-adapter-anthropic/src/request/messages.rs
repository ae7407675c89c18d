//! The conversation: system text apart, turns of one role merged, reasoning back in its place.

use serde_json::{Map, Value, json};
use weir_adapter::InvalidRequest;
use weir_adapter::adapter::EncodeError;
use weir_wire::openai::chat::{Content, Message, ReasoningDetail, ToolCall};

use super::draft::Draft;
use super::parts;
use crate::carrier::{self, BLOCKS};

/// System text and turns.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    system: Turn,
    turns: Vec<Turn>,
}

/// Consecutive messages of one role.
#[derive(Debug, Default)]
struct Turn {
    role: &'static str,
    blocks: Vec<Value>,
    /// All of it came as one plain text.
    plain: bool,
}

/// Reads the messages.
///
/// # Errors
/// An unknown role, a part that can't be left out, or a tool's result without its call's id.
pub(super) fn conversation(messages: &[Message], draft: &mut Draft<'_>) -> Result<Conversation, EncodeError> {
    let mut conversation = Conversation::default();
    let is_system = |message: &Message| matches!(message.role.as_str(), "system" | "developer");
    for (at, message) in messages.iter().enumerate().filter(|(_, message)| is_system(message)) {
        let (blocks, plain) = content(message, &format!("messages[{at}]"), draft)?;
        conversation.system.add(blocks, plain);
    }
    for (at, message) in messages.iter().enumerate().filter(|(_, message)| !is_system(message)) {
        let path = format!("messages[{at}]");
        let (role, (blocks, plain)) = match message.role.as_str() {
            "user" => ("user", content(message, &path, draft)?),
            "assistant" => ("assistant", assistant(message, &path, draft)?),
            "tool" => ("user", (vec![tool_result(message, &path, draft)?], false)),
            "function" => {
                let message = "send results of tools with the role `tool`";
                return Err(EncodeError::unsupported(format!("{path}.role"), message));
            }
            role => {
                return Err(
                    InvalidRequest::value(&format!("{path}.role"), format!("`{role}` is no role")).into()
                );
            }
        };
        if message.name.is_some() && message.role != "tool" {
            draft.drop(format!("{path}.name"));
        }
        conversation.add(role, blocks, plain);
    }
    conversation.close();
    Ok(conversation)
}

impl Conversation {
    /// The system text: as one string where it came so.
    pub(super) fn system(&self) -> Option<Value> {
        (!self.system.blocks.is_empty()).then(|| self.system.content())
    }

    /// The turns.
    pub(super) fn messages(&self) -> Value {
        self.turns.iter().map(|turn| json!({"role": turn.role, "content": turn.content()})).collect()
    }

    /// Whether the answer goes on from results of calls that were made without thinking: a budget is refused there.
    pub(super) fn goes_on_without_thinking(&self) -> bool {
        let kind = |block: &Value, kind: &str| block["type"] == kind;
        let [.., assistant, user] = &self.turns[..] else { return false };
        user.blocks.iter().any(|block| kind(block, "tool_result"))
            && assistant.role == "assistant"
            && !assistant
                .blocks
                .iter()
                .any(|block| kind(block, "thinking") || kind(block, "redacted_thinking"))
    }

    fn add(&mut self, role: &'static str, blocks: Vec<Value>, plain: bool) {
        if blocks.is_empty() {
            return;
        }
        match self.turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.add(blocks, plain),
            None => self.turns.push(Turn { role, blocks, plain }),
        }
    }

    /// Brings the end in order: an answer to go on from must not end in white space, and there must be a turn.
    fn close(&mut self) {
        if self.turns.is_empty() && !self.system.blocks.is_empty() {
            let system = std::mem::take(&mut self.system);
            self.turns.push(Turn { role: "user", ..system });
        }
        let Some(turn) = self.turns.last_mut().filter(|turn| turn.role == "assistant") else { return };
        if let Some(Value::String(text)) = turn.blocks.last_mut().and_then(|block| block.get_mut("text")) {
            text.truncate(text.trim_end().len());
            if text.is_empty() {
                turn.blocks.pop();
            }
        }
        if turn.blocks.is_empty() {
            self.turns.pop();
        }
    }
}

impl Turn {
    fn add(&mut self, blocks: Vec<Value>, plain: bool) {
        self.plain = plain && self.blocks.is_empty();
        self.blocks.extend(blocks);
    }

    fn content(&self) -> Value {
        match self.blocks.first() {
            Some(block) if self.plain => block["text"].clone(),
            _ => Value::Array(self.blocks.clone()),
        }
    }
}

/// The blocks of a message's content, and whether it is one plain text.
fn content(message: &Message, path: &str, draft: &mut Draft<'_>) -> Result<(Vec<Value>, bool), EncodeError> {
    let mut blocks = Vec::new();
    match &message.content {
        None => {}
        Some(Content::Text(text)) => blocks.extend(parts::plain(text)),
        Some(Content::Parts(list)) => {
            for (at, part) in list.iter().enumerate() {
                blocks.extend(parts::block(part, &format!("{path}.content[{at}]"), draft)?);
            }
        }
    }
    let marked = mark_last(&mut blocks, message, path, draft);
    let plain = matches!(message.content, Some(Content::Text(_))) && !blocks.is_empty();
    Ok((blocks, plain && !marked))
}

/// Puts the message's own cache marker on its last block.
fn mark_last(blocks: &mut [Value], message: &Message, path: &str, draft: &mut Draft<'_>) -> bool {
    let Some(Value::Object(block)) = blocks.last_mut() else { return false };
    let takes = !matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking"));
    if takes && !block.contains_key("cache_control") {
        draft.mark(block, message.cache_control.as_ref(), &format!("{path}.cache_control"));
    }
    block.contains_key("cache_control")
}

fn tool_result(message: &Message, path: &str, draft: &mut Draft<'_>) -> Result<Value, EncodeError> {
    let id = message.tool_call_id.as_deref().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| InvalidRequest::missing(&format!("{path}.tool_call_id")))?;
    let mut block = Map::from_iter([
        ("type".to_owned(), "tool_result".into()),
        ("tool_use_id".to_owned(), tool_id(id).into()),
    ]);
    match &message.content {
        None => {}
        Some(Content::Text(text)) => {
            block.insert("content".to_owned(), text.as_str().into());
        }
        Some(Content::Parts(list)) => {
            let mut blocks = Vec::new();
            for (at, part) in list.iter().enumerate() {
                blocks.extend(parts::block(part, &format!("{path}.content[{at}]"), draft)?);
            }
            block.insert("content".to_owned(), Value::Array(blocks));
        }
    }
    if let Some(is_error) = message.is_error {
        block.insert("is_error".to_owned(), is_error.into());
    }
    draft.mark(&mut block, message.cache_control.as_ref(), &format!("{path}.cache_control"));
    Ok(Value::Object(block))
}

// === The assistant's messages ===

fn assistant(
    message: &Message,
    path: &str,
    draft: &mut Draft<'_>,
) -> Result<(Vec<Value>, bool), EncodeError> {
    if let Some(blocks) = carried(message) {
        return Ok((blocks, false));
    }
    for name in ["audio", "function_call"] {
        let set = if name == "audio" { message.audio.is_some() } else { message.extra.contains_key(name) };
        if set {
            draft.drop(format!("{path}.{name}"));
        }
    }
    let (text, plain) = content(&Message { cache_control: None, ..message.clone() }, path, draft)?;
    let mut others = text;
    if others.is_empty() {
        others.extend(message.refusal.as_deref().and_then(parts::plain));
    }
    for (at, call) in message.tool_calls.iter().flatten().enumerate() {
        others.push(tool_use(call, &format!("{path}.tool_calls[{at}]"), draft));
    }
    let details = own_reasoning(message, path, draft);
    let plain = plain && details.is_empty() && others.len() == 1;
    let mut blocks = in_place(details, others);
    let marked = mark_last(&mut blocks, message, path, draft);
    Ok((blocks, plain && !marked))
}

/// The blocks of an answer that weir gave before, where the client sends them back and has not changed it.
fn carried(message: &Message) -> Option<Vec<Value>> {
    let blocks = message.extra.get(BLOCKS)?.as_array()?;
    let of = |kind: &str, member: &str| -> Vec<&str> {
        let typed = blocks.iter().filter(|block| block["type"] == kind);
        typed.filter_map(|block| block[member].as_str()).collect()
    };
    let calls: Vec<&str> =
        message.tool_calls.iter().flatten().filter_map(|call| call.id.as_deref()).collect();
    let same = message.text() == of("text", "text").concat() && calls == of("tool_use", "id");
    let kept = blocks.iter().filter(|block| block["type"] != "text" || block["text"] != "");
    same.then(|| kept.cloned().collect())
}

/// Anthropic's own reasoning with the place of each block. Reasoning of others has no proof that Anthropic takes.
fn own_reasoning(message: &Message, path: &str, draft: &mut Draft<'_>) -> Vec<(Option<u32>, Value)> {
    let details = message.reasoning_details.as_deref().unwrap_or_default();
    let mut own: Vec<(Option<u32>, Value)> = Vec::new();
    for detail in joined(details) {
        own.extend(carrier::block(&detail).map(|block| (detail.index, block)));
    }
    if own.is_empty() && !details.is_empty() {
        draft.drop(format!("{path}.reasoning_details"));
    } else if details.is_empty() && message.reasoning_text().is_some_and(|text| !text.is_empty()) {
        let name = if message.reasoning_content.is_some() { "reasoning_content" } else { "reasoning" };
        draft.drop(format!("{path}.{name}"));
    }
    own
}

/// Details as blocks: pieces of a stream that a client did not put together are joined by index.
fn joined(details: &[ReasoningDetail]) -> Vec<ReasoningDetail> {
    let mut blocks: Vec<ReasoningDetail> = Vec::new();
    for detail in details.iter().filter(|detail| carrier::is_own(detail)) {
        let same = |known: &&mut ReasoningDetail| {
            known.kind == "reasoning.text"
                && known.kind == detail.kind
                && known.index.is_some()
                && known.index == detail.index
        };
        match blocks.iter_mut().rev().find(same) {
            Some(known) => {
                let text = detail.text.as_deref().unwrap_or_default();
                known.text.get_or_insert_default().push_str(text);
                if let Some(signature) = &detail.signature {
                    known.signature.get_or_insert_default().push_str(signature);
                }
            }
            None => blocks.push(detail.clone()),
        }
    }
    blocks
}

/// Reasoning goes back to its place among the blocks; where the places can't be right, before everything.
fn in_place(details: Vec<(Option<u32>, Value)>, others: Vec<Value>) -> Vec<Value> {
    let total = details.len() + others.len();
    let placed = details.iter().all(|(index, _)| index.is_some_and(|index| (index as usize) < total));
    let ordered = details.is_sorted_by_key(|(index, _)| *index);
    let mut details = details.into_iter().peekable();
    let mut blocks = Vec::with_capacity(total);
    if !placed || !ordered {
        blocks.extend(details.by_ref().map(|(_, block)| block));
    }
    for other in others {
        while let Some((_, block)) =
            details.next_if(|(index, _)| index.is_some_and(|index| index as usize <= blocks.len()))
        {
            blocks.push(block);
        }
        blocks.push(other);
    }
    blocks.extend(details.map(|(_, block)| block));
    blocks
}

fn tool_use(call: &ToolCall, path: &str, draft: &mut Draft<'_>) -> Value {
    let custom = call.extra.get("custom");
    let function = call.function.as_ref();
    let name = function.and_then(|function| function.name.as_deref()).or_else(|| custom?["name"].as_str());
    let input = match custom {
        Some(custom) => json!({"input": custom["input"]}),
        None => input(function.and_then(|function| function.arguments.as_deref()).unwrap_or_default()),
    };
    let mut block = Map::from_iter([
        ("type".to_owned(), "tool_use".into()),
        ("id".to_owned(), tool_id(call.id.as_deref().unwrap_or_default()).into()),
        ("name".to_owned(), name.unwrap_or_default().into()),
        ("input".to_owned(), input),
    ]);
    if let Some(caller) = call.extra.get("caller") {
        block.insert("caller".to_owned(), caller.clone());
    }
    draft.mark(&mut block, call.extra.get("cache_control"), &format!("{path}.cache_control"));
    Value::Object(block)
}

/// Arguments as an object. What is none (models make mistakes) is kept inside one, so that the loop can go on.
fn input(arguments: &str) -> Value {
    match serde_json::from_str::<Value>(arguments) {
        Ok(value) if value.is_object() => value,
        Err(_) if arguments.trim().is_empty() => json!({}),
        Ok(value) => json!({"arguments": value}),
        Err(_) => json!({"arguments": arguments}),
    }
}

/// An id in the characters that Anthropic takes.
fn tool_id(id: &str) -> String {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    id.chars().map(|c| if known(c) { c } else { '_' }).collect()
}
