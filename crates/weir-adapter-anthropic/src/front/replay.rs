//! Stored answers of `/v1/messages`: a stream put together, and a whole answer taken apart. A tool's input stays the
//! very text that the model wrote.

use bytes::{Bytes, BytesMut};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use weir_adapter::{Operation, Replay};
use weir_wire::framing::sse;

/// `/v1/messages`.
pub(crate) struct Messages;

/// An object whose values stay as written.
type Raw = IndexMap<String, Box<RawValue>>;

impl Replay for Messages {
    fn assemble(&self, operation: Operation, events: &[&[u8]]) -> Option<Bytes> {
        let mut parts = Parts::default();
        for event in events {
            parts.add(serde_json::from_slice(event).ok()?)?;
        }
        parts.whole().filter(|_| operation == Operation::Chat && parts.ended)
    }

    fn stream(&self, operation: Operation, whole: &[u8], _include_usage: bool) -> Option<Bytes> {
        if operation != Operation::Chat {
            return None;
        }
        let mut message: Raw = serde_json::from_slice(whole).ok()?;
        let content: Vec<Raw> = serde_json::from_str(message.get("content")?.get()).ok()?;
        let mut out = BytesMut::new();
        let mut write = |event: &Value| {
            sse::write(&mut out, event["type"].as_str().unwrap_or_default(), event.to_string().as_bytes());
        };
        let end = end(&mut message)?;
        write(&json!({ "type": "message_start", "message": message }));
        for (index, block) in content.iter().enumerate() {
            let (start, deltas) = take_apart(block)?;
            write(&json!({ "type": "content_block_start", "index": index, "content_block": start }));
            for delta in deltas {
                write(&json!({ "type": "content_block_delta", "index": index, "delta": delta }));
            }
            write(&json!({ "type": "content_block_stop", "index": index }));
        }
        write(&end);
        write(&json!({ "type": "message_stop" }));
        Some(out.freeze())
    }

    fn is_complete(&self, operation: Operation, whole: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Message<'m> {
            stop_reason: Option<&'m str>,
        }
        let message = serde_json::from_slice::<Message<'_>>(whole).ok();
        let reason = message.and_then(|message| message.stop_reason);
        operation == Operation::Chat && matches!(reason, Some("end_turn" | "stop_sequence" | "tool_use"))
    }

    fn insignificant(&self) -> &'static [&'static str] {
        &["stream", "metadata"]
    }
}

// === A stream put together ===

#[derive(Default)]
struct Parts {
    message: Map<String, Value>,
    blocks: Vec<Block>,
    ended: bool,
}

struct Block {
    members: Map<String, Value>,
    /// The pieces of its input.
    input: String,
}

impl Parts {
    fn add(&mut self, event: Value) -> Option<()> {
        let Value::Object(mut event) = event else { return None };
        let kind = event.get("type")?.as_str()?.to_owned();
        match kind.as_str() {
            "message_start" => self.message = object(event.shift_remove("message")?)?,
            "content_block_start" => {
                (event.get("index")?.as_u64()? == self.blocks.len() as u64).then_some(())?;
                let members = object(event.shift_remove("content_block")?)?;
                self.blocks.push(Block { members, input: String::new() });
            }
            "content_block_delta" => {
                let index = usize::try_from(event.get("index")?.as_u64()?).ok()?;
                self.blocks.get_mut(index)?.add(object(event.shift_remove("delta")?)?)?;
            }
            "message_delta" => {
                for (name, value) in event {
                    match (name.as_str(), value) {
                        ("type", _) => {}
                        ("delta", Value::Object(delta)) => self.message.extend(delta),
                        ("usage", Value::Object(usage)) => {
                            let all = self.message.entry("usage").or_insert_with(|| json!({}));
                            all.as_object_mut()?.extend(usage);
                        }
                        (_, value) => drop(self.message.insert(name, value)),
                    }
                }
            }
            "message_stop" => self.ended = true,
            "ping" | "content_block_stop" => {}
            _ => return None,
        }
        Some(())
    }

    fn whole(&self) -> Option<Bytes> {
        let blocks = self.blocks.iter().map(Block::whole).collect::<Option<Vec<_>>>()?;
        let mut message = Raw::new();
        for (name, value) in &self.message {
            message.insert(name.clone(), to_raw_value(value).ok()?);
        }
        message.insert("content".to_owned(), to_raw_value(&blocks).ok()?);
        serde_json::to_vec(&message).ok().map(Bytes::from)
    }
}

impl Block {
    fn add(&mut self, mut delta: Map<String, Value>) -> Option<()> {
        let (kind, target) = match delta.get("type")?.as_str()? {
            "text_delta" => ("text", "text"),
            "thinking_delta" => ("thinking", "thinking"),
            "signature_delta" => ("signature", "signature"),
            "input_json_delta" => {
                self.input.push_str(delta.get("partial_json")?.as_str()?);
                return Some(());
            }
            "citations_delta" => {
                let all = self.members.entry("citations").or_insert(Value::Null);
                if all.is_null() {
                    *all = json!([]);
                }
                all.as_array_mut()?.push(delta.shift_remove("citation")?);
                return Some(());
            }
            _ => return None,
        };
        let piece = delta.get(kind)?.as_str()?;
        match self.members.entry(target).or_insert_with(|| "".into()) {
            Value::String(all) => all.push_str(piece),
            _ => return None,
        }
        Some(())
    }

    fn whole(&self) -> Option<Raw> {
        let mut block = Raw::new();
        for (name, value) in &self.members {
            block.insert(name.clone(), to_raw_value(value).ok()?);
        }
        if !self.input.is_empty() {
            block.insert("input".to_owned(), RawValue::from_string(self.input.clone()).ok()?);
        }
        Some(block)
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

// === A whole answer taken apart ===

/// The event that tells how the message ended. What it tells is not known yet when the message starts.
fn end(message: &mut Raw) -> Option<Value> {
    let mut delta = Map::new();
    for name in ["stop_reason", "stop_sequence", "stop_details", "container"] {
        if let Some(value) = message.get_mut(name) {
            delta.insert(name.to_owned(), serde_json::from_str(value.get()).ok()?);
            *value = to_raw_value(&Value::Null).ok()?;
        }
    }
    let mut end = json!({ "type": "message_delta", "delta": delta });
    if let Some(usage) = message.get_mut("usage") {
        let mut begun: Map<String, Value> = serde_json::from_str(usage.get()).ok()?;
        end["usage"] = Value::Object(begun.clone());
        begun.shift_remove("cost");
        begun.shift_remove("cost_details");
        begun.insert("output_tokens".to_owned(), 0.into());
        *usage = to_raw_value(&begun).ok()?;
    }
    message.insert("content".to_owned(), to_raw_value(&json!([])).ok()?);
    Some(end)
}

/// A block as it starts, and what follows.
fn take_apart(block: &Raw) -> Option<(Value, Vec<Value>)> {
    let value = |name: &str| block.get(name).and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let mut start: Map<String, Value> =
        block.keys().map(|name| Some((name.clone(), value(name)?))).collect::<Option<_>>()?;
    let mut deltas = Vec::new();
    match start.get("type")?.as_str()? {
        "text" => {
            let citations = start.shift_remove("citations");
            if let Some(Value::Array(list)) = &citations {
                start.insert("citations".to_owned(), json!([]));
                deltas.extend(list.iter().map(|one| json!({ "type": "citations_delta", "citation": one })));
            } else {
                start.extend(citations.map(|none| ("citations".to_owned(), none)));
            }
            deltas.insert(
                0,
                json!({ "type": "text_delta", "text": start.insert("text".to_owned(), "".into())? }),
            );
        }
        "thinking" => {
            let thinking = start.insert("thinking".to_owned(), "".into())?;
            deltas.push(json!({ "type": "thinking_delta", "thinking": thinking }));
            if let Some(signature) = start.get_mut("signature") {
                deltas.push(json!({ "type": "signature_delta", "signature": signature.take() }));
                *signature = "".into();
            }
        }
        _ => {
            if let Some(input) = block.get("input") {
                start.insert("input".to_owned(), json!({}));
                deltas.push(json!({ "type": "input_json_delta", "partial_json": input.get() }));
            }
        }
    }
    Some((Value::Object(start), deltas))
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
