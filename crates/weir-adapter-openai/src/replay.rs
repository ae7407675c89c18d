//! Stored answers in OpenAI's format: a stream put together, and a whole answer taken apart.

mod merge;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};
use weir_adapter::{Operation, Replay};
use weir_wire::framing::sse;

/// Chat completions, text completions, embeddings.
pub(crate) struct OpenAi;

/// Random letters that hide how long a chunk is: no part of the answer.
const PADDING: &str = "obfuscation";

impl Replay for OpenAi {
    fn assemble(&self, operation: Operation, events: &[&[u8]]) -> Option<Bytes> {
        let (last, chunks) = events.split_last()?;
        if *last != b"[DONE]" {
            return None;
        }
        let mut whole = Map::new();
        let mut choices: Vec<Map<String, Value>> = Vec::new();
        for chunk in chunks {
            let Value::Object(chunk) = serde_json::from_slice(chunk).ok()? else { return None };
            for (name, value) in chunk {
                match (name.as_str(), value) {
                    (PADDING, _) => {}
                    ("choices", Value::Array(pieces)) => {
                        pieces.into_iter().try_for_each(|piece| add(operation, &mut choices, piece))?;
                    }
                    (_, Value::Null) if whole.contains_key(&name) => {}
                    ("id" | "created" | "model", _) if whole.contains_key(&name) => {}
                    (_, value) => drop(whole.insert(name, value)),
                }
            }
        }
        let object = match operation {
            Operation::Chat => "chat.completion",
            Operation::Completions => "text_completion",
            _ => return None,
        };
        whole.insert("object".to_owned(), object.into());
        let choices = choices.into_iter().map(|choice| merge::finish(operation, choice));
        whole.insert("choices".to_owned(), choices.collect::<Option<Vec<Value>>>()?.into());
        if whole.get("usage").is_some_and(Value::is_null) {
            whole.shift_remove("usage");
        }
        Some(Value::Object(whole).to_string().into())
    }

    fn stream(&self, operation: Operation, whole: &[u8], include_usage: bool) -> Option<Bytes> {
        let Value::Object(mut head) = serde_json::from_slice(whole).ok()? else { return None };
        let Value::Array(choices) = head.shift_remove("choices")? else { return None };
        let usage = head.shift_remove("usage");
        if operation == Operation::Chat {
            head.insert("object".to_owned(), "chat.completion.chunk".into());
        }
        let mut out = BytesMut::new();
        let mut write = |choices: Vec<Value>, usage: Option<Value>| {
            let mut chunk = head.clone();
            chunk.insert("choices".to_owned(), choices.into());
            chunk.extend(usage.map(|usage| ("usage".to_owned(), usage)));
            sse::write(&mut out, "", Value::Object(chunk).to_string().as_bytes());
        };
        for choice in choices {
            let Value::Object(choice) = choice else { return None };
            let pieces = match operation {
                Operation::Chat => chat_pieces(choice)?,
                Operation::Completions => vec![Value::Object(choice)],
                _ => return None,
            };
            pieces.into_iter().for_each(|piece| write(vec![piece], None));
        }
        if include_usage && let Some(usage) = usage {
            write(Vec::new(), Some(usage));
        }
        sse::write(&mut out, "", b"[DONE]");
        Some(out.freeze())
    }

    fn is_complete(&self, operation: Operation, whole: &[u8]) -> bool {
        let Ok(whole) = serde_json::from_slice::<Value>(whole) else { return false };
        let list = |name: &str| whole[name].as_array().filter(|list| !list.is_empty());
        let ends = |choice: &Value| {
            matches!(choice["finish_reason"].as_str(), Some("stop" | "tool_calls" | "function_call"))
                && choice["message"]["refusal"].as_str().is_none_or(str::is_empty)
        };
        if matches!(operation, Operation::Chat | Operation::Completions) {
            return list("choices").is_some_and(|choices| choices.iter().all(ends));
        }
        operation == Operation::Embeddings && list("data").is_some()
    }

    fn insignificant(&self) -> &'static [&'static str] {
        &[
            "stream",
            "stream_options",
            "user",
            "safety_identifier",
            "metadata",
            "prompt_cache_key",
            "prompt_cache_retention",
        ]
    }
}

/// Adds one piece of a choice to what is there of it.
fn add(operation: Operation, choices: &mut Vec<Map<String, Value>>, piece: Value) -> Option<()> {
    let Value::Object(piece) = piece else { return None };
    let index = piece.get("index").map_or(Some(0), Value::as_u64)?;
    let found = choices.iter().position(|choice| choice.get("index").and_then(Value::as_u64) == Some(index));
    let at = found.unwrap_or_else(|| {
        choices.push(Map::from_iter([("index".to_owned(), index.into())]));
        choices.len() - 1
    });
    merge::choice(operation, &mut choices[at], piece)
}

/// Content first, then how it ended: as streams do.
fn chat_pieces(mut choice: Map<String, Value>) -> Option<Vec<Value>> {
    let Value::Object(mut delta) = choice.shift_remove("message")? else { return None };
    if let Some(Value::Array(calls)) = delta.get_mut("tool_calls") {
        for (index, call) in calls.iter_mut().enumerate() {
            call.as_object_mut()?.entry("index").or_insert(index.into());
        }
    }
    let index = choice.get("index").cloned().unwrap_or(0.into());
    let mut content = Map::from_iter([
        ("index".to_owned(), index),
        ("delta".to_owned(), Value::Object(delta)),
        ("finish_reason".to_owned(), Value::Null),
    ]);
    content.extend(choice.shift_remove("logprobs").map(|logprobs| ("logprobs".to_owned(), logprobs)));
    choice.insert("delta".to_owned(), json!({}));
    Some(vec![Value::Object(content), Value::Object(choice)])
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
